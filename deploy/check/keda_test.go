package check_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const (
	kedaGroup = "keda.sh"
	// KEDA's schemas come with its source. It is downloaded like any module and imported by nothing: its packages would bring a
	// thousand others.
	kedaModule = "github.com/kedacore/keda/v2@v2.21.0"
	kedaSum    = "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps="
)

var kedaDir = sync.OnceValues(func() (string, error) {
	command := exec.Command("go", "mod", "download", "-json", kedaModule)
	command.Dir = os.TempDir()
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s", kedaModule, err, out)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	if module.Sum != kedaSum {
		return "", fmt.Errorf("%s has the sum %s, want %s", kedaModule, module.Sum, kedaSum)
	}
	return module.Dir, nil
})

// customResource is a kind that KEDA defines.
type customResource struct {
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
}

func kedaResource(kind string) (*customResource, error) {
	dir, err := kedaDir()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "config", "crd", "bases", kedaGroup+"_"+strings.ToLower(kind)+"s.yaml"))
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		return nil, err
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		return nil, err
	}
	r := &customResource{}
	if r.structural, err = structuralschema.NewStructural(&props); err != nil {
		return nil, err
	}
	r.validator, _, err = validation.NewSchemaValidator(&props)
	return r, err
}

// check returns what the API server would refuse, and the fields that it would drop in silence.
func (r *customResource) check(object map[string]any) []string {
	var out []string
	for _, err := range validation.ValidateCustomResource(nil, object, r.validator) {
		out = append(out, err.Error())
	}
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	copied := runtime.DeepCopyJSON(object)
	for _, path := range pruning.PruneWithOptions(copied, r.structural, true, options) {
		out = append(out, "unknown field "+path)
	}
	return out
}

func TestManifests_PassKEDAsSchemas(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for name, values := range valueSets(t) {
		for _, manifest := range mustRender(t, values) {
			object := generic(t, manifest)
			if object.GroupVersionKind().Group != kedaGroup {
				continue
			}
			kinds[object.GetKind()]++
			resource, err := kedaResource(object.GetKind())
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range resource.check(object.Object) {
				t.Errorf("%s: %s %s: %s", name, object.GetKind(), object.GetName(), problem)
			}
		}
	}
	if kinds["ScaledObject"] < 5 || kinds["TriggerAuthentication"] < 1 {
		t.Errorf("checked %v", kinds)
	}
}

func TestManifests_AreRefusedByKEDAsSchemasWhenTheyAreWrong(t *testing.T) {
	t.Parallel()
	resource, err := kedaResource("ScaledObject")
	if err != nil {
		t.Fatal(err)
	}
	for _, manifest := range mustRender(t, readValues(t, exampleFile("split-workers"))) {
		if generic(t, manifest).GetKind() != "ScaledObject" {
			continue
		}
		for old, broken := range map[string]string{
			"minReplicaCount:": "minReplicas:", "behavior: currentReplicasIfHigher": "behavior: best", "triggers:": "trigger:",
			"pollingInterval: 15": "pollingInterval: soon", "value: 50": "value: half",
		} {
			changed := strings.Replace(string(manifest), old, broken, 1)
			if changed == string(manifest) {
				t.Errorf("the manifest has no %q", old)
			}
			object := generic(t, []byte(changed))
			if len(resource.check(object.Object)) == 0 {
				t.Errorf("nobody refuses %q", broken)
			}
		}
	}
}
