#!/usr/bin/env bash
# The Helm chart on a real API server: deploy/dev/k8s, on the control plane of deploy/dev/tools/k8s, which is built once for each state
# of that module (5 to 14 minutes on two cores) and kept in the user's cache directory.
#
#   k8s.sh run [ARGUMENT OF GO TEST...]   needs HELM and BRIDGE
#   k8s.sh build                          only builds the control plane, and exits at once where it is there
#   k8s.sh built                          exits with 0 if it is there and 1 if it must be built
#
# K8S_COLD=no does not build it: the run then says SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
module=deploy/dev/tools/k8s
version=$(sed -nE 's/^\tk8s\.io\/kubernetes v([0-9.]+)$/\1/p' $module/go.mod)
IFS=. read -r major minor _ <<<"$version"
at=k8s.io/component-base/version
# The API server tells its version to Helm and to clients. Static, and the same flags for the tests below: what both are made of
# is compiled once.
flags=(-trimpath -ldflags "-s -w -X $at.gitVersion=v$version -X $at.gitMajor=$major -X $at.gitMinor=$minor")
export CGO_ENABLED=0
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/inlong-bridge/tools
state=$({ cat $module/go.mod $module/go.sum $module/main.go; "$go" version; } | sha256sum | cut -c1-16)
control_plane=$cache/control-plane-$state

# fetch MODULE: its dependencies, or the reason why they cannot be had and exit code 10.
fetch() {
  local log rc=0
  log=$(mktemp)
  if ! (cd "$1" && "$go" mod download) >"$log" 2>&1; then
    echo "SKIPPED k8s: the modules of $1 cannot be fetched: $(tail -n 1 "$log")"
    rc=10
  fi
  rm -f "$log"
  return $rc
}

build() {
  [ -x "$control_plane" ] && return 0
  local start=$SECONDS
  fetch $module || return
  mkdir -p "$cache"
  echo "k8s: building the control plane of Kubernetes $version (once; kept in $cache)"
  (cd $module && "$go" build "${flags[@]}" -o "$control_plane.$$" .) || { rm -f "$control_plane.$$"; return 1; }
  mv "$control_plane.$$" "$control_plane" || return 1 # at once, so that nobody finds half of it
  echo "k8s: built in $((SECONDS - start)) s"
}

case ${1:-run} in
  built) [ -x "$control_plane" ] ;;
  build)
    rc=0
    build || rc=$?
    [ "$rc" = 10 ] || exit "$rc" ;;
  run)
    shift || true
    if [ "${K8S_COLD:-yes}" = no ] && [ ! -x "$control_plane" ]; then
      echo 'SKIPPED k8s: the control plane is not in the cache, and building it takes too long here (make tools-k8s)'
      exit 0
    fi
    rc=0
    { build && fetch deploy/dev/k8s; } || rc=$?
    if [ "$rc" = 10 ]; then exit 0; fi
    [ "$rc" = 0 ] || exit "$rc"
    start=$SECONDS
    helm=$(realpath "${HELM:-bin/helm}") bridge=$(realpath "${BRIDGE:-bin/inlong-bridge}")
    export K8S_CONTROL_PLANE=$control_plane HELM=$helm BRIDGE=$bridge
    # What has arrived in a namespace is waited for, so more tests at a time than cores are no harm.
    (cd deploy/dev/k8s && "$go" test -trimpath -count=1 -timeout 30m -parallel 8 -v "$@" .) || rc=$?
    echo "k8s: the tests took $((SECONDS - start)) s"
    exit "$rc" ;;
  *) echo 'usage: k8s.sh run|build|built' >&2; exit 2 ;;
esac
