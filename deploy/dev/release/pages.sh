#!/usr/bin/env bash
# Writes the manual pages and the completions of the shells into a directory: deploy/dev/release/pages.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
out=${1:?name the directory to write to}
rm -rf "$out"
mkdir -p "$out/man" "$out/completions"
out=$(cd "$out" && pwd)

# The date in a page is the commit's, and gzip keeps none.
date=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null) || date=
"$go" test -count=1 -run '^TestManPages$' ./cmd/inlong-bridge -man "$out/man" ${date:+-man-date "$date"} >/dev/null
gzip -n -9 "$out"/man/*.1

"$go" build -o "$out/inlong-bridge" ./cmd/inlong-bridge
for shell in bash zsh fish powershell; do
  case $shell in powershell) end=ps1 ;; *) end=$shell ;; esac
  "$out/inlong-bridge" completion "$shell" >"$out/completions/inlong-bridge.$end"
done
rm "$out/inlong-bridge"
