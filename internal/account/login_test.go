package account_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// try signs in and returns the error alone.
func (o *office) try(login, password string) error {
	_, err := o.Login(o.tb.Context(), account.Credentials{Login: login, Password: password}, thief)
	return err
}

func TestLogin_TakesEitherNameInAnyCase(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for _, login := range []string{"ada", "ADA", " ada ", "ada@school.example", "Ada@School.Example", "ａｄａ"} {
		tokens := o.signIn(login, laptop)
		p := o.principal(tokens.AccessToken)
		if p.UserID != "ada" || p.SessionID != tokens.SessionID || tokens.TokenType != "Bearer" || tokens.ExpiresIn != 15*60 || tokens.User.ID != "ada" {
			t.Errorf("%q: got %+v", login, tokens)
		}
		if since := time.Since(p.AuthAt); since < -time.Minute || since > time.Minute {
			t.Errorf("%q: it was proved %v ago", login, since)
		}
	}
	if n := o.count("login.succeeded done ada ada 198.51.100.1"); n != 6 {
		t.Errorf("%d sign-ins are on record: %q", n, o.trail())
	}
	o.noSecrets()
}

func TestLogin_SaysTheSameToWhoeverIsNotLetIn(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for _, name := range []string{"ada", "disabled", "locked", "keyless"} {
		o.user(name, auth.Teacher)
	}
	o.sql("UPDATE users SET state = 'disabled' WHERE id = 'disabled'")
	o.sql("UPDATE users SET locked_until = now() + interval '1 hour' WHERE id = 'locked'")
	o.sql("UPDATE users SET password_hash = NULL WHERE id = 'keyless'")
	want := o.try("nobody", goodPassword)
	o.want(fault.Unauthorized, want)
	for _, c := range []struct{ login, password string }{
		{"ada", otherPassword}, {"ada", ""}, {"ada", strings.Repeat("a", 1<<20)}, {"ada", goodPassword + "\x00"}, {"disabled", goodPassword}, {"locked", goodPassword},
		{"locked", otherPassword}, {"keyless", goodPassword}, {"keyless", ""}, {"", ""}, {"\x00", goodPassword}, {"\xff", goodPassword}, {"a b c", goodPassword},
		{"x@y@z", goodPassword}, {strings.Repeat("ada", 1<<16), goodPassword},
	} {
		if err := o.try(c.login, c.password); !fault.Is(err, fault.Unauthorized) || err.Error() != want.Error() {
			t.Errorf("%.20q %.20q: got %v, want %v", c.login, c.password, err, want)
		}
	}
	if n := o.count("login.failed password unknown ada " + thief.IP.String()); n != 4 {
		t.Errorf("%d failures of ada are on record, want 4: %q", n, o.trail())
	}
	if n := o.count("login.failed locked unknown locked"); n != 1 {
		t.Errorf("%d right passwords for a locked account are on record, want 1", n)
	}
	o.noSecrets()
}

// What a sign-in costs must not tell whether there is such a user: that is the hash, before all else.
func TestLogin_MakesOneHashOfOneCostForWhoeverComes(t *testing.T) {
	t.Parallel()
	cost := account.Cost{MemoryKiB: 96, Passes: 2}
	var mu sync.Mutex
	var made []account.Cost
	hasher := account.NewHasher(cost)
	o := newOffice(t, func(c *account.Config) { c.Hasher = hasher })
	for _, name := range []string{"ada", "disabled", "locked", "keyless"} {
		o.user(name, auth.Teacher)
	}
	o.sql("UPDATE users SET state = 'disabled' WHERE id = 'disabled'")
	o.sql("UPDATE users SET locked_until = now() + interval '1 hour' WHERE id = 'locked'")
	o.sql("UPDATE users SET password_hash = NULL WHERE id = 'keyless'")
	hasher.OnHash(func(c account.Cost) {
		mu.Lock()
		defer mu.Unlock()
		made = append(made, c)
	})
	for _, login := range []string{"ada", "ada@school.example", "nobody", "nobody@school.example", "disabled", "locked", "keyless", "", "\x00", "x@"} {
		for _, password := range []string{goodPassword, otherPassword, "", strings.Repeat("a", 1<<20)} {
			made = nil
			err := o.try(login, password)
			if !slices.Equal(made, []account.Cost{cost}) {
				t.Errorf("%q (%v): made hashes of %v, want one of %v", login, err, made, cost)
			}
		}
	}
}

