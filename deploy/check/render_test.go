package check_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	releaseName = "r"
	namespace   = "school"
)

var chartDir = filepath.Join("..", "chart")

// valueSets are the values that every check renders: none, and each of the examples.
func valueSets(t *testing.T) map[string]map[string]any {
	t.Helper()
	sets := map[string]map[string]any{"default": {}}
	files, err := filepath.Glob(filepath.Join(chartDir, "examples", "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range files {
		sets[strings.TrimSuffix(filepath.Base(file), ".yaml")] = readValues(t, file)
	}
	return sets
}

func readValues(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parseValues(t, string(data))
}

func parseValues(t *testing.T, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatalf("values: %v\n%s", err, text)
	}
	return values
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns the release's manifests in a fixed order, as helm template does; the error is what helm install would say.
func render(c *chart.Chart, values map[string]any) ([][]byte, error) {
	options := common.ReleaseOptions{Name: releaseName, Namespace: namespace, IsInstall: true, Revision: 1}
	merged, err := util.ToRenderValues(c, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, merged)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for document := range bytes.SplitSeq([]byte(files[name]), []byte("\n---\n")) {
			var content map[string]any
			if err := yaml.Unmarshal(document, &content); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, document)
			}
			if len(content) > 0 {
				out = append(out, document)
			}
		}
	}
	return out, nil
}

// mustRender returns the manifests of values that are right.
func mustRender(t *testing.T, values map[string]any) [][]byte {
	t.Helper()
	manifests, err := render(loadChart(t), values)
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

// generic returns a manifest as the API server first sees it.
func generic(t *testing.T, manifest []byte) *unstructured.Unstructured {
	t.Helper()
	var u unstructured.Unstructured
	if err := yaml.UnmarshalStrict(manifest, &u.Object); err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	return &u
}

func exampleFile(name string) string { return filepath.Join(chartDir, "examples", name+".yaml") }
