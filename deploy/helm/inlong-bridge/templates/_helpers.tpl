{{- define "bridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* A Service's name must begin with a letter, a release's name need not: "2024" becomes inlong-bridge-2024. */}}
{{- define "bridge.fullname" -}}
{{- $name := include "bridge.name" . }}
{{- $fullname := printf "%s-%s" .Release.Name $name }}
{{- if .Values.fullnameOverride }}
{{- $fullname = .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- $fullname = .Release.Name }}
{{- end }}
{{- if and (regexMatch "^[0-9]" $fullname) (not .Values.fullnameOverride) }}
{{- $fullname = printf "%s-%s" $name (trimSuffix (printf "-%s" $name) $fullname) }}
{{- end }}
{{- $fullname | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "bridge.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Labels are quoted one and all: a release named 2024, 4e7 or true gives a number or a boolean otherwise. */}}
{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ include "bridge.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- include "bridge.strings" .Values.commonLabels }}
{{- end }}

{{/* The entries of a map of strings, a line each, each after a line break. */}}
{{- define "bridge.strings" -}}
{{- range $key, $value := . }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* A scalar as text: without this a large number from a values file is written as 1e+07. */}}
{{- define "bridge.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{/* The metadata of an object: call with (list $ NAME ANNOTATIONS LABELS). */}}
{{- define "bridge.metadata" -}}
{{- $root := index . 0 }}
name: {{ index . 1 | quote }}
namespace: {{ include "bridge.namespace" $root | quote }}
labels:
  {{- include "bridge.labels" $root | nindent 2 }}
  {{- include "bridge.strings" (index . 3) | indent 2 }}
{{- with merge (dict) (default dict (index . 2)) (default dict $root.Values.commonAnnotations) }}
annotations:
  {{- include "bridge.strings" . | indent 2 }}
{{- end }}
{{- end }}

{{/* Metadata that a template changed, with every scalar quoted: toYaml leaves 0.1.0 plain. */}}
{{- define "bridge.quoted" -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- include "bridge.strings" .labels | indent 2 }}
{{- with .annotations }}
annotations:
  {{- include "bridge.strings" . | indent 2 }}
{{- end }}
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

{{/* One section of the configuration; empty where it is missing or null. */}}
{{- define "bridge.section" -}}
{{- get (default dict (index . 0).Values.config) (index . 1) | default dict | toJson }}
{{- end }}

{{/* The configuration with what the chart decides: where the admin server listens, where the cache lies, and in a
StatefulSet the static membership. */}}
{{- define "bridge.config" -}}
{{- include "bridge.validate" . }}
{{- $config := deepCopy .Values.config }}
{{- $listen := printf ":%d" (int .Values.admin.port) }}
{{- $given := dig "listen" $listen (default dict $config.admin) }}
{{- if ne (toString $given) $listen }}
{{- fail (printf "config.admin.listen is %q, but the probes and the Service use %q: set admin.port instead" (toString $given) $listen) }}
{{- end }}
{{- $_ := set $config "admin" (mergeOverwrite (default dict $config.admin) (dict "listen" $listen)) }}
{{- $_ := set $config "inlong" (mergeOverwrite (default dict $config.inlong) (dict "cache_dir" "/var/cache/inlong-bridge")) }}
{{- if and (eq .Values.workload.kind "StatefulSet") (not (dig "instance_id" "" (default dict $config.kafka))) }}
{{- $_ := set $config "kafka" (mergeOverwrite (default dict $config.kafka) (dict "instance_id" "${POD_NAME}")) }}
{{- end }}
{{- range $section, $value := $config }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $config $section }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* How many pods. With an autoscaler it is the number that is there now: Helm takes away a field that its last revision set,
and Kubernetes would then make one pod of three. */}}
{{- define "bridge.replicas" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}
{{- with lookup "apps/v1" .Values.workload.kind (include "bridge.namespace" .) (include "bridge.fullname" .) }}
{{- with .spec.replicas }}{{ int64 . }}{{ end }}
{{- end }}
{{- else }}
{{- int64 .Values.replicas }}
{{- end }}
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
{{- dig "drain" "30s" (include "bridge.section" (list . "delivery") | fromJson) }}
{{- end }}
{{- define "bridge.commitTimeout" -}}
{{- dig "commit_timeout" "10s" (include "bridge.section" (list . "kafka") | fromJson) }}
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
{{- $limit := include "bridge.text" (dig "limits" "memory" "" (default dict .Values.resources) | default "") }}
{{- if regexMatch "^[0-9]+([.][0-9]+)?([KMGT]i?|k)?$" $limit }}
{{- $unit := regexReplaceAll "^[0-9.]+" $limit "" }}
{{- $factor := get (dict "" 1.0 "k" 1e3 "K" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0) $unit }}
{{- $bytes := mulf (regexFind "^[0-9.]+" $limit | float64) $factor }}
{{- if lt $bytes 33554432.0 }}
{{- fail (printf "resources.limits.memory is %s, which is %d bytes, and the bridge needs 32Mi at the least: give the unit, such as 512Mi or 1Gi" $limit (int64 $bytes)) }}
{{- end }}
{{- mulf $bytes 0.9 | floor | int64 }}
{{- else if $limit }}
{{- fail (printf "resources.limits.memory is %q; write it as 512Mi or 1Gi" $limit) }}
{{- end }}
{{- end }}

{{/* The names of the Secrets whose change the pods should follow. */}}
{{- define "bridge.secretNames" -}}
{{- $names := list }}
{{- with .Values.existingSecret }}{{ $names = append $names . }}{{ end }}
{{- range .Values.secretMounts }}{{ $names = append $names .secret }}{{ end }}
{{- range .Values.extraEnvFrom }}{{ with dig "secretRef" "name" "" . }}{{ $names = append $names . }}{{ end }}{{ end }}
{{- range .Values.extraEnv }}{{ with dig "valueFrom" "secretKeyRef" "name" "" . }}{{ $names = append $names . }}{{ end }}{{ end }}
{{- $names | uniq | sortAlpha | toJson }}
{{- end }}

{{/* What a scrape of the admin port asks for; call with the values of a monitor. Its endpoint's keys win. */}}
{{- define "bridge.endpoint" -}}
{{- $endpoint := dict "port" "admin" "path" "/metrics" "interval" .interval }}
{{- range $key := list "scrapeTimeout" "scheme" "tlsConfig" "honorLabels" "relabelings" "metricRelabelings" }}
{{- with get $ $key }}{{ $_ := set $endpoint $key . }}{{ end }}
{{- end }}
{{- mergeOverwrite $endpoint (deepCopy (default dict .endpoint)) | toYaml }}
{{- end }}

{{/* What ServiceMonitor and PodMonitor have in common beside the endpoint. */}}
{{- define "bridge.monitor" -}}
selector:
  matchLabels:
    {{- include "bridge.selector" (index . 0) | nindent 4 }}
{{- $monitor := index . 1 }}
{{- with $monitor.jobLabel }}
jobLabel: {{ . | quote }}
{{- end }}
{{- with $monitor.podTargetLabels }}
podTargetLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.sampleLimit }}
sampleLimit: {{ int64 . }}
{{- end }}
{{- if or $monitor.namespace (ne (include "bridge.namespace" (index . 0)) (index . 0).Release.Namespace) }}
namespaceSelector:
  matchNames: [{{ include "bridge.namespace" (index . 0) | quote }}]
{{- end }}
{{- end }}
