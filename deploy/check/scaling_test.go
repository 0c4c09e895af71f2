package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// triggers returns what each group is scaled by.
func triggers(t *testing.T, r *release) map[string][]any {
	t.Helper()
	out := map[string][]any{}
	for _, s := range r.scaled {
		found, ok, err := unstructured.NestedSlice(s.Object, "spec", "triggers")
		if err != nil || !ok {
			t.Fatalf("%s: %v", s.GetName(), err)
		}
		out[s.GetName()] = found
	}
	return out
}

func TestScaling_AsksPrometheusForTheSumOfAGroupsKinds(t *testing.T) {
	t.Parallel()
	trigger := func(kinds, slots string) []any {
		return []any{map[string]any{"type": "prometheus", "metricType": "AverageValue", "metadata": map[string]any{
			"serverAddress":    "http://prometheus.monitoring:9090",
			"query":            `sum(max by (kind) (toolboxai_kind_load{kind=~"` + kinds + `",namespace="toolboxai"}))`,
			"threshold":        slots,
			"ignoreNullValues": "false",
		}}}
	}
	want := map[string][]any{
		"r-toolboxai-worker-quick": trigger("quiz|script", "20"),
		"r-toolboxai-worker-slow":  trigger("content", "8"),
		"r-toolboxai-worker-rare":  trigger("terrain", "4"),
	}
	if diff := cmp.Diff(want, triggers(t, newRelease(t, readValues(t, exampleFile("split-workers"))))); diff != "" {
		t.Error(diff)
	}
}

func TestScaling_AsksPrometheusForAllKindsWhenAGroupNamesNone(t *testing.T) {
	t.Parallel()
	r := newRelease(t, parseValues(t, "autoscaling: {enabled: true, prometheus: {address: 'http://p:9090'}}"))
	found := triggers(t, r)["r-toolboxai-worker-default"]
	if query := dig(t, found[0], "metadata", "query"); query != "sum(max by (kind) (toolboxai_kind_load{}))" {
		t.Errorf("query %v", query)
	}
}

func TestScaling_AsksTheAPIForEachKind(t *testing.T) {
	t.Parallel()
	trigger := func(kind, slots string) any {
		return map[string]any{
			"type": "metrics-api", "metricType": "AverageValue",
			"metadata": map[string]any{
				"url":           "http://r-toolboxai-api.school.svc:8080/api/v1/agents/" + kind + "/metrics",
				"valueLocation": "data.load", "targetValue": slots,
				"authMode": "apiKey", "method": "header", "keyParamName": "X-API-Key",
			},
			"authenticationRef": map[string]any{"name": "r-toolboxai-scaler"},
		}
	}
	want := map[string][]any{
		"r-toolboxai-worker-quick": {trigger("quiz", "20"), trigger("script", "20")},
		"r-toolboxai-worker-slow":  {trigger("content", "8"), trigger("terrain", "8")},
	}
	if diff := cmp.Diff(want, triggers(t, newRelease(t, readValues(t, exampleFile("everything"))))); diff != "" {
		t.Error(diff)
	}
}
