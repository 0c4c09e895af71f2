package account_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// move is a step of somebody in the life of a session.
type move struct {
	kind  string // refresh, storm, invent, pass, logout, revoke
	token int    // which one: 0 is the newest, 1 the one before
	from  []int  // which of comers come with it, all at once
	pass  time.Duration
}

func (m move) String() string {
	switch m.kind {
	case "refresh":
		return fmt.Sprintf("token -%d from %v", m.token, m.from)
	case "pass":
		return m.pass.String() + " pass"
	}
	return m.kind
}

var (
	comers = []account.Client{laptop, thief}
	passes = []time.Duration{time.Second, 9 * time.Second, 10 * time.Second, 11 * time.Second, 16 * time.Minute, 29 * time.Minute, 30 * time.Minute, 4 * time.Hour}
	kinds  = []string{"refresh", "refresh", "refresh", "refresh", "refresh", "pass", "pass", "invent", "logout", "revoke"}
)

// drawn makes a move of what pick, which returns a number below n, picks. Most come with the newest tokens and from one client, so that
// sessions last.
func drawn(pick func(n int) int) move {
	m := move{kind: kinds[pick(len(kinds))], token: max(0, pick(5)-2), from: []int{0}, pass: passes[pick(len(passes))]}
	switch pick(6) {
	case 0:
		m.from = []int{1}
	case 1:
		m.from = []int{0, 0, 0, 0}
	case 2:
		m.from = []int{0, 1, 0, 1}
	}
	return m
}

// lineage is what a session of refresh tokens should be.
type lineage struct {
	*office
	who       auth.Principal
	issued    []string       // in order: the last one is live
	successor map[int]string // of the issued token
	ended     bool
	born      time.Time
	expires   time.Time // of the live token
	rotated   time.Time
	before    int // who came with the token before the live one
}

func (o *office) newLineage(user string) *lineage {
	o.tb.Helper()
	tokens := o.signIn(user, laptop)
	now := o.clock()
	return &lineage{
		office: o, who: o.principal(tokens.AccessToken), issued: []string{tokens.RefreshToken}, successor: map[int]string{}, born: now,
		expires: now.Add(30 * time.Minute), before: -1,
	}
}

// play makes a move and returns how what came of it differs from what should.
func (f *lineage) play(ctx context.Context, m move) error {
	switch m.kind {
	case "pass":
		f.advance(m.pass)
		return nil
	case "invent":
		for _, made := range []string{f.made(), "tbr_" + strings.Repeat("A", 64), "", f.who.SessionID} {
			if _, err := f.Refresh(ctx, made, laptop); !fault.Is(err, fault.Unauthorized) {
				return fmt.Errorf("a made-up token: %w", err)
			}
		}
		return nil
	case "logout":
		f.ended = true
		return f.Logout(ctx, f.who)
	case "revoke":
		err := f.RevokeSession(ctx, auth.Principal{UserID: "admin", Tenant: "school", Role: auth.Admin}, f.who.UserID, f.who.SessionID)
		if open := f.open(); open && err != nil || !open && !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("revoking (open: %v): %w", open, err)
		}
		f.ended = true
		return nil
	}
	return f.come(ctx, max(0, len(f.issued)-1-m.token), m.from)
}

// made returns a token that nobody issued, though most of it is right.
func (f *lineage) made() string {
	last := []byte(f.issued[len(f.issued)-1])
	last[len(last)-10] = map[bool]byte{true: 'B', false: 'A'}[last[len(last)-10] == 'A']
	return string(last)
}

// open reports whether the session can be found by who looks for it.
func (f *lineage) open() bool {
	now := f.clock()
	return !f.ended && now.Before(f.expires) && now.Before(f.born.Add(12*time.Hour))
}

