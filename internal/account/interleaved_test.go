package account_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// unconditional is a store that rotates as one would at first: it looks, and then writes.
type unconditional struct {
	account.Store
	t    testing.TB
	url  string
	turn func(context.Context) // called between the two; nil: nothing is
}

func (u *unconditional) Rotate(ctx context.Context, r account.Rotation) (bool, error) {
	session, _, err := u.SessionOf(ctx, r.SessionID)
	if err != nil || !bytes.Equal(session.RefreshHash, r.Old) || session.RevokedAt != nil {
		return false, err
	}
	if u.turn != nil {
		u.turn(ctx)
	}
	conn, err := pgx.Connect(ctx, u.url)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, `UPDATE sessions SET refresh_hash = $2, refresh_expires = $3, previous_hash = $4, previous_client = $5, successor = $6, rotated_at = $7
		WHERE id = $1`, r.SessionID, r.New, r.Expires, r.Old, r.Client, r.Successor, r.At)
	return err == nil, err
}

// stepped is a store of which each call waits for its turn.
type stepped struct{ account.Store }

type stepKey struct{}

// step is one call of the service under way. It hands control back to the test before each step, and at its end.
type step struct {
	turn chan struct{} // the test lets it go on
	back chan bool     // it waits, or (true) has ended
}

func wait(ctx context.Context) {
	if s, ok := ctx.Value(stepKey{}).(*step); ok {
		s.back <- false
		<-s.turn
	}
}

func (s *stepped) SessionOf(ctx context.Context, id string) (account.StoredSession, account.User, error) {
	wait(ctx)
	return s.Store.SessionOf(ctx, id)
}

func (s *stepped) Rotate(ctx context.Context, r account.Rotation) (bool, error) {
	wait(ctx)
	return s.Store.Rotate(ctx, r)
}

func (s *stepped) EndSession(ctx context.Context, tenant, userID, id, why string, at time.Time) (bool, error) {
	wait(ctx)
	return s.Store.EndSession(ctx, tenant, userID, id, why, at)
}

// begin starts a call and returns when it waits for its first turn.
func begin(fn func(ctx context.Context)) *step {
	s := &step{make(chan struct{}), make(chan bool)}
	go func() {
		<-s.turn
		fn(context.WithValue(context.Background(), stepKey{}, s))
		s.back <- true
	}()
	return s
}

// next lets a call do one step, and reports whether it has ended.
func (s *step) next() (ended bool) {
	s.turn <- struct{}{}
	return <-s.back
}

// family is what is known of the tokens of one session.
type family struct {
	tokens    []string                   // all that were handed out
	successor map[string]map[string]bool // of each token, what came of it
	signedOut bool
}

func (f *family) note(of, next string) {
	if f.successor[of] == nil {
		f.successor[of] = map[string]bool{}
	}
	if !f.successor[of][next] {
		f.successor[of][next] = true
		f.tokens = append(f.tokens, next)
	}
}

// play runs refreshes, replays, sign-outs and time, all at once in an order that rapid draws, and returns what is wrong with what came of it.
func play(rt *rapid.T, o *office) string {
	first := o.signIn("ada", laptop)
	f := &family{tokens: []string{first.RefreshToken}, successor: map[string]map[string]bool{}}
	clients := []account.Client{laptop, laptop, laptop, thief}
	var open []*step
	defer func() { // rapid gives up in the midst of a play where it shrinks one
		for _, s := range open {
			for !s.next() {
			}
		}
	}()
	for range rapid.IntRange(1, 14).Draw(rt, "actions") {
		switch rapid.SampledFrom([]string{"refresh", "refresh", "replay", "logout", "later", "step", "step", "step"}).Draw(rt, "action") {
		case "refresh":
			open = append(open, refresh(o, f, f.tokens[len(f.tokens)-1], rapid.SampledFrom(clients).Draw(rt, "from")))
		case "replay":
			open = append(open, refresh(o, f, rapid.SampledFrom(f.tokens).Draw(rt, "token"), rapid.SampledFrom(clients).Draw(rt, "from")))
		case "logout":
			open = append(open, begin(func(ctx context.Context) {
				if err := o.Logout(ctx, auth.Principal{UserID: "ada", Tenant: "school", SessionID: first.SessionID}); err != nil {
					o.tb.Error(err)
				}
				f.signedOut = true
			}))
		case "later":
			o.advance(rapid.SampledFrom([]time.Duration{time.Second, 11 * time.Second, 31 * time.Minute}).Draw(rt, "by"))
		case "step":
			open = stepOne(rt, open)
		}
	}
	for len(open) > 0 {
		open = stepOne(rt, open)
	}
	return f.wrong(o, first.SessionID)
}

func stepOne(rt *rapid.T, open []*step) []*step {
	if len(open) == 0 {
		return open
	}
	i := rapid.IntRange(0, len(open)-1).Draw(rt, "whose turn")
	if open[i].next() {
		open = append(open[:i:i], open[i+1:]...)
	}
	return open
}

func refresh(o *office, f *family, token string, from account.Client) *step {
	return begin(func(ctx context.Context) {
		out := f.signedOut
		tokens, err := o.Refresh(ctx, token, from)
		switch {
		case err == nil && out:
			o.tb.Error("somebody who had signed out got tokens")
		case err == nil:
			f.note(token, tokens.RefreshToken)
		case !fault.Is(err, fault.Unauthorized):
			o.tb.Error(err)
		}
	})
}

// wrong returns what may not be, whatever happened.
func (f *family) wrong(o *office, session string) string {
	for _, next := range f.successor {
		if len(next) > 1 {
			return "one token has two successors"
		}
	}
	var live []string
	for _, token := range f.tokens { // those before the live one end the session: the live one comes first
		if len(f.successor[token]) == 0 {
			if _, err := o.Refresh(o.tb.Context(), token, laptop); err == nil {
				live = append(live, token)
			}
		}
	}
	switch {
	case len(live) > 1:
		return "two tokens are live"
	case len(live) > 0 && f.signedOut:
		return "a token is live after signing out"
	case len(live) == 0:
		return ""
	}
	if len(f.tokens) > 1 && live[0] != f.tokens[0] { // and a thief who comes with the first one now ends all
		if _, err := o.Refresh(o.tb.Context(), f.tokens[0], thief); err == nil {
			return "a stolen token is taken"
		}
		if ended := o.ask("SELECT id FROM sessions WHERE id = $1 AND revoked_at IS NOT NULL", session); len(ended) != 1 {
			return "the session goes on after a replay"
		}
	}
	return ""
}

func TestRefresh_NeverHasTwoLiveSuccessors(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(c *account.Config) {
		c.Store = &stepped{c.Store}
		c.MaxSessions = 1 << 20
	})
	o.user("ada", auth.Teacher)
	rapid.Check(t, func(rt *rapid.T) {
		if wrong := play(rt, o); wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// The negative control: the same play finds a rotation that looks before it writes.
func TestRefresh_PlayFindsARotationWithoutItsCondition(t *testing.T) {
	t.Parallel()
	var races *unconditional
	o := newOffice(t, func(c *account.Config) {
		races = &unconditional{Store: c.Store, t: t, turn: wait}
		c.Store = &stepped{races}
		c.MaxSessions = 1 << 20
	})
	races.url = o.url
	o.user("ada", auth.Teacher)
	found := ""
	for seed := range 300 {
		rapid.Custom(func(rt *rapid.T) string {
			found = play(rt, o)
			return found
		}).Example(seed)
		if found != "" {
			return
		}
	}
	t.Error("300 plays found nothing")
}
