{{- /* What values.schema.json cannot say. Each sentence names the value to change. */ -}}
{{- define "toolboxai.checks" -}}
{{- $v := .Values -}}
{{- $names := list -}}
{{- $seen := dict -}}
{{- range $v.workers -}}
{{- if has .name $names -}}
{{- fail (printf "workers: two groups are named %q; a name is a Deployment's" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if gt (int .min) (int .max) -}}
{{- fail (printf "workers: group %q has min %d above max %d" .name (int .min) (int .max)) -}}
{{- end -}}
{{- if and (not $v.autoscaling.enabled) (lt (int .min) 1) -}}
{{- fail (printf "workers: group %q has min 0, and nothing would ever start it; set autoscaling.enabled, or min to 1" .name) -}}
{{- end -}}
{{- if $v.autoscaling.enabled -}}
{{- if and (not .kinds) (gt (len $v.workers) 1) -}}
{{- fail (printf "workers: group %q serves all kinds beside other groups: both would be scaled for the same tasks; give it kinds" .name) -}}
{{- end -}}
{{- if and (not .kinds) (eq $v.autoscaling.source "api") -}}
{{- fail (printf "workers: group %q has no kinds, and autoscaling.source api asks for the load of each; give it kinds, or use prometheus" .name) -}}
{{- end -}}
{{- $group := .name -}}
{{- range .kinds -}}
{{- if hasKey $seen . -}}
{{- fail (printf "workers: kind %q is in the groups %q and %q: both would be scaled for the same tasks" . (get $seen .) $group) -}}
{{- end -}}
{{- $_ := set $seen . $group -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (eq $v.autoscaling.source "prometheus") (not $v.autoscaling.prometheus.address) -}}
{{- fail "autoscaling.prometheus.address is not set, such as http://prometheus.monitoring:9090" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) -}}
{{- fail "ingress.host is not set" -}}
{{- end -}}
{{- range list "NATS_URL" "DATABASE_URL" "JWT_SECRET_KEY" "ENCRYPTION_KEY" -}}
{{- if not (has . $v.secret.keys) -}}
{{- fail (printf "secret.keys has no %s: nothing starts without it" .) -}}
{{- end -}}
{{- end -}}
{{- if $v.notifier.enabled -}}
{{- if or (not $v.config.PUSHER_APP_ID) (not $v.config.PUSHER_KEY) (not (has "PUSHER_SECRET" $v.secret.keys)) -}}
{{- fail "notifier.enabled needs PUSHER_APP_ID and PUSHER_KEY in config, and PUSHER_SECRET in secret.keys" -}}
{{- end -}}
{{- if eq (toString $v.config.PUSHER_ENABLED) "false" -}}
{{- fail "notifier.enabled is true and config.PUSHER_ENABLED is false: nobody would be told" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.config.ENVIRONMENT "production") (not $v.config.OLLAMA_HOST) (not (has "OPENAI_API_KEY" $v.secret.keys)) (not (has "ANTHROPIC_API_KEY" $v.secret.keys)) (not (has "GOOGLE_API_KEY" $v.secret.keys)) -}}
{{- fail "no model: workers refuse to start in production without OPENAI_API_KEY, ANTHROPIC_API_KEY or GOOGLE_API_KEY in secret.keys, or OLLAMA_HOST in config" -}}
{{- end -}}
{{- end -}}
