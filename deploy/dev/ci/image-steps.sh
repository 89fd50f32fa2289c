#!/usr/bin/env bash
# Runs the steps of deploy/Dockerfile without a container engine: reads the file, executes its build stage in a
# scratch copy of the tree, assembles the final image's files in an empty directory, and starts the result there
# as the image's user with nothing else in sight. Base images are not fetched: the build stage uses the Go of this
# machine, and the final stage must be FROM scratch.
#
# TARGETARCH=arm64 builds for that processor, as the engine's --platform does; the result is looked at and not started.
# An instruction that this script does not know is an error, so the Dockerfile cannot quietly outgrow it.
set -euo pipefail
cd "$(dirname "$0")/../../.."

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

stage='' user='' entrypoint='' cmd='' health='' workdir=/ args=' '
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
        '--platform=$BUILDPLATFORM golang:'*' AS build') stage=build ;;
        scratch) stage=final ;;
        *) die "FROM $rest is not known here" ;;
      esac
      args=' ' ;; # an ARG holds to the end of its stage
    ARG)
      name=${rest%%=*}
      args+="$name "
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
    HEALTHCHECK) health=$(json "${rest#*CMD }") ;;
    LABEL)
      for name in $(grep -oE '\$[A-Z]+' <<<"$rest" | tr -d '$'); do
        [[ $args == *" $name "* ]] || die "LABEL uses \$$name, which is no ARG of its stage"
      done ;;
    EXPOSE) ;;
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

host=$(go env GOHOSTARCH)
if [ "${TARGETARCH:-$host}" != "$host" ]; then
  case $TARGETARCH in arm64) machine=AArch64 ;; amd64) machine=X86-64 ;; *) machine=$TARGETARCH ;; esac
  if command -v readelf >/dev/null; then
    readelf -hW "$binary" | grep -q "Machine:.*$machine" || die "the binary is not for $TARGETARCH: $(readelf -hW "$binary" | grep Machine)"
    echo "image: the binary is for $TARGETARCH"
  fi
  echo "SKIPPED image: start of the image for $TARGETARCH (this machine is $host)"
  exit 0
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
# The root is read-only where mounting is allowed.
if [ "$(id -u)" = 0 ] && [ "${enter[0]##*/}" = chroot ] && unshare --mount sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"' sh "$root" 2>/dev/null; then
  enter=("$(command -v unshare)" --mount sh -euc 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; [ -z "${WITH_TMP:-}" ] || mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"; shift; exec "$@"' sh "$root" "${enter[@]}")
  echo 'image: started with a read-only root'
else
  echo 'SKIPPED image: start with a read-only root (needs root and the right to mount)'
fi
start() { timeout 30 env -i "${enter[@]}" "$@" </dev/null 2>&1; }

mapfile -t words <<<"$entrypoint"
out=$(start "${words[@]}" version) || die "version: exit $?: $out"
echo "image: ${words[*]} version:"
echo "image: | ${out//$'\n'/$'\n'image: | }"
[ -z "${VERSION:-}" ] || grep -qF -- "$VERSION" <<<"$out" || die "version does not show $VERSION"
[ -z "${COMMIT:-}" ] || grep -qF -- "$COMMIT" <<<"$out" || die "version does not show the commit $COMMIT"
[ -z "${DATE:-}" ] || grep -qF -- "$DATE" <<<"$out" || die "version does not show the commit's date $DATE"

# Without a configuration the image's own command must end with a sentence: exit 2 is bad usage or configuration.
mapfile -t words <<<"$entrypoint"$'\n'"$cmd"
rc=0
out=$(start "${words[@]}") || rc=$?
if [ "$rc" != 2 ] || grep -q '^goroutine ' <<<"$out"; then die "start without a configuration: exit $rc: $out"; fi
echo "image: without a configuration, exit 2:"
echo "image: | ${out//$'\n'/$'\n'image: | }"

# The image's own health command, beside a bridge that lives in the same image: the demo's, which says where it listens
# and which, other than the bridge, needs a /tmp.
[ -n "$health" ] || die 'no HEALTHCHECK'
mapfile -t health <<<"$health"
config=${health[-1]}
[ "$config" = "$(tail -n 1 <<<"$cmd")" ] || die "HEALTHCHECK reads $config, CMD another file"
if [ "$entrypoint" != /inlong-bridge ]; then
  echo "SKIPPED image: HEALTHCHECK (it names the image's paths, and this is not the image's root)"
  exit 0
fi
mkdir -p "$root${config%/*}"
chmod 755 "$root${config%/*}"
asks() { # asks WANTED WHAT LISTEN: the health command with that admin.listen exits so
  printf '%s\n' 'kafka: {brokers: [localhost:9092], group: image}' 'inlong: {proxies: [localhost:46801]}' \
    'routes: [{topics: [orders], group: shop, stream: orders}]' "admin: {listen: '$3'}" >"$root$config"
  chmod 644 "$root$config"
  local rc=0 out
  out=$(start "${health[@]}") || rc=$?
  echo "image: health $2: exit $rc: $out"
  [ "$rc" = "$1" ] || die "health $2: exit $rc, want $1"
}
: >"$work/demo" # it is read below, perhaps before the demo has opened it
env -i WITH_TMP=yes "${enter[@]}" "$entrypoint" demo --records 1000 --keep >"$work/demo" 2>&1 </dev/null &
demo=$!
trap 'kill "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; rm -rf "$work"' EXIT
listen=''
for ((i = 0; i < 600; i++)); do
  listen=$(sed -nE 's#^bridge +http://([^/]+)/status.*#\1#p' "$work/demo")
  [ -z "$listen" ] || break
  kill -0 "$demo" 2>/dev/null || break
  sleep 0.1
done
[ -n "$listen" ] || { cat "$work/demo"; die 'the demo does not start'; }
for ((i = 0; i < 100; i++)); do # the server comes a moment after the line
  if (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}") 2>/dev/null; then break; fi
  sleep 0.1
done
# An engine asks three times before it calls a container unhealthy.
(asks 0 'of a bridge that runs' "$listen") || (asks 0 'of a bridge that runs' "$listen") || asks 0 'of a bridge that runs' "$listen"
kill "$demo"
wait "$demo" || true
asks 1 'of a bridge that is gone' "$listen"
asks 2 'without admin.listen' ''
