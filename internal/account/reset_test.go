package account_test

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// token returns what a mail lets its reader in with.
func token(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(regexp.MustCompile(`https://\S+`).FindString(text))
	if err != nil || u.Fragment == "" {
		t.Fatalf("no link: %q", text)
	}
	_, token, _ := strings.Cut(u.Fragment, "=")
	return token
}

// asked has ada ask for a new password, and returns the token that she gets.
func asked(t *testing.T, o *office) string {
	t.Helper()
	before := len(o.letters("ada@school.example"))
	o.must(o.RequestReset(t.Context(), "ada@school.example", laptop))
	mails := o.letters("ada@school.example")
	if len(mails) != before+1 {
		t.Fatalf("%d mails came, want 1", len(mails)-before)
	}
	return token(t, mails[before].Text)
}

func TestReset_SetsAPasswordOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	one, two := o.signIn("ada", laptop), o.signIn("ada", thief)
	reset := asked(t, o)
	for _, tokens := range []account.Tokens{one, two} {
		if o.published(auth.RevokedSession, tokens.SessionID) {
			t.Error("a mere request ended a session")
		}
	}
	if err := o.ResetPassword(t.Context(), reset, "short", laptop); !invalid(err, "new_password") {
		t.Errorf("too short: %v", err)
	}
	if err := o.ResetPassword(t.Context(), reset, goodPassword, laptop); !invalid(err, "new_password") {
		t.Errorf("the present one: %v", err)
	}
	o.must(o.ResetPassword(t.Context(), reset, otherPassword, laptop))
	o.want(fault.Unauthorized, o.ResetPassword(t.Context(), reset, "five tired violins", thief))

	for _, tokens := range []account.Tokens{one, two} {
		_, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
		o.want(fault.Unauthorized, err)
		if !o.published(auth.RevokedSession, tokens.SessionID) {
			t.Error("nobody was told that a session has ended")
		}
	}
	_, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: goodPassword}, laptop)
	o.want(fault.Unauthorized, err)
	if _, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: otherPassword}, laptop); err != nil {
		t.Errorf("with the new one: %v", err)
	}
	if o.count("reset.requested done unknown ada 198.51.100.1") != 1 || o.count("password.reset done ada ada") != 1 {
		t.Errorf("on record is %q", o.trail())
	}
	o.noSecrets(reset)
}

func TestReset_OneTokenOnceHoweverManyComeAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	reset := asked(t, o)
	passwords := []string{"one purple walrus", "two yellow walruses", "three orange lynxes", "four silent newts", "five hungry hippos"}
	errs := make([]error, len(passwords))
	var wg sync.WaitGroup
	for i, password := range passwords {
		wg.Go(func() { errs[i] = o.ResetPassword(t.Context(), reset, password, laptop) })
	}
	wg.Wait()
	set := 0
	for i, err := range errs {
		_, login := o.Login(t.Context(), account.Credentials{Login: "ada", Password: passwords[i]}, laptop)
		switch {
		case err == nil:
			set++
		case !fault.Is(err, fault.Unauthorized):
			t.Errorf("%q: %v", passwords[i], err)
		}
		if (err == nil) != (login == nil) {
			t.Errorf("%q: setting it says %v, signing in with it %v", passwords[i], err, login)
		}
	}
	if set != 1 {
		t.Errorf("%d passwords were set, want 1", set)
	}
}

