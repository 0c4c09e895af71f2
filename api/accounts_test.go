package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestSignIn_AnswersTokensOrAChallenge(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	got := k.asPublic("/auth/login", `{"login":"lin","password":"a long password"}`)
	k.want(got, http.StatusOK, "")
	k.wantAsked("login lin from 192.0.2.1 by browser")
	golden(t, "sign_in", got.raw)
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("tokens may be cached: %v", got.header)
	}
	got = k.asPublic("/auth/login", `{"login":"careful","password":"a long password"}`)
	k.want(got, http.StatusOK, "")
	golden(t, "sign_in_challenge", got.raw)

	got = k.asPublic("/auth/login/second-factor", `{"challenge":"chal","code":"123456"}`)
	k.want(got, http.StatusOK, "")
	k.wantAsked("complete chal 123456")
	k.want(k.asPublic("/auth/refresh", `{"refresh_token":"tbr_old"}`), http.StatusOK, "")
	k.wantAsked("refresh tbr_old")
	k.want(k.asPublic("/auth/register", `{"username":"lin","name":"Lin Ada","password":"a long password","invite":"tok"}`), http.StatusCreated, "")
	k.wantAsked(`register lin  Lin Ada "tok"`)
	k.want(k.asPublic("/auth/passkeys/login/options", ""), http.StatusOK, "")
	k.want(k.asPublic("/auth/passkeys/login", `{"ceremony":"cer","assertion":{"id":"x"}}`), http.StatusOK, "")
	k.wantAsked(`passkey login cer {"id":"x"}`)
	k.want(k.asPublic("/auth/password/reset-request", `{"login":"lin"}`), http.StatusAccepted, "")
	k.want(k.asPublic("/auth/password/reset", `{"token":"tok","new_password":"another long password"}`), http.StatusOK, "")
	k.wantAsked("reset by tok to another long password")
}

func TestSignIn_TakesExactlyOneProof(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for body, field := range map[string]string{
		`{"challenge":"chal"}`: "body",
		`{"challenge":"chal","code":"123456","backup_code":"11111-aaaaa"}`: "body",
		`{"challenge":"chal","ceremony":"cer"}`:                            "body",
		`{"challenge":"chal","passkey":{"id":"x"}}`:                        "ceremony",
		`{"challenge":"chal","code":"123456","ceremony":"cer"}`:            "ceremony",
		`{"challenge":"chal","password":"a long password"}`:                "password",
		`{"challenge":"chal","code":"12345"}`:                              "code",
	} {
		got := k.asPublic("/auth/login/second-factor", body)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, field, "")
	}
	if asked := k.identity.last(); asked != "" {
		t.Errorf("asked %q", asked)
	}
	k.want(k.asPublic("/auth/login/second-factor", `{"challenge":"chal","passkey":{"id":"x"},"ceremony":"cer"}`), http.StatusOK, "")
	k.wantAsked(`complete chal {"id":"x"}cer`)
	k.want(k.asking(auth.Teacher, "ada", "POST", "/auth/step-up", `{"code":"123456","password":"x"}`), http.StatusBadRequest, "invalid")
	k.want(k.asking(auth.Teacher, "ada", "POST", "/auth/step-up", `{"password":"a long password"}`), http.StatusOK, "")
	k.wantAsked("step up a long password")
}

// TestSignIn_SaysTheSameOfEveryWrongProof is about what the edge adds: the domain says the same of each in one place.
func TestSignIn_SaysTheSameOfEveryWrongProof(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.identity.err = fault.New(fault.Unauthorized, "the name or the password is not right")
	answers := map[string]string{}
	for _, login := range []string{"lin", "nobody", "careful", "locked"} {
		got := k.asPublic("/auth/login", `{"login":"`+login+`","password":"a wrong password"}`)
		k.want(got, http.StatusUnauthorized, "unauthorized")
		answers[fmt.Sprint(got.Message, *got.Error, got.header.Get("Www-Authenticate"))] = login
	}
	if len(answers) != 1 {
		t.Errorf("wrong proofs are told apart: %v", answers)
	}
}

