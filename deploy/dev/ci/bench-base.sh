#!/usr/bin/env bash
# Builds the bench of a commit as bin/bench-base, so that the working tree's can be compared with it:
#
#   BASE=<commit> deploy/dev/ci/bench-base.sh
#   bin/bench sender -base bin/bench-base
#
# The commit is unpacked into a directory that is removed at the end, however that comes; the repository itself is only
# read. A build that takes longer than LIMIT (15m) fails.
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
limit=${LIMIT:-15m}
[ -n "${BASE:-}" ] || { echo 'bench-base: name what to compare with: BASE=<commit>' >&2; exit 2; }
base=$(git rev-parse --verify --quiet "$BASE^{commit}") || { echo "bench-base: BASE=$BASE is no commit here" >&2; exit 2; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
git archive "$base" | tar -x -C "$tmp"
pkg=deploy/dev/bench
[ -d "$tmp/$pkg" ] || pkg=deploy/bench # where it was before
[ -d "$tmp/$pkg" ] || { echo "bench-base: $BASE has no bench" >&2; exit 1; }
mkdir -p bin
out=$PWD/bin/bench-base
(cd "$tmp" && timeout -k 10 "$limit" "$go" build -o "$out.$$" "./$pkg") || {
  rc=$?
  rm -f "$out.$$"
  echo "bench-base: building $BASE failed with exit code $rc (124: it took longer than $limit)" >&2
  exit 1
}
mv "$out.$$" "$out"
echo "bench-base: bin/bench-base is $(git log -1 --format='%h %s' "$base")"
