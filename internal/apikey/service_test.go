package apikey_test

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestService_Create(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	expires := s.clock.time().Add(time.Hour)
	k, text := s.create(func(w *apikey.Spec) {
		w.Name, w.PerMinute, w.ExpiresAt = "  build server ", 500, &expires
		w.Scopes = []auth.Scope{auth.TasksWrite, auth.TasksRead, auth.TasksWrite}
		w.IPs = []string{"192.0.2.7", "2001:db8::1/32", "10.1.2.3/8", "::ffff:192.0.2.7"}
		w.Origins = []string{"HTTPS://School.example:443/", "http://localhost:3000"}
	})
	at := s.clock.time().UTC().Truncate(time.Microsecond)
	until := expires.UTC().Truncate(time.Microsecond)
	want := apikey.Key{
		ID: k.ID, Tenant: "school", UserID: "u-teacher", Name: "build server", Scopes: []auth.Scope{auth.TasksRead, auth.TasksWrite},
		IPs: []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"}, Origins: []string{"http://localhost:3000", "https://school.example"},
		PerMinute: 500, CreatedAt: at, ExpiresAt: &until,
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, s.get(k.ID)); diff != "" {
		t.Errorf("it is kept as another: %s", diff)
	}
	if id, _, err := apikey.Parse(text); err != nil || id != k.ID || !regexp.MustCompile("^"+apikey.Pattern+"$").MatchString(text) {
		t.Errorf("its text has id %q, %v", id, err)
	}
	p, err := s.requests.Authenticate(t.Context(), text, netip.MustParseAddr("10.9.8.7"), "https://school.example")
	wantP := auth.Principal{
		UserID: "u-teacher", Tenant: "school", Role: auth.Teacher, Name: "Name of u-teacher", KeyID: k.ID, Scopes: want.Scopes, PerMinute: 500,
		IssuedAt: s.clock.time(), Expires: until,
	}
	if diff := cmp.Diff(wantP, p); diff != "" || err != nil {
		t.Errorf("it acts for another: %v %s", err, diff)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if got := s.trail.of(k.ID); !slices.Equal(got, []string{"u-teacher apikey.created done"}) {
		t.Errorf("on record: %q", got)
	}
	if len(s.revoker.said) != 1 || s.revoker.said[0].Kind != auth.RevokedKey || s.revoker.said[0].ID != k.ID {
		t.Errorf("published: %+v", s.revoker.said)
	}
}

// A secret is told to nobody but who made it: neither the database, nor what is on record, nor the log has it.
func TestService_KeepsNoSecret(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, first := s.create(nil)
	s.trail.err = errors.New("no record") // so that there are errors to log
	s.revoker.fail(errors.New("no broker"))
	_, second, err := s.service.Rotate(t.Context(), teacher(), k.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var row string
	if err := conn.QueryRow(t.Context(), `SELECT k::text || encode(hash, 'escape') || encode(previous_hash, 'escape') FROM api_keys k`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	everything := row + fmt.Sprintf("%+v %s", s.trail.entries, s.trail.entries[1].Detail) + s.log.String()
	if !strings.Contains(everything, k.ID) || !strings.Contains(s.log.String(), "not on record") || !strings.Contains(s.log.String(), "could not be published") {
		t.Errorf("the control: the key is not in there at all, or nothing was logged: %s", s.log)
	}
	for _, text := range []string{first, second} {
		_, part, err := apikey.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(everything, part) || strings.Contains(everything, fmt.Sprintf("%x", part)) {
			t.Errorf("the secret is in %s", everything)
		}
	}
}

func TestService_Create_RefusesASpec(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	at := func(d time.Duration) *time.Time { at := s.clock.time().Add(d); return &at }
	many := slices.Repeat([]string{"192.0.2.1"}, 33)
	for name, c := range map[string]struct {
		field  string
		change func(*apikey.Spec)
	}{
		"no name":           {"name", func(w *apikey.Spec) { w.Name = " " }},
		"long name":         {"name", func(w *apikey.Spec) { w.Name = strings.Repeat("ä", 101) }},
		"name with a break": {"name", func(w *apikey.Spec) { w.Name = "a\nb" }},
		"no scope":          {"scopes", func(w *apikey.Spec) { w.Scopes = nil }},
		"unknown scope":     {"scopes", func(w *apikey.Spec) { w.Scopes = []auth.Scope{"tasks:delete"} }},
		"admin scope":       {"scopes", func(w *apikey.Spec) { w.Scopes = []auth.Scope{auth.ScopeAdmin} }},
		"ip":                {"ips", func(w *apikey.Spec) { w.IPs = []string{"school"} }},
		"zone":              {"ips", func(w *apikey.Spec) { w.IPs = []string{"fe80::1%eth0"} }},
		"mapped network":    {"ips", func(w *apikey.Spec) { w.IPs = []string{"::ffff:10.0.0.0/104"} }},
		"many ips":          {"ips", func(w *apikey.Spec) { w.IPs = many }},
		"many origins":      {"origins", func(w *apikey.Spec) { w.Origins = many }},
		"any origin":        {"origins", func(w *apikey.Spec) { w.Origins = []string{"*"} }},
		"wildcard origin":   {"origins", func(w *apikey.Spec) { w.Origins = []string{"https://*.example"} }},
		"origin with path":  {"origins", func(w *apikey.Spec) { w.Origins = []string{"https://school.example/x"} }},
		"origin with user":  {"origins", func(w *apikey.Spec) { w.Origins = []string{"https://a@school.example"} }},
		"origin's scheme":   {"origins", func(w *apikey.Spec) { w.Origins = []string{"file://school.example"} }},
		"null origin":       {"origins", func(w *apikey.Spec) { w.Origins = []string{"null"} }},
		"rate":              {"per_minute", func(w *apikey.Spec) { w.PerMinute = 10_001 }},
		"negative rate":     {"per_minute", func(w *apikey.Spec) { w.PerMinute = -1 }},
		"expired":           {"expires_at", func(w *apikey.Spec) { w.ExpiresAt = at(0) }},
		"expires late":      {"expires_at", func(w *apikey.Spec) { w.ExpiresAt = at(apikey.MaxLife + time.Hour) }},
	} {
		want := spec()
		c.change(&want)
		_, text, err := s.service.Create(t.Context(), teacher(), want)
		var wrong *fault.Error
		if !errors.As(err, &wrong) || wrong.Kind != fault.Invalid || len(wrong.Details) != 1 || wrong.Details[0].Field != c.field || text != "" {
			t.Errorf("%s: got %v, want Invalid of %s alone", name, err, c.field)
		}
	}
	if keys, _, err := s.service.List(t.Context(), "school", "", "", 0); err != nil || len(keys) != 0 {
		t.Errorf("%d keys were made, %v", len(keys), err)
	}
	bad := apikey.Spec{PerMinute: -1}
	if _, _, err := s.service.Create(t.Context(), teacher(), bad); !strings.Contains(err.Error(), "name must") || !strings.Contains(err.Error(), "per_minute must") {
		t.Errorf("it does not say all that is wrong: %v", err)
	}
}

// Who may make a key for whom, and with which scopes: themselves, and those below them; what the role of whom it acts for can use.
func TestService_Create_KnowsWhoMay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, by := range people() {
		for _, owner := range people() {
			for _, scope := range auth.Scopes() {
				_, _, err := s.service.Create(t.Context(), by, apikey.Spec{Name: "x", UserID: owner.UserID, Scopes: []auth.Scope{scope}})
				want := ""
				switch {
				case by.Tenant != owner.Tenant:
					want = "not_found"
				case by.UserID != owner.UserID && !by.Role.Above(owner.Role):
					want = "forbidden"
				case !slices.Contains(owner.Role.Scopes(), scope):
					want = "invalid"
				}
				got := ""
				if err != nil {
					got = fault.KindOf(err).String()
				}
				if got != want {
					t.Errorf("%s makes one for %s with %s: got %v, want %q", by.UserID, owner.UserID, scope, err, want)
				}
			}
		}
	}
	key := teacher()
	key.KeyID, key.Scopes = "k", auth.Scopes()
	if _, _, err := s.service.Create(t.Context(), key, spec()); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a key makes keys: %v", err)
	}
	s.execute(`UPDATE users SET state = 'disabled' WHERE id = 'u-student'`)
	if _, _, err := s.service.Create(t.Context(), admin(), apikey.Spec{Name: "x", UserID: "u-student", Scopes: []auth.Scope{auth.TasksRead}}); !fault.Is(err, fault.Conflict) {
		t.Errorf("one for somebody who is disabled: %v", err)
	}
	s.execute(`UPDATE users SET state = 'erased' WHERE id = 'u-parent'`)
	if _, _, err := s.service.Create(t.Context(), admin(), apikey.Spec{Name: "x", UserID: "u-parent", Scopes: []auth.Scope{auth.TasksRead}}); !fault.Is(err, fault.NotFound) {
		t.Errorf("one for somebody who is erased: %v", err)
	}
}

// Who may rotate and revoke whose key. Other people's keys do not exist for those who are no admins.
func TestService_ChangesKnowWhoMay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, owner := range people() {
		k, _, err := s.service.Create(t.Context(), owner, apikey.Spec{Name: "x", Scopes: []auth.Scope{auth.TasksRead}})
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range people() {
			administers := by.Role == auth.Admin || by.Role == auth.PlatformAdmin
			var rotate, revoke string
			switch {
			case by.UserID == owner.UserID:
			case by.Tenant != owner.Tenant, !administers:
				rotate, revoke = "not_found", "not_found"
			case by.Role == owner.Role:
				rotate = "forbidden"
			case !by.Role.Above(owner.Role):
				rotate, revoke = "forbidden", "forbidden"
			}
			kind := func(err error) string {
				if err == nil {
					return ""
				}
				return fault.KindOf(err).String()
			}
			if _, text, err := s.service.Rotate(t.Context(), by, k.ID, time.Hour); kind(err) != rotate || (text == "") != (err != nil) {
				t.Errorf("%s rotates that of %s: got %v, want %q", by.UserID, owner.UserID, err, rotate)
			}
			if err := s.service.Revoke(t.Context(), by, k.ID); kind(err) != revoke {
				t.Errorf("%s revokes that of %s: got %v, want %q", by.UserID, owner.UserID, err, revoke)
			}
			s.execute(`UPDATE api_keys SET revoked_at = NULL`)
			leaked := by
			leaked.KeyID = "k"
			if _, _, err := s.service.Rotate(t.Context(), leaked, k.ID, 0); !fault.Is(err, fault.Forbidden) {
				t.Errorf("a key rotates: %v", err)
			}
			if err := s.service.Revoke(t.Context(), leaked, k.ID); !fault.Is(err, fault.Forbidden) {
				t.Errorf("a key revokes: %v", err)
			}
		}
	}
}

