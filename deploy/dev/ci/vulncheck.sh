#!/usr/bin/env bash
# Looks for known vulnerabilities with govulncheck. The database is made on this machine from the Go module
# golang.org/x/vulndb, so that nothing but the module proxy is asked; it is kept in the user's cache directory by version.
# deploy/dev/vuln judges what is found. GOVULNCHECK is the command.
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
govulncheck=${GOVULNCHECK:-bin/govulncheck}
module=golang.org/x/vulndb
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/inlong-bridge/vulndb
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

skip() { echo "SKIPPED vulncheck: $*"; exit 0; }
# last FILE: the last line of what went wrong.
last() { tail -n 1 "$1"; }

# Outside of this module: what the database needs is no business of go.mod.
if ! (cd "$tmp" && "$go" list -m -f '{{.Version}} {{.Time.Format "2006-01-02"}}' "$module@latest") >"$tmp/version" 2>"$tmp/err"; then
  skip "the module proxy does not give the version of $module: $(last "$tmp/err")"
fi
read -r version date <"$tmp/version"
db=$cache/$version
if [ ! -f "$db/index/modules.json" ]; then
  start=$SECONDS
  (cd "$tmp" && "$go" mod download -json "$module@$version") >"$tmp/module.json" 2>"$tmp/err" ||
    skip "$module@$version cannot be downloaded: $(last "$tmp/err")"
  dir=$(sed -nE 's/^\s*"Dir": "(.*)",?$/\1/p' "$tmp/module.json")
  [ -d "$dir/data/osv" ] || { echo "vulncheck: $module@$version has no data/osv" >&2; exit 1; }
  (cd "$tmp" && GOBIN=$tmp "$go" install "$module/cmd/indexdb@$version") >"$tmp/err" 2>&1 ||
    skip "indexdb of $module@$version cannot be built: $(last "$tmp/err")"
  mkdir -p "$cache"
  rm -rf "$db.$$"
  "$tmp/indexdb" -vulns "$dir/data/osv" -out "$db.$$"
  rm -rf "$db"
  mv "$db.$$" "$db" # at once, so that nobody finds half of it
  find "$cache" -mindepth 1 -maxdepth 1 ! -path "$db" -mtime +7 -exec rm -rf {} +
  echo "vulncheck: made the database in $((SECONDS - start)) s"
fi
echo "vulncheck: database of $date ($module@$version), $(find "$db/ID" -name 'GO-*.json' | wc -l) vulnerabilities"

"$govulncheck" -db "file://$db" -format json ./... >"$tmp/found.json"
"$go" run ./deploy/dev/vuln -list deploy/dev/vuln/known.txt <"$tmp/found.json"
