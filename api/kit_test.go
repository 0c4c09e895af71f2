package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/auth/authtest"
	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/chat/chattest"
	"github.com/toolboxai/orchestrator/internal/pusher"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/schedule/scheduletest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

const quizInput = `{"subject":"History","objectives":["Name three causes"],"num_questions":3}`

// kinds has what real kinds have: aliases, several routes, references within a schema, nullable lists.
func kinds() []task.Kind {
	return []task.Kind{
		{
			Name: "quiz", Aliases: []string{"quiz_generator", "generate_quiz"}, Title: "Quiz", Description: "Questions with answers.",
			Routes: []string{"/agents/quiz/generate"},
			InputSchema: json.RawMessage(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["subject","objectives"],
				"additionalProperties":false,"properties":{"subject":{"$ref":"#/$defs/subject"},"num_questions":{"type":"integer","minimum":1,"maximum":50},
				"objectives":{"type":["array","null"],"minItems":1,"items":{"type":"string","minLength":1}}},
				"$defs":{"subject":{"type":"string","minLength":1,"maxLength":100}}}`),
			OutputSchema: json.RawMessage(`{"type":"object","properties":{"questions":{"type":"array"}}}`),
			Example:      json.RawMessage(quizInput),
		},
		{
			Name: "code_review", Aliases: []string{"review"}, Title: "Code review", Description: "Finds what is wrong with code.",
			Routes:       []string{"/agents/code/review", "/code/review"},
			InputSchema:  json.RawMessage(`{"type":"object","required":["code"],"properties":{"code":{"type":"string","minLength":1},"context":{"type":"object"}}}`),
			OutputSchema: json.RawMessage(`{"type":"object"}`),
			Example:      json.RawMessage(`{"code":"print(1)"}`),
		},
	}
}

// kit is a server on parts in memory.
type kit struct {
	t         testing.TB
	memory    *tasktest.Memory
	service   *task.Service
	engine    *engine
	schedules *schedule.Service
	campaigns *campaign.Service
	school    *school
	keys      apiKeys
	breakers  *breakers
	identity  *identity
	revoked   *auth.Revocations
	chats     *chattest.Memory
	config    api.Config
	server    *api.Server
	handler   http.Handler
	log       *lines
	router    routers.Router
}

// lines collects what is logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newKit(t testing.TB, change ...func(*api.Config)) *kit {
	t.Helper()
	return newKitOf(t, kinds(), change...)
}

// lessonKind is the kind whose results have a page.
func lessonKind() task.Kind {
	return task.Kind{
		Name: "content", Title: "Lesson", Description: "A lesson.", InputSchema: json.RawMessage(`{"type":"object"}`),
		OutputSchema: json.RawMessage(`{"type":"object"}`), Example: json.RawMessage(`{}`), Routes: []string{"/agents/content/generate"},
	}
}

// terrainKind is a kind whose results have pictures.
func terrainKind() task.Kind {
	k := lessonKind()
	k.Name, k.Title, k.Routes = "terrain", "Terrain", []string{"/agents/terrain/generate"}
	return k
}

// turnKind is the internal kind of turns of chats.
func turnKind() task.Kind {
	return task.Kind{
		Name: chat.Kind, Internal: true, InputSchema: json.RawMessage(`{"type":"object"}`), OutputSchema: json.RawMessage(`{"type":"object"}`),
		Example: json.RawMessage(`{}`),
	}
}

func newKitOf(t testing.TB, kinds []task.Kind, change ...func(*api.Config)) *kit {
	t.Helper()
	k := &kit{t: t, memory: tasktest.NewMemory(), log: &lines{}, school: &school{}, keys: apiKeys{}, breakers: someBreakers(), identity: &identity{}, revoked: auth.NewRevocations(), chats: chattest.NewMemory()}
	catalog, err := task.NewCatalog(append(slices.Clone(kinds), turnKind()))
	if err != nil {
		t.Fatal(err)
	}
	k.engine = &engine{}
	k.service, err = task.NewService(task.Config{
		Log: k.memory, Queue: k.memory, Progress: k.memory, Archive: tasktest.Archive{Memory: k.memory}, Catalog: catalog, Patience: 5 * time.Second,
		Explainer: k.engine,
		Callback: func(text string) error {
			_, err := callback.CheckURL("callback_url", text, nil)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.schedules, err = schedule.NewService(schedule.ServiceConfig{Documents: scheduletest.NewMemory[schedule.Schedule](), Tasks: k.service, Checker: k.service, Audit: k.engine})
	if err != nil {
		t.Fatal(err)
	}
	k.campaigns, err = campaign.NewService(campaign.ServiceConfig{Documents: scheduletest.NewMemory[campaign.Campaign](), Tasks: k.service, Audit: k.engine})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := authtest.Keyring(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Keys: keys, Revocations: k.revoked})
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{
		Tasks: k.service, Catalog: catalog, Verifier: verifier, Version: "1.2.3", Workers: k.engine, Backlogs: k.engine, Policies: k.engine, Audit: k.engine, AuditLog: k.engine,
		Schedules: k.schedules, Campaigns: k.campaigns, Ledger: k.engine, Sharing: k.school, Students: k.school, Access: k.school, Breakers: k.breakers,
		Authenticator: k.keys,
		Logger:        slog.New(slog.NewJSONHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	k.identity.parts(&cfg)
	cfg.Push = pusher.Signer{Key: "app-key", Secret: "app-secret"}
	cfg.PushEvents = anyWebhook{}
	cfg.Chats, err = chat.New(chat.Config{Store: k.chats, Tasks: k.service})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&cfg)
	}
	k.config = cfg
	k.server, err = api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k.handler = k.server.Handler()
	return k
}

// with returns k as it serves another test.
func (k *kit) with(t testing.TB) *kit {
	other := *k
	other.t = t
	return &other
}

// token returns a token of a user with the given role in tenant "school".
func token(t testing.TB, role auth.Role, user string) string {
	t.Helper()
	return issue(t, auth.Principal{UserID: user, Tenant: "school", Role: role}, time.Hour)
}

func issue(t testing.TB, p auth.Principal, ttl time.Duration) string {
	t.Helper()
	s, err := authtest.Issue(string(secret), p, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask is a request. The zero values of token and header are those of the teacher ada.
type ask struct {
	method, path string
	body         string
	as           string      // token; "-" sends none
	header       http.Header // added
	contentType  string      // application/json when empty; "-" sends none
}

type answer struct {
	status int
	header http.Header
	raw    []byte
	envelope
}

type envelope struct {
	Status   string          `json:"status"`
	Data     json.RawMessage `json:"data"`
	Message  string          `json:"message"`
	Metadata struct {
		Timestamp     time.Time `json:"timestamp"`
		RequestID     string    `json:"request_id"`
		ExecutionTime *float64  `json:"execution_time"`
	} `json:"metadata"`
	Error *struct {
		Code      string `json:"code"`
		Retryable bool   `json:"retryable"`
		Details   []struct{ Field, Reason string }
	} `json:"error"`
}

// do asks and holds the answer against the envelope and the OpenAPI document.
func (k *kit) do(a ask) answer {
	k.t.Helper()
	got := k.raw(a)
	if len(got.raw) > 0 {
		k.checkEnvelope(a, got)
	}
	k.validate(a, got)
	return got
}

// raw asks and looks at nothing.
func (k *kit) raw(a ask) answer {
	k.t.Helper()
	return k.serve(k.request(a))
}

func (k *kit) serve(r *http.Request) answer {
	w := httptest.NewRecorder()
	k.handler.ServeHTTP(w, r)
	got := answer{status: w.Code, header: w.Result().Header, raw: w.Body.Bytes()}
	_ = json.Unmarshal(got.raw, &got.envelope)
	return got
}

func (k *kit) request(a ask) *http.Request {
	r := httptest.NewRequestWithContext(k.t.Context(), a.method, a.path, strings.NewReader(a.body))
	for name, values := range a.header {
		r.Header[name] = values
	}
	if a.contentType == "" {
		a.contentType = "application/json"
	}
	if a.contentType != "-" && a.body != "" {
		r.Header.Set("Content-Type", a.contentType)
	}
	if a.as == "" {
		a.as = token(k.t, auth.Teacher, "ada")
	}
	if a.as != "-" {
		r.Header.Set("Authorization", "Bearer "+a.as)
	}
	return r
}

func (k *kit) checkEnvelope(a ask, got answer) {
	k.t.Helper()
	wantStatus := "success"
	if got.status >= 400 {
		wantStatus = "error"
	}
	switch {
	case got.Status != wantStatus, got.Metadata.Timestamp.IsZero(), got.Metadata.ExecutionTime == nil, got.Message == "":
		k.t.Errorf("%s %s: the envelope is incomplete: %s", a.method, a.path, got.raw)
	case got.Metadata.RequestID == "" || got.Metadata.RequestID != got.header.Get("X-Request-ID"):
		k.t.Errorf("%s %s: request id %q, header %q", a.method, a.path, got.Metadata.RequestID, got.header.Get("X-Request-ID"))
	case (got.Error != nil) != (got.status >= 400):
		k.t.Errorf("%s %s: status %d with %s", a.method, a.path, got.status, got.raw)
	}
}

// validate holds the answer against the document that the server itself serves.
func (k *kit) validate(a ask, got answer) {
	k.t.Helper()
	if k.router == nil {
		k.router = loadRouter(k.t, k.document())
	}
	r := k.request(a)
	if !strings.HasPrefix(r.URL.Path, "/api/v1") {
		r.URL.Path = "/api/v1" + r.URL.Path
	}
	route, params, err := k.router.FindRoute(r)
	if err != nil {
		if got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			k.t.Errorf("%s %s is not in the document: %v", a.method, a.path, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader(got.raw)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		k.t.Errorf("%s %s: %d is not as documented: %v\n%s", a.method, a.path, got.status, err, got.raw)
	}
}

func (k *kit) document() []byte {
	k.t.Helper()
	got := k.raw(ask{method: http.MethodGet, path: "/api/v1/openapi.json", as: "-"})
	if got.status != http.StatusOK {
		k.t.Fatalf("openapi.json: %d %s", got.status, got.raw)
	}
	return got.raw
}

func loadRouter(t testing.TB, document []byte) routers.Router {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// submit submits a quiz as ada, not over HTTP, and returns its task.
func (k *kit) submit() task.Task {
	k.t.Helper()
	made, _, err := k.service.Submit(k.t.Context(), task.Submission{Tenant: "school", UserID: "ada", Kind: "quiz", Input: json.RawMessage(quizInput)})
	if err != nil {
		k.t.Fatal(err)
	}
	return made
}

// lesson completes a lesson of ada's, not over HTTP, and returns its task.
func (k *kit) lesson(result string) task.Task {
	k.t.Helper()
	return k.completed("content", events.Completed{Result: json.RawMessage(result)})
}

// completed completes a task of ada's, not over HTTP, and returns it as it was submitted.
func (k *kit) completed(kind string, c events.Completed) task.Task {
	k.t.Helper()
	made, _, err := k.service.Submit(k.t.Context(), task.Submission{Tenant: "school", UserID: "ada", Kind: kind, Input: json.RawMessage(`{}`)})
	if err != nil {
		k.t.Fatal(err)
	}
	k.next(made.ID, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	c.Attempt = 1
	c.Provenance = events.Provenance{GeneratedBy: "offline/composer-1", Provider: "offline", Model: "composer-1", Offline: true}
	k.next(made.ID, c)
	return made
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.Data, &v); err != nil {
		t.Fatalf("data: %v: %s", err, a.raw)
	}
	return v
}

// next appends an event to a task's history and returns it.
func (k *kit) next(id string, p events.Payload) events.Event {
	k.t.Helper()
	last, err := k.memory.Last(k.t.Context(), "school", id)
	if err != nil {
		k.t.Fatal(err)
	}
	return tasktest.MustAppend(k.t, k.memory, tasktest.Event(k.t, "school", id, p), last.Seq)
}

// fail makes a submitted task a dead letter.
func (k *kit) fail(id string, cause events.Cause) {
	k.t.Helper()
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	failed := events.Failed{Attempts: 1, Cause: cause, Error: "it did not work"}
	if cause == events.CauseInvalidOutput {
		failed.Refused = []events.Refusal{{
			Attempt: 1, Step: "draft_1", Round: 1, GeneratedBy: "openai/gpt-test", PromptVersion: "quiz/1",
			Reasons: []events.Reason{{Field: "answer.questions", Reason: "has 2 questions, must have exactly 3"}}, Text: `{"questions":[]}`, Bytes: 16,
			Usage: &events.Usage{Calls: 1, InputTokens: 10, OutputTokens: 20, CostKnown: true},
		}}
	}
	k.next(id, failed)
}

// want reports a wrong status or code.
func (k *kit) want(got answer, status int, code string) {
	k.t.Helper()
	gotCode := ""
	if got.Error != nil {
		gotCode = got.Error.Code
	}
	if got.status != status || gotCode != code {
		k.t.Errorf("got %d %q, want %d %q: %s", got.status, gotCode, status, code, got.raw)
	}
}

// wantDetail reports that no detail names field with a reason that holds part.
func (k *kit) wantDetail(got answer, field, part string) {
	k.t.Helper()
	if got.Error != nil {
		for _, d := range got.Error.Details {
			if d.Field == field && strings.Contains(d.Reason, part) {
				return
			}
		}
	}
	k.t.Errorf("no detail names %q with %q: %s", field, part, got.raw)
}
