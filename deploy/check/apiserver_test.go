package check_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
)

// strategies are the API server's own rules for what may be created.
var strategies = map[schema.GroupKind]struct {
	resource string
	strategy rest.RESTCreateStrategy
}{
	{Group: "apps", Kind: "Deployment"}:                 {"deployments", deployment.Strategy},
	{Group: "batch", Kind: "Job"}:                       {"jobs", job.Strategy},
	{Kind: "ConfigMap"}:                                 {"configmaps", configmap.Strategy},
	{Kind: "Service"}:                                   {"services", service.Strategy},
	{Kind: "ServiceAccount"}:                            {"serviceaccounts", serviceaccount.Strategy},
	{Group: "networking.k8s.io", Kind: "Ingress"}:       {"ingresses", ingress.Strategy},
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}: {"networkpolicies", networkpolicy.Strategy},
	{Group: "policy", Kind: "PodDisruptionBudget"}:      {"poddisruptionbudgets", poddisruptionbudget.Strategy},
}

// decode reads a manifest of a built-in kind into its type; unknown and repeated fields are errors.
func decode(manifest []byte) (runtime.Object, schema.GroupVersionKind, error) {
	options := json.SerializerOptions{Yaml: true, Strict: true}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, legacyscheme.Scheme, legacyscheme.Scheme, options)
	object, gvk, err := decoder.Decode(manifest, nil, nil)
	if err != nil {
		return nil, schema.GroupVersionKind{}, err
	}
	return object, *gvk, nil
}

// admit returns why a real API server would refuse a manifest of a built-in kind, or warn of it.
func admit(manifest []byte) error {
	object, gvk, err := decode(manifest)
	if err != nil {
		return err
	}
	rules, ok := strategies[gvk.GroupKind()]
	if !ok {
		return fmt.Errorf("no rules for %s", gvk)
	}
	legacyscheme.Scheme.Default(object)
	internal, err := legacyscheme.Scheme.ConvertToVersion(object, schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return err
	}
	ctx := request.WithNamespace(context.Background(), namespace)
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: gvk.Group, APIVersion: gvk.Version, Namespace: namespace, Resource: rules.resource,
	})
	accessor, err := meta.Accessor(internal)
	if err != nil {
		return err
	}
	rest.FillObjectMetaSystemFields(accessor)
	if err := rest.BeforeCreate(rules.strategy, ctx, internal); err != nil {
		return err
	}
	if warnings := rules.strategy.WarningsOnCreate(ctx, internal); len(warnings) > 0 {
		return errors.New(strings.Join(warnings, "; "))
	}
	return nil
}

func TestManifests_PassTheAPIServersValidation(t *testing.T) {
	t.Parallel()
	for name, values := range valueSets(t) {
		checked := 0
		for _, manifest := range mustRender(t, values) {
			if group := generic(t, manifest).GroupVersionKind().Group; group == kedaGroup {
				continue
			}
			checked++
			if err := admit(manifest); err != nil {
				t.Errorf("%s: %v\n%s", name, err, manifest)
			}
		}
		if checked < 10 {
			t.Errorf("%s: only %d manifests", name, checked)
		}
	}
}

func TestManifests_AreRefusedWhenTheyAreWrong(t *testing.T) {
	t.Parallel()
	manifests := mustRender(t, readValues(t, exampleFile("everything")))
	for _, c := range []struct{ name, kind, old, new, want string }{
		{"a misspelt field", "Deployment", "readinessProbe:", "readynessProbe:", "unknown field"},
		{"a probe in the past", "Deployment", "periodSeconds: 5", "periodSeconds: -5", "greater than or equal to 0"},
		{"a selector that misses its pods", "Deployment", "matchLabels:\n      app.kubernetes.io/name: toolboxai", "matchLabels:\n      app.kubernetes.io/name: other", "does not match"},
		{"an amount that is none", "Deployment", "memory: 256Mi", "memory: lots", "quantit"},
		{"a request above the limit", "Deployment", "memory: 96Mi", "memory: 96Gi", "must be less than or equal to memory limit"},
		{"pods that start again", "Job", "restartPolicy: Never", "restartPolicy: Always", "restartPolicy"},
		{"an unknown type", "Service", "type: LoadBalancer", "type: Balancer", "Unsupported value"},
		{"an address that is none", "NetworkPolicy", "cidr: 10.0.0.0/8", "cidr: 10.0.0.0/99", "cidr"},
		{"a path that is none", "Ingress", "path: /", "path: x", "must be an absolute path"},
		{"a variable that is none", "ConfigMap", "  PUSHER_KEY:", "  PUSHER KEY:", "PUSHER KEY"},
		{"a budget of nothing", "PodDisruptionBudget", "maxUnavailable: 1", "maxUnavailable: -1", "greater than or equal to 0"},
	} {
		found, refused := false, false
		for _, manifest := range manifests {
			changed := strings.ReplaceAll(string(manifest), c.old, c.new)
			if generic(t, manifest).GetKind() != c.kind || changed == string(manifest) {
				continue
			}
			found = true
			if err := admit([]byte(changed)); err != nil && strings.Contains(err.Error(), c.want) {
				refused = true
			} else if err != nil {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
		if !found || !refused {
			t.Errorf("%s: found %v, refused %v", c.name, found, refused)
		}
	}
}
