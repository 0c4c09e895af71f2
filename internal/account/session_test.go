package account_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

// member returns who has these tokens.
func member(o *office, tokens account.Tokens) auth.Principal { return o.principal(tokens.AccessToken) }

// live returns the ids of a user's sessions that go on, oldest first.
func live(o *office, user string) []string {
	return o.ask("SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at, id", user)
}

func TestSession_FiveAtMost(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	var begun []account.Tokens
	for range 7 {
		begun = append(begun, o.signIn("ada", laptop))
		o.advance(time.Second)
	}
	for i, tokens := range begun {
		_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
		if gone := i < 2; gone != fault.Is(err, fault.Unauthorized) || gone != o.published(auth.RevokedSession, tokens.SessionID) {
			t.Errorf("session %d: %v, published: %v", i, err, o.published(auth.RevokedSession, tokens.SessionID))
		}
	}
	list, err := o.Sessions(t.Context(), "school", "ada", begun[4].SessionID)
	o.must(err)
	for i, s := range list {
		if want := begun[len(begun)-1-i].SessionID; s.ID != want || s.Current != (want == begun[4].SessionID) {
			t.Errorf("number %d is %+v, want %s", i, s, want)
		}
		if s.IP != "198.51.100.1" || s.UserAgent != "Firefox" || s.UserID != "ada" || s.SecondFactor {
			t.Errorf("it says %+v", s)
		}
	}
	if len(list) != 5 {
		t.Errorf("%d sessions are listed, want 5", len(list))
	}
}

func TestSession_FiveAtMostHoweverManyBeginAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	const n = 20
	begun := make([]account.LoginResult, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			if begun[i], err = o.Login(t.Context(), account.Credentials{Login: "ada", Password: goodPassword}, laptop); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	goOn := live(o, "ada")
	if len(goOn) != 5 {
		t.Errorf("%d sessions go on, want 5", len(goOn))
	}
	for i, b := range begun {
		if b.Tokens == nil {
			t.Fatalf("sign-in %d got no tokens", i)
		}
		_, err := o.Refresh(t.Context(), b.Tokens.RefreshToken, laptop)
		open := slices.Contains(goOn, b.Tokens.SessionID)
		if open != (err == nil) || open == o.published(auth.RevokedSession, b.Tokens.SessionID) {
			t.Errorf("a session goes on: %v, but its refresh says %v", open, err)
		}
	}
}

// Sessions of which nobody uses the tokens any more take no place, and are on no list.
func TestSession_WhatIsIdleIsGone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(c *account.Config) { c.MaxSessions = 2 })
	o.user("ada", auth.Teacher)
	idle := o.signIn("ada", laptop)
	o.advance(30 * time.Minute)
	used := o.signIn("ada", laptop)
	o.signIn("ada", laptop)
	if o.published(auth.RevokedSession, used.SessionID) || o.published(auth.RevokedSession, idle.SessionID) {
		t.Error("an idle session took the place of one that goes on")
	}
	list, err := o.Sessions(t.Context(), "school", "ada", "")
	o.must(err)
	if len(list) != 2 || slices.ContainsFunc(list, func(s account.Session) bool { return s.ID == idle.SessionID }) {
		t.Errorf("the list is %+v", list)
	}
}

func TestLogout_EndsItsSession(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	one, other := o.signIn("ada", laptop), o.signIn("ada", thief)
	for range 2 { // it may be repeated
		o.must(o.Logout(t.Context(), member(o, one)))
	}
	_, err := o.Refresh(t.Context(), one.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
	if !o.published(auth.RevokedSession, one.SessionID) || o.published(auth.RevokedSession, other.SessionID) {
		t.Error("the wrong end was published")
	}
	if n := o.count("logout done ada ada"); n != 1 {
		t.Errorf("it is on record %d times", n)
	}
	if _, err := o.Refresh(t.Context(), other.RefreshToken, thief); err != nil {
		t.Errorf("the other session: %v", err)
	}
	o.want(fault.Forbidden, o.Logout(t.Context(), auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher}))
	o.noSecrets(one.AccessToken, one.RefreshToken)
}

