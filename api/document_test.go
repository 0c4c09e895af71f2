package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestDocument_IsValidAndKnowsTheKinds(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	raw := k.document()
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for path, kind := range map[string]string{"/agents/quiz/generate": "Quiz", "/agents/code/review": "CodeReview", "/code/review": "CodeReview"} {
		item := doc.Paths.Find(path)
		if item == nil || item.Post == nil {
			t.Errorf("%s is missing", path)
			continue
		}
		if got, want := item.Post.RequestBody.Value.Content["application/json"].Schema.Ref, "#/components/schemas/"+kind+"Input"; got != want {
			t.Errorf("%s takes %s, want %s", path, got, want)
		}
		if doc.Components.Schemas[kind+"Output"] == nil {
			t.Errorf("%sOutput is missing", kind)
		}
	}
	// The schema of a kind still validates after it moved into the document.
	schema := doc.Components.Schemas["QuizInput"].Value
	for input, valid := range map[string]bool{quizInput: true, `{"subject":"","objectives":["a"]}`: false, `{"subject":"x"}`: false} {
		var v any
		if err := json.Unmarshal([]byte(input), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(v, openapi3.EnableJSONSchema2020()); (err == nil) != valid {
			t.Errorf("%s: %v, want valid %t", input, err, valid)
		}
	}
	if strings.Contains(string(raw), "x-go-") {
		t.Error("the document shows what only the code generator reads")
	}
}

func TestDocument_IsCached(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	first := k.raw(ask{method: "GET", path: "/api/v1/openapi.json", as: "-"})
	tag := first.header.Get("ETag")
	again := k.raw(ask{method: "GET", path: "/api/v1/openapi.json", as: "-", header: http.Header{"If-None-Match": {tag}}})
	if tag == "" || again.status != http.StatusNotModified || len(again.raw) != 0 {
		t.Errorf("ETag %q, then %d with %d bytes", tag, again.status, len(again.raw))
	}
}

func TestDocument_EveryFieldOfATaskIsInIt(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(newKit(t).document())
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for name := range doc.Components.Schemas["Task"].Value.Properties {
		documented[name] = true
	}
	if diff := cmp.Diff(jsonFields[task.Task](), documented); diff != "" {
		t.Errorf("fields of task.Task and of the document's Task differ: %s", diff)
	}
}

func TestDocs_WorkOffline(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, path := range []string{"/docs", "/docs/"} {
		page := k.raw(ask{method: "GET", path: path, as: "-"})
		if page.status != 200 || !strings.Contains(page.header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.raw), "/api/v1/openapi.json") {
			t.Fatalf("%s: %d %s", path, page.status, page.raw)
		}
		assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page.raw, -1)
		if len(assets) < 3 {
			t.Errorf("%d assets: %s", len(assets), page.raw)
		}
		for _, a := range assets {
			asset := string(a[1])
			if !strings.HasPrefix(asset, "/docs/") {
				t.Errorf("%s is not served from here", asset)
				continue
			}
			if got := k.raw(ask{method: "GET", path: asset, as: "-"}); got.status != 200 || len(got.raw) == 0 {
				t.Errorf("%s: %d", asset, got.status)
			}
		}
	}
}

func TestNew_RefusesKindsThatCollide(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]task.Kind){
		"route":  func(k []task.Kind) { k[1].Routes = []string{"/tasks"} },
		"route2": func(k []task.Kind) { k[1].Routes = k[0].Routes },
		"schema": func(k []task.Kind) { k[1].Name = "quiz-"; k[1].Aliases = nil },
	} {
		list := kinds()
		change(list)
		catalog, err := task.NewCatalog(list)
		if err != nil {
			t.Fatal(err)
		}
		k := newKit(t)
		cfg := api.Config{
			Tasks: k.service, Catalog: catalog, DevPrincipal: dev(), Workers: k.engine, Backlogs: k.engine, Policies: k.engine, Audit: k.engine, AuditLog: k.engine,
			Schedules: k.schedules, Campaigns: k.campaigns, Ledger: k.engine,
			Sharing: k.school, Students: k.school, Access: k.school, Breakers: &breakers{},
		}
		k.identity.parts(&cfg)
		_, err = api.New(cfg)
		if err == nil || !strings.Contains(err.Error(), "is taken") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