// And the rest, which differs, is hidden in the grain of the answer.
func TestLogin_AnswersThatRefuseComeInSteps(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.SetAnswerStep(account.AnswerStep)
	o.user("ada", auth.Teacher)
	for _, login := range []string{"ada", "nobody"} {
		began := time.Now()
		o.want(fault.Unauthorized, o.try(login, otherPassword))
		if took := time.Since(began); took < account.AnswerStep {
			t.Errorf("%s: the answer came after %v, before %v", login, took, account.AnswerStep)
		}
		began = time.Now()
		o.must(o.RequestReset(t.Context(), login, thief))
		if took := time.Since(began); took < account.AnswerStep {
			t.Errorf("%s: the answer to a reset came after %v, before %v", login, took, account.AnswerStep)
		}
	}
}

func TestLogin_LocksAfterFiveFailures(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for range 4 {
		o.want(fault.Unauthorized, o.try("ada", otherPassword))
	}
	o.signIn("ada", laptop) // which forgives the four
	for range 5 {
		o.want(fault.Unauthorized, o.try("ada", otherPassword))
	}
	o.want(fault.Unauthorized, o.try("ada", goodPassword))
	if o.count("account.locked done ada ada 203.0.113.9") != 1 || o.count("login.failed password") != 9 {
		t.Errorf("on record is %q", o.trail())
	}
	letters := o.letters("ada@school.example")
	if len(letters) != 1 || !strings.Contains(letters[0].Text, "5 times") {
		t.Errorf("mailed were %+v", letters)
	}
	o.advance(15*time.Minute - time.Second)
	o.want(fault.Unauthorized, o.try("ada", goodPassword))
	o.advance(time.Second)
	tokens := o.signIn("ada", laptop)
	if tokens.User.LockedUntil != nil {
		t.Error("who is signed in is said to be locked")
	}
}

// The count begins anew after a lock, and after a quarter of an hour without a failure.
func TestLogin_ForgetsOldFailures(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for range 3 {
		for range 4 {
			o.want(fault.Unauthorized, o.try("ada", otherPassword))
		}
		o.advance(15 * time.Minute)
	}
	if n := o.count("account.locked"); n != 0 {
		t.Fatalf("locked %d times", n)
	}
	for range 5 {
		o.want(fault.Unauthorized, o.try("ada", otherPassword))
	}
	o.advance(15 * time.Minute)
	for range 4 {
		o.want(fault.Unauthorized, o.try("ada", otherPassword))
	}
	if n := o.count("account.locked"); n != 1 {
		t.Errorf("locked %d times, want once", n)
	}
	o.signIn("ada", laptop)
}

func TestLogin_CountsRightWhenManyFailAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	for round := range 5 {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { o.want(fault.Unauthorized, o.try("ada", otherPassword)) })
		}
		wg.Wait()
		failed, locked, mailed := o.count("login.failed password"), o.count("account.locked"), len(o.letters("ada@school.example"))
		if failed != 5*(round+1) || locked != round+1 || mailed != round+1 {
			t.Fatalf("round %d: %d failures were counted, %d locks, %d mails: want 5, 1 and 1 a round", round, failed, locked, mailed)
		}
		if left := o.ask("SELECT failures::text FROM users WHERE id = 'ada' AND locked_until > $1", o.clock()); len(left) != 1 || left[0] != "0" {
			t.Fatalf("round %d: %v", round, left)
		}
		o.want(fault.Unauthorized, o.try("ada", goodPassword))
		o.advance(15 * time.Minute)
	}
}

