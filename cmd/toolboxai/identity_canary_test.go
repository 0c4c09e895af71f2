package main

import (
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
	"github.com/toolboxai/orchestrator/internal/school"
	"github.com/toolboxai/orchestrator/internal/secret"
	"github.com/toolboxai/orchestrator/internal/task"
)

// canaries are secrets, each planted where the platform has to handle it.
type canaries struct {
	planted []canary
	mu      sync.Mutex
	answers []leaf
}

// canary is one of them. It may be found in places whose names begin with one of these, and has to be in the first.
type canary struct {
	name, text string
	places     []string
}

// plant remembers a text that the platform made itself.
func (c *canaries) plant(name, text string, places ...string) {
	c.planted = append(c.planted, canary{name, text, places})
}

// make returns a new text to plant: long, with a capital and a digit, as rules for passwords and keys want it.
func (c *canaries) make(name string, places ...string) string {
	text := "Canary7" + secret.RandomToken(32)
	c.plant(name, text, places...)
	return text
}

// hear keeps an answer of an API.
func (c *canaries) hear(r reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, leaf{"answer to " + r.method + " " + r.path, fmt.Sprint(r.header) + string(r.body)})
}

// escaped returns what is where it may not be, and what is nowhere.
func (c *canaries) escaped(all []leaf) (complaints []string) {
	for _, secret := range c.planted {
		where := found(secret.text, all)
		for _, place := range where {
			if !slices.ContainsFunc(secret.places, func(p string) bool { return strings.HasPrefix(place, p) }) {
				complaints = append(complaints, fmt.Sprintf("the %s is in: %s", secret.name, place))
			}
		}
		if len(secret.places) > 0 && !slices.ContainsFunc(where, func(p string) bool { return strings.HasPrefix(p, secret.places[0]) }) {
			complaints = append(complaints, fmt.Sprintf("the %s is not even in: %s", secret.name, secret.places[0]))
		}
	}
	return complaints
}

// reports is a server that takes reports of errors.
func reports(t *testing.T) (dsn func(key string) string, got func() []leaf) {
	t.Helper()
	var mu sync.Mutex
	var all []leaf
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			if z, err := gzip.NewReader(r.Body); err == nil {
				body = z
			}
		}
		data, _ := io.ReadAll(io.LimitReader(body, 1<<20))
		mu.Lock()
		all = append(all, leaf{"report of an error", string(data)})
		mu.Unlock()
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	return func(key string) string { return strings.Replace(server.URL, "http://", "http://"+key+"@", 1) + "/42" },
		func() []leaf {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
}

