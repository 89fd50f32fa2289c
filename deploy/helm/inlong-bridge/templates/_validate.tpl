{{/* What the schema cannot say, each with a sentence. Every template begins with it; its output is empty. */}}
{{- define "bridge.validate" -}}
{{- $v := .Values }}
{{- if and (not $v.existingConfigMap) (not $v.config) }}
{{- fail "config is null or empty, so there is nothing to run: give the contents of bridge.yaml in config, or the name of a ConfigMap of your own in existingConfigMap" }}
{{- end }}
{{- if not $v.existingConfigMap }}
{{- range $section := list "kafka" "inlong" "routes" }}
{{- if not (get $v.config $section) }}
{{- fail (printf "config.%s is null or empty, and the bridge needs it: see values.yaml for an example" $section) }}
{{- end }}
{{- end }}
{{- if ne $v.configIn "Secret" }}
{{- include "bridge.noSecrets" (list "config" $v.config) }}
{{- end }}
{{- end }}

{{- $fullname := include "bridge.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) }}
{{- fail (printf "%q is no name for the Service: it must begin with a letter and hold only lower case letters, digits and hyphens; set fullnameOverride" $fullname) }}
{{- end }}
{{- if and (eq $v.workload.kind "StatefulSet") (gt (len $fullname) 52) }}
{{- fail (printf "%q has %d characters, and the name of a StatefulSet may have 52, because its pods carry it in a label with a hash: set fullnameOverride" $fullname (len $fullname)) }}
{{- end }}

{{- range $name, $labels := dict "commonLabels" $v.commonLabels "podLabels" $v.podLabels }}
{{- range $key, $_ := $labels }}
{{- if or (hasPrefix "app.kubernetes.io/" $key) (hasPrefix "helm.sh/" $key) }}
{{- fail (printf "%s has the key %s, which the chart sets itself and selects its pods by: use another key" $name $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $_ := $v.podLabels }}
{{- if hasKey (default dict $v.commonLabels) $key }}
{{- fail (printf "the label %s is in commonLabels and in podLabels: keep one of them" $key) }}
{{- end }}
{{- end }}

{{- if eq $v.workload.kind "Job" }}
{{- if ne (int64 $v.replicas) 1 }}
{{- fail (printf "replicas is %d, but a Job runs one migrate, whose report covers every partition: set replicas to 1" (int64 $v.replicas)) }}
{{- end }}
{{- if or $v.autoscaling.enabled $v.keda.enabled }}
{{- fail "a Job is not scaled: switch autoscaling.enabled and keda.enabled off, or choose another workload.kind" }}
{{- end }}
{{- if $v.podDisruptionBudget.enabled }}
{{- fail "a PodDisruptionBudget does not apply to a Job, whose evicted pods are simply started again: switch podDisruptionBudget.enabled off" }}
{{- end }}
{{- if semverCompare "<1.26-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "workload.kind Job needs Kubernetes 1.26 for its podFailurePolicy, and this is %s" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- end }}
{{- if and $v.autoscaling.enabled $v.keda.enabled }}
{{- fail "autoscaling and keda would both set the number of replicas: enable one of them" }}
{{- end }}
{{- if and $v.autoscaling.enabled (gt (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas)) }}
{{- fail (printf "autoscaling.minReplicas (%d) is above autoscaling.maxReplicas (%d)" (int64 $v.autoscaling.minReplicas) (int64 $v.autoscaling.maxReplicas)) }}
{{- end }}
{{- if and $v.keda.enabled (gt (int64 $v.keda.minReplicas) (int64 $v.keda.maxReplicas)) }}
{{- fail (printf "keda.minReplicas (%d) is above keda.maxReplicas (%d)" (int64 $v.keda.minReplicas) (int64 $v.keda.maxReplicas)) }}
{{- end }}

{{- if and $v.cache.volume $v.cache.volumeClaim }}
{{- fail "cache.volume and cache.volumeClaim both say where the cache lies: give one of them" }}
{{- end }}
{{- if and $v.serviceMonitor.enabled (not $v.service.enabled) }}
{{- fail "serviceMonitor finds its pods by the Service, which service.enabled switches off: use podMonitor" }}
{{- end }}
{{- if and (eq $v.workload.kind "StatefulSet") (not $v.service.enabled) }}
{{- fail "a StatefulSet names a Service, which service.enabled switches off: switch it on" }}
{{- end }}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}
{{- fail "serviceMonitor and podMonitor would scrape every pod twice: enable one of them" }}
{{- end }}
{{- range $name, $monitor := dict "serviceMonitor" $v.serviceMonitor "podMonitor" $v.podMonitor }}
{{- if and $monitor.enabled $monitor.scrapeTimeout }}
{{- if gt (include "bridge.seconds" $monitor.scrapeTimeout | int) (include "bridge.seconds" $monitor.interval | int) }}
{{- fail (printf "%s.scrapeTimeout (%s) is longer than its interval (%s), which Prometheus refuses" $name $monitor.scrapeTimeout $monitor.interval) }}
{{- end }}
{{- end }}
{{- end }}

{{- $names := list "config" "cache" "secret" }}
{{- $paths := list "/etc/inlong-bridge" "/var/cache/inlong-bridge" }}
{{- if $v.existingSecret }}{{ $paths = append $paths "/run/secrets/inlong-bridge" }}{{ end }}
{{- range $v.secretMounts }}
{{- $name := printf "secret-%s" .name }}
{{- if has $name $names }}{{ fail (printf "secretMounts has the name %s twice" .name) }}{{ end }}
{{- if has .path $paths }}{{ fail (printf "secretMounts %s: something else is mounted at %s" .name .path) }}{{ end }}
{{- $names = append $names $name }}
{{- $paths = append $paths .path }}
{{- end }}
{{- range $v.extraVolumes }}
{{- $name := toString (get . "name") }}
{{- if has $name $names }}{{ fail (printf "extraVolumes has the name %q, which is taken: choose another" $name) }}{{ end }}
{{- $names = append $names $name }}
{{- end }}
{{- range $v.extraVolumeMounts }}
{{- $path := toString (get . "mountPath") }}
{{- if has $path $paths }}{{ fail (printf "extraVolumeMounts: something else is mounted at %s" $path) }}{{ end }}
{{- if not (has (toString (get . "name")) $names) }}{{ fail (printf "extraVolumeMounts names the volume %q, which extraVolumes does not have" (toString (get . "name"))) }}{{ end }}
{{- $paths = append $paths $path }}
{{- end }}
{{- range $v.extraEnv }}
{{- if eq (toString (get . "name")) "POD_NAME" }}{{ fail "extraEnv has POD_NAME, which the chart sets itself" }}{{ end }}
{{- end }}
{{- end }}

{{/* Fails when a secret stands in the configuration itself: whoever may list ConfigMaps could read it. Call with
(list PATH VALUE). A value that consists of ${VAR} is filled from the environment and is no secret. */}}
{{- define "bridge.noSecrets" -}}
{{- $path := index . 0 }}
{{- $value := index . 1 }}
{{- if kindIs "map" $value }}
{{- range $key, $inner := $value }}
{{- $where := printf "%s.%s" $path $key }}
{{- if and (has $key (list "password" "token" "secret_key" "client_secret")) $inner (not (regexMatch "^([$][{][A-Za-z_][A-Za-z0-9_]*(:[?][^}]*)?[}])+$" (toString $inner))) }}
{{- fail (printf "%s holds the secret itself, and the ConfigMap would show it to everybody who may read ConfigMaps: use %s_file with existingSecret, or ${VAR} with extraEnvFrom, or set configIn to Secret" $where $key) }}
{{- end }}
{{- include "bridge.noSecrets" (list $where $inner) }}
{{- end }}
{{- else if kindIs "slice" $value }}
{{- range $i, $inner := $value }}
{{- include "bridge.noSecrets" (list (printf "%s[%d]" $path $i) $inner) }}
{{- end }}
{{- else if kindIs "string" $value }}
{{- if regexMatch "://[^/@ ]*:[^/@$ {]+@" $value }}
{{- fail (printf "%s is an address with a password in it, and the ConfigMap would show it to everybody who may read ConfigMaps: write ${VAR} in its place and give it with extraEnvFrom, or set configIn to Secret" $path) }}
{{- end }}
{{- end }}
{{- end }}
