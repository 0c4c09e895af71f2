package check_test

import (
	"strings"
	"testing"
)

// Wrong values stop an install before it begins, in words that name the value.
func TestValues_AreRefused(t *testing.T) {
	t.Parallel()
	const grouped = "workers: [{name: a, kinds: [quiz], slots: 1, min: 1, max: 2}, {name: b, kinds: %, slots: 1, min: 1, max: 2}]\n"
	const scaled = "autoscaling: {enabled: true, prometheus: {address: 'http://p:9090'}}\n"
	for _, c := range []struct{ values, want string }{
		{"replicas: 3", "additional properties 'replicas' not allowed"},
		{"config: {OPENAI_MODELS: x}", "additional properties 'OPENAI_MODELS' not allowed"},
		{"config: {OPENAI_API_KEY: sk-1}", "additional properties 'OPENAI_API_KEY' not allowed"},
		{"config: {SKIP_AUTH: true}", "additional properties 'SKIP_AUTH' not allowed"},
		{"config: {ENVIRONMENT: prod}", "'/config/ENVIRONMENT': value must be one of"},
		{"config: {NATS_REPLICAS: 2}", "'/config/NATS_REPLICAS': value must be one of"},
		{"config: {TASK_ACK_WAIT: 45}", "'/config/TASK_ACK_WAIT'"},
		{"image: {tag: latest}", "/image/tag"},
		{"image: {digest: sha256:12}", "/image/digest"},
		{"drainSeconds: 0", "'/drainSeconds': minimum"},
		{"drainSeconds: 30s", "'/drainSeconds'"},
		{"api: {replicas: 0}", "'/api/replicas': minimum"},
		{"secret: {keys: [NATS_URL, NATS_URL]}", "/secret/keys"},
		{"secret: {keys: [PASSWORD]}", "/secret/keys/0"},
		{"workers: []", "'/workers'"},
		{"workers: [{name: Slow, slots: 1, min: 1, max: 2}]", "/workers/0/name"},
		{"workers: [{name: a, slots: 0, min: 1, max: 2}]", "/workers/0/slots"},
		{"workers: [{name: a, kinds: ['a.b'], slots: 1, min: 1, max: 2}]", "/workers/0/kinds/0"},
		{"service: {port: 70000}", "/service/port"},
		{"autoscaling: {source: cpu}", "/autoscaling/source"},

		{"drainSeconds: 60\nterminationGracePeriodSeconds: 79", "a worker may take 80 s to stop"},
		{"workers: [{name: a, slots: 1, min: 3, max: 2}]", `"a" has min 3 above max 2`},
		{"workers: [{name: a, slots: 1, min: 0, max: 2}]", `"a" has min 0, and nothing would ever start it`},
		{"workers: [{name: a, slots: 1, min: 1, max: 2}, {name: a, slots: 1, min: 1, max: 2}]", `two groups are named "a"`},
		{scaled + strings.Replace(grouped, "%", "[quiz]", 1), `kind "quiz" is in the groups "a" and "b"`},
		{scaled + strings.Replace(grouped, "%", "[]", 1), `"b" serves all kinds beside other groups`},
		{"autoscaling: {enabled: true, source: api}", `"default" has no kinds`},
		{"autoscaling: {enabled: true}", "autoscaling.prometheus.address is not set"},
		{"ingress: {enabled: true}", "ingress.host is not set"},
		{"secret: {keys: [NATS_URL, DATABASE_URL, OPENAI_API_KEY]}", "secret.keys has no JWT_SECRET_KEY"},
		{"secret: {keys: [NATS_URL, DATABASE_URL, JWT_SECRET_KEY, ENCRYPTION_KEY]}", "no model"},
		{"notifier: {enabled: true}", "notifier.enabled needs PUSHER_APP_ID"},
	} {
		if _, err := render(loadChart(t), parseValues(t, c.values)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n is answered with %v, want %q", c.values, err, c.want)
		}
	}
}

func TestValues_AtTheEdgeAreTaken(t *testing.T) {
	t.Parallel()
	for _, values := range []string{
		"drainSeconds: 60\nterminationGracePeriodSeconds: 80",
		"drainSeconds: 3600",
		"workers: [{name: a, slots: 1, min: 0, max: 1}]\nautoscaling: {enabled: true, prometheus: {address: 'http://p:9090'}}",
		"secret: {keys: [NATS_URL, DATABASE_URL, JWT_SECRET_KEY, ENCRYPTION_KEY]}\nconfig: {OLLAMA_HOST: 'http://ollama:11434'}",
		"secret: {keys: [NATS_URL, DATABASE_URL, JWT_SECRET_KEY, ENCRYPTION_KEY]}\nconfig: {ENVIRONMENT: development, LLM_PROVIDER: offline}",
		"workers: [{name: a, kinds: [quiz], slots: 1, min: 1, max: 2}, {name: b, slots: 1, min: 1, max: 2}]",
	} {
		if _, err := render(loadChart(t), parseValues(t, values)); err != nil {
			t.Errorf("%s\n is refused: %v", values, err)
		}
	}
}

func TestValues_ShareModelsAmongAllWorkersThatMayRun(t *testing.T) {
	t.Parallel()
	processes := func(values map[string]any, role string) string {
		r := newRelease(t, values)
		for _, d := range r.deployments {
			if component(d.ObjectMeta) == role {
				return variable(container(&d.Spec.Template), "LLM_PROCESSES")
			}
		}
		return "no " + role
	}
	if got := processes(nil, "worker"); got != "2" {
		t.Errorf("without autoscaling: %q, want the replicas", got)
	}
	if got := processes(readValues(t, exampleFile("split-workers")), "worker"); got != "85" {
		t.Errorf("with autoscaling: %q, want the most", got)
	}
	if got := processes(parseValues(t, "config: {LLM_PROCESSES: 7}"), "worker"); got != "" {
		t.Errorf("beside the ConfigMap's 7: %q", got)
	}
	if got := processes(nil, "api"); got != "" {
		t.Errorf("the API calls no model: %q", got)
	}
}

// Helm reads every number as a float; 1e+06 is no number of tasks.
func TestValues_KeepLargeNumbersWhole(t *testing.T) {
	t.Parallel()
	r := newRelease(t, parseValues(t, "config: {TASK_QUEUE_LIMIT: 20000000}"))
	if got := r.configs[0].Data["TASK_QUEUE_LIMIT"]; got != "20000000" {
		t.Errorf("in the ConfigMap: %s", got)
	}
	if got := variable(container(&r.jobs[0].Spec.Template), "TASK_QUEUE_LIMIT"); got != "20000000" {
		t.Errorf("in the Job: %s", got)
	}
}