// Of few that fail at once none is lost: the next ones lock.
func TestLogin_LosesNoFailure(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { o.want(fault.Unauthorized, o.try("ada", otherPassword)) })
	}
	wg.Wait()
	if n := o.ask("SELECT failures::text FROM users WHERE id = 'ada'"); n[0] != "4" {
		t.Fatalf("%s failures were counted, want 4", n[0])
	}
	o.want(fault.Unauthorized, o.try("ada", otherPassword))
	o.want(fault.Unauthorized, o.try("ada", goodPassword))
}

// A right password that was checked while a lock came does not get in behind it.
func TestLogin_IsRefusedWhenTheLockComesWhileThePasswordIsChecked(t *testing.T) {
	t.Parallel()
	hasher := account.NewHasher(account.Cost{MemoryKiB: 64, Passes: 1})
	o := newOffice(t, func(c *account.Config) { c.Hasher = hasher })
	o.user("ada", auth.Teacher)
	hasher.OnHash(func(account.Cost) { o.sql("UPDATE users SET locked_until = now() + interval '1 hour'") })
	o.want(fault.Unauthorized, o.try("ada", goodPassword))
	if got := o.ask("SELECT id FROM sessions"); len(got) != 0 {
		t.Errorf("there are sessions %v", got)
	}
}

// What was proved of an account as it was does not let anybody into the account as it is.
func TestLogin_IsRefusedWhenTheAccountChangesWhileThePasswordIsChecked(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"another role":     "UPDATE users SET role = 'student', version = version + 1",
		"another password": "UPDATE users SET password_hash = 'x', version = version + 1",
		"disabled":         "UPDATE users SET state = 'disabled', version = version + 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hasher := account.NewHasher(account.Cost{MemoryKiB: 64, Passes: 1})
			o := newOffice(t, func(c *account.Config) { c.Hasher = hasher })
			o.user("ada", auth.Teacher)
			hasher.OnHash(func(account.Cost) { o.sql(sql) })
			o.want(fault.Unauthorized, o.try("ada", goodPassword))
			if got := o.ask("SELECT id FROM sessions"); len(got) != 0 {
				t.Errorf("there are sessions %v", got)
			}
		})
	}
}

func TestLogin_HashesAnewWhenTheCostHasRisen(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	before := o.ask("SELECT password_hash FROM users")
	o.signIn("ada", laptop)
	if after := o.ask("SELECT password_hash FROM users"); after[0] != before[0] {
		t.Error("it was hashed anew at the same cost")
	}
	cfg := o.cfg
	cfg.Hasher = account.NewHasher(account.Cost{MemoryKiB: 128, Passes: 3})
	dearer, err := account.New(cfg)
	o.must(err)
	for range 2 {
		if _, err := dearer.Login(t.Context(), account.Credentials{Login: "ada", Password: goodPassword}, laptop); err != nil {
			t.Fatal(err)
		}
		if after := o.ask("SELECT password_hash FROM users"); !strings.HasPrefix(after[0], "$argon2id$v=19$m=128,t=3,p=1$") {
			t.Fatalf("it is still %s", after[0])
		}
	}
	o.must(dearer.ChangePassword(t.Context(), o.principal(o.signIn("ada", laptop).AccessToken), goodPassword, otherPassword))
}

func TestLogin_IsUnavailableWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	o.sql("ALTER TABLE users RENAME TO elsewhere")
	for _, login := range []string{"ada", "nobody"} {
		o.want(fault.Unavailable, o.try(login, goodPassword))
	}
	o.want(fault.Unavailable, o.RequestReset(t.Context(), "ada", laptop))
}

func TestLogin_HasToEnrolWhoseRoleDemandsASecondFactor(t *testing.T) {
	t.Parallel()
	o := newOffice(t, func(c *account.Config) { c.Require = []auth.Role{auth.Admin} })
	o.user("ada", auth.Teacher)
	o.user("boss", auth.Admin)
	for name, want := range map[string]bool{"ada": false, "boss": true} {
		if p := o.principal(o.signIn(name, laptop).AccessToken); p.Enroll != want {
			t.Errorf("%s has to enrol: %v", name, p.Enroll)
		}
	}
}

