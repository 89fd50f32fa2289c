#!/usr/bin/env bash
# Runs the steps of deploy/Dockerfile without a container engine: reads the file, executes its build stage in a
# scratch copy of the tree, assembles the final image's files in an empty directory, and starts the result there
# as the image's user with nothing else in sight. Base images are not fetched: the build stage uses the Go of this
# machine, and the final stage must be FROM scratch.
#
# An instruction that this script does not know is an error, so the Dockerfile cannot quietly outgrow it.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
context=$work/context build=$work/build root=$work/root
mkdir -p "$context" "$build" "$root"

die() { echo "image: $*" >&2; exit 1; }

# The context is what git knows of, less .dockerignore: what is not committed or added does not get into an image.
git -c safe.directory='*' ls-files -z --cached | tar --null --ignore-failed-read -T - -c 2>/dev/null |
  tar -x -C "$context"
while read -r pattern; do
  case $pattern in
    '' | '#'* | '**'*) ;;
    *) rm -rf "${context:?}/$pattern" ;;
  esac
done < deploy/Dockerfile.dockerignore

# json ARRAY: the words of an exec-form instruction, one a line.
json() {
  [[ $1 == '['*']' ]] || die "not in exec form: $1"
  grep -oE '"[^"]*"' <<<"$1" | sed -E 's/^"(.*)"$/\1/'
}

stage='' user='' entrypoint='' cmd='' workdir=/
build_env=("PATH=$PATH" "HOME=$HOME")
for v in GOPROXY GOSUMDB GONOSUMDB GOFLAGS GOTOOLCHAIN GOCACHE GOMODCACHE HTTPS_PROXY https_proxy SSL_CERT_FILE; do
  [ -z "${!v:-}" ] || build_env+=("$v=${!v}")
done

