package account_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// change asks for a new password of ada, whose present one is goodPassword, and says whether it is refused for the password's sake.
func change(t *testing.T, o *office, p auth.Principal, password string) bool {
	t.Helper()
	err := o.ChangePassword(t.Context(), p, goodPassword, password)
	if err != nil && !invalid(err, "new_password") {
		t.Fatalf("%.40q: %v", password, err)
	}
	return err != nil
}

func TestPassword_WhatMayBeNone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(c *account.Config) {
		c.Breached = func(password string) bool { return password == "leaked ages ago" }
	})
	o.user("ada", auth.Teacher)
	o.sql("UPDATE users SET name = 'Ada Montgomery', email = 'countess@school.example', username = 'analytical' WHERE id = 'ada'")
	p := member(o, o.signIn("ada", laptop))
	for why, passwords := range map[string][]string{
		"short":     {"", "short", "elevenchars", "ﬃﬃﬃ", "éééé"},
		"long":      {strings.Repeat("every word counts ", 8), strings.Repeat("\ufdfa", 12), strings.Repeat("x", 1<<20)},
		"no text":   {"four \xff green bikes"},
		"common":    {"password1234", "Password2026!", "P@ssw0rd1234", "QWERTYUIOP12", "correcthorsebatterystaple", "iloveyou!!!!!", "Minecraft2026"},
		"repeated":  {"aaaaaaaaaaaaaaa", "abababababab", "passwordpasswordpassword", "abc1abc1abc1", "schoolschoolschool1"},
		"in a row":  {"123456789012", "1234567890123", "0987654321098", "abcdefghijklm", "987654321987", "aabbccddeeff", "ABCDEFGHIJKLMNOP"},
		"your name": {"montgomery12", "Montgomery1!1", "countess2026", "analytical!!", "ANALYTICAL112"},
		"breached":  {"leaked ages ago"},
	} {
		for _, password := range passwords {
			if !change(t, o, p, password) {
				t.Fatalf("%s: %.40q is taken", why, password)
			}
		}
	}
}

func TestPassword_WhatMayBeOne(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	old := goodPassword
	for _, password := range []string{
		"three tame owls", "x7#Kq!v2Lm9$", "пятьзеленыхслонов", "五匹の緑の象が川を静かに渡っていく", "ada likes 3 lighthouses", strings.Repeat("é", 3) + "tongues wag", "tr0ub4dor&3xyz",
		strings.Repeat("ệq7w", 31) + "xyzk",
	} {
		o.advance(time.Second)
		if err := o.ChangePassword(t.Context(), p, old, password); err != nil {
			t.Fatalf("%q: %v", password, err)
		}
		old = password
	}
}

// What chance makes is never easy: the rules are about what people make.
func TestPassword_ChanceMakesNoEasyOnes(t *testing.T) {
	t.Parallel()
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		password := make([]byte, account.MinPassword)
		for i := range password {
			password[i] = letters[random.IntN(len(letters))]
		}
		if account.TooEasy(string(password), account.User{Name: "Ada Lovelace", Username: "ada.lovelace", Email: "ada@school.example"}) {
			t.Errorf("%s is taken for easy", password)
		}
	}
}

// Two keyboards that write the same signs in different ways write the same password.
func TestPassword_IsTheSameHoweverItIsTyped(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	password := strings.Repeat("Ệéö7ﬁ", 20) + "Ⅻk" // 124 characters as it is kept
	o.must(o.ChangePassword(t.Context(), p, goodPassword, password))
	for name, typed := range map[string]string{
		"as it was": password, "decomposed": norm.NFD.String(password), "composed": norm.NFC.String(password), "compatible": norm.NFKD.String(password),
	} {
		if _, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: typed}, laptop); err != nil {
			t.Errorf("%s (%d bytes): %v", name, len(typed), err)
		}
	}
	for name, typed := range map[string]string{
		"one more": password + "x", "one less": password[:len(password)-1], "very long": password + strings.Repeat("x", 1<<20), "upper case": strings.ToUpper(password),
	} {
		_, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: typed}, laptop)
		if !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v, want Unauthorized", name, err)
		}
	}
}

