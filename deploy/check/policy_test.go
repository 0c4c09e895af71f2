package check_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// release is what one set of values makes.
type release struct {
	program     program
	deployments []*appsv1.Deployment
	jobs        []*batchv1.Job
	budgets     []*policyv1.PodDisruptionBudget
	services    []*corev1.Service
	configs     []*corev1.ConfigMap
	scaled      []*unstructured.Unstructured
}

func newRelease(t *testing.T, values map[string]any) *release {
	t.Helper()
	r := &release{program: readProgram(t)}
	for _, manifest := range mustRender(t, values) {
		if object := generic(t, manifest); object.GroupVersionKind().Group == kedaGroup {
			if object.GetKind() == "ScaledObject" {
				r.scaled = append(r.scaled, object)
			}
			continue
		}
		object, _, err := decode(manifest)
		if err != nil {
			t.Fatalf("%v\n%s", err, manifest)
		}
		switch object := object.(type) {
		case *appsv1.Deployment:
			r.deployments = append(r.deployments, object)
		case *batchv1.Job:
			r.jobs = append(r.jobs, object)
		case *policyv1.PodDisruptionBudget:
			r.budgets = append(r.budgets, object)
		case *corev1.Service:
			r.services = append(r.services, object)
		case *corev1.ConfigMap:
			r.configs = append(r.configs, object)
		}
	}
	return r
}

// pods returns all pod templates by the name of what makes them.
func (r *release) pods() map[string]*corev1.PodTemplateSpec {
	out := map[string]*corev1.PodTemplateSpec{}
	for _, d := range r.deployments {
		out[d.Name] = &d.Spec.Template
	}
	for _, j := range r.jobs {
		out[j.Name] = &j.Spec.Template
	}
	return out
}

func component(meta metav1.ObjectMeta) string { return meta.Labels["app.kubernetes.io/component"] }

func container(template *corev1.PodTemplateSpec) *corev1.Container {
	return &template.Spec.Containers[0]
}

func variable(c *corev1.Container, name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// rules are what this platform's manifests keep, beyond what a cluster demands. Each returns what breaks it.
var rules = map[string]func(*release) []string{
	"workers stop before they are killed":      graceIsLongEnough,
	"every role tells of its health":           probesAreThere,
	"every role keeps some pods":               budgetsAreThere,
	"every image is one build":                 imagesAreFixed,
	"pods are restricted":                      podsAreRestricted,
	"updates begin before they end":            updatesKeepCapacity,
	"secrets are files":                        secretsAreFiles,
	"variables and commands are the program's": environmentIsKnown,
	"roles reach the database that they open":  databaseIsForThoseWhoUseIt,
	"pods belong to one owner":                 selectorsAreDisjoint,
	"somebody decides how many":                replicasAreDecidedOnce,
	"memory is bounded":                        resourcesAreBounded,
	"requests come to the API":                 servicesFindTheAPI,
	"migrations come first":                    migrationsComeFirst,
}

func budgetsAreThere(r *release) (out []string) {
	for _, d := range r.deployments {
		found := 0
		for _, b := range r.budgets {
			selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if err != nil {
				out = append(out, err.Error())
				continue
			}
			if !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
				continue
			}
			found++
			if b.Spec.MaxUnavailable == nil || b.Spec.MaxUnavailable.String() == "0" {
				out = append(out, b.Name+": lets no node be drained")
			}
		}
		if found != 1 {
			out = append(out, fmt.Sprintf("%s: %d disruption budgets", d.Name, found))
		}
	}
	return out
}

func updatesKeepCapacity(r *release) (out []string) {
	for _, d := range r.deployments {
		u := d.Spec.Strategy.RollingUpdate
		if u == nil || u.MaxUnavailable.String() != "0" || u.MaxSurge.String() == "0" {
			out = append(out, d.Name+": an update takes pods away before their successors are ready")
		}
	}
	return out
}

func selectorsAreDisjoint(r *release) (out []string) {
	for _, d := range r.deployments {
		selector := labels.SelectorFromSet(d.Spec.Selector.MatchLabels)
		for name, pod := range r.pods() {
			if selector.Matches(labels.Set(pod.Labels)) != (name == d.Name) {
				out = append(out, d.Name+": its selector and the pods of "+name)
			}
		}
	}
	return out
}

func replicasAreDecidedOnce(r *release) (out []string) {
	scaled := map[string]int{}
	for _, s := range r.scaled {
		target, _, _ := unstructured.NestedString(s.Object, "spec", "scaleTargetRef", "name")
		scaled[target]++
		least, _, _ := unstructured.NestedNumberAsFloat64(s.Object, "spec", "minReplicaCount")
		most, _, _ := unstructured.NestedNumberAsFloat64(s.Object, "spec", "maxReplicaCount")
		fallback, _, _ := unstructured.NestedNumberAsFloat64(s.Object, "spec", "fallback", "replicas")
		if least > fallback || fallback > most || fallback < 1 {
			out = append(out, fmt.Sprintf("%s: %v replicas without a figure, outside of %v to %v", s.GetName(), fallback, least, most))
		}
		if behavior, _, _ := unstructured.NestedString(s.Object, "spec", "fallback", "behavior"); behavior != "currentReplicasIfHigher" {
			out = append(out, s.GetName()+": a figure that cannot be had takes workers away")
		}
	}
	for _, d := range r.deployments {
		want := 1
		if d.Spec.Replicas != nil {
			want = 0
		}
		if scaled[d.Name] != want {
			out = append(out, fmt.Sprintf("%s: %d autoscalers, and replicas %v", d.Name, scaled[d.Name], d.Spec.Replicas))
		}
		delete(scaled, d.Name)
	}
	for name := range scaled {
		out = append(out, name+": is scaled, and not there")
	}
	return out
}

func servicesFindTheAPI(r *release) (out []string) {
	for _, s := range r.services {
		for _, d := range r.deployments {
			if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) != (component(d.ObjectMeta) == "api") {
				out = append(out, s.Name+": its selector and the pods of "+d.Name)
			}
			if component(d.ObjectMeta) == "api" && container(&d.Spec.Template).Ports[0].Name != s.Spec.Ports[0].TargetPort.StrVal {
				out = append(out, s.Name+": its port is none of the API's")
			}
		}
	}
	if len(r.services) != 1 {
		out = append(out, "there is no Service")
	}
	return out
}

func migrationsComeFirst(r *release) (out []string) {
	for _, j := range r.jobs {
		if j.Annotations["helm.sh/hook"] != "pre-install,pre-upgrade" {
			out = append(out, j.Name+": runs beside what needs it")
		}
		if len(container(&j.Spec.Template).EnvFrom) > 0 || j.Spec.Template.Spec.ServiceAccountName != "default" {
			out = append(out, j.Name+": needs what is not there before it")
		}
	}
	if len(r.jobs) != 1 {
		out = append(out, fmt.Sprintf("%d migrations", len(r.jobs)))
	}
	return out
}

func TestManifests_KeepTheRules(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets(t) {
		r := newRelease(t, values)
		if len(r.deployments) < 4 {
			t.Errorf("%s: %d deployments", name, len(r.deployments))
		}
		for rule, broken := range rules {
			for _, problem := range broken(r) {
				t.Errorf("%s: %s: %s", name, rule, problem)
			}
		}
	}
}