// come has some come with one token at once.
func (f *lineage) come(ctx context.Context, token int, from []int) error {
	got, errs := make([]account.Tokens, len(from)), make([]error, len(from))
	var wg sync.WaitGroup
	for i, c := range from {
		wg.Go(func() { got[i], errs[i] = f.Refresh(ctx, f.issued[token], comers[c]) })
	}
	wg.Wait()
	now, live, mixed := f.clock(), token == len(f.issued)-1, slices.Max(from) != slices.Min(from)
	tooLate := f.ended || !now.Before(f.born.Add(12*time.Hour))
	rotates := !tooLate && live && now.Before(f.expires)
	repeats := !tooLate && token == len(f.issued)-2 && now.Sub(f.rotated) <= 10*time.Second && slices.Contains(from, f.before)

	for i, err := range errs {
		switch {
		case err == nil && got[i].RefreshToken == f.issued[token]:
			return fmt.Errorf("token %d came back as its own successor", token)
		case err == nil && cmp.Or(f.successor[token], got[i].RefreshToken) != got[i].RefreshToken:
			return fmt.Errorf("token %d has two successors", token)
		case err == nil && !rotates && !repeats:
			return fmt.Errorf("token %d of %d was taken", token, len(f.issued))
		case err == nil && got[i].SessionID != f.who.SessionID:
			return fmt.Errorf("token %d is of session %s now", token, got[i].SessionID)
		case err == nil:
			f.successor[token] = got[i].RefreshToken
		case !fault.Is(err, fault.Unauthorized):
			return fmt.Errorf("token %d: %w", token, err)
		case (rotates || repeats && from[i] == f.before) && !mixed:
			return fmt.Errorf("token %d of %d was refused: %w", token, len(f.issued), err)
		}
	}
	switch next := f.successor[token]; {
	case tooLate:
	case rotates && next == "":
		return fmt.Errorf("nobody got a successor of token %d", token)
	case rotates:
		f.issued, f.rotated, f.before, f.expires = append(f.issued, next), now, from[0], now.Add(30*time.Minute)
		if ends := f.born.Add(12 * time.Hour); f.expires.After(ends) {
			f.expires = ends
		}
		f.ended = mixed
	default:
		f.ended = !repeats || mixed || from[0] != f.before
	}
	if f.ended && !f.published(auth.RevokedSession, f.who.SessionID) {
		return fmt.Errorf("nobody was told that the session has ended")
	}
	return nil
}

// alive returns how many of all tokens are still good, each asked for by who could have it, and ends the session.
func (f *lineage) alive(ctx context.Context) (n int) {
	for _, c := range comers { // whom a repetition within ten seconds would be forgiven
		for i := range slices.Backward(f.issued) {
			if _, err := f.Refresh(ctx, f.issued[i], c); err == nil {
				n++
			}
		}
	}
	return n
}

func TestRefresh_DoesWhatItsModelSays(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	users := 0
	rapid.Check(t, func(r *rapid.T) {
		users++
		o.user(fmt.Sprint("user", users), auth.Student)
		f := o.newLineage(fmt.Sprint("user", users))
		for range rapid.IntRange(1, 12).Draw(r, "moves") {
			m := drawn(func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "pick") })
			if err := f.play(t.Context(), m); err != nil {
				r.Fatalf("%s: %v", m, err)
			}
		}
		f.advance(11 * time.Second)
		open := f.open()
		if n := f.alive(t.Context()); n > 1 || n == 1 != open {
			r.Fatalf("%d tokens are good at the end, and the session is open: %v", n, open)
		}
	})
}

// between is a store in which something happens between a session's being read and its rotation.
type between struct {
	account.Store
	then func()
}

func (s between) Rotate(ctx context.Context, r account.Rotation) (bool, error) {
	s.then()
	return s.Store.Rotate(ctx, r)
}

// A session that ends while somebody refreshes it yields nothing any more.
func TestRefresh_LosesAgainstTheEndOfTheSession(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for name, end := range map[string]func(p auth.Principal) error{
		"signed out": func(p auth.Principal) error { return o.Logout(t.Context(), p) },
		"revoked":    func(auth.Principal) error { return o.RevokeUser(t.Context(), "school", "ada", "test") },
	} {
		tokens := o.signIn("ada", laptop)
		cfg := o.cfg
		cfg.Store = between{cfg.Store, func() { o.must(end(member(o, tokens))) }}
		s, err := account.New(cfg)
		o.must(err)
		if got, err := s.Refresh(t.Context(), tokens.RefreshToken, laptop); !fault.Is(err, fault.Unauthorized) || got.AccessToken != "" {
			t.Errorf("%s: got tokens %v, %v", name, got.AccessToken != "", err)
		}
	}
}