// Who is told that they are signed out is: where that cannot be published, or the database is away, they are told so.
func TestLogout_SaysWhenNobodyCouldBeTold(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	tokens := o.signIn("ada", laptop)
	p := member(o, tokens)
	o.mu.Lock()
	o.broken = errAway
	o.mu.Unlock()
	for name, err := range map[string]error{
		"Logout":        o.Logout(t.Context(), p),
		"RevokeSession": o.RevokeSession(t.Context(), p, "ada", p.SessionID),
		"RevokeUser":    o.RevokeUser(t.Context(), "school", "ada", "test"),
	} {
		if err == nil {
			t.Errorf("%s: nobody was told, and it says nothing", name)
		}
	}
}

func TestLogout_EverywhereMayKeepThisOne(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.user("ada", auth.Teacher)
			o.user("bob", auth.Teacher)
			bobs := o.signIn("bob", laptop)
			var all []account.Tokens
			for range 3 {
				all = append(all, o.signIn("ada", laptop))
			}
			n, err := o.LogoutEverywhere(t.Context(), member(o, all[0]), keep)
			o.must(err)
			if want := map[bool]int{true: 2, false: 3}[keep]; n != want {
				t.Errorf("%d sessions ended, want %d", n, want)
			}
			for i, tokens := range all {
				_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
				if stays := keep && i == 0; stays != (err == nil) || stays == o.published(auth.RevokedSession, tokens.SessionID) {
					t.Errorf("session %d: %v", i, err)
				}
			}
			if _, err := o.Refresh(t.Context(), bobs.RefreshToken, laptop); err != nil {
				t.Errorf("somebody else's session: %v", err)
			}
		})
	}
}

func TestRevokeSession_IsForThisTenantsUsers(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	o.user("bob", auth.Teacher)
	tokens := o.signIn("ada", laptop)
	admin := auth.Principal{UserID: "root", Tenant: "school", Role: auth.Admin}
	stranger := admin
	stranger.Tenant = "other"
	for name, err := range map[string]error{
		"of another tenant's": o.RevokeSession(t.Context(), stranger, "ada", tokens.SessionID),
		"of somebody else":    o.RevokeSession(t.Context(), admin, "bob", tokens.SessionID),
		"unknown":             o.RevokeSession(t.Context(), admin, "ada", "0199"),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v, want not_found", name, err)
		}
	}
	if len(live(o, "ada")) != 1 || o.published(auth.RevokedSession, tokens.SessionID) {
		t.Error("it ended all the same")
	}
	o.must(o.RevokeSession(t.Context(), admin, "ada", tokens.SessionID))
	o.want(fault.NotFound, o.RevokeSession(t.Context(), admin, "ada", tokens.SessionID))
	_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
	if !o.published(auth.RevokedSession, tokens.SessionID) {
		t.Error("nobody was told")
	}
	if n := o.count("session.revoked done root ada"); n != 1 {
		t.Errorf("who revoked whose session is on record %d times: %q", n, o.trail())
	}
}

func TestRevokeUser_EndsAllSessionsAndTellsSo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	tokens := o.signIn("ada", laptop)
	for range 2 { // it may be repeated
		o.must(o.RevokeUser(t.Context(), "school", "ada", "the role changed"))
	}
	_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
	if !o.published(auth.RevokedUser, "ada") || !o.published(auth.RevokedSession, tokens.SessionID) {
		t.Errorf("published is %+v", o.ended)
	}
	o.want(fault.Invalid, o.RevokeUser(t.Context(), "No Token", "ada", "test"))
}