func TestLogin_HasToChangeAPasswordThatSomebodyElseChose(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.user("ada", auth.Teacher)
	o.ask(`UPDATE users SET must_change = true WHERE username = 'ada' RETURNING id`)
	tokens := o.signIn("ada", laptop)
	p := o.principal(tokens.AccessToken)
	if !p.Renew {
		t.Fatal("whose password somebody else chose may do everything")
	}
	o.must(o.ChangePassword(t.Context(), p, goodPassword, otherPassword))
	after, err := o.Refresh(t.Context(), tokens.RefreshToken, laptop)
	o.must(err)
	if o.principal(after.AccessToken).Renew {
		t.Error("it is not enough to have changed it")
	}
}

func TestNew_RefusesWhatIsNotSafe(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	for name, change := range map[string]func(*account.Config){
		"no store":                     func(c *account.Config) { c.Store = nil },
		"no hasher":                    func(c *account.Config) { c.Hasher = nil },
		"negative limit":               func(c *account.Config) { c.MaxSessions = -1 },
		"tokens outlive revocations":   func(c *account.Config) { c.AccessTTL = time.Hour },
		"unknown enrolment":            func(c *account.Config) { c.Enrolment = "anybody" },
		"open, but to which school":    func(c *account.Config) { c.Enrolment = account.Open },
		"admins register":              func(c *account.Config) { c.OpenRole = auth.Admin },
		"platform admins register":     func(c *account.Config) { c.OpenRole = auth.PlatformAdmin },
		"links lead nowhere":           func(c *account.Config) { c.PublicURL = "app.example.org" },
		"links lead to another scheme": func(c *account.Config) { c.PublicURL = "javascript://app.example.org" },
	} {
		cfg := o.cfg
		change(&cfg)
		if _, err := account.New(cfg); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// A challenge is worth what the account was when the password was right.
func TestCompleteLogin_IsRefusedWhenTheAccountChangedSinceThePassword(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *office){
		"another role": func(o *office) { o.sql("UPDATE users SET role = 'student', version = version + 1") },
		"disabled":     func(o *office) { o.sql("UPDATE users SET state = 'disabled', version = version + 1") },
		"locked":       func(o *office) { o.sql("UPDATE users SET locked_until = now() + interval '1 hour'") },
		"revoked":      func(o *office) { o.must(o.RevokeUser(o.tb.Context(), "school", "ada", "a test")) },
		"suspended":    func(o *office) { o.sql("UPDATE tenants SET state = 'suspended'") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			secret, _ := o.app(o.person("ada", auth.Teacher))
			challenge := o.challenge("ada")
			before := len(o.ask("SELECT id FROM sessions"))
			change(o)
			_, err := o.CompleteLogin(t.Context(), challenge.Token, account.Proof{Code: o.code(secret)}, laptop)
			o.want(fault.Unauthorized, err)
			if got := len(o.ask("SELECT id FROM sessions")); got != before {
				t.Errorf("there are %d sessions, want %d", got, before)
			}
		})
	}
}

func TestCompleteLogin_SignsInOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	secret, codes := o.app(o.person("ada", auth.Teacher))
	challenge := o.challenge("ada")
	proofs := []account.Proof{{Code: o.code(secret)}, {BackupCode: codes[0]}, {BackupCode: codes[1]}, {BackupCode: codes[2]}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var in []account.Tokens
	for _, proof := range proofs {
		wg.Go(func() {
			tokens, err := o.CompleteLogin(t.Context(), challenge.Token, proof, laptop)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				in = append(in, tokens)
			} else if !fault.Is(err, fault.Unauthorized) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(in) != 1 {
		t.Fatalf("one challenge signed in %d times", len(in))
	}
	if p := o.principal(in[0].AccessToken); !p.SecondFactor || p.Enroll {
		t.Errorf("got %+v, want a second factor", p)
	}
	if n := o.count("login.succeeded"); n != 2 {
		t.Errorf("%d sign-ins are on record, want the one of the password alone and this one", n)
	}
}
