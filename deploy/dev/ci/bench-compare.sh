#!/usr/bin/env bash
# Benchmarks of the working tree against those of a commit, with what benchstat says of the difference.
#
#   BASE=<commit> [COUNT=6] [BENCH=.] [PKGS=./...] [BENCHTIME=1s] deploy/dev/ci/bench-compare.sh
#
# Head is the tree as it lies here, committed or not. Base is unpacked beside it, in a directory that is removed at
# the end, however that comes; the repository itself is only read. The test binaries of both are built first, and
# then run in turn, package by package (base, head; head, base; ...), so that a machine that becomes slower meanwhile
# does so for both.
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
benchstat=${BENCHSTAT:-$PWD/bin/benchstat}
count=${COUNT:-6} bench=${BENCH:-.} benchtime=${BENCHTIME:-1s}
read -ra pkgs <<<"${PKGS:-./...}"
[ -n "${BASE:-}" ] || { echo 'bench-compare: name what to compare with: BASE=<commit>' >&2; exit 2; }
[[ $count =~ ^[1-9][0-9]*$ ]] || { echo "bench-compare: COUNT=$count is no number of rounds" >&2; exit 2; }
base=$(git rev-parse --verify --quiet "$BASE^{commit}") || { echo "bench-compare: BASE=$BASE is no commit here" >&2; exit 2; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$tmp/tree" "$tmp/bin"
git archive "$base" | tar -x -C "$tmp/tree"

# build SIDE TREE: a test binary of each package that has benchmarks to run, and a line "package directory" for it.
build() {
  local side=$1 tree=$2 pkg dir bin
  : >"$tmp/$side.pkgs"
  cd "$tree"
  "$go" list -e -f '{{.ImportPath}} {{.Dir}}' "${pkgs[@]}" 2>/dev/null >"$tmp/list" || true
  while read -r pkg dir; do
    [ -d "$dir" ] && grep -qs '^func Benchmark' "$dir"/*_test.go || continue
    bin=$tmp/bin/$side-${pkg//\//-}
    "$go" test -c -o "$bin" "$pkg" || exit 1
    (cd "$dir" && "$bin" -test.list "${bench%%/*}") >"$tmp/names" || exit 1
    grep -q '^Benchmark' "$tmp/names" && echo "$pkg $dir" >>"$tmp/$side.pkgs"
  done <"$tmp/list"
  cd - >/dev/null
}
echo "bench-compare: building head (the working tree) and base ($(git log -1 --format='%h %s' "$base"))" >&2
build head "$PWD"
build base "$tmp/tree"

# run SIDE PACKAGE: one round, its lines kept for benchstat.
run() {
  local side=$1 pkg=$2 dir
  dir=$(awk -v p="$pkg" '$1 == p {print $2}' "$tmp/$side.pkgs")
  [ -n "$dir" ] || return 0
  (cd "$dir" && "$tmp/bin/$side-${pkg//\//-}" -test.run '^$' -test.bench "$bench" -test.benchtime "$benchtime" -test.benchmem) >"$tmp/out" 2>&1 || {
    cat "$tmp/out" >&2
    echo "bench-compare: $side: the benchmarks of $pkg fail" >&2
    exit 1
  }
  cat "$tmp/out" >>"$tmp/$side.txt"
}

: >"$tmp/base.txt"
: >"$tmp/head.txt"
[ -s "$tmp/head.pkgs" ] || { echo "bench-compare: no benchmark of ${pkgs[*]} matches $bench" >&2; exit 1; }
for ((round = 1; round <= count; round++)); do
  echo "bench-compare: round $round of $count" >&2
  while read -r pkg _ <&3; do
    if ((round % 2)); then run base "$pkg"; run head "$pkg"; else run head "$pkg"; run base "$pkg"; fi
  done 3<"$tmp/head.pkgs"
done
grep -q '^Benchmark' "$tmp/base.txt" || echo 'bench-compare: base has none of these benchmarks; head alone:' >&2
cd "$tmp" # so that the columns are named base and head
"$benchstat" base=base.txt head=head.txt
