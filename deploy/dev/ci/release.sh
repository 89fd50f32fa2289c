#!/usr/bin/env bash
# Builds what a release consists of and publishes nothing (deploy/dev/release/goreleaser.yaml).
#
#   deploy/dev/ci/release.sh snapshot   all targets into out/release, with their sizes
#   deploy/dev/ci/release.sh check      what CI shows: the configuration is valid; a snapshot of linux/amd64 with its packages
#                                   has what it must have; built again from another directory, it is the same bytes
#
# GORELEASER and SBOM_TOOL are the commands.
set -euo pipefail
cd "$(dirname "$0")/../../.."

goreleaser=$(realpath -s "${GORELEASER:-bin/goreleaser}")
sbom=$(realpath -s "${SBOM_TOOL:-bin/cyclonedx-gomod}")
config=deploy/dev/release/goreleaser.yaml
dist=out/release
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
PATH=$(dirname "$sbom"):$PATH
export PATH
unset CI # goreleaser colours its output where it is set
# A clone that belongs to somebody else (a CI checkout) must build too.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' GIT_OPTIONAL_LOCKS=0
# Without a remote goreleaser takes no commit and no date from git either. This one is never asked for anything.
if ! git ls-remote --get-url >/dev/null 2>&1; then
  export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_1=remote.origin.url GIT_CONFIG_VALUE_1=https://example.invalid/inlong-bridge.git
fi

die() { echo "release: FAIL: $*" >&2; exit 1; }

# snapshot DIRECTORY: builds in that tree, its output shown if it fails.
snapshot() {
  (cd "$1" && "$goreleaser" release --config "$config" --snapshot --clean --parallelism 2) >"$tmp/log" 2>&1 ||
    { cat "$tmp/log"; die "goreleaser in $1"; }
}

sizes() { (cd "$dist" && stat -c '%10s  %n' -- *.tar.gz *.zip *.deb *.rpm *.sbom.json 2>/dev/null) || true; }

case ${1:-} in
  snapshot)
    snapshot .
    sizes
    (cd "$dist" && sha256sum --quiet -c checksums.txt)
    echo "release: $(wc -l <"$dist/checksums.txt") artefacts and their checksums in $dist"
    exit ;;
  check) ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

"$goreleaser" check "$config"
export RELEASE_TARGETS=linux_amd64
start=$SECONDS
snapshot .
echo "release: built in $((SECONDS - start)) s:"
sizes
(cd "$dist" && sha256sum --quiet -c checksums.txt) || die 'checksums.txt does not fit'

one() { # one PATTERN: the only file of that name
  local files=("$dist"/$1)
  [ ${#files[@]} = 1 ] && [ -f "${files[0]}" ] || die "want one $1, have: ${files[*]}"
  echo "${files[0]}"
}
archive=$(one '*_linux_amd64.tar.gz') deb=$(one '*_linux_amd64.deb') rpm=$(one '*_linux_amd64.rpm')
bom=$(one '*_linux_amd64.sbom.json')
[ "$(wc -l <"$dist/checksums.txt")" = 4 ] || die "checksums.txt has not the four artefacts: $(cat "$dist/checksums.txt")"

# has WHAT LIST TEXT...: each text ends a line of the list.
has() {
  local what=$1 list=$2 text
  shift 2
  for text in "$@"; do grep -qE -- "$text\$" <<<"$list" || die "$what has no $text: $list"; done
}
has "$archive" "$(tar -tzf "$archive")" /inlong-bridge /LICENSE /README.md /CHANGELOG.md /config/reference.yaml \
  /man/inlong-bridge.1.gz /man/inlong-bridge-run.1.gz /completions/inlong-bridge.bash /completions/inlong-bridge.zsh \
  /completions/inlong-bridge.fish /completions/inlong-bridge.ps1
mkdir "$tmp/archive"
tar -xzf "$archive" -C "$tmp/archive" --strip-components=1

# The binary knows what it was built from.
commit=$(git rev-parse --short=12 HEAD)
date=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
version=$(basename "$archive" _linux_amd64.tar.gz)
version=${version#inlong-bridge_}
said=$("$tmp/archive/inlong-bridge" version)
for line in "inlong-bridge $version" "commit        $commit" "date          $date"; do
  grep -qxF -- "$line" <<<"$said" || die "version does not say '$line': $said"
done
echo "$said"

grep -qF '"bomFormat": "CycloneDX"' "$bom" && grep -qF 'pkg:golang/github.com/twmb/franz-go@' "$bom" || die "$bom lists no franz-go"

if command -v dpkg-deb >/dev/null; then
  has "$deb" "$(dpkg-deb -c "$deb" | awk '{print $6}')" /usr/bin/inlong-bridge /etc/inlong-bridge/ /usr/lib/systemd/system/inlong-bridge.service \
    /usr/share/man/man1/inlong-bridge.1.gz /usr/share/bash-completion/completions/inlong-bridge /usr/share/doc/inlong-bridge/copyright
  dpkg-deb -x "$deb" "$tmp/deb"
  cmp "$tmp/deb/usr/bin/inlong-bridge" "$tmp/archive/inlong-bridge" || die 'package and archive hold different binaries'
else
  echo 'SKIPPED release: looking into the deb (no dpkg-deb)'
fi
if command -v rpm >/dev/null; then
  has "$rpm" "$(rpm -qpl "$rpm")" /usr/bin/inlong-bridge /usr/lib/systemd/system/inlong-bridge.service /usr/share/man/man1/inlong-bridge.1.gz
else
  echo 'SKIPPED release: looking into the rpm (no rpm)'
  [ "$(head -c 4 "$rpm" | od -An -tx1 | tr -d ' ')" = edabeedb ] || die "$rpm is no rpm"
fi

# Once more: in another directory, with other times and modes of the files, another umask and another time zone. What the
# compiler made of single packages may come from Go's cache; Go keeps it by content.
mkdir "$tmp/again"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -c 2>/dev/null | (umask 077 && tar -x -m --no-same-permissions -C "$tmp/again")
rm -f "$tmp/again/.git"
echo "gitdir: $(git rev-parse --absolute-git-dir)" >"$tmp/again/.git"
start=$SECONDS
(umask 077 && export TZ=Asia/Kolkata && snapshot "$tmp/again")
echo "release: built again in $((SECONDS - start)) s"
for file in "$archive" "$deb" "$rpm" "$bom" "$dist/checksums.txt"; do
  cmp "$file" "$tmp/again/$file" || die "$(basename "$file") is not the same bytes when it is built again"
done
echo "release: $(wc -l <"$dist/checksums.txt") artefacts are the same bytes when they are built again"
