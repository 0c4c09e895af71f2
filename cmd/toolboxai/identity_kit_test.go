package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

const (
	// signingKey and sealingKey are the keys of academies.
	signingKey = "kit-signing-key-0123456789abcdefghijkl"
	sealingKey = "kit-sealing-key-0123456789abcdefghijkl"
	// goodPassword is everybody's.
	goodPassword = "sixteen tons of chalk"
	// publicURL is where links in mails lead.
	publicURL = "https://app.school.example"
)

// academy is a site where people sign in. Its mails come to a mail server of its own.
type academy struct {
	*site
	database string
	post     *postbox
	heard    func(reply) // every answer of an API; may be nil
}

// newAcademy starts the broker and the mail server; doors and roles are started by the test.
func newAcademy(t *testing.T, env ...string) *academy {
	t.Helper()
	post := openPostbox(t)
	a := &academy{database: pgtest.New(t), post: post}
	a.site = newSite(t, a.database, append([]string{
		"SKIP_AUTH=false", "JWT_SECRET_KEY=" + signingKey, "ENCRYPTION_KEY=" + sealingKey, "PUBLIC_URL=" + publicURL,
		"SMTP_HOST=127.0.0.1", fmt.Sprint("SMTP_PORT=", post.port()), "SMTP_TLS=none", "SMTP_FROM=ToolboxAI <no-reply@school.example>",
	}, env...)...)
	return a
}

// door is one API process.
type door struct {
	*process
	of   *academy
	base string
}

// door starts an API and waits until it is ready. The site's own requests go to the last one.
func (a *academy) door(env ...string) *door {
	a.t.Helper()
	port := porttest.Free(a.t)
	d := &door{of: a, base: fmt.Sprintf("http://127.0.0.1:%d", port)}
	a.base = d.base
	d.process = a.role("api", append(env, fmt.Sprint("PORT=", port))...)
	eventually(a.t, "the API is ready", func() error {
		if r, err := d.try("GET", "/health/ready", "", nil); err != nil || r.status != http.StatusOK {
			return fmt.Errorf("%d: %w", r.status, err)
		}
		return nil
	})
	return d
}

// reply is an answer of an API.
type reply struct {
	method, path string
	status       int
	header       http.Header
	body         []byte
	envelope
}

// into decodes the data of an answer.
func (r reply) into(t *testing.T, out any) {
	t.Helper()
	if err := json.Unmarshal(r.Data, out); err != nil {
		t.Fatalf("%s %s: %v: %s", r.method, r.path, err, r.body)
	}
}

// code is that of the error, or empty.
func (r reply) code() string {
	if r.Error == nil {
		return ""
	}
	return r.Error.Code
}

func (r reply) String() string {
	return fmt.Sprintf("%s %s: %d %s", r.method, r.path, r.status, tail(string(r.body)))
}

// client keeps no connection for ever: APIs come and go.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second}}

