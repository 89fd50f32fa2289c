#!/usr/bin/env bash
# Puts promtool and prometheus into bin/prometheus, from Debian's package prometheus, which is unpacked and not
# installed: nothing of the machine changes and no service starts. The commands of the system are taken where they
# exist. Exit code 1 with the reason on stderr when there is no way to get them.
set -euo pipefail
cd "$(dirname "$0")/../../.."
dir=bin/prometheus
[ -x "$dir/promtool" ] && [ -x "$dir/prometheus" ] && exit 0
mkdir -p "$dir"
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  ln -sf "$(command -v promtool)" "$(command -v prometheus)" "$dir/"
  exit 0
fi
for tool in apt-get dpkg-deb; do
  command -v $tool >/dev/null || { echo "no promtool, and no $tool to get Debian's package prometheus with" >&2; exit 1; }
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
get() { (cd "$tmp" && timeout 300 apt-get -o APT::Sandbox::User=root download prometheus) >"$tmp/log" 2>&1; }
if ! get; then
  # Without lists of packages there is nothing to download from.
  timeout 300 apt-get update >"$tmp/update" 2>&1 || true
  get || { echo "no promtool, and Debian's package prometheus cannot be downloaded: $(tail -n 1 "$tmp/log")" >&2; exit 1; }
fi
dpkg-deb -x "$tmp"/prometheus_*.deb "$tmp/root"
cp "$tmp/root/usr/bin/promtool" "$tmp/root/usr/bin/prometheus" "$dir/"
"$dir/promtool" --version >/dev/null || { rm -rf "$dir"; echo "Debian's promtool does not run here" >&2; exit 1; }