// secrets are the fields of requests that nobody else may read, with a request for each.
func secrets() map[string]string {
	const id, text = "0199aaaa-0000-7000-8000-000000000001", "%s"
	return map[string]string{
		"/auth/register#1":              `{"username":"lin","name":"Lin","password":"` + text + `"}`,
		"/auth/register#2":              `{"username":"lin","name":"Lin","password":"a long password","invite":"` + text + `"}`,
		"/auth/login#1":                 `{"login":"lin","password":"` + text + `"}`,
		"/auth/login/second-factor#1":   `{"challenge":"` + text + `","code":"123456"}`,
		"/auth/login/second-factor#2":   `{"challenge":"chal","code":"` + text + `"}`,
		"/auth/login/second-factor#3":   `{"challenge":"chal","backup_code":"` + text + `"}`,
		"/auth/login/second-factor#4":   `{"challenge":"chal","passkey":"` + text + `","ceremony":"cer"}`,
		"/auth/login/second-factor#5":   `{"challenge":"chal","passkey":{"a":1},"ceremony":"` + text + `"}`,
		"/tasks#1":                      `{"kind":"quiz","input":` + quizInput + `,"callback_url":"https://hooks.example.org/?token=` + text + `"}`,
		"/tasks#2":                      `{"kind":"quiz","input":` + quizInput + `,"callback_url":"` + text + `"}`,
		"/tasks/batch#1":                `[{"kind":"quiz","input":` + quizInput + `,"callback_url":"https://hooks.example.org/` + text + `"}]`,
		"/tasks/batch#2":                `[{"kind":"quiz","input":` + quizInput + `,"callback_url":"http://hooks.example.org/` + text + `"}]`,
		"/auth/refresh#1":               `{"refresh_token":"` + text + `"}`,
		"/auth/password#1":              `{"old_password":"` + text + `","new_password":"a long password"}`,
		"/auth/password#2":              `{"old_password":"a long password","new_password":"` + text + `"}`,
		"/auth/password/reset#1":        `{"token":"` + text + `","new_password":"a long password"}`,
		"/auth/password/reset#2":        `{"token":"tok","new_password":"` + text + `"}`,
		"/auth/step-up#1":               `{"code":"` + text + `"}`,
		"/auth/step-up#2":               `{"password":"` + text + `"}`,
		"/auth/totp/confirm#1":          `{"code":"` + text + `"}`,
		"/auth/passkeys#1":              `{"ceremony":"` + text + `","name":"phone","credential":{"id":"x"}}`,
		"/auth/passkeys/login#1":        `{"ceremony":"cer","assertion":"` + text + `"}`,
		"/users/" + id + "/guardians#1": `{"parent_id":"` + id + `","password":"` + text + `"}`,
	}
}

// TestSecrets_AreNeverRepeated sends what is refused and what is taken: neither the answer nor the log holds it.
func TestSecrets_AreNeverRepeated(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for path, body := range secrets() {
		for _, secret := range []string{"hunter2", "hunter2 hunter2", strings.Repeat("hunter2 ", 200), "hunter2\\u0007", "ｈunter2 hunter2\\u202e"} {
			path, _, _ := strings.Cut(path, "#")
			got := k.do(ask{method: "POST", path: "/api/v1" + path, body: fmt.Sprintf(body, secret), as: fresh(t, auth.Admin, "root")})
			if strings.Contains(string(got.raw), "unter2") {
				t.Errorf("%s repeats what it was sent: %s", path, got.raw)
			}
			if got.status >= 500 {
				t.Errorf("%s: %d %s", path, got.status, got.raw)
			}
		}
	}
	if log := k.log.String(); strings.Contains(log, "unter2") || !strings.Contains(log, "/auth/login") {
		t.Error("the log holds a secret, or nothing at all")
	}
	// What is no secret is repeated: the test sees what it looks for.
	got := k.do(ask{method: "POST", path: "/api/v1/invitations", body: `{"email":"hunter2","role":"student"}`, as: fresh(t, auth.Admin, "root")})
	if !strings.Contains(string(got.raw), "unter2") {
		t.Errorf("a broken address is not named: %s", got.raw)
	}
}

