#!/usr/bin/env bash
# Runs every fuzz target of the repository for FUZZTIME (10s) each and stops at the first that fails. With FUZZPART=k/n only every nth
# of them, from the kth on: the tests play the inputs that were kept of all of them.
# A failing input is kept by Go under testdata/fuzz of its package: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
fuzztime=${FUZZTIME:-10s}
[[ ${FUZZPART:=1/1} =~ ^([1-9][0-9]*)/([1-9][0-9]*)$ ]] || { echo "fuzz: FUZZPART=$FUZZPART, want k/n, such as 1/3 for the first third"; exit 1; }
k=${BASH_REMATCH[1]} n=${BASH_REMATCH[2]}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

found=0 ran=0
while IFS=: read -r file name; do
  found=$((found + 1))
  [ $(((found - 1) % n)) = $((k - 1)) ] || continue
  dir=./$(dirname "$file")
  echo "--- $name ($dir)"
  for try in 1 2; do
    if "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" "$dir" >"$log" 2>&1; then
      tail -n 3 "$log"
      break
    fi
    # On a busy machine the fuzzing engine may report its own end of time as a failure of the target. That, and
    # only that, is tried once more: it leaves no failing input.
    if [ "$try" = 2 ] || ! grep -q 'context deadline exceeded' "$log" || grep -q 'Failing input written' "$log"; then
      cat "$log"
      echo "fuzz: $name failed"
      exit 1
    fi
    echo "fuzz: $name: the engine overran its own deadline; once more"
  done
  ran=$((ran + 1))
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+\(' . | sed -E 's#^\./##; s/func (Fuzz[A-Za-z0-9_]+)\(/\1/' | sort)

if [ "$ran" = 0 ]; then
  echo 'fuzz: found no target'
  exit 1
fi
echo "fuzz: $ran of the $found targets, $fuzztime each"
