#!/usr/bin/env bash
# Lints and renders the Helm chart with every file of values in its ci/ folder, checks what the rendered objects must
# say, shows that it refuses what it must refuse, and gives each rendered configuration to `inlong-bridge check`.
# HELM is the Helm command; BRIDGE the binary (without it the last step is skipped and says so).
set -euo pipefail
cd "$(dirname "$0")/../../.."

helm=${HELM:-bin/helm}
bridge=${BRIDGE:-}
chart=deploy/helm/inlong-bridge
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
passed=0

bad() { echo "chart: FAIL: $*" >&2; failed=$((failed + 1)); }
ok() { passed=$((passed + 1)); }

# has WHAT FILE TEXT: the rendered file has a line with that text. lacks: it has none.
has() { if grep -qF -- "$3" "$2"; then ok; else bad "$1: no line with: $3"; fi; }
lacks() { if grep -qF -- "$3" "$2"; then bad "$1: has a line with: $3"; else ok; fi; }

# refused WHAT TEXT ARGS...: rendering with ARGS fails, and the message has the text.
refused() {
  local what=$1 text=$2
  shift 2
  if "$helm" template t "$chart" "$@" >"$out/refused" 2>&1; then
    bad "$what was accepted"
  elif ! grep -qF -- "$text" "$out/refused"; then
    bad "$what: the message does not say '$text': $(cat "$out/refused")"
  else
    ok
    echo "chart: refused, as it must be: $what"
  fi
}

render() { # render NAME ARGS...
  local name=$1
  shift
  "$helm" lint --strict "$chart" "$@" >"$out/lint" 2>&1 || { cat "$out/lint"; bad "lint of $name"; }
  if ! "$helm" template t "$chart" --namespace data "$@" >"$out/$name.yaml" 2>"$out/err"; then
    cat "$out/err"
    bad "rendering $name"
    return
  fi
  ok
  echo "chart: rendered $name: $(grep -c '^kind:' "$out/$name.yaml") objects"

  # Whatever the values: restricted pod security, the exec form, whole directories, a drain that can end.
  local text
  for text in 'runAsNonRoot: true' 'runAsUser: 65532' 'readOnlyRootFilesystem: true' 'allowPrivilegeEscalation: false' \
    '- ALL' 'type: RuntimeDefault' 'automountServiceAccountToken: false' \
    'command: ["/inlong-bridge", "run", "-c", "/etc/inlong-bridge/bridge.yaml"]' \
    'mountPath: /etc/inlong-bridge' 'path: /healthz' 'path: /readyz' 'terminationGracePeriodSeconds: '; do
    has "$name" "$out/$name.yaml" "$text"
  done
  lacks "$name" "$out/$name.yaml" 'subPath:'
  lacks "$name" "$out/$name.yaml" '<no value>'

  # The configuration as the bridge will read it.
  awk '/^  bridge.yaml: [|]/ {on = 1; next} on && /^[^ ]/ {exit} on {sub(/^    /, ""); print}' "$out/$name.yaml" >"$out/$name.bridge.yaml"
  if [ ! -s "$out/$name.bridge.yaml" ]; then
    echo "chart: $name brings its own ConfigMap"
  elif [ -z "$bridge" ]; then
    echo "SKIPPED chart: inlong-bridge check of $name (no binary given)"
  else
    # The files of the Secrets are not here; files of that name are. The authority must be a real one to be read.
    mkdir -p "$out/secrets"
    local file
    for file in $(grep -oE '/run/secrets/[A-Za-z0-9_./-]+' "$out/$name.bridge.yaml" | sort -u); do
      case $file in
        *.crt) cp /etc/ssl/certs/ca-certificates.crt "$out/secrets/${file##*/}" ;;
        *) echo x >"$out/secrets/${file##*/}" ;;
      esac
      sed -i "s#$file#$out/secrets/${file##*/}#" "$out/$name.bridge.yaml"
    done
    sed -i "s#/var/cache/inlong-bridge#$out/cache#" "$out/$name.bridge.yaml"
    mkdir -p "$out/cache"
    if "$bridge" check -c "$out/$name.bridge.yaml" >"$out/check" 2>&1; then
      ok
      echo "chart: inlong-bridge check accepts the configuration of $name"
    else
      cat "$out/check"
      bad "inlong-bridge check refuses the configuration of $name"
    fi
  fi
}

