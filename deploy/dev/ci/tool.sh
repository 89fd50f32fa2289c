#!/usr/bin/env bash
# Puts a pinned tool into bin/. It is built from its module, deploy/dev/tools/NAME, once for each state of that module and
# kept in the user's cache directory, so that a fresh clone on a machine that has built it takes a second.
#
#   deploy/dev/ci/tool.sh NAME BINARY PACKAGE [FLAG OF GO BUILD...]   build it where needed, link it as bin/BINARY
#   deploy/dev/ci/tool.sh --built NAME BINARY PACKAGE [FLAG...]       exit 0 if it is there already, 1 if it must be built
set -euo pipefail
cd "$(dirname "$0")/../../.."

go=${GO:-go}
ask=
if [ "${1:-}" = --built ]; then ask=yes; shift; fi
name=$1 binary=$2 package=$3
shift 3
module=deploy/dev/tools/$name
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/inlong-bridge/tools
# What the result depends on: the module's versions, the Go release, the flags.
state=$({ cat "$module/go.mod" "$module/go.sum"; "$go" version; printf '%s\n' "$package" "$@"; } | sha256sum | cut -c1-16)
kept=$cache/$binary-$state

if [ -n "$ask" ]; then [ -x "$kept" ]; exit; fi
if [ ! -x "$kept" ]; then
  mkdir -p "$cache"
  echo "tool: building $binary (once for this state of $module; kept in $cache)"
  start=$SECONDS
  trap 'rm -f "$kept.$$"' EXIT
  (cd "$module" && "$go" build "$@" -o "$kept.$$" "$package")
  mv "$kept.$$" "$kept" # at once, so that nobody finds half of it
  find "$cache" -maxdepth 1 -type f -name "$binary-*" ! -path "$kept" -mtime +60 -delete # states that nobody builds any more
  echo "tool: built $binary in $((SECONDS - start)) s"
fi
mkdir -p bin
ln -sf "$kept" "bin/$binary"