func TestService_Create_StopsAtTheMostKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	made, full := []string{}, 0
	for range 8 {
		wait.Go(func() {
			for range 8 {
				k, _, err := s.service.Create(t.Context(), teacher(), spec())
				mu.Lock()
				switch {
				case err == nil:
					made = append(made, k.ID)
				case fault.Is(err, fault.Conflict):
					full++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(made) != apikey.MaxKeys || full != 64-apikey.MaxKeys {
		t.Errorf("%d were made, %d were too many", len(made), full)
	}
	if err := s.service.Revoke(t.Context(), teacher(), made[0]); err != nil {
		t.Fatal(err)
	}
	s.create(nil)
}

func TestService_Rotate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, first := s.create(nil)
	s.works(s.requests, first)
	s.clock.pass(time.Minute)
	rotated, second, err := s.service.Rotate(t.Context(), teacher(), k.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	now := s.clock.time().UTC().Truncate(time.Microsecond)
	until := now.Add(time.Hour)
	want := k
	want.RotatedAt, want.PreviousUntil, want.LastUsedAt = &now, &until, rotated.LastUsedAt
	if diff := cmp.Diff(want, rotated); diff != "" || second == first {
		t.Errorf("it became another: %s", diff)
	}
	s.works(s.requests, second)
	s.works(s.requests, first) // for the overlap
	s.clock.pass(59 * time.Minute)
	s.works(s.requests, first)
	s.clock.pass(time.Minute + time.Millisecond)
	s.refuses(s.requests, first, fault.Unauthorized, "not valid")
	s.works(s.requests, second)
	_, third, err := s.service.Rotate(t.Context(), teacher(), k.ID, 0) // as after a leak
	if err != nil {
		t.Fatal(err)
	}
	s.refuses(s.requests, second, fault.Unauthorized, "not valid")
	s.works(s.requests, third)
	for _, overlap := range []time.Duration{-1, apikey.MaxOverlap + 1} {
		if _, _, err := s.service.Rotate(t.Context(), teacher(), k.ID, overlap); !fault.Is(err, fault.Invalid) {
			t.Errorf("an overlap of %v: %v", overlap, err)
		}
	}
	if got := s.trail.of(k.ID); fmt.Sprint(got) != "[u-teacher apikey.created done u-teacher apikey.rotated done u-teacher apikey.rotated done]" {
		t.Errorf("on record: %q", got)
	}
}

// Of many who rotate a key at the same time the secret of the last one is good, and whoever came too late is told.
func TestService_Rotate_OneAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, _ := s.create(nil)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var texts []string
	for range 8 {
		wait.Go(func() {
			_, text, err := s.service.Rotate(t.Context(), teacher(), k.ID, 0)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				texts = append(texts, text)
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	good := 0
	fresh := s.newAuthenticator(nil)
	for _, text := range texts {
		if _, err := s.use(fresh, text); err == nil {
			good++
		}
	}
	if len(texts) == 0 || good != 1 {
		t.Errorf("of %d new secrets %d are good", len(texts), good)
	}
}

func TestService_Revoke(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, text := s.create(nil)
	s.works(s.requests, text)
	s.revoker.fail(fault.After(time.Second, "no broker"))
	if err := s.service.Revoke(t.Context(), admin(), k.ID); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody heard of it, and it said %v", err)
	}
	at := s.get(k.ID).RevokedAt
	if at == nil {
		t.Fatal("it is not revoked")
	}
	s.works(s.requests, text) // the control: what it knows, and nobody told it
	s.revoker.fail(nil)
	s.clock.pass(time.Second)
	if err := s.service.Revoke(t.Context(), teacher(), k.ID); err != nil {
		t.Errorf("again: %v", err)
	}
	s.refuses(s.requests, text, fault.Unauthorized, "was revoked")
	if again := s.get(k.ID).RevokedAt; !again.Equal(*at) {
		t.Errorf("it was revoked at %v, now at %v", at, again)
	}
	if _, _, err := s.service.Rotate(t.Context(), teacher(), k.ID, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("it can be rotated: %v", err)
	}
	if got := s.trail.of(k.ID); fmt.Sprint(got) != "[u-teacher apikey.created done u-admin apikey.revoked done]" {
		t.Errorf("on record: %q", got)
	}
	for _, id := range []string{"", "nothing", "a\x00b"} {
		if err := s.service.Revoke(t.Context(), admin(), id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestService_List(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var want []string
	for i := range 7 {
		if i%3 > 0 {
			s.clock.pass(time.Second) // some at the same time
		}
		k, _ := s.create(nil)
		want = append(want, k.ID)
	}
	if _, _, err := s.service.Create(t.Context(), admin(), spec()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for cursor, pages := "", 0; ; pages++ {
		keys, next, err := s.service.List(t.Context(), "school", "u-teacher", cursor, 3)
		if err != nil || len(keys) > 3 || pages > 3 {
			t.Fatalf("page %d has %d, %v", pages, len(keys), err)
		}
		for _, k := range keys {
			got = append(got, k.ID)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Error(diff)
	}
	if got[0] != want[6] && got[0] != want[5] {
		t.Error("the newest is not the first")
	}
	if keys, _, err := s.service.List(t.Context(), "school", "", "", 0); err != nil || len(keys) != 8 {
		t.Errorf("the tenant has %d, %v", len(keys), err)
	}
	if keys, _, err := s.service.List(t.Context(), "college", "", "", 0); err != nil || len(keys) != 0 {
		t.Errorf("another tenant has %d, %v", len(keys), err)
	}
	if _, err := s.service.Get(t.Context(), "college", want[0]); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	_, next, err := s.service.List(t.Context(), "school", "u-teacher", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string]func() error{
		"other list's cursor":   func() error { _, _, err := s.service.List(t.Context(), "college", "u-teacher", next, 1); return err },
		"cursor of another use": func() error { _, _, err := s.service.List(t.Context(), "school", "", next, 1); return err },
		"cursor":                func() error { _, _, err := s.service.List(t.Context(), "school", "", "x", 1); return err },
		"limit":                 func() error { _, _, err := s.service.List(t.Context(), "school", "", "", 201); return err },
		"negative limit":        func() error { _, _, err := s.service.List(t.Context(), "school", "", "", -1); return err },
	} {
		if err := list(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func TestNewService_NeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := apikey.NewService(apikey.Config{}); err == nil {
		t.Error("a service of nothing")
	}
	if _, err := apikey.NewAuthenticator(apikey.AuthenticatorConfig{}); err == nil {
		t.Error("an authenticator of nothing")
	}
}
