{{- /* What all pods share, around the container's own lines. */ -}}
{{- define "toolboxai.podSettings" -}}
serviceAccountName: {{ .account | default (include "toolboxai.serviceAccount" .root) }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .root.Values.scheduling }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
volumes:
  {{- include "toolboxai.secretVolume" . | nindent 2 }}
{{- end -}}

{{- define "toolboxai.containerSettings" -}}
image: {{ include "toolboxai.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .component }}]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
- {name: secrets, mountPath: /secrets, readOnly: true}
{{- end -}}

{{- /* Seconds that a pod may take to stop. The figures beside the values are the program's own. */ -}}
{{- define "toolboxai.graceOf" -}}
{{- $closing := 5 -}}
{{- if eq .component "worker" -}}
{{- /* The router waits 15 s longer than the drain; in these what is handed back (5 s) settles. */ -}}
{{- $needed := add (int .root.Values.drainSeconds) 15 $closing -}}
{{- $set := int .root.Values.terminationGracePeriodSeconds -}}
{{- if and $set (lt $set (int $needed)) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, and a worker may take %d s to stop (drainSeconds and 20 s more): it would be killed with work in hand. Raise it, or leave it out." $set $needed) -}}
{{- end -}}
{{- default $needed $set -}}
{{- else if eq .component "api" -}}
{{- /* Out of the Service (5 s), then requests in progress (15 s). */ -}}
{{- add 5 15 $closing -}}
{{- else -}}
30
{{- end -}}
{{- end -}}

{{- /*
A Deployment: root, name, component, replicas (nil: an autoscaler decides), resources, and for workers their group.

No preStop for roles that pull: nothing is sent to them, and SIGTERM stops pulling at once. The API is sent requests for as long as
its address is known to kube-proxy and the ingress; it closes its port at SIGTERM, so SIGTERM waits until they have heard.

Liveness asks nothing but the process: a restart mends no broker. Readiness asks the broker; three failures take 15 s, more than an
election there.
*/ -}}
{{- define "toolboxai.deployment" -}}
{{- $api := eq .component "api" -}}
{{- $group := "" -}}
{{- with .workers }}{{ $group = .name }}{{ end -}}
{{- $labelled := dict "root" .root "component" .component "group" $group -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  labels:
    {{- include "toolboxai.labels" $labelled | nindent 4 }}
spec:
  {{- if not (kindIs "invalid" .replicas) }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}
  selector:
    matchLabels:
      {{- include "toolboxai.selector" $labelled | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "toolboxai.labels" $labelled | nindent 8 }}
        {{- with .root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ .root.Values.config | toJson | sha256sum }}
        {{- if and $api .root.Values.api.scrape }}
        prometheus.io/scrape: "true"
        prometheus.io/path: /metrics
        prometheus.io/port: "8009"
        {{- end }}
        {{- with .root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "toolboxai.podSettings" . | nindent 6 }}
      terminationGracePeriodSeconds: {{ include "toolboxai.graceOf" . }}
      {{- with .root.Values.scheduling.spreadOver }}
      topologySpreadConstraints:
      {{- range . }}
      - topologyKey: {{ . }}
        maxSkew: 1
        whenUnsatisfiable: ScheduleAnyway
        matchLabelKeys: [pod-template-hash]
        labelSelector:
          matchLabels:
            {{- include "toolboxai.selector" $labelled | nindent 12 }}
      {{- end }}
      {{- end }}
      containers:
      - name: toolboxai
        {{- include "toolboxai.containerSettings" . | nindent 8 }}
        ports:
        - {name: {{ ternary "http" "ops" $api }}, containerPort: {{ ternary 8009 9090 $api }}}
        envFrom:
        - configMapRef: {name: {{ include "toolboxai.fullname" .root }}}
        env:
          {{- include "toolboxai.ownEnvironment" . | trim | nindent 8 }}
        startupProbe:
          httpGet: {path: /health/live, port: {{ ternary "http" "ops" $api }}}
          periodSeconds: 2
          failureThreshold: 30
        livenessProbe:
          httpGet: {path: /health/live, port: {{ ternary "http" "ops" $api }}}
          periodSeconds: 10
          timeoutSeconds: 5
          failureThreshold: 6
        readinessProbe:
          httpGet: {path: /health/ready, port: {{ ternary "http" "ops" $api }}}
          periodSeconds: 5
          timeoutSeconds: 3
          failureThreshold: 3
        {{- if $api }}
        lifecycle:
          preStop: {sleep: {seconds: 5}}
        {{- end }}
{{- end -}}
