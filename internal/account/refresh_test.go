package account_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestRefresh_RotatesTheToken(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	first := o.signIn("ada", laptop)
	second, err := o.Refresh(t.Context(), first.RefreshToken, laptop)
	o.must(err)
	if second.RefreshToken == first.RefreshToken || second.SessionID != first.SessionID || second.User.Username != "ada" {
		t.Errorf("got %+v after %+v", second, first)
	}
	p := o.principal(second.AccessToken)
	if p.UserID != "ada" || p.Tenant != "school" || p.Role != auth.Teacher || p.SessionID != first.SessionID || p.SecondFactor || p.Enroll {
		t.Errorf("the access token proves %+v", p)
	}
	third, err := o.Refresh(t.Context(), second.RefreshToken, laptop)
	o.must(err)
	if third.RefreshToken == second.RefreshToken {
		t.Error("it was not rotated again")
	}
}

// Two tabs, or an answer that was lost: whoever has just rotated a token gets the same successor once more.
func TestRefresh_GivesTheSameSuccessorForTenSeconds(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	first := o.signIn("ada", laptop)
	second, err := o.Refresh(t.Context(), first.RefreshToken, laptop)
	o.must(err)
	o.advance(10 * time.Second)
	again, err := o.Refresh(t.Context(), first.RefreshToken, laptop)
	o.must(err)
	if again.RefreshToken != second.RefreshToken {
		t.Error("another successor")
	}
	o.advance(time.Second)
	_, err = o.Refresh(t.Context(), first.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
	_, err = o.Refresh(t.Context(), second.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
}

func TestRefresh_EndsTheSessionWhenAnOldTokenComesAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from  account.Client
		later time.Duration
		twice bool // the token was rotated twice since
	}{
		"from somebody else":        {from: thief},
		"from the same, much later": {from: laptop, later: time.Minute},
		"from before the last one":  {from: laptop, twice: true},
		"same address, other agent": {from: account.Client{IP: laptop.IP, UserAgent: "curl"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.user("ada", auth.Teacher)
			stolen := o.signIn("ada", laptop)
			bystander := o.signIn("ada", laptop)
			live, err := o.Refresh(t.Context(), stolen.RefreshToken, laptop)
			o.must(err)
			if c.twice {
				live, err = o.Refresh(t.Context(), live.RefreshToken, laptop)
				o.must(err)
			}
			o.advance(c.later)
			_, err = o.Refresh(t.Context(), stolen.RefreshToken, c.from)
			o.want(fault.Unauthorized, err)
			_, err = o.Refresh(t.Context(), live.RefreshToken, laptop) // the owner is out as well: nobody knows who is who
			o.want(fault.Unauthorized, err)
			if !o.published("session", stolen.SessionID) {
				t.Error("the end of the session was not published")
			}
			if o.published("session", bystander.SessionID) {
				t.Error("another session ended, too")
			}
			if _, err := o.Refresh(t.Context(), bystander.RefreshToken, laptop); err != nil {
				t.Errorf("another session ended, too: %v", err)
			}
			if o.count("session.revoked done unknown ada "+c.from.IP.String()) != 1 || len(o.letters("ada@school.example")) != 1 {
				t.Errorf("on record is %q, mailed %d", o.trail(), len(o.letters("ada@school.example")))
			}
			o.noSecrets(stolen.RefreshToken, live.RefreshToken)
		})
	}
}

// A token that somebody made up says nothing about theft: whoever knows a session's id must not be able to end it.
func TestRefresh_RefusesWhatIsNoneOfOursAndEndsNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	live := o.signIn("ada", laptop)
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(live.RefreshToken, "tbr_"))
	o.must(err)
	var made []string
	for i := range raw { // one bit of any byte
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		made = append(made, "tbr_"+base64.RawURLEncoding.EncodeToString(bad))
	}
	made = append(made, "", "tbr_", "tbr_!", live.RefreshToken[4:], live.RefreshToken+"A", live.RefreshToken[:len(live.RefreshToken)-4], live.AccessToken,
		strings.Repeat("A", 1<<16))
	for _, token := range made {
		if _, err := o.Refresh(t.Context(), token, thief); !fault.Is(err, fault.Unauthorized) {
			t.Fatalf("%.80q: %v", token, err)
		}
	}
	if _, err := o.Refresh(t.Context(), live.RefreshToken, laptop); err != nil {
		t.Errorf("the session is gone: %v", err)
	}
}

// The database alone does not say what the live token is.
func TestRefresh_KeepsNothingThatLetsIn(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	first := o.signIn("ada", laptop)
	second, err := o.Refresh(t.Context(), first.RefreshToken, laptop)
	o.must(err)
	rows := o.ask("SELECT s::text || encode(successor, 'escape') FROM sessions s")
	for _, token := range []string{first.RefreshToken, second.RefreshToken} {
		if len(rows) != 1 || strings.Contains(rows[0], token) {
			t.Errorf("a token is in the database: %q", rows)
		}
	}
}

