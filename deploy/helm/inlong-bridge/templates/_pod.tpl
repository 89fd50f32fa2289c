{{/* The pod of every kind of workload; they differ in the command, the restart policy and the probes. */}}
{{- define "bridge.pod" -}}
{{- $job := eq .Values.workload.kind "Job" }}
metadata:
  labels:
    {{- include "bridge.labels" . | nindent 4 }}
    {{- include "bridge.strings" .Values.podLabels | indent 4 }}
  annotations:
    {{- if not .Values.existingConfigMap }}
    checksum/config: {{ include "bridge.config" . | sha256sum | quote }}
    {{- else if .Values.rollOnChange.existingConfigMap }}
    {{- with lookup "v1" "ConfigMap" (include "bridge.namespace" .) .Values.existingConfigMap }}
    checksum/config: {{ toJson .data | sha256sum | quote }}
    {{- end }}
    {{- end }}
    {{- if .Values.rollOnChange.secrets }}
    {{- $data := dict }}
    {{- range include "bridge.secretNames" . | fromJsonArray }}
    {{- with lookup "v1" "Secret" (include "bridge.namespace" $) . }}{{ $_ := set $data .metadata.name .data }}{{ end }}
    {{- end }}
    {{- if $data }}
    checksum/secrets: {{ toJson $data | sha256sum | quote }}
    {{- end }}
    {{- end }}
    kubectl.kubernetes.io/default-container: bridge
    {{- include "bridge.strings" .Values.podAnnotations | indent 4 }}
spec:
  serviceAccountName: {{ include "bridge.serviceAccount" . | quote }}
  # The bridge never talks to Kubernetes.
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if $job }}
  restartPolicy: Never
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "bridge.graceSeconds" . }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . | quote }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.shareProcessNamespace }}
  shareProcessNamespace: true
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: bridge
      image: {{ include "bridge.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
      # Exec form: the signal of a shutdown reaches the bridge itself.
      {{- if .Values.command }}
      command:
        {{- range .Values.command }}
        - {{ . | quote }}
        {{- end }}
      {{- else if $job }}
      command: ["/inlong-bridge", "migrate", "-c", "/etc/inlong-bridge/bridge.yaml", "--json"]
      {{- else }}
      command: ["/inlong-bridge", "run", "-c", "/etc/inlong-bridge/bridge.yaml"]
      {{- end }}
      {{- with .Values.extraArgs }}
      args:
        {{- range . }}
        - {{ . | quote }}
        {{- end }}
      {{- end }}
      {{- include "bridge.env" . | nindent 6 }}
      ports:
        - name: admin
          containerPort: {{ int .Values.admin.port }}
          protocol: TCP
      {{- if not $job }}
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      {{- end }}
      {{- with .Values.lifecycle }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml (default dict .Values.resources) | nindent 8 }}
      {{- with .Values.containerSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- include "bridge.mounts" . | nindent 6 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "bridge.volumes" . | nindent 2 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- include "bridge.strings" . | indent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $constraint := deepCopy . }}
    {{- if not (hasKey . "labelSelector") }}
    {{- $_ := set $constraint "labelSelector" (dict "matchLabels" (include "bridge.selector" $ | fromYaml)) }}
    {{- end }}
    - {{- toYaml $constraint | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.schedulerName }}
  schedulerName: {{ . | quote }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
{{- end }}

{{- define "bridge.env" -}}
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- with include "bridge.goMemLimit" . }}
  - name: GOMEMLIMIT
    value: {{ . | quote }}
  {{- end }}
  {{- range .Values.extraEnv }}
  - name: {{ .name | quote }}
    {{- if hasKey . "value" }}
    value: {{ include "bridge.text" .value | quote }}
    {{- end }}
    {{- with .valueFrom }}
    valueFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "bridge.mounts" -}}
volumeMounts:
  # Whole directories: Kubernetes does not refresh a mount of a single file (subPath).
  - name: config
    mountPath: /etc/inlong-bridge
    readOnly: true
  - name: cache
    mountPath: /var/cache/inlong-bridge
  {{- if .Values.existingSecret }}
  - name: secret
    mountPath: /run/secrets/inlong-bridge
    readOnly: true
  {{- end }}
  {{- range .Values.secretMounts }}
  - name: {{ printf "secret-%s" .name | quote }}
    mountPath: {{ .path | quote }}
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "bridge.volumes" -}}
volumes:
  - name: config
    {{- if and (eq .Values.configIn "Secret") (not .Values.existingConfigMap) }}
    secret:
      secretName: {{ include "bridge.configMap" . | quote }}
      defaultMode: 0440
    {{- else }}
    configMap:
      name: {{ include "bridge.configMap" . | quote }}
    {{- end }}
  {{- if not (and (eq .Values.workload.kind "StatefulSet") .Values.cache.volumeClaim) }}
  - name: cache
    {{- if .Values.cache.volume }}
    {{- toYaml .Values.cache.volume | nindent 4 }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ .Values.cache.sizeLimit | quote }}
    {{- end }}
  {{- end }}
  {{- with .Values.existingSecret }}
  - name: secret
    secret:
      secretName: {{ . | quote }}
      defaultMode: 0440
  {{- end }}
  {{- range .Values.secretMounts }}
  - name: {{ printf "secret-%s" .name | quote }}
    secret:
      secretName: {{ .secret | quote }}
      defaultMode: 0440
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