// Every secret is used, also where it does not belong and while what handles it fails. Then all that has left a process is searched.
func TestCanary_NoSecretIsWhereItMayNotBe(t *testing.T) {
	t.Parallel()
	c := &canaries{}
	dsn, reported := reports(t)
	push, err := pushertest.New(pushertest.App{ID: "1", Key: "app-key", Secret: c.make("secret of Pusher")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(push.Close)
	push.Misbehave(func(n int) pushertest.Fault {
		if n == 1 {
			return pushertest.Fault{Status: http.StatusUnauthorized}
		}
		return pushertest.Fault{}
	})
	modelKey := c.make("key of the model's provider", "call to the model")
	work := c.make("content of a lesson", "call to the model", "stream EVENTS", "stream PROGRESS", "stream TASKS", "table task", "table results", "push on private-", "answer to GET /tasks", "answer to POST /tasks")
	body := strings.Replace(quizBody, "History", work, 1)
	answers := recordAnswersTo(t, body)
	model := llmtest.NewOpenAI(t, func(call llmtest.Call) llmtest.Reply {
		if call.N == 0 { // it repeats what it was sent
			return llmtest.Reply{Status: http.StatusUnauthorized, Raw: encoded(t, map[string]any{"error": map[string]string{
				"message": "Incorrect API key provided: " + strings.TrimPrefix(call.Header.Get("Authorization"), "Bearer ")}})}
		}
		_, text := answers.of(call)
		return llmtest.Reply{Text: text}
	})

	cert, trusted := certificate(t)
	post := servePostbox(t, cert)
	proofs := 0
	post.refusing(func(proof string) string {
		if proofs++; proofs == 1 {
			return "435 not now, " + strings.ReplaceAll(proof, "\x00", " ") + " " + base64.StdEncoding.EncodeToString([]byte(proof))
		}
		return ""
	})
	a := newAcademy(t)
	a.heard, a.post = c.hear, post
	database, err := url.Parse(a.database)
	if err != nil {
		t.Fatal(err)
	}
	user := "postgres"
	if database.User != nil {
		user = database.User.Username()
	}
	database.User = url.UserPassword(user, c.make("password of Postgres"))
	a.env = append(a.env,
		"LOG_LEVEL=debug", "RATE_LIMITS=on", "MAX_AGENT_RETRIES=0",
		"JWT_SECRET_KEY="+c.make("key that signs tokens"), "JWT_PREVIOUS_KEYS="+c.make("key that signed tokens"),
		"ENCRYPTION_KEY="+c.make("key that seals"), "ENCRYPTION_PREVIOUS_KEYS="+c.make("key that sealed"),
		"DATABASE_URL="+database.String(), fmt.Sprintf("REDIS_URL=redis://app:%s@127.0.0.1:%d/0", c.make("password of Redis"), porttest.Free(t)),
		fmt.Sprintf("NATS_URL=nats://app:%s@127.0.0.1:%d", c.make("password of the broker"), a.natsPort),
		"SENTRY_DSN="+dsn(c.make("key of error reports", "report of an error")), "OPENAI_API_KEY="+modelKey, "LLM_PROVIDER=openai", "OPENAI_API_BASE="+model.Base(),
		"PUSHER_APP_ID=1", "PUSHER_KEY=app-key", "PUSHER_SECRET="+c.planted[0].text, "PUSHER_HOST="+push.Host(), fmt.Sprint("PUSHER_PORT=", push.Port()), "PUSHER_SSL=false",
		fmt.Sprint("SMTP_PORT=", post.port()), "SMTP_TLS=starttls", "SMTP_USERNAME=app", "SMTP_PASSWORD="+c.make("password of the mail server"), "SSL_CERT_FILE="+trusted,
	)
	for _, name := range []string{"dispatcher", "recorder", "notifier", "worker"} {
		a.role(name)
	}
	d := a.door()

	made, out, code := bootstrap(t, a.database, "--tenant", "north", "--name", "Grace Hopper", "--username", "grace", "--email", "grace@north.example")
	if code != exitOK {
		t.Fatalf("bootstrap: exit %d: %s", code, out)
	}
	c.plant("token of the first admin", made.Token)
	password := c.make("password")
	d.expect(http.StatusOK, "POST", "/auth/password/reset", "", map[string]string{"token": made.Token, "new_password": password})
	head := d.signIn("grace", password)
	sessions := []string{"answer to POST /auth/login", "answer to POST /auth/refresh"}
	c.plant("access token", head.access, sessions...)
	c.plant("refresh token", head.refresh, sessions...)

	var rules policy.Policy
	head.do("GET", "/admin/policy", nil, &rules)
	rules.Rates = []policy.Rate{{Class: "login", PerMinute: 6000, Burst: 100}, {Class: "user", PerMinute: 6000, Burst: 500}} // nobody is as busy
	head.do("PUT", "/admin/policy", rules, nil)

	// Invited, with a password of their own, an authenticator app and an API key.
	head.do("POST", "/invitations", map[string]string{"email": "lin@people.example", "role": "teacher"}, nil)
	invite := post.link(t, "lin@people.example", "/register#invite=")
	c.plant("invitation", invite, "mail to lin@", "answer to POST /invitations")
	own := c.make("password of a teacher")
	d.expect(http.StatusCreated, "POST", "/auth/register", "", map[string]string{"username": "lin", "name": "Lin Falter", "password": own, "invite": invite})
	teacher := d.signIn("lin", own)
	var setup account.TOTPSetup
	teacher.do("POST", "/auth/totp", nil, &setup)
	c.plant("secret of an authenticator app", setup.Secret, "answer to POST /auth/totp")
	now, err := totp.GenerateCode(setup.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var confirmed account.TOTPConfirmed
	teacher.do("POST", "/auth/totp/confirm", map[string]string{"code": now}, &confirmed)
	for i, code := range confirmed.BackupCodes[:2] {
		c.plant(fmt.Sprint("backup code ", i), code, "answer to POST /auth/totp/confirm")
	}
	var half account.LoginResult
	d.expect(http.StatusOK, "POST", "/auth/login", "", map[string]string{"login": "lin", "password": own}).into(t, &half)
	c.plant("challenge", half.Challenge.Token, "answer to POST /auth/login")
	d.expect(http.StatusOK, "POST", "/auth/login/second-factor", "", map[string]string{"challenge": half.Challenge.Token, "backup_code": confirmed.BackupCodes[0]})
	_, key := teacher.key(auth.TasksRead, auth.TasksWrite)
	c.plant("API key", key, "answer to POST /api-keys")
	d.expect(http.StatusOK, "GET", "/tasks", key, nil)
	d.expect(http.StatusAccepted, "POST", "/auth/password/reset-request", "", map[string]string{"login": "lin"})
	c.plant("reset", post.link(t, "lin@people.example", "/reset#token="), "mail to lin@")
	var student school.Created
	head.do("POST", "/users", map[string]any{"username": "sam", "name": "Sam Tupfer", "role": "student", "temporary_password": true}, &student)
	c.plant("temporary password", student.TemporaryPassword, "answer to POST /users")

	// A task that fails at a provider who repeats the key, and one that does not.
	for _, want := range []task.State{task.Failed, task.Completed} {
		var got submitted
		head.do("POST", "/tasks", body, &got)
		eventually(t, "the task has ended", func() error {
			if head.do("GET", "/tasks/"+got.Task.ID, nil, &got.Task); !got.Task.State.Terminal() {
				return fmt.Errorf("it is %s", got.Task.State)
			}
			return nil
		})
		if got.Task.State != want {
			t.Fatalf("it is %s, want %s: %+v", got.Task.State, want, got.Task.Failure)
		}
		head.gets(http.StatusOK, "GET", "/tasks/"+got.Task.ID+"/events?limit=500", nil)
		eventually(t, "its end was pushed", func() error {
			for _, m := range push.Messages("private-task-" + got.Task.ID) {
				if m.Event == "task."+string(want) {
					return nil
				}
			}
			return fmt.Errorf("only to %v", push.Channels())
		})
	}

	c.misplace(d, head, password, key)

	// What cannot be put on record is complained of, and reported.
	a.broker.kill()
	d.expect(http.StatusUnauthorized, "POST", "/auth/login", "", map[string]string{"login": "grace", "password": c.make("wrong password")})
	eventually(t, "an error is reported", func() error {
		if len(reported()) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	a.startBroker()
	d.expect(http.StatusOK, "GET", "/metrics", "", nil)
	eventually(t, "the API is ready again", func() error {
		if r := d.send("GET", "/health/ready", "", nil); r.status != http.StatusOK {
			return fmt.Errorf("%s", r)
		}
		return nil
	})

	all := append(slices.Concat(a.messages(), a.rows(), reported()), c.answers...)
	for _, call := range model.Calls() {
		all = append(all, leaf{"call to the model", encoded(t, call.Header) + string(call.Body)})
	}
	for _, m := range post.mails() {
		all = append(all, leaf{"mail to " + m.to, m.raw + m.text})
	}
	for _, channel := range push.Channels() {
		for _, m := range push.Messages(channel) {
			all = append(all, leaf{"push on " + channel, m.Event + m.Data})
		}
	}
	for _, p := range a.ran {
		if p.name != "migrate" && p != a.broker {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	for _, p := range a.ran {
		if p.name != "migrate" && p != a.broker {
			p.signal(syscall.SIGTERM)
		}
		all = append(all, leaf{"log of " + p.name, p.output.String()})
	}
	t.Logf("%d secrets, %d pieces", len(c.planted), len(all))
	for _, complaint := range c.escaped(all) {
		t.Error(complaint)
	}
	// The control: had one been logged, it would have been found.
	leaked := append(slices.Clone(all), leaf{"log of api", "time=now level=INFO msg=hello who=" + base64.StdEncoding.EncodeToString([]byte("a"+modelKey+"b"))})
	if got := c.escaped(leaked); len(got) != len(c.escaped(all))+1 {
		t.Errorf("a planted leak was told as %v", got)
	}
}

// misplace sends secrets where they do not belong, as people and programs do. What stands in the address, in X-Request-ID or as the name of
// a field, an answer may repeat to who sent it: those answers are not looked at.
func (c *canaries) misplace(d *door, p *person, password, key string) {
	d.t.Helper()
	d.expect(http.StatusUnauthorized, "POST", "/auth/login", "", map[string]string{"login": c.make("password in place of a name"), "password": "nothing at all"})
	for field, body := range map[string]any{
		"password in an unknown field": map[string]string{"login": "grace", "passwort": password},
		"broken body":                  `{"login":"grace","password":"` + password,
		"password in a list":           map[string]any{"login": "grace", "password": []string{password}},
	} {
		if r := d.send("POST", "/auth/login", "", body); r.status != http.StatusBadRequest {
			d.t.Errorf("%s: %s", field, r)
		}
	}
	p.send("POST", "/auth/password", p.access, map[string]string{"old_password": password, "new_password": password})
	p.send("POST", "/auth/password", p.access, map[string]string{"old_password": c.make("wrong old password"), "new_password": c.make("refused new password")})
	p.send("POST", "/auth/refresh", "", map[string]string{"refresh_token": p.refresh + "x"})
	hear := d.of.heard
	d.of.heard = nil
	defer func() { d.of.heard = hear }()
	d.expect(http.StatusBadRequest, "POST", "/auth/login", "", map[string]string{password: "x"})
	for _, path := range []string{"/tasks?token=" + p.access, "/tasks?api_key=" + key, "/tasks/" + key, "/tasks?cursor=" + key, "/" + key} {
		if r, err := d.try("GET", path, "", nil); err == nil && r.status < 400 {
			d.t.Errorf("a secret in the address lets in: %s", r)
		}
		p.send("GET", path, p.access, nil)
	}
	p.send("GET", "/tasks", p.access, nil, "X-Request-ID", key, "User-Agent", key, "Referer", "https://x.example/?token="+p.access, "Origin", "https://"+key+".example")
	d.send("GET", "/tasks", "", nil, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("grace:"+password)))
	d.send("GET", "/tasks", "", nil, "Cookie", "session="+p.access)
}