func TestBodies_OfSignInAreSmall(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(k.document(), &doc); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, op := range k.operations() {
		var limit struct {
			Bytes int `json:"x-max-body"`
		}
		if err := json.Unmarshal(doc.Paths[op.Path][strings.ToLower(op.Method)], &limit); err != nil {
			t.Fatal(err)
		}
		if limit.Bytes == 0 {
			continue
		}
		tried++
		path := "/api/v1" + strings.NewReplacer("{id}", userID, "{kind}", "quiz").Replace(op.Path) + "?version=1"
		if op.ID != "UpdateUser" && op.ID != "UpdateClass" {
			path = strings.TrimSuffix(path, "?version=1")
		}
		if op.ID == "RotateAPIKey" {
			path = strings.Replace(path, userID, "ada000000001", 1)
		}
		got := k.do(ask{method: op.Method, path: path, body: `{"x":"` + strings.Repeat("x", limit.Bytes) + `"}`, as: fresh(t, auth.PlatformAdmin, "root")})
		k.want(got, http.StatusRequestEntityTooLarge, "too_large")
	}
	if tried < 20 {
		t.Errorf("only %d operations have a limit of their own", tried)
	}
	for _, path := range []string{"/auth/login", "/auth/register", "/auth/password"} {
		got := k.do(ask{method: "POST", path: "/api/v1" + path, body: `{"login":"` + strings.Repeat("x", 4096) + `"}`})
		k.want(got, http.StatusRequestEntityTooLarge, "too_large")
		k.wantDetail(got, "body", "at most 4096 bytes")
	}
}

func TestNames_HoldNothingThatHides(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	requests := map[string]string{
		"POST /auth/register":      `{"username":"lin","password":"a long password","name":%s}`,
		"POST /classes":            `{"name":%s}`,
		"POST /api-keys":           `{"scopes":["tasks:read"],"name":%s}`,
		"POST /auth/passkeys":      `{"ceremony":"cer","credential":{},"name":%s}`,
		"POST /users":              `{"username":"lin","role":"student","name":%s}`,
		"PATCH /users/u?version=1": `{"name":%s}`,
	}
	for request, body := range requests {
		method, path, _ := strings.Cut(request, " ")
		for _, name := range []string{
			"", " ", "a\x07b", "a\nb", "a\tb", "a\u0085b", "a\u2028b", "a\u2029b", "a\u202eb", "\u2066a", "a ", " a", "\u009f", strings.Repeat("x", 201),
		} {
			got := k.asking(auth.Admin, "root", method, path, fmt.Sprintf(body, quoted(t, name)))
			k.want(got, http.StatusBadRequest, "invalid")
			k.wantDetail(got, "name", "")
		}
		for _, name := range []string{"O", "Zoë van der Berg", "O'Brien-Smith Jr.", "李雷", "می\u200cخواهم", "محمد علی", "x y"} {
			if got := k.asking(auth.Admin, "root", method, path, fmt.Sprintf(body, quoted(t, name))); got.status >= 300 {
				t.Errorf("%s refuses %q: %s", request, name, got.raw)
			}
		}
	}
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestOwnAccount_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		asked              string
	}{
		{"GET", "/auth/me", "", 200, "me eve"},
		{"GET", "/auth/sessions", "", 200, "sessions of eve in school"},
		{"DELETE", "/auth/sessions/s2", "", 200, "end s2 of eve in school"},
		{"POST", "/auth/logout", "", 200, "logout s1"},
		{"POST", "/auth/logout-everywhere", "", 200, "logout everywhere eve false"},
		{"POST", "/auth/logout-everywhere", `{"keep_this":true}`, 200, "logout everywhere eve true"},
		{"POST", "/auth/password", `{"old_password":"old","new_password":"another long password"}`, 200, "password of eve from old to another long password"},
		{"POST", "/auth/totp", "", 200, "begin totp"},
		{"POST", "/auth/totp/confirm", `{"code":"123456"}`, 200, "confirm 123456"},
		{"DELETE", "/auth/totp", "", 200, "disable totp"},
		{"POST", "/auth/backup-codes", "", 200, "new codes"},
		{"POST", "/auth/passkeys/options", "", 200, "begin passkey"},
		{"POST", "/auth/passkeys", `{"ceremony":"cer","name":"phone","credential":{"id":"x"}}`, 201, `passkey cer phone {"id":"x"}`},
		{"GET", "/auth/passkeys", "", 200, "passkeys"},
		{"DELETE", "/auth/passkeys/pk1", "", 200, "delete passkey pk1"},
	} {
		k.want(k.asking(auth.Student, "eve", c.method, c.path, c.body), c.status, "")
		k.wantAsked(c.asked)
	}
}