func TestPassword_IsNoneOfTheLastFive(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	nth := func(i int) string {
		return []string{goodPassword, "one purple walrus", "two yellow walruses", "three orange lynxes", "four silent newts", "five hungry hippos"}[i]
	}
	for i := 1; i < 6; i++ {
		for former := range i { // the present one among them
			if err := o.ChangePassword(t.Context(), p, nth(i-1), nth(former)); !invalid(err, "new_password") {
				t.Errorf("after %d changes the password from %d changes ago: %v, want Invalid", i-1, i-1-former, err)
			}
		}
		o.advance(time.Second)
		o.must(o.ChangePassword(t.Context(), p, nth(i-1), nth(i)))
	}
	o.must(o.ChangePassword(t.Context(), p, nth(5), nth(0))) // five changes ago
	if kept := o.ask("SELECT hash FROM password_history WHERE user_id = 'ada'"); len(kept) != 4 {
		t.Errorf("%d former hashes are kept, want 4 beside the present one", len(kept))
	}
}

func TestChangePassword_EndsTheOtherSessionsAndSaysSo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	mine, others := o.signIn("ada", laptop), o.signIn("ada", thief)
	o.must(o.RequestReset(t.Context(), "ada", laptop))
	o.must(o.ChangePassword(t.Context(), member(o, mine), goodPassword, otherPassword))

	if _, err := o.Refresh(t.Context(), mine.RefreshToken, laptop); err != nil {
		t.Errorf("the session that changed it: %v", err)
	}
	_, err := o.Refresh(t.Context(), others.RefreshToken, thief)
	o.want(fault.Unauthorized, err)
	if !o.published(auth.RevokedSession, others.SessionID) || o.published(auth.RevokedSession, mine.SessionID) {
		t.Error("the wrong end was published")
	}
	o.want(fault.Unauthorized, o.ResetPassword(t.Context(), token(t, o.letters("ada@school.example")[0].Text), "five tired violins", thief))
	_, err = o.Login(t.Context(), account.Credentials{Login: "ada", Password: goodPassword}, laptop)
	o.want(fault.Unauthorized, err)
	if _, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: otherPassword}, laptop); err != nil {
		t.Errorf("with the new one: %v", err)
	}
	mails := o.letters("ada@school.example")
	if last := mails[len(mails)-1]; last.Subject != "Your password was changed" {
		t.Errorf("the last mail is %q", last.Subject)
	}
	if o.count("password.changed done ada ada") != 1 {
		t.Errorf("on record is %q", o.trail())
	}
	o.noSecrets()
}

func TestChangePassword_WrongOnesLock(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	for range 5 {
		o.want(fault.Unauthorized, o.ChangePassword(t.Context(), p, "not the old one", otherPassword))
	}
	o.want(fault.Unauthorized, o.ChangePassword(t.Context(), p, goodPassword, otherPassword)) // which would be right
	_, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: goodPassword}, laptop)
	o.want(fault.Unauthorized, err)
	o.advance(15*time.Minute + time.Second)
	o.must(o.ChangePassword(t.Context(), p, goodPassword, otherPassword))
}

// Of several who change one password at once, one does; the others have lost it.
func TestChangePassword_OnceAtATime(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	p := member(o, o.signIn("ada", laptop))
	errs := make([]error, 5) // too few losers to lock
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = o.ChangePassword(t.Context(), p, goodPassword, fmt.Sprintf("walrus number %d of many", i))
		})
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("%d and %d both changed it", winner, i)
		case err == nil:
			winner = i
		case !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.Unauthorized):
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := o.Login(t.Context(), account.Credentials{Login: "ada", Password: fmt.Sprintf("walrus number %d of many", winner)}, laptop); err != nil {
		t.Errorf("with what %d set: %v", winner, err)
	}
}
