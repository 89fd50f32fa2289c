{{- define "bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "bridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "bridge.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "bridge.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ include "bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "bridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "bridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "bridge.image" -}}
{{- $repository := .Values.image.repository }}
{{- if .Values.image.registry }}{{ $repository = printf "%s/%s" .Values.image.registry $repository }}{{ end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "bridge.configMap" -}}
{{- default (include "bridge.fullname" .) .Values.existingConfigMap }}
{{- end }}

{{/* The configuration with what the chart decides: where the admin server listens, where the cache lies. */}}
{{- define "bridge.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $listen := printf ":%d" (int .Values.admin.port) }}
{{- $given := dig "listen" $listen (default dict $config.admin) }}
{{- if ne $given $listen }}
{{- fail (printf "config.admin.listen is %q, but the probes and the Service use %q: set admin.port instead" $given $listen) }}
{{- end }}
{{- $_ := set $config "admin" (mergeOverwrite (default dict $config.admin) (dict "listen" $listen)) }}
{{- $_ := set $config "inlong" (mergeOverwrite (default dict $config.inlong) (dict "cache_dir" "/var/cache/inlong-bridge")) }}
{{- range $section, $value := $config }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $config $section }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* A duration such as 1m30s in whole seconds, rounded up. */}}
{{- define "bridge.seconds" -}}
{{- $seconds := 0.0 }}
{{- range regexFindAll "[0-9.]+(h|ms|m|s)" . -1 }}
{{- $number := regexFind "^[0-9.]+" . | float64 }}
{{- $unit := regexReplaceAll "^[0-9.]+" . "" }}
{{- $seconds = addf $seconds (mulf $number (get (dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001) $unit)) }}
{{- end }}
{{- ceil $seconds | int }}
{{- end }}

{{/* What a drain may take: delivery.drain, then a last commit. The bridge's own defaults where nothing is given. */}}
{{- define "bridge.drain" -}}
{{- dig "drain" "30s" (default dict .Values.config.delivery) }}
{{- end }}
{{- define "bridge.commitTimeout" -}}
{{- dig "commit_timeout" "10s" (default dict .Values.config.kafka) }}
{{- end }}

{{/* 5 s more are for leaving the group, and for a slow node. */}}
{{- define "bridge.graceSeconds" -}}
{{- $least := add (include "bridge.seconds" (include "bridge.drain" .) | int) (include "bridge.seconds" (include "bridge.commitTimeout" .) | int) 5 }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if kindIs "invalid" $given }}
{{- $least }}
{{- else if lt (int64 $given) $least }}
{{- fail (printf "terminationGracePeriodSeconds is %d, but a shutdown may take delivery.drain (%s), kafka.commit_timeout (%s) and 5s: leave it empty, or set %d or more" (int64 $given) (include "bridge.drain" .) (include "bridge.commitTimeout" .) $least) }}
{{- else }}
{{- int64 $given }}
{{- end }}
{{- end }}

{{/* Nine tenths of the memory limit in bytes for GOMEMLIMIT: the garbage collector works harder before the kernel kills. */}}
{{- define "bridge.goMemLimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString }}
{{- if regexMatch "^[0-9]+([.][0-9]+)?([KMGT]i?|k)?$" $limit }}
{{- $unit := regexReplaceAll "^[0-9.]+" $limit "" }}
{{- $factor := get (dict "" 1.0 "k" 1e3 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0) $unit }}
{{- mulf (regexFind "^[0-9.]+" $limit | float64) $factor 0.9 | floor | int64 }}
{{- else if $limit }}
{{- fail (printf "resources.limits.memory is %q; write it as 512Mi or 1Gi" $limit) }}
{{- end }}
{{- end }}