// try sends a request. token is a bearer token, or empty; body is JSON as it is when it is a string, and encoded otherwise. Pages of the API
// have the path of /health or /docs, all others are below /api/v1.
func (d *door) try(method, path, token string, body any, header ...string) (reply, error) {
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		payload = bytes.NewReader(data)
	}
	at := d.base + "/api/v1" + path
	if strings.HasPrefix(path, "/health") || strings.HasPrefix(path, "/docs") || path == "/metrics" {
		at = d.base + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, at, payload)
	if err != nil {
		return reply{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	r := reply{method: method, path: path, status: res.StatusCode, header: res.Header}
	if r.body, err = io.ReadAll(res.Body); err != nil {
		return r, err
	}
	_ = json.Unmarshal(r.body, &r.envelope) // not all pages have one
	if d.of.heard != nil {
		d.of.heard(r)
	}
	return r, nil
}

// send sends a request that has to be answered.
func (d *door) send(method, path, token string, body any, header ...string) reply {
	d.t.Helper()
	r, err := d.try(method, path, token, body, header...)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// expect sends a request and holds the status of its answer against want.
func (d *door) expect(want int, method, path, token string, body any, header ...string) reply {
	d.t.Helper()
	r := d.send(method, path, token, body, header...)
	if r.status != want {
		d.t.Errorf("want %d, got %s", want, r)
	}
	return r
}

// refuses returns how long a door goes on letting a token or a key in, from since on, and how late that may be seen on this machine now: several
// times the slowest answer of the door meanwhile, which is milliseconds on one that has nothing else to do.
func (d *door) refuses(token string, since time.Time) (took, late time.Duration) {
	d.t.Helper()
	for {
		began := time.Now()
		r := d.send("GET", "/agents", token, nil)
		late = max(late, 5*time.Since(began))
		if r.status == http.StatusUnauthorized {
			return time.Since(since), late
		}
		if r.status != http.StatusOK || time.Since(since) > patience {
			d.t.Fatalf("neither let in nor refused for %s: %s", time.Since(since), r)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// person is somebody with an account who is signed in at a door.
type person struct {
	*door
	account.User
	login, password string
	access, refresh string
	session         string
}

// do sends a request that has to succeed.
func (p *person) do(method, path string, body, out any) {
	p.t.Helper()
	r := p.send(method, path, p.access, body)
	if r.status >= 300 {
		p.t.Fatalf("as %s: %s", p.Username, r)
	}
	if out != nil {
		r.into(p.t, out)
	}
}

// gets holds the status of an answer to p against want.
func (p *person) gets(want int, method, path string, body any, header ...string) reply {
	p.t.Helper()
	return p.expect(want, method, path, p.access, body, header...)
}

// take keeps the tokens of a sign-in.
func (p *person) take(tokens account.Tokens) {
	p.User, p.access, p.refresh, p.session = tokens.User, tokens.AccessToken, tokens.RefreshToken, tokens.SessionID
}

// at returns p as they ask another door, with the same tokens.
func (p *person) at(d *door) *person {
	other := *p
	other.door = d
	return &other
}

// signIn signs somebody in who needs no second factor.
func (d *door) signIn(login, password string) *person {
	d.t.Helper()
	r := d.send("POST", "/auth/login", "", map[string]string{"login": login, "password": password})
	var got account.LoginResult
	if r.status != http.StatusOK {
		d.t.Fatalf("sign in as %s: %s", login, r)
	}
	if r.into(d.t, &got); got.Tokens == nil {
		d.t.Fatalf("sign in as %s: a second factor is asked for", login)
	}
	p := &person{door: d, login: login, password: password}
	p.take(*got.Tokens)
	return p
}

// head makes the first platform admin of a tenant and signs them in.
func (d *door) head(tenant, username string) *person {
	d.t.Helper()
	made, out, code := bootstrap(d.t, d.of.database, "--tenant", tenant, "--name", "Grace Hopper", "--username", username, "--email", username+"@"+tenant+".example")
	if code != exitOK {
		d.t.Fatalf("bootstrap: exit %d: %s", code, out)
	}
	d.expect(http.StatusOK, "POST", "/auth/password/reset", "", map[string]string{"token": made.Token, "new_password": goodPassword})
	return d.signIn(username, goodPassword)
}

// member invites somebody to p's tenant, takes the mail, registers them with it and signs them in. header may say in which tenant p acts.
func (p *person) member(role auth.Role, username, name, class string, header ...string) *person {
	p.t.Helper()
	address := username + "@people.example"
	body := map[string]string{"email": address, "role": string(role)}
	if class != "" {
		body["class"] = class
	}
	p.gets(http.StatusCreated, "POST", "/invitations", body, header...)
	token := p.of.post.link(p.t, address, "/register#invite=")
	p.expect(http.StatusCreated, "POST", "/auth/register", "", map[string]string{"username": username, "name": name, "password": goodPassword, "invite": token})
	return p.signIn(username, goodPassword)
}

// key makes an API key for p.
func (p *person) key(scopes ...auth.Scope) (apikey.Key, string) {
	p.t.Helper()
	var made struct {
		Key  apikey.Key `json:"key"`
		Text string     `json:"text"`
	}
	p.do("POST", "/api-keys", map[string]any{"name": "for a test", "scopes": scopes}, &made)
	return made.Key, made.Text
}

// link waits for a mail to an address that has a link to path, and returns what follows the path in it.
func (b *postbox) link(t *testing.T, to, path string) (found string) {
	t.Helper()
	eventually(t, "a mail to "+to+" has a link to "+path, func() error {
		for _, m := range slices.Backward(b.mails()) {
			if m.to != to {
				continue
			}
			if _, rest, ok := strings.Cut(m.text, publicURL+path); ok {
				token, _, _ := strings.Cut(rest, "\n")
				var err error
				found, err = url.QueryUnescape(strings.TrimSpace(token))
				return err
			}
		}
		return fmt.Errorf("%d mails have come", len(b.mails()))
	})
	return found
}
