{{- define "toolboxai.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "toolboxai.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "toolboxai.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "toolboxai.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- /* Labels that select the pods of a component: (dict "root" $ "component" "api" "group" ""). They never change. */ -}}
{{- define "toolboxai.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
toolboxai/workers: {{ . }}
{{- end }}
{{- end -}}

{{- define "toolboxai.labels" -}}
{{ include "toolboxai.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}