func TestRefresh_EndsWhatIsIdleOrTooOld(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	idle := o.signIn("ada", laptop)
	if got, want := idle.RefreshExpiresIn, 30*60; got != want {
		t.Errorf("a refresh token lasts %d s, want %d", got, want)
	}
	o.advance(30*time.Minute - time.Second)
	idle, err := o.Refresh(t.Context(), idle.RefreshToken, laptop)
	o.must(err)
	o.advance(30 * time.Minute)
	_, err = o.Refresh(t.Context(), idle.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
	if !o.published("session", idle.SessionID) {
		t.Error("the end of an idle session was not published")
	}

	old := o.signIn("ada", laptop)
	for range 23 {
		o.advance(30*time.Minute - time.Second)
		old, err = o.Refresh(t.Context(), old.RefreshToken, laptop)
		o.must(err)
	}
	if left := 12*time.Hour - 23*(30*time.Minute-time.Second); old.RefreshExpiresIn > int(left.Seconds()) || old.ExpiresIn != 15*60 {
		t.Errorf("tokens of %d and %d s outlive the session, which has %v", old.ExpiresIn, old.RefreshExpiresIn, left)
	}
	o.advance(29 * time.Minute)
	old, err = o.Refresh(t.Context(), old.RefreshToken, laptop)
	o.must(err)
	if old.ExpiresIn != 83 || old.RefreshExpiresIn != 83 {
		t.Errorf("tokens last %d and %d s, want what is left of the session", old.ExpiresIn, old.RefreshExpiresIn)
	}
	o.advance(83 * time.Second)
	_, err = o.Refresh(t.Context(), old.RefreshToken, laptop)
	o.want(fault.Unauthorized, err)
}

func TestRefresh_RefusesWhoIsNotActive(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"disabled":            "UPDATE users SET state = 'disabled'",
		"suspended school":    "UPDATE tenants SET state = 'suspended'",
		"the session is gone": "DELETE FROM sessions",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.user("ada", auth.Teacher)
			tokens := o.signIn("ada", laptop)
			o.sql(sql)
			_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
			o.want(fault.Unauthorized, err)
		})
	}
}

func TestRefresh_TellsOfANewRole(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(c *account.Config) { c.Require = []auth.Role{auth.Admin} })
	o.user("ada", auth.Teacher)
	tokens := o.signIn("ada", laptop)
	o.sql("UPDATE users SET role = 'admin'")
	tokens, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
	o.must(err)
	if p := o.principal(tokens.AccessToken); p.Role != auth.Admin || !p.Enroll {
		t.Errorf("got %+v, want an admin who has to set up a second factor", p)
	}
}

// storm refreshes with one token n times at once and returns the successors, and how many refreshes were Unauthorized.
func storm(t *testing.T, o *office, token string, n int, from func(i int) account.Client) (successors map[string]int, refused int) {
	t.Helper()
	successors = map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			tokens, err := o.Refresh(t.Context(), token, from(i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				successors[tokens.RefreshToken]++
			case fault.Is(err, fault.Unauthorized):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	close(begin)
	wg.Wait()
	return successors, refused
}

func TestRefresh_OfFiftyAtOnceAllGetTheOneSuccessor(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	token := o.signIn("ada", laptop).RefreshToken
	for round := range 4 {
		successors, refused := storm(t, o, token, 50, func(int) account.Client { return laptop })
		if len(successors) != 1 || refused != 0 {
			t.Fatalf("round %d: %d successors, %d refused: want one for all", round, len(successors), refused)
		}
		for next, n := range successors {
			if n != 50 {
				t.Errorf("round %d: %d got the successor", round, n)
			}
			token = next
		}
	}
	if _, err := o.Refresh(t.Context(), token, laptop); err != nil {
		t.Errorf("the successor is not live: %v", err)
	}
}

func TestRefresh_OfTwoClientsAtOnceTheSessionEnds(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for range 4 {
		tokens := o.signIn("ada", laptop)
		successors, _ := storm(t, o, tokens.RefreshToken, 50, func(i int) account.Client {
			return []account.Client{laptop, thief}[i%2]
		})
		if len(successors) > 1 {
			t.Errorf("there are %d successors", len(successors))
		}
		for token := range successors {
			_, err := o.Refresh(t.Context(), token, laptop)
			o.want(fault.Unauthorized, err)
		}
		if !o.published("session", tokens.SessionID) {
			t.Error("the end of the session was not published")
		}
	}
	if n := o.count("session.revoked"); n != 4 {
		t.Errorf("%d ends of sessions are on record, want one for each of 4", n)
	}
}

// The negative control: without the condition in the UPDATE, one token has several successors, and all but one of those who hold them
// are thrown out.
func TestRefresh_WithoutTheConditionThereAreSeveralSuccessors(t *testing.T) {
	t.Parallel()
	var races *unconditional
	o := newOffice(t, func(c *account.Config) {
		races = &unconditional{Store: c.Store, t: t}
		c.Store = races
	})
	races.url = o.url
	o.user("ada", auth.Teacher)
	for range 20 {
		token := o.signIn("ada", laptop).RefreshToken
		if successors, _ := storm(t, o, token, 20, func(int) account.Client { return laptop }); len(successors) > 1 {
			return
		}
	}
	t.Error("the storm does not find a rotation without its condition")
}

func TestRefresh_EndsWithTheDatabase(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	tokens := o.signIn("ada", laptop)
	o.sql("ALTER TABLE sessions RENAME TO elsewhere")
	_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
	o.want(fault.Unavailable, err)
	o.sql("ALTER TABLE elsewhere RENAME TO sessions")
	if _, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop); err != nil {
		t.Errorf("the token is lost: %v", err)
	}
}

func FuzzRefresh_TakesNothingThatItDidNotMake(f *testing.F) {
	o := newOffice(f)
	o.user("ada", auth.Teacher)
	live := o.signIn("ada", laptop).RefreshToken
	f.Add(live[:20])
	f.Add("tbr_" + strings.Repeat("A", 64))
	f.Add(fmt.Sprintf("%s=", live))
	f.Add("tbr_\x00")
	f.Fuzz(func(t *testing.T, token string) {
		if token == live {
			return
		}
		if _, err := o.Refresh(t.Context(), token, laptop); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v", token, err)
		}
	})
}
