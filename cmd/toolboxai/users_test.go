package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// bootstrap runs users bootstrap on a database and returns what it has made.
func bootstrap(t *testing.T, database string, args ...string) (bootstrapped, string, int) {
	t.Helper()
	p := start(t, "toolboxai", []string{"DATABASE_URL=" + database, "LOG_LEVEL=error"}, append([]string{"users", "bootstrap", "--json"}, args...)...)
	<-p.ended
	out := p.output.String()
	var made bootstrapped
	if p.cmd.ProcessState.ExitCode() == exitOK {
		if err := json.Unmarshal([]byte(out), &made); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return made, out, p.cmd.ProcessState.ExitCode()
}

func TestUsersBootstrap_MakesOnePlatformAdmin(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	first := []string{"--tenant", "north", "--name", "Grace Hopper", "--username", "grace", "--email", "grace@north.example"}
	made, out, code := bootstrap(t, database, first...)
	if code != exitOK || made.Tenant != "north" || made.User.Role != auth.PlatformAdmin || made.User.Username != "grace" || len(made.Token) < 40 || made.URL != "" {
		t.Fatalf("exit %d: %s", code, out)
	}
	second := []string{"--tenant", "north", "--name", "Alan Turing", "--username", "alan", "--email", "alan@north.example"}
	if _, out, code := bootstrap(t, database, second...); code != exitFailed || !strings.Contains(out, "there is a platform admin already, grace of tenant north") {
		t.Errorf("exit %d: %s", code, out)
	}
	if made, out, code := bootstrap(t, database, append(second, "--force")...); code != exitOK || made.User.Username != "alan" {
		t.Errorf("with --force: exit %d: %s", code, out)
	}
	if _, out, code := bootstrap(t, database, append(second, "--force")...); code != exitFailed || !strings.Contains(out, "username") {
		t.Errorf("the name is taken: exit %d: %s", code, out)
	}
	bad := []string{"--tenant", "No School", "--name", "X", "--username", "xyz", "--email", "x@north.example", "--force"}
	if _, out, code := bootstrap(t, database, bad...); code != exitFailed || !strings.Contains(out, "id") {
		t.Errorf("no tenant id: exit %d: %s", code, out)
	}
}

// The first admin sets a password, signs in, and works with people and keys from the command line.
func TestUsersAndKeys_FromTheCommandLine(t *testing.T) {
	t.Parallel()
	database, secret := pgtest.New(t), strings.Repeat("s", 40)
	s := newSite(t, database, "SKIP_AUTH=false", "JWT_SECRET_KEY="+secret, "ENCRYPTION_KEY="+secret, "PUBLIC_URL=https://app.example.org")
	s.api()
	made, out, code := bootstrap(t, database, "--tenant", "north", "--name", "Grace Hopper", "--username", "grace", "--email", "grace@north.example")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, out)
	}
	const password = "sixteen tons of chalk"
	status, answer, err := s.request("POST", "/api/v1/auth/password/reset", nil, `{"token":"`+made.Token+`","new_password":"`+password+`"}`)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, answer.Message, err)
	}
	var signedIn struct {
		Tokens account.Tokens `json:"tokens"`
	}
	status, answer, err = s.request("POST", "/api/v1/auth/login", nil, `{"login":"GRACE@north.example","password":"`+password+`"}`)
	if err != nil || status != http.StatusOK || json.Unmarshal(answer.Data, &signedIn) != nil {
		t.Fatalf("%d %s %v", status, answer.Message, err)
	}
	as := []string{"--token", signedIn.Tokens.AccessToken}
	with := func(args ...string) []string { return append(args, as...) }

	s.expect(exitOK, []string{"grace", "Grace Hopper", "platform_admin", "active"}, with("users", "list", "--role", "platform_admin")...)
	out = s.expect(exitOK, []string{"lin@north.example is invited as teacher", "https://app.example.org/register#invite="}, with("users", "invite", "lin@north.example")...)
	invite := strings.TrimSpace(out[strings.Index(out, "#invite=")+len("#invite="):])
	var lin account.User
	status, answer, err = s.request("POST", "/api/v1/auth/register", nil, `{"username":"lin","name":"Lin","password":"`+password+`","invite":"`+invite+`"}`)
	if err != nil || status != http.StatusCreated || json.Unmarshal(answer.Data, &lin) != nil || lin.Tenant != "north" || lin.Role != auth.Teacher {
		t.Fatalf("%d %s %v", status, answer.Message, err)
	}

	var issued struct {
		Key  apikey.Key `json:"key"`
		Text string     `json:"text"`
	}
	out = s.expect(exitOK, nil, with("keys", "create", "roster", "--scope", "tasks:read", "--scope", "tasks:write", "--user", lin.ID, "--expires", "24h", "--json")...)
	if err := json.Unmarshal([]byte(out), &issued); err != nil || issued.Key.UserID != lin.ID || !strings.HasPrefix(issued.Text, "tbai_"+issued.Key.ID) {
		t.Fatalf("%v: %s", err, out)
	}
	s.expect(exitOK, []string{"TASK"}, "tasks", "list", "--token", issued.Text)
	s.expect(exitFailed, []string{"lacks the scope admin"}, "users", "list", "--token", issued.Text)
	s.expect(exitOK, []string{issued.Key.ID, "roster", "tasks:read,tasks:write", "until "}, with("keys", "list")...)
	out = s.expect(exitOK, []string{"shown this once", "is good until"}, with("keys", "rotate", issued.Key.ID, "--overlap", "1h")...)
	next := out[strings.Index(out, "tbai_"):]
	next = strings.TrimSpace(next[:strings.Index(next, "\n")])
	s.expect(exitOK, nil, "tasks", "list", "--token", next)
	s.expect(exitOK, nil, "tasks", "list", "--token", issued.Text)
	s.expect(exitOK, []string{"is refused from now on"}, with("keys", "revoke", issued.Key.ID)...)
	eventually(t, "the key is refused", func() error {
		if out, code := s.command("tasks", "list", "--token", next); code == exitOK {
			return errNotCompleted
		} else if !strings.Contains(out, "API key") {
			t.Fatalf("refused otherwise: %s", out)
		}
		return nil
	})
	s.expect(exitOK, []string{"revoked "}, with("keys", "list", "--user", lin.ID)...)

	s.expect(exitOK, []string{"lin", "cannot sign in any more"}, with("users", "disable", lin.ID)...)
	if status, _, err := s.request("POST", "/api/v1/auth/login", nil, `{"login":"lin","password":"`+password+`"}`); err != nil || status != http.StatusUnauthorized {
		t.Errorf("a disabled user signs in: %d %v", status, err)
	}
	s.expect(exitOK, []string{"can sign in again"}, with("users", "enable", lin.ID)...)
	s.expect(exitFailed, []string{"nobody changes their own role or state"}, with("users", "disable", made.User.ID)...)
	s.expect(exitUsage, []string{"--role must be one of"}, "users", "invite", "x@north.example", "--role", "god")
	s.expect(exitUsage, []string{"missing flags: --scope"}, "keys", "create", "x")
}

func TestKeyState_SaysWhetherAKeyIsGood(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before, after := now.Add(-time.Hour), now.Add(time.Hour)
	for want, k := range map[string]apikey.Key{
		"good":    {},
		"until ":  {ExpiresAt: &after},
		"expired": {ExpiresAt: &before},
		"revoked": {ExpiresAt: &before, RevokedAt: &before},
	} {
		if got := keyState(k, now); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
