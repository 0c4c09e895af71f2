package auth_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestRevocations_Revoked(t *testing.T) {
	t.Parallel()
	cut := time.Now()
	user := auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Admin, SessionID: "s1", IssuedAt: cut.Add(-time.Millisecond)}
	change := func(f func(*auth.Principal)) auth.Principal { p := user; f(&p); return p }
	later := func(p *auth.Principal) { p.IssuedAt = cut.Add(time.Millisecond) }
	for name, c := range map[string]struct {
		r    auth.Revocation
		p    auth.Principal
		want bool
	}{
		"session":               {auth.Revocation{Kind: auth.RevokedSession, ID: "s1", Before: cut}, user, true},
		"session, issued later": {auth.Revocation{Kind: auth.RevokedSession, ID: "s1", Before: cut}, change(later), true},
		"other session":         {auth.Revocation{Kind: auth.RevokedSession, ID: "s2", Before: cut}, user, false},
		"no session":            {auth.Revocation{Kind: auth.RevokedSession, ID: "", Before: cut}, change(func(p *auth.Principal) { p.SessionID = "" }), false},
		"user":                  {auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: cut}, user, true},
		"user, issued later":    {auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: cut}, change(later), false},
		"user, issued then":     {auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: cut}, change(func(p *auth.Principal) { p.IssuedAt = cut }), false},
		"user, never issued":    {auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: cut}, change(func(p *auth.Principal) { p.IssuedAt = time.Time{} }), true},
		"other user":            {auth.Revocation{Kind: auth.RevokedUser, ID: "bob", Before: cut}, user, false},
		"tenant":                {auth.Revocation{Kind: auth.RevokedTenant, ID: "school", Before: cut}, user, true},
		"tenant, issued later":  {auth.Revocation{Kind: auth.RevokedTenant, ID: "school", Before: cut}, change(later), false},
		"other tenant":          {auth.Revocation{Kind: auth.RevokedTenant, ID: "college", Before: cut}, user, false},
		"tenant they act in":    {auth.Revocation{Kind: auth.RevokedTenant, ID: "school", Before: cut}, change(func(p *auth.Principal) { p.Home = "home" }), false},
		"tenant they come from": {auth.Revocation{Kind: auth.RevokedTenant, ID: "home", Before: cut}, change(func(p *auth.Principal) { p.Home = "home" }), true},
		"key":                   {auth.Revocation{Kind: auth.RevokedKey, ID: "k", Before: cut}, change(func(p *auth.Principal) { p.KeyID = "k" }), true},
		"key, read later":       {auth.Revocation{Kind: auth.RevokedKey, ID: "k", Before: cut}, change(func(p *auth.Principal) { p.KeyID = "k"; later(p) }), false},
		"kind is not mixed up":  {auth.Revocation{Kind: auth.RevokedKey, ID: "ada", Before: cut}, user, false},
	} {
		set := auth.NewRevocations()
		if set.Revoked(c.p) {
			t.Errorf("%s: the empty set revokes", name)
		}
		set.Add(c.r)
		if got := set.Revoked(c.p); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		set.Forget(c.r.Kind, c.r.ID)
		if set.Revoked(c.p) || set.Len() != 0 {
			t.Errorf("%s: it is not forgotten", name)
		}
	}
}

// The token of a session that is signed in again within the same second as everything before was revoked is good, whatever the
// verifier remembers, and the one from before is not.
func TestVerifier_AsksRevocationsEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set, keys := auth.NewRevocations(), keyring(t, string(secret))
		v, deaf := verifierOf(t, keys, set), verifierOf(t, keys, nil)
		<-time.After(200 * time.Millisecond)
		before := issue(t, keys, ada(), time.Minute)
		for range 2 { // so that it is remembered
			if _, err := v.Verify(before); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(100 * time.Millisecond)
		set.Add(auth.Revocation{Kind: auth.RevokedUser, ID: ada().UserID, Before: time.Now()})
		<-time.After(time.Millisecond)
		after := issue(t, keys, ada(), time.Minute)
		for range 2 {
			if p, err := v.Verify(before); !fault.Is(err, fault.Unauthorized) || p.UserID != "" {
				t.Errorf("the token from before: %+v, %v", p, err)
			}
			p, err := v.Verify(after)
			if err != nil {
				t.Errorf("the token from after: %v", err)
			}
			if first, err := deaf.Verify(before); err != nil || first.IssuedAt.Unix() != p.IssuedAt.Unix() {
				t.Errorf("the control: %v, issued at %v and %v", err, first.IssuedAt, p.IssuedAt)
			}
		}
		set.Forget(auth.RevokedUser, ada().UserID)
		if _, err := v.Verify(before); err != nil {
			t.Errorf("after it was forgotten: %v", err)
		}
	})
}