# place SOURCE: where a path of the build stage is on this machine. What the stage made lies under its WORKDIR;
# everything else comes with its base image, for which this machine stands in.
place() { if [[ $1 == /src/* ]]; then echo "$build${1#/src}"; else echo "$1"; fi; }

copy() { # copy FLAGS... SOURCE... TARGET
  local from='' own='' sources=() target
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --from=build) from=build ;;
      --chown=*) own=${1#--chown=} ;;
      *) die "COPY $1 is not known here" ;;
    esac
    shift
  done
  target=${*: -1}
  sources=("${@:1:$#-1}")
  if [ "$stage" = build ]; then
    [ -z "$from" ] && [[ $target == ./ || $target == . ]] || die "COPY into $target is not known here"
    for s in "${sources[@]}"; do
      if [ "$s" = . ]; then cp -a "$context/." "$build"; else cp -a "$context/$s" "$build/"; fi
    done
    return
  fi
  [ "$from" = build ] && [ ${#sources[@]} = 1 ] || die "the final stage copies one path from the build stage at a time"
  local source
  source=$(place "${sources[0]}")
  [ -e "$source" ] || die "COPY ${sources[0]}: not there"
  mkdir -p "$root$(dirname "$target")"
  cp -rL "$source" "$root$target"
  if [ -n "$own" ] && [ "$(id -u)" = 0 ]; then chown -R "$own" "$root$target"; fi
}

while read -r word rest; do
  echo "image: $word $rest"
  case $word in
    FROM)
      case "$rest" in
        'golang:'*' AS build') stage=build ;;
        scratch) stage=final ;;
        *) die "FROM $rest is not known here" ;;
      esac ;;
    ARG)
      name=${rest%%=*}
      [ -n "${!name:-}" ] && build_env+=("$name=${!name}") || build_env+=("$rest") ;;
    ENV) for pair in $rest; do build_env+=("$pair"); done ;;
    WORKDIR)
      workdir=$rest
      [ "$workdir" = /src ] || die "WORKDIR $workdir is not known here" ;;
    COPY) read -ra words <<<"$rest"; copy "${words[@]}" ;;
    RUN)
      [ "$stage" = build ] || die 'the final stage has no shell to RUN anything'
      # Cache mounts are for the engine.
      while [[ $rest == --mount=* ]]; do rest=${rest#* }; rest=${rest#"${rest%%[! ]*}"}; done
      (cd "$build" && env -i "${build_env[@]}" sh -euc "$rest") || die "RUN failed: $rest" ;;
    USER) user=$rest ;;
    ENTRYPOINT) entrypoint=$(json "$rest") ;;
    CMD) cmd=$(json "$rest") ;;
    EXPOSE | LABEL) ;;
    *) die "$word is not known here" ;;
  esac
done < <(sed -E '/^[[:space:]]*(#|$)/d' deploy/Dockerfile | sed -E ':a; /\\$/ { N; s/[[:space:]]*\\\n[[:space:]]*/ /; ba }')

[ "$stage" = final ] || die 'no final stage'
uid=${user%%:*}
[[ $uid =~ ^[0-9]+$ ]] && [ "$uid" != 0 ] || die "USER must be a number other than 0, is '$user'"
[ "$(head -n 1 <<<"$entrypoint")" = /inlong-bridge ] || die "ENTRYPOINT is '$entrypoint'"
[ "$(head -n 1 <<<"$cmd")" = run ] || die "CMD is '$cmd'"

binary=$root/inlong-bridge
echo "image: $(find "$root" -type f | wc -l) files, $(du -sh "$root" | cut -f1)"
if command -v readelf >/dev/null; then
  if readelf -lW "$binary" | grep -qE '^ *(INTERP|DYNAMIC)'; then die 'the binary is not static'; fi
  echo 'image: the binary has no interpreter and no dynamic section'
else
  echo 'SKIPPED image: reading the ELF headers (no readelf); the start in an empty root shows the same'
fi

# Start it as its user in a root that holds nothing but the image's files. chroot alone answers 125 when it is
# not allowed to; any other answer is the program's own.
enter=()
if [ "$(id -u)" = 0 ]; then
  rc=0
  chroot --userspec="$user" "$root" /inlong-bridge version >/dev/null 2>&1 || rc=$?
  if [ "$rc" != 125 ]; then enter=("$(command -v chroot)" --userspec="$user" "$root"); fi
elif unshare --map-root-user chroot / true 2>/dev/null; then
  enter=("$(command -v unshare)" --map-root-user "$(command -v chroot)" "$root")
  echo "SKIPPED image: start as user $uid (needs root); started as $(id -u) instead"
fi
if [ ${#enter[@]} = 0 ]; then
  echo 'SKIPPED image: start in an empty root (neither chroot nor user namespaces allowed here)'
  enter=(env -C "$root")
  entrypoint=$binary
fi
start() { timeout 30 env -i "${enter[@]}" "$@" </dev/null 2>&1; }

mapfile -t words <<<"$entrypoint"
out=$(start "${words[@]}" version) || die "version: exit $?: $out"
echo "image: ${enter[*]/#$work/...} ${words[*]} version:"
echo "image: | ${out//$'\n'/$'\n'image: | }"
[ -z "${VERSION:-}" ] || grep -qF -- "$VERSION" <<<"$out" || die "version does not show $VERSION"
[ -z "${COMMIT:-}" ] || grep -qF -- "$COMMIT" <<<"$out" || die "version does not show the commit $COMMIT"

# Without a configuration the image's own command must end with a sentence: exit 2 is bad usage or configuration.
mapfile -t words <<<"$entrypoint"$'\n'"$cmd"
rc=0
out=$(start "${words[@]}") || rc=$?
if [ "$rc" != 2 ] || grep -q '^goroutine ' <<<"$out"; then die "start without a configuration: exit $rc: $out"; fi
echo "image: without a configuration, exit 2:"
echo "image: | ${out//$'\n'/$'\n'image: | }"
