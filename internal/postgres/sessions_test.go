package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
)

// accountsOf returns the accounts of a database with the tenants school and other, and in school the users ada and bob.
func accountsOf(t *testing.T) (*postgres.Accounts, string) {
	t.Helper()
	_, url := factors(t)
	return postgres.NewAccounts(open(t, postgres.Config{URL: url, MaxConns: 24})), url
}

var sessionsAt = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// sessionOf returns a session of a user that began at.
func sessionOf(user, id string, at time.Time) account.StoredSession {
	return account.StoredSession{
		Session: account.Session{ID: id, UserID: user, CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(12 * time.Hour), IP: "192.0.2.1", UserAgent: "test"},
		Tenant:  "school", AuthAt: at, RefreshHash: []byte(id + " 0"), RefreshExpires: at.Add(30 * time.Minute),
	}
}

func rotation(id string, n int, at time.Time) account.Rotation {
	return account.Rotation{
		SessionID: id, Old: fmt.Appendf(nil, "%s %d", id, n), New: fmt.Appendf(nil, "%s %d", id, n+1), Client: []byte("c"), Successor: []byte("s"),
		Expires: at.Add(30 * time.Minute), At: at, IP: "192.0.2.2", UserAgent: "test",
	}
}

func TestAccounts_RotateOnlyTheLiveTokenOfASessionThatGoesOn(t *testing.T) {
	t.Parallel()
	a, url := accountsOf(t)
	ctx, at := t.Context(), sessionsAt
	for _, id := range []string{"good", "ended", "late", "old"} {
		_, err := a.StartSession(ctx, sessionOf("ada", id, at), 1, 10)
		must(t, err)
	}
	ended, err := a.EndSession(ctx, "school", "ada", "ended", "a test", at)
	must(t, err)
	if !ended {
		t.Fatal("it was not ended")
	}
	execute(t, url, "UPDATE sessions SET refresh_expires = $1 WHERE id = 'late'", at)
	execute(t, url, "UPDATE sessions SET expires_at = $1 WHERE id = 'old'", at)
	for _, c := range []struct {
		id   string
		n    int
		want bool
	}{{"good", 1, false}, {"good", 0, true}, {"good", 0, false}, {"good", 1, true}, {"ended", 0, false}, {"late", 0, false}, {"old", 0, false}, {"nobody's", 0, false}} {
		if done, err := a.Rotate(ctx, rotation(c.id, c.n, at)); err != nil || done != c.want {
			t.Errorf("%s %d: %v (%v), want %v", c.id, c.n, done, err, c.want)
		}
	}
	s, u, err := a.SessionOf(ctx, "good")
	must(t, err)
	if u.ID != "ada" || string(s.RefreshHash) != "good 2" || string(s.PreviousHash) != "good 1" || string(s.PreviousClient) != "c" || string(s.Successor) != "s" ||
		s.RotatedAt == nil || !s.RotatedAt.Equal(at) || s.IP != "192.0.2.2" {
		t.Errorf("got %+v of %+v", s, u)
	}
}