func TestRevocations_KeepTheLaterOfTwo(t *testing.T) {
	t.Parallel()
	set, now := auth.NewRevocations(), time.Now()
	heard := 0
	set.OnAdd(func(auth.Revocation) { heard++ })
	for _, at := range []time.Time{now, now.Add(-time.Hour), now} {
		set.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: at})
	}
	if !set.Revoked(auth.Principal{UserID: "ada", IssuedAt: now.Add(-time.Second)}) || set.Len() != 1 || heard != 2 {
		t.Errorf("an earlier one took its place: %d, heard %d", set.Len(), heard)
	}
	set.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: now.Add(time.Second)})
	if !set.Revoked(auth.Principal{UserID: "ada", IssuedAt: now}) || heard != 3 {
		t.Errorf("a later one did not, heard %d", heard)
	}
}

func TestRevocations_AreBounded(t *testing.T) {
	t.Parallel()
	set, now := auth.NewRevocations(), time.Now()
	const more = 100_010
	for i := range more {
		set.Add(auth.Revocation{Kind: auth.RevokedSession, ID: fmt.Sprint(i), Before: now})
	}
	if set.Len() != 100_000 {
		t.Errorf("it holds %d", set.Len())
	}
	for i, want := range map[int]bool{0: false, 9: false, 10: true, more - 1: true} {
		if got := set.Revoked(auth.Principal{SessionID: fmt.Sprint(i)}); got != want {
			t.Errorf("session %d: got %v, want %v", i, got, want)
		}
	}
}

func TestRevocations_ForgetWhatOutlivesNoToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		set := auth.NewRevocations()
		set.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "old", Before: time.Now()})
		<-time.After(auth.RevocationTTL)
		set.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "young", Before: time.Now()})
		if set.Len() != 2 {
			t.Errorf("after an hour it holds %d", set.Len())
		}
		<-time.After(time.Second)
		set.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "new", Before: time.Now()})
		if set.Len() != 2 || set.Revoked(auth.Principal{SessionID: "old"}) || !set.Revoked(auth.Principal{SessionID: "young"}) {
			t.Errorf("after more than an hour it holds %d", set.Len())
		}
	})
}

func TestRevocations_TellOfKeys(t *testing.T) {
	t.Parallel()
	set := auth.NewRevocations()
	var heard []string
	set.OnKey(func(id string) {
		heard = append(heard, id)
		if !set.Revoked(auth.Principal{KeyID: id}) {
			t.Errorf("%s is not in the set yet", id)
		}
	})
	set.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: time.Now()})
	set.Add(auth.Revocation{Kind: auth.RevokedKey, ID: "k1", Before: time.Now()})
	if fmt.Sprint(heard) != "[k1]" {
		t.Errorf("heard of %v", heard)
	}
}

func TestRevocations_TakeManyAtOnce(t *testing.T) {
	t.Parallel()
	set := auth.NewRevocations()
	set.OnKey(func(string) { set.Len() })
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 1000 {
				id := fmt.Sprint(worker, "-", i)
				set.Add(auth.Revocation{Kind: auth.RevokedKey, ID: id, Before: time.Now()})
				if !set.Revoked(auth.Principal{KeyID: id}) {
					t.Errorf("%s is not revoked", id)
				}
				set.Forget(auth.RevokedKey, id)
			}
		})
	}
	wait.Wait()
	if set.Len() != 0 {
		t.Errorf("%d are left", set.Len())
	}
}
