package check_test

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// faults break one rule each, in manifests that keep it.
var faults = []struct {
	rule, name string
	add        func(*release)
}{
	{"workers stop before they are killed", "a longer drain", inWorker(func(d *appsv1.Deployment) { set(d, "DRAIN_TIMEOUT", "170s") })},
	{"workers stop before they are killed", "no wait before the API stops", inAPI(func(d *appsv1.Deployment) { container(&d.Spec.Template).Lifecycle = nil })},
	{"every role tells of its health", "no readiness", inWorker(func(d *appsv1.Deployment) { container(&d.Spec.Template).ReadinessProbe = nil })},
	{"every role tells of its health", "liveness that asks the broker", inWorker(func(d *appsv1.Deployment) {
		container(&d.Spec.Template).LivenessProbe.HTTPGet.Path = "/health/ready"
	})},
	{"every role tells of its health", "another port", inAPI(func(d *appsv1.Deployment) { set(d, "PORT", "8010") })},
	{"every role keeps some pods", "one without a budget", func(r *release) { r.budgets = r.budgets[1:] }},
	{"every role keeps some pods", "one that blocks nodes", func(r *release) { r.budgets[0].Spec.MaxUnavailable = new(intstr.FromInt32(0)) }},
	{"every image is one build", "latest", inAPI(func(d *appsv1.Deployment) { container(&d.Spec.Template).Image = "host:5000/toolboxai:latest" })},
	{"every image is one build", "no tag", inAPI(func(d *appsv1.Deployment) { container(&d.Spec.Template).Image = "host:5000/toolboxai" })},
	{"pods are restricted", "root", inAPI(func(d *appsv1.Deployment) { d.Spec.Template.Spec.SecurityContext.RunAsNonRoot = new(false) })},
	{"pods are restricted", "capabilities", inAPI(func(d *appsv1.Deployment) { container(&d.Spec.Template).SecurityContext.Capabilities = nil })},
	{"pods are restricted", "no seccomp", inAPI(func(d *appsv1.Deployment) { d.Spec.Template.Spec.SecurityContext.SeccompProfile = nil })},
	{"pods are restricted", "a writable image", inAPI(func(d *appsv1.Deployment) {
		container(&d.Spec.Template).SecurityContext.ReadOnlyRootFilesystem = new(false)
	})},
	{"pods are restricted", "a token", inAPI(func(d *appsv1.Deployment) { d.Spec.Template.Spec.AutomountServiceAccountToken = nil })},
	{"updates begin before they end", "fewer pods", inAPI(func(d *appsv1.Deployment) {
		d.Spec.Strategy.RollingUpdate.MaxUnavailable = new(intstr.FromString("25%"))
	})},
	{"secrets are files", "a password in the environment", inAPI(func(d *appsv1.Deployment) { set(d, "DATABASE_URL", "postgres://u:p@h/d") })},
	{"secrets are files", "a key in the ConfigMap", func(r *release) { r.configs[0].Data["OPENAI_API_KEY"] = "sk" }},
	{"secrets are files", "a path that is not mounted", inAPI(func(d *appsv1.Deployment) { set(d, "GOOGLE_API_KEY_FILE", "/secrets/GOOGLE_API_KEY") })},
	{"secrets are files", "more than the role needs", inAPI(func(d *appsv1.Deployment) {
		secret := d.Spec.Template.Spec.Volumes[0].Secret
		secret.Items = append(secret.Items, corev1.KeyToPath{Key: "OPENAI_API_KEY", Path: "OPENAI_API_KEY"})
	})},
	{"variables and commands are the program's", "a misspelt variable", inAPI(func(d *appsv1.Deployment) { set(d, "LOG_LEVELS", "info") })},
	{"variables and commands are the program's", "a role that is none", inAPI(func(d *appsv1.Deployment) { container(&d.Spec.Template).Args = []string{"apis"} })},
	{"roles reach the database that they open", "a role without it", inAPI(func(d *appsv1.Deployment) {
		c := container(&d.Spec.Template)
		c.Env = slices.DeleteFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == "DATABASE_URL_FILE" })
	})},
	{"roles reach the database that they open", "a role that needs none", inWorker(func(d *appsv1.Deployment) { set(d, "DATABASE_URL_FILE", "/secrets/DATABASE_URL") })},
	{"pods belong to one owner", "two of one selector", func(r *release) { r.deployments[1].Spec.Selector = r.deployments[0].Spec.Selector }},
	{"somebody decides how many", "two that decide", inWorker(func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(3)) })},
	{"somebody decides how many", "nobody", inAPI(func(d *appsv1.Deployment) { d.Spec.Replicas = nil })},
	{"somebody decides how many", "zero without a figure", func(r *release) {
		_ = unstructured.SetNestedField(r.scaled[0].Object, float64(0), "spec", "fallback", "replicas")
	}},
	{"memory is bounded", "no limit", inAPI(func(d *appsv1.Deployment) { container(&d.Spec.Template).Resources.Limits = nil })},
	{"requests come to the API", "a Service of workers", func(r *release) { r.services[0].Spec.Selector["app.kubernetes.io/component"] = "worker" }},
	{"migrations come first", "a plain Job", func(r *release) { r.jobs[0].Annotations = nil }},
}

func inAPI(change func(*appsv1.Deployment)) func(*release) { return in("api", change) }

func inWorker(change func(*appsv1.Deployment)) func(*release) { return in("worker", change) }

func in(role string, change func(*appsv1.Deployment)) func(*release) {
	return func(r *release) {
		change(r.deployments[slices.IndexFunc(r.deployments, func(d *appsv1.Deployment) bool { return component(d.ObjectMeta) == role })])
	}
}

func set(d *appsv1.Deployment, name, value string) {
	c := container(&d.Spec.Template)
	c.Env = slices.DeleteFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name })
	c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
}

// A rule that nothing can break holds nothing: each is broken on purpose, and has to notice.
func TestRules_NoticeWhatBreaksThem(t *testing.T) {
	t.Parallel()
	values := readValues(t, exampleFile("everything"))
	unbroken := maps.Clone(rules)
	for _, f := range faults {
		t.Run(f.rule+"/"+f.name, func(t *testing.T) {
			r := newRelease(t, values)
			before := len(rules[f.rule](r))
			f.add(r)
			if len(rules[f.rule](r)) <= before {
				t.Error("it is not noticed")
			}
		})
		delete(unbroken, f.rule)
	}
	for rule := range unbroken {
		t.Errorf("nothing breaks %q", rule)
	}
}