render default
has default "$out/default.yaml" 'terminationGracePeriodSeconds: 45'
has default "$out/default.yaml" 'value: "966367641"' # nine tenths of 1Gi
has default "$out/default.yaml" 'checksum/config: '
lacks default "$out/default.yaml" 'kind: ServiceMonitor'
lacks default "$out/default.yaml" 'kind: PodDisruptionBudget'

for values in "$chart"/ci/*-values.yaml; do
  name=$(basename "$values" -values.yaml)
  render "$name" -f "$values"
  case $name in
    queue)
      has queue "$out/queue.yaml" 'terminationGracePeriodSeconds: 105'
      has queue "$out/queue.yaml" 'image: "registry.example.com/data/inlong-bridge:1.2.3"'
      has queue "$out/queue.yaml" 'secretName: "bridge-secrets"'
      has queue "$out/queue.yaml" 'kind: ServiceMonitor'
      has queue "$out/queue.yaml" 'kind: PodDisruptionBudget'
      has queue "$out/queue.yaml" 'http://${MANAGER_HOST:-manager}:8083' ;;
    proxies)
      has proxies "$out/proxies.yaml" 'terminationGracePeriodSeconds: 120'
      has proxies "$out/proxies.yaml" 'listen: :9090'
      has proxies "$out/proxies.yaml" 'serviceAccountName: "data"'
      lacks proxies "$out/proxies.yaml" 'GOMEMLIMIT'
      lacks proxies "$out/proxies.yaml" 'manager:'
      lacks proxies "$out/proxies.yaml" 'kind: ServiceAccount' ;;
    existing)
      has existing "$out/existing.yaml" 'terminationGracePeriodSeconds: 135'
      has existing "$out/existing.yaml" 'name: "my-bridge"'
      has existing "$out/existing.yaml" 'inlong-bridge@sha256:'
      lacks existing "$out/existing.yaml" 'kind: ConfigMap' ;;
  esac
done

# A change of the configuration must replace the pods, and nothing else may.
sum() { "$helm" template t "$chart" "$@" --show-only templates/deployment.yaml | grep -F checksum/config; }
if [ "$(sum)" = "$(sum --set config.pack.linger=5ms)" ]; then bad 'another configuration has the same checksum'; else ok; fi
if [ "$(sum)" = "$(sum --set replicas=4)" ]; then ok; else bad 'the checksum depends on more than the configuration'; fi

refused 'an unknown key' 'replicaCount' --set replicaCount=2
refused 'an unknown key further down' 'pullpolicy' --set image.pullpolicy=Always
refused 'an unknown section of the configuration' 'Kafka' --set config.Kafka.group=x
refused 'a value of the wrong type' 'replicas' --set replicas=many
refused 'a privileged port' 'port' --set admin.port=80
refused 'a mode that does not exist' 'confirm' --set config.delivery.confirm=maybe
refused 'a grace period below the drain' 'set 315 or more' --set config.delivery.drain=5m --set terminationGracePeriodSeconds=60
refused 'a grace period without a margin' 'set 45 or more' --set terminationGracePeriodSeconds=30
refused 'a grace period below drain and commit' 'set 65 or more' --set config.kafka.commit_timeout=29.5s --set terminationGracePeriodSeconds=64
refused 'an admin address that the probes do not know' 'set admin.port instead' --set config.admin.listen=:9999
refused 'a memory limit that cannot be read' 'resources.limits.memory' --set resources.limits.memory=lots

echo "chart: $passed checks passed, $failed failed"
[ "$failed" = 0 ]