func TestReset_ANewRequestVoidsTheOneBefore(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	first, second := asked(t, o), asked(t, o)
	o.want(fault.Unauthorized, o.ResetPassword(t.Context(), first, otherPassword, laptop))
	o.must(o.ResetPassword(t.Context(), second, otherPassword, laptop))

	var wg sync.WaitGroup
	for range 6 { // at once, too
		wg.Go(func() {
			if err := o.RequestReset(t.Context(), "ada", laptop); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if good := o.ask("SELECT purpose FROM one_time_tokens WHERE purpose = 'reset' AND used_at IS NULL"); len(good) != 1 {
		t.Errorf("%d tokens are good, want 1", len(good))
	}
}

func TestReset_TokensEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then func(o *office)
		good bool
	}{
		"at once":                 {func(*office) {}, true},
		"after 29 minutes":        {func(o *office) { o.advance(29 * time.Minute) }, true},
		"after 30 minutes":        {func(o *office) { o.advance(30 * time.Minute) }, false},
		"of who is disabled":      {func(o *office) { o.sql("UPDATE users SET state = 'disabled'") }, false},
		"of who is erased":        {func(o *office) { o.sql("UPDATE users SET state = 'erased'") }, false},
		"of who has no password":  {func(o *office) { o.sql("UPDATE users SET password_hash = NULL") }, true},
		"of who must change it":   {func(o *office) { o.sql("UPDATE users SET must_change = true") }, true},
		"with the wrong letter":   {nil, false},
		"made for something else": {func(o *office) { o.sql("UPDATE one_time_tokens SET purpose = 'login'") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.user("ada", auth.Teacher)
			reset := asked(t, o)
			if c.then == nil {
				reset = "A" + reset
			} else {
				c.then(o)
			}
			err := o.ResetPassword(t.Context(), reset, otherPassword, laptop)
			if c.good && err != nil || !c.good && !fault.Is(err, fault.Unauthorized) {
				t.Errorf("got %v", err)
			}
			if still := o.ask("SELECT id FROM users WHERE must_change"); c.good && len(still) > 0 {
				t.Error("they must still change it")
			}
		})
	}
}

// A token is good for twenty passwords that may be none, and not for any number of guesses at which one it was.
func TestReset_ATokenHasTwentyTries(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	reset := asked(t, o)
	for range 20 {
		if err := o.ResetPassword(t.Context(), reset, goodPassword, laptop); !invalid(err, "new_password") {
			t.Fatal(err)
		}
	}
	o.want(fault.Unauthorized, o.ResetPassword(t.Context(), reset, otherPassword, laptop))
}

func TestReset_AnswersTheSameToAnybody(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for _, name := range []string{"ada", "bob", "cyd", "dan"} {
		o.user(name, auth.Teacher)
	}
	o.sql("UPDATE users SET email = NULL, email_key = NULL WHERE id = 'bob'")
	o.sql("UPDATE users SET state = 'disabled' WHERE id = 'cyd'")
	o.sql("UPDATE users SET tenant = 'other' WHERE id = 'dan'")
	o.sql("UPDATE tenants SET state = 'suspended' WHERE id = 'other'")
	for _, login := range []string{"ada", "ADA@school.example", "bob", "cyd", "cyd@school.example", "dan", "nobody", "", "\x00", "\xff@", "no@body.example"} {
		if err := o.RequestReset(t.Context(), login, laptop); err != nil {
			t.Errorf("%q: %v", login, err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.mails {
		if m.To != "ada@school.example" {
			t.Errorf("a mail went to %s", m.To)
		}
	}
	if len(o.mails) != 2 {
		t.Errorf("%d mails went out, want 2", len(o.mails))
	}
}

// A thief who guesses at a password does not keep its owner from a new one.
func TestReset_LiftsALock(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for range 5 {
		_, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: "not the old one"}, thief)
		o.want(fault.Unauthorized, err)
	}
	reset := asked(t, o)
	o.must(o.ResetPassword(t.Context(), reset, otherPassword, laptop))
	if _, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: otherPassword}, laptop); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestResetLink_IsForTheOperator(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	o.sql("UPDATE users SET email = NULL, email_key = NULL")
	reset, link, err := o.ResetLink(t.Context(), "ada")
	o.must(err)
	if token(t, link) != reset {
		t.Errorf("the link %s does not hold the token", link)
	}
	o.must(o.ResetPassword(t.Context(), reset, otherPassword, laptop))
	_, _, err = o.ResetLink(t.Context(), "nobody")
	o.want(fault.NotFound, err)
}

func TestUnlock_IsForAdminsOfTheTenant(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for range 5 {
		_, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: "not the old one"}, thief)
		o.want(fault.Unauthorized, err)
	}
	o.want(fault.NotFound, o.Unlock(t.Context(), auth.Principal{UserID: "root", Tenant: "other", Role: auth.Admin}, "ada"))
	_, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: goodPassword}, laptop)
	o.want(fault.Unauthorized, err)
	o.must(o.Unlock(t.Context(), auth.Principal{UserID: "root", Tenant: "school", Role: auth.Admin}, "ada"))
	o.signIn("ada", laptop)
	if o.count("account.unlocked done root ada") != 1 {
		t.Errorf("on record is %q", o.trail())
	}
}