func TestMe_IsWhoAsks(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	me, err := o.Me(t.Context(), p)
	o.must(err)
	if me.ID != "ada" || me.Tenant != "school" || me.Email != "ada@school.example" || me.Role != auth.Teacher || !me.HasPassword || me.LastLoginAt == nil {
		t.Errorf("got %+v", me)
	}
	p.Home, p.Tenant = "school", "other" // as a platform admin elsewhere
	if abroad, err := o.Me(t.Context(), p); err != nil || abroad.ID != "ada" {
		t.Errorf("abroad: %+v, %v", abroad, err)
	}
	p.Home = ""
	_, err = o.Me(t.Context(), p)
	o.want(fault.NotFound, err)
}

// What ended long ago goes, what ended lately or goes on stays, and never more than was asked at once.
func TestSweep_DeletesWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	old := o.signIn("ada", laptop)
	o.must(o.RequestReset(t.Context(), "ada", laptop))
	expired := o.signIn("ada", laptop)
	o.must(o.Logout(t.Context(), member(o, old)))
	o.advance(25 * time.Hour)
	fresh := o.signIn("ada", laptop)
	o.must(o.Logout(t.Context(), member(o, fresh)))
	o.must(o.RequestReset(t.Context(), "ada", laptop))

	before := o.clock().Add(-12 * time.Hour)
	for i, want := range []int{1, 1, 0} { // of a table each
		if n, err := o.cfg.Store.Sweep(t.Context(), before, 1); err != nil || n != want {
			t.Errorf("sweep %d: %d, %v, want %d", i, n, err, want)
		}
	}
	if got := o.ask("SELECT id FROM sessions"); !slices.Equal(got, []string{fresh.SessionID}) {
		t.Errorf("left are %v, want %s; gone %s and %s", got, fresh.SessionID, old.SessionID, expired.SessionID)
	}
	if got := o.ask("SELECT purpose FROM one_time_tokens WHERE used_at IS NULL"); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}

// The sweeper ends with its context, and goes on when the database is away.
func TestSweep_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	synctest.Test(t, func(t *testing.T) {
		sweeps := 0
		cfg := o.cfg
		cfg.Store = sweeping{cfg.Store, func() (int, error) {
			sweeps++
			switch sweeps {
			case 1:
				return 1000, nil // and there is more
			case 2:
				return 3, nil
			}
			return 0, fault.New(fault.Unavailable, "away")
		}}
		s, err := account.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Minute)
		defer stop()
		if err := s.Sweep(ctx); err != nil || sweeps != 4 {
			t.Errorf("%d sweeps in two hours and a half, want 2 at once and 2 later: %v", sweeps, err)
		}
	})
}

// sweeping is a store that sweeps as a test says.
type sweeping struct {
	account.Store
	sweep func() (int, error)
}

func (s sweeping) Sweep(context.Context, time.Time, int) (int, error) { return s.sweep() }

// A token that was issued at the moment of the erasure, or by a process whose clock is ahead, ends with its session.
func TestErasure_TellsWhichSessionsEnded(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	tokens := o.signIn("ada", laptop)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: o.url})
	o.must(err)
	defer db.Close()
	s, err := privacy.NewService(privacy.Config{Records: db, Revoke: o.RevokeUser, Audit: o})
	o.must(err)
	_, err = s.Erase(t.Context(), auth.Principal{UserID: "root", Tenant: "school", Role: auth.Admin}, "ada")
	o.must(err)
	if !o.published(auth.RevokedUser, "ada") || !o.published(auth.RevokedSession, tokens.SessionID) {
		t.Errorf("published is %+v", o.ended)
	}
	_, err = o.Refresh(t.Context(), tokens.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
	e, ok, err := db.ClaimErasure(t.Context(), time.Minute)
	if err != nil || !ok {
		t.Fatalf("nothing to erase: %v", err)
	}
	e.State = privacy.Done
	o.must(db.NoteErasure(t.Context(), e))
	if left := o.ask("SELECT id FROM sessions WHERE user_id = 'ada'"); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}