// A platform admin's own sessions are at home, wherever they act.
func TestOwnAccount_IsAtHome(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	abroad := http.Header{"X-Tenant-Id": {"college"}}
	as := fresh(t, auth.PlatformAdmin, "root")
	k.want(k.do(ask{method: "GET", path: "/api/v1/auth/sessions", as: as, header: abroad}), http.StatusOK, "")
	k.wantAsked("sessions of root in school")
	k.want(k.do(ask{method: "DELETE", path: "/api/v1/auth/sessions/s2", as: as, header: abroad}), http.StatusOK, "")
	k.wantAsked("end s2 of root in school")
}

func TestSigningKeys_AreAPlainSet(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{"": `{"keys":[]}`, `{"keys":[{"kty":"OKP"}]}`: `{"keys":[{"kty":"OKP"}]}`} {
		k := newKit(t, func(cfg *api.Config) { cfg.JWKS = []byte(set) })
		a := ask{method: "GET", path: "/api/v1/auth/keys.json", as: "-"}
		got := k.raw(a)
		k.validate(a, got)
		if got.status != http.StatusOK || string(got.raw) != want || got.header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("got %d %s %v", got.status, got.raw, got.header)
		}
	}
}

func TestDocument_EveryFieldOfIdentityIsInIt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.wantFields("User", jsonFields[account.User]())
	k.wantFields("Session", jsonFields[account.Session]())
	k.wantFields("Tokens", jsonFields[account.Tokens]())
	k.wantFields("Challenge", jsonFields[account.Challenge]())
	k.wantFields("SignIn", jsonFields[account.LoginResult]())
	k.wantFields("AccessToken", jsonFields[account.AccessToken]())
	k.wantFields("TOTPSetup", jsonFields[account.TOTPSetup]())
	k.wantFields("TOTPConfirmed", jsonFields[account.TOTPConfirmed]())
	k.wantFields("Ceremony", jsonFields[account.Ceremony]())
	k.wantFields("Passkey", jsonFields[account.Passkey]())
	k.wantFields("Invitation", jsonFields[account.Invitation]())
	k.wantIdentityFields()
}

// wantFields reports where a schema of the document has other fields than a Go type.
func (k *kit) wantFields(schema string, fields map[string]bool) {
	k.t.Helper()
	var doc struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(k.document(), &doc); err != nil {
		k.t.Fatal(err)
	}
	documented := doc.Components.Schemas[schema].Properties
	for name := range fields {
		if _, ok := documented[name]; !ok {
			k.t.Errorf("the document's %s has no %s", schema, name)
		}
	}
	for name := range documented {
		if !fields[name] {
			k.t.Errorf("the document's %s has %s, the Go type has not", schema, name)
		}
	}
}

// FuzzSignInBodies sends anything to every route that needs no token: never a 5xx, always an envelope.
func FuzzSignInBodies(f *testing.F) {
	for _, body := range secrets() {
		f.Add(fmt.Sprintf(body, "a long password"))
	}
	k := newKit(f)
	f.Fuzz(func(t *testing.T, body string) {
		k := k.with(t)
		for path := range secrets() {
			path, _, _ := strings.Cut(path, "#")
			if !strings.HasPrefix(path, "/auth/") {
				continue
			}
			checkNeverOurFault(t, path, body, k.raw(ask{method: "POST", path: "/api/v1" + path, body: body, as: "-"}))
		}
	})
}
