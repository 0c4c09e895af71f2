{{- /* A value of config as a string. Helm reads 1000000 as a float, and would write 1e+06. */ -}}
{{- define "toolboxai.variable" -}}
{{- if kindIs "float64" . }}{{ . | int64 | toString | quote }}{{ else }}{{ . | toString | quote }}{{ end -}}
{{- end -}}

{{- /* Which secrets each component uses. One that a role does not use is not mounted there. */ -}}
{{- define "toolboxai.secretsOf" -}}
{{- $model := list "OPENAI_API_KEY" "ANTHROPIC_API_KEY" "GOOGLE_API_KEY" -}}
{{- $broker := list "NATS_URL" "NATS_CREDS" "NATS_CA" -}}
{{- $of := dict
  "api" (concat $broker (list "DATABASE_URL" "REDIS_URL" "JWT_SECRET_KEY" "JWT_PREVIOUS_KEYS" "ENCRYPTION_KEY" "ENCRYPTION_PREVIOUS_KEYS" "SMTP_PASSWORD" "SENTRY_DSN" "PUSHER_SECRET" "LANGCACHE_API_KEY"))
  "dispatcher" (concat $broker (list "DATABASE_URL" "SENTRY_DSN"))
  "callbacks" (concat $broker (list "DATABASE_URL" "ENCRYPTION_KEY" "ENCRYPTION_PREVIOUS_KEYS" "SENTRY_DSN"))
  "migrate" (concat $broker (list "DATABASE_URL"))
  "notifier" (concat $broker (list "PUSHER_SECRET" "SENTRY_DSN"))
  "recorder" (concat $broker (list "DATABASE_URL" "REDIS_URL" "SENTRY_DSN" "LANGCACHE_API_KEY"))
  "worker" (concat $broker $model (list "REDIS_URL" "SENTRY_DSN" "LANGCACHE_API_KEY"))
-}}
{{- $used := list -}}
{{- range .root.Values.secret.keys -}}
{{- if has . (get $of $.component) -}}{{- $used = append $used . -}}{{- end -}}
{{- end -}}
{{- join " " $used -}}
{{- end -}}

{{- /* How many workers may run: what each takes of the models' limits while they cannot count together. */ -}}
{{- define "toolboxai.workersAtMost" -}}
{{- $n := 0 -}}
{{- range .root.Values.workers -}}{{- $n = add $n (ternary .max .min $.root.Values.autoscaling.enabled) -}}{{- end -}}
{{- $n -}}
{{- end -}}

{{- /* The key of the Secret that holds a variable for a component. */ -}}
{{- define "toolboxai.secretKey" -}}
{{- if and .root.Values.secret.natsUserPerRole (has .name (list "NATS_URL" "NATS_CREDS")) -}}
{{ .name }}_{{ upper .component }}
{{- else -}}
{{ .name }}
{{- end -}}
{{- end -}}

{{- /* Variables that only this component has. NATS_CREDS and NATS_CA are paths already; the others are read from NAME_FILE. */ -}}
{{- define "toolboxai.ownEnvironment" -}}
{{- if eq .component "api" }}
- {name: PORT, value: "8009"}
{{- else if ne .component "migrate" }}
- {name: OPS_ADDR, value: ":9090"}
{{- end }}
{{- with .workers }}
- {name: DRAIN_TIMEOUT, value: {{ printf "%ds" (int $.root.Values.drainSeconds) | quote }}}
- {name: MAX_CONCURRENT_GENERATIONS, value: {{ int .slots | quote }}}
{{- with .kinds }}
- {name: WORKER_KINDS, value: {{ join "," . | quote }}}
{{- end }}
{{- end }}
{{- if and (has .component (list "worker" "recorder")) (not (hasKey .root.Values.config "LLM_PROCESSES")) }}
- {name: LLM_PROCESSES, value: {{ include "toolboxai.workersAtMost" . | quote }}}
{{- end }}
{{- if .root.Values.secret.natsUserPerRole }}
- {name: NATS_INBOX, value: _INBOX.{{ .component }}}
{{- end }}
{{- range splitList " " (include "toolboxai.secretsOf" .) }}
- {name: {{ . }}{{ if not (has . (list "NATS_CREDS" "NATS_CA")) }}_FILE{{ end }}, value: /secrets/{{ . }}}
{{- end }}
{{- end -}}

{{- define "toolboxai.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ .root.Values.secret.name }}
    defaultMode: 0440
    items:
    {{- range splitList " " (include "toolboxai.secretsOf" .) }}
    - {key: {{ include "toolboxai.secretKey" (dict "root" $.root "component" $.component "name" .) }}, path: {{ . }}}
    {{- end }}
{{- end -}}
