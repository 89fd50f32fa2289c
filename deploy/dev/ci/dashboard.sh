#!/usr/bin/env bash
# Records a bridge with a real Prometheus for a minute and evaluates every panel of the dashboard over it. Prometheus is
# got from Debian's package; without it the line that begins with SKIPPED says what was left out.
set -euo pipefail
cd "$(dirname "$0")/../../.."
if ! why=$(./deploy/dev/ci/prometheus.sh 2>&1); then
  echo "SKIPPED panels of the dashboard over a recorded run: $why"
  exit 0
fi
INLONG_BRIDGE_DASHBOARD=1 "${GO:-go}" test -count=1 -v -timeout 10m "$@" ./deploy/grafana | grep -v '^=== '