func TestAccounts_OneOfManyRotates(t *testing.T) {
	t.Parallel()
	a, _ := accountsOf(t)
	_, err := a.StartSession(t.Context(), sessionOf("ada", "s", sessionsAt), 1, 10)
	must(t, err)
	for n := range 20 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 16 {
			wg.Go(func() {
				done, err := a.Rotate(t.Context(), rotation("s", n, sessionsAt))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if done {
					won++
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("round %d: %d rotated the token", n, won)
		}
	}
}

func TestAccounts_KeepTheNewestSessionsHoweverManyBeginAtOnce(t *testing.T) {
	t.Parallel()
	a, url := accountsOf(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ended []string
	for i := range 20 {
		wg.Go(func() {
			out, err := a.StartSession(t.Context(), sessionOf("ada", fmt.Sprintf("s%02d", i), sessionsAt.Add(time.Duration(i)*time.Second)), 1, 5)
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, out...)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	live := query(t, url, "SELECT id FROM sessions WHERE revoked_at IS NULL ORDER BY id")
	if want := []string{"s15", "s16", "s17", "s18", "s19"}; !slices.Equal(live, want) {
		t.Errorf("%v go on, want %v", live, want)
	}
	if slices.Sort(ended); len(slices.Compact(ended)) != 15 {
		t.Errorf("%d were said to have ended: %v", len(ended), ended)
	}
	// The control: what is said of somebody else's sessions stays.
	if out, err := a.StartSession(t.Context(), sessionOf("bob", "b", sessionsAt.Add(time.Hour)), 1, 5); err != nil || len(out) != 0 {
		t.Errorf("bob's first session ended %v (%v)", out, err)
	}
}

func TestAccounts_SessionsBeginForTheUserThatWasProved(t *testing.T) {
	t.Parallel()
	a, url := accountsOf(t)
	_, err := a.StartSession(t.Context(), sessionOf("ada", "stale", sessionsAt), 2, 5)
	wantFault(t, err, fault.NotFound)
	_, err = a.StartSession(t.Context(), sessionOf("nobody", "s", sessionsAt), 1, 5)
	wantFault(t, err, fault.NotFound)
	execute(t, url, "UPDATE users SET state = 'disabled'")
	_, err = a.StartSession(t.Context(), sessionOf("ada", "disabled", sessionsAt), 1, 5)
	wantFault(t, err, fault.NotFound)
	if got := query(t, url, "SELECT id FROM sessions"); len(got) != 0 {
		t.Errorf("there are sessions %v", got)
	}
}

func TestAccounts_EndOnlyWhatIsTheirs(t *testing.T) {
	t.Parallel()
	a, _ := accountsOf(t)
	ctx := t.Context()
	for _, id := range []string{"one", "two", "three"} {
		_, err := a.StartSession(ctx, sessionOf("ada", id, sessionsAt), 1, 5)
		must(t, err)
	}
	for _, c := range []struct{ tenant, user string }{{"other", "ada"}, {"school", "bob"}} {
		if ended, err := a.EndSession(ctx, c.tenant, c.user, "one", "a test", sessionsAt); err != nil || ended {
			t.Errorf("%v ended ada's session (%v)", c, err)
		}
		if ended, err := a.EndSessions(ctx, c.tenant, c.user, "", "a test", sessionsAt); err != nil || len(ended) != 0 {
			t.Errorf("%v ended %v (%v)", c, ended, err)
		}
	}
	ended, err := a.EndSessions(ctx, "school", "ada", "two", "a test", sessionsAt)
	must(t, err)
	if slices.Sort(ended); !slices.Equal(ended, []string{"one", "three"}) {
		t.Errorf("ended %v", ended)
	}
	list, err := a.Sessions(ctx, "school", "ada", sessionsAt)
	must(t, err)
	if len(list) != 1 || list[0].ID != "two" {
		t.Errorf("listed %+v", list)
	}
}

func TestAccounts_SweepWhatIsOverInBoundedSteps(t *testing.T) {
	t.Parallel()
	a, url := accountsOf(t)
	ctx := t.Context()
	for i := range 7 {
		_, err := a.StartSession(ctx, sessionOf("ada", fmt.Sprint("old", i), sessionsAt), 1, 100)
		must(t, err)
		must(t, a.PutToken(ctx, tokenOf(fmt.Sprint("old", i), "login", sessionsAt), false))
	}
	later := sessionsAt.Add(48 * time.Hour)
	_, err := a.StartSession(ctx, sessionOf("ada", "new", later), 1, 100)
	must(t, err)
	must(t, a.PutToken(ctx, tokenOf("new", "login", later), false))
	for _, want := range []int{3, 3, 1, 0} {
		if n, err := a.Sweep(ctx, later.Add(-24*time.Hour), 3); err != nil || n != want {
			t.Errorf("swept %d (%v), want %d", n, err, want)
		}
	}
	if left := query(t, url, "SELECT id FROM sessions UNION ALL SELECT convert_from(hash, 'utf8') FROM one_time_tokens"); !slices.Equal(left, []string{"new", "new"}) {
		t.Errorf("left are %v", left)
	}
}

func tokenOf(hash, purpose string, at time.Time) account.OneTime {
	return account.OneTime{
		Hash: []byte(hash), Purpose: purpose, Tenant: "school", UserID: "ada", Data: []byte(`{"a":1}`), CreatedAt: at, ExpiresAt: at.Add(5 * time.Minute),
	}
}

func TestAccounts_UseATokenOnceAndForItsPurpose(t *testing.T) {
	t.Parallel()
	a, _ := accountsOf(t)
	ctx, at := t.Context(), sessionsAt
	must(t, a.PutToken(ctx, tokenOf("t", "login", at), false))
	_, err := a.UseToken(ctx, []byte("t"), "reset", at)
	wantFault(t, err, fault.NotFound)
	_, err = a.UseToken(ctx, []byte("t"), "login", at.Add(5*time.Minute))
	wantFault(t, err, fault.NotFound)
	_, err = a.UseToken(ctx, []byte("u"), "login", at)
	wantFault(t, err, fault.NotFound)
	if n := factorsAtOnce(t, 16, func(int) (bool, error) {
		got, err := a.UseToken(context.WithoutCancel(ctx), []byte("t"), "login", at)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		if err == nil && (got.UserID != "ada" || got.Tenant != "school" || string(got.Data) != `{"a": 1}`) {
			t.Errorf("got %+v", got)
		}
		return err == nil, err
	}); n != 1 {
		t.Errorf("it was used %d times", n)
	}
	_, err = a.TryToken(ctx, []byte("t"), "login", 5, at)
	wantFault(t, err, fault.NotFound)
}

func TestAccounts_TryATokenSoManyTimes(t *testing.T) {
	t.Parallel()
	a, _ := accountsOf(t)
	must(t, a.PutToken(t.Context(), tokenOf("t", "login", sessionsAt), false))
	if n := factorsAtOnce(t, 20, func(int) (bool, error) {
		_, err := a.TryToken(t.Context(), []byte("t"), "login", 5, sessionsAt)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return err == nil, err
	}); n != 5 {
		t.Errorf("it was tried %d times, want 5", n)
	}
	if _, err := a.UseToken(t.Context(), []byte("t"), "login", sessionsAt); err != nil {
		t.Errorf("the fifth try could not use it: %v", err)
	}
}

func TestAccounts_OfManyRequestsOneTokenIsLeft(t *testing.T) {
	t.Parallel()
	a, url := accountsOf(t)
	must(t, a.PutToken(t.Context(), tokenOf("another purpose", "login", sessionsAt), false))
	if n := factorsAtOnce(t, 16, func(i int) (bool, error) {
		err := a.PutToken(t.Context(), tokenOf(fmt.Sprint("r", i), "reset", sessionsAt), true)
		return err == nil, err
	}); n != 16 {
		t.Fatalf("%d were put", n)
	}
	if left := query(t, url, "SELECT purpose FROM one_time_tokens WHERE used_at IS NULL ORDER BY 1"); !slices.Equal(left, []string{"login", "reset"}) {
		t.Errorf("left are %v", left)
	}
}

func wantFault(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}
