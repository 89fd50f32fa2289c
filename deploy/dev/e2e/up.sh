#!/usr/bin/env bash
# e2e-up and e2e-down: an Apache Kafka and two devproxies that stay until they are told to go.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p out
env=$PWD/out/up.env pid=$PWD/out/up.pid log=$PWD/out/up.log
GO=${GO:-go}

alive() { [ -f "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; }

case ${1:-} in
up)
  alive && { echo "it is up already; make e2e-down ends it"; cat "$env"; exit 0; }
  rm -f "$env"
  "$GO" test -tags e2e -c -o out/up.test .
  E2E_UP=$env E2E_REQUIRED=1 nohup ./out/up.test -test.run '^TestUp$' -test.timeout 0 -test.v >"$log" 2>&1 &
  echo $! >"$pid"
  for _ in $(seq 600); do
    [ -f "$env" ] && { cat "$env"; exit 0; }
    alive || break
    sleep 0.5
  done
  echo 'it did not come up:'; tail -n 30 "$log"
  alive && kill "$(cat "$pid")"
  rm -f "$pid"
  exit 1
  ;;
down)
  alive || { rm -f "$pid" "$env"; echo 'nothing is up'; exit 0; }
  kill "$(cat "$pid")"
  for _ in $(seq 120); do
    alive || { rm -f "$pid" "$env" out/up.test; echo 'down'; exit 0; }
    sleep 0.5
  done
  echo "process $(cat "$pid") does not end; its log ends with"; tail -n 30 "$log"
  exit 1
  ;;
*) echo "usage: up.sh up|down" >&2; exit 2 ;;
esac
