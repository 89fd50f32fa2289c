#!/usr/bin/env bash
# Gives a copy of the repository a module path that go get can fetch, and shows that the copy is whole: it builds, the linter
# still finds an import that points upward, the sender's tests pass, and a second module fetches `sdk` through a module proxy
# made of files and builds the program of docs/sender.md. A minute and a half on two idle cores, four where others use them too; a third of
# it are the sender's tests.
# Beyond the module proxy it needs no network: what is in the module cache is taken from there.
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
lint=$PWD/${LINT:-bin/golangci-lint}
module=example.org/you/inlong-bridge
version=v0.1.0
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
copy=$tmp/copy

say() { echo "module: $*, second $SECONDS"; }
fail() { echo "module: $*" >&2; exit 1; }

mkdir "$copy"
git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null | tar cf - -T - | tar xf - -C "$copy"
sums() { (cd "$copy" && find . -type f ! -path './bin/*' -exec sha256sum {} + | sort); }

# What is no path is refused, and changes nothing. A checker that finds nothing here could never find anything.
sums >"$tmp/before"
for bad in '' inlong-bridge 'example.org/you/in long' 'https://example.org/you'; do
  if make -s -C "$copy" module MODULE="$bad" GO="$go" >"$tmp/said" 2>&1; then fail "MODULE='$bad' was taken"; fi
  [ "$(grep -c 'nothing was changed' "$tmp/said")" = 1 ] || { cat "$tmp/said"; fail "MODULE='$bad': no reason was given"; }
  cmp -s "$tmp/before" <(sums) || fail "MODULE='$bad' changed something"
done
say 'four paths that cannot be fetched were refused, and changed nothing'

make -s -C "$copy" module MODULE="$module" GO="$go"
cd "$copy"
[ "$("$go" list -m)" = "$module" ] || fail "go.mod says $("$go" list -m)"
[ -z "$(gofmt -l .)" ] || fail "not formatted: $(gofmt -l .)"
"$go" mod tidy -diff
"$go" build ./...
"$go" vet ./...
say "the copy builds as $module"

if [ -x "$lint" ]; then
  "$lint" run --enable-only depguard --concurrency 2 --timeout 10m ./mapping ./sdk >"$tmp/said" 2>&1 || { cat "$tmp/said"; fail 'the linter finds something without a planted import'; }
  printf 'package mapping\n\nimport _ "%s/sdk/frame"\n' "$module" >mapping/planted.go
  if "$lint" run --enable-only depguard --concurrency 2 --timeout 10m ./mapping >"$tmp/said" 2>&1; then fail 'the linter does not find an import that points upward'; fi
  grep -q 'planted.go.*mapping knows no sender' "$tmp/said" || { cat "$tmp/said"; fail 'the linter finds something else than the planted import'; }
  rm mapping/planted.go
  say 'the linter finds an import that points upward'
else
  echo "SKIPPED the linter in make module-check: $lint is not built"
fi

"$go" test ./sdk
say 'the tests of sdk pass in the copy'

"$go" run ./deploy/dev/module -zip "$tmp/proxy" -version "$version"
mkdir "$tmp/second"
sed -n '/^```go$/,/^```$/p' docs/sender.md | sed -n '2,/^```$/p' | sed '/^```$/,$d' >"$tmp/second/main.go"
cp go.sum "$tmp/second/" # the sums of what the module needs; its own is in no database, so GONOSUMDB
cd "$tmp/second"
# GOPRIVATE would not do: it goes around the proxy. The module cache is that of this run, and fills from the user's.
cache=$("$go" env GOMODCACHE)
export GOPROXY="file://$tmp/proxy,file://$cache/cache/download,$("$go" env GOPROXY)"
export GOMODCACHE=$tmp/cache GONOSUMDB=$module GOFLAGS='-modcacherw -buildvcs=false'
"$go" mod init example.org/you/second 2>"$tmp/said" || { cat "$tmp/said"; exit 1; }
"$go" get "$module/sdk@$version" 2>"$tmp/said" || { cat "$tmp/said"; fail 'go get does not fetch the sender'; }
"$go" mod tidy >"$tmp/said" 2>&1 || { cat "$tmp/said"; fail 'go mod tidy fails'; }
"$go" build -o second .
"$go" list -m "$module" | grep -qx "$module $version" || fail "the second module uses $("$go" list -m "$module")"
modules=$("$go" list -deps -f '{{with .Module}}{{.Path}}{{end}}' . | sort -u | grep -vcx -e "$module" -e example.org/you/second)
say "a second module fetched $module/sdk $version and built a program with it; it compiles $modules other modules"
