package account_test

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
)

func TestTOTP_IsSetUpAndSignsIn(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	p := d.person("ada", auth.Teacher)
	_, err := d.ConfirmTOTP(ctx, p, "123456")
	d.want(fault.Conflict, err)
	setup, err := d.BeginTOTP(ctx, p)
	d.must(err)
	if img, err := png.Decode(bytes.NewReader(setup.QR)); err != nil || img.Bounds().Dx() < 200 {
		t.Errorf("the QR code is no picture: %v", err)
	}
	uri, err := url.Parse(setup.URI)
	d.must(err)
	if q := uri.Query(); uri.Scheme != "otpauth" || q.Get("secret") != setup.Secret || q.Get("issuer") != "ToolboxAI" || q.Get("algorithm") != "SHA1" || q.Get("digits") != "6" || q.Get("period") != "30" {
		t.Errorf("the address is %s", setup.URI)
	}
	if result, err := d.Login(ctx, account.Credentials{Login: "ada", Password: factorPassword}, desk); err != nil || result.Tokens == nil {
		t.Errorf("a secret that is not in force asks for a code (%v)", err)
	}
	_, err = d.ConfirmTOTP(ctx, p, d.not(setup.Secret))
	d.want(fault.Invalid, err)
	done, err := d.ConfirmTOTP(ctx, p, d.code(setup.Secret))
	d.must(err)
	if fresh := d.principal(done.Access.Token); !fresh.SecondFactor || fresh.SessionID != p.SessionID || len(done.BackupCodes) != 10 {
		t.Errorf("the new token is %+v, with %d codes", fresh, len(done.BackupCodes))
	}
	p = proved(p)
	_, err = d.BeginTOTP(ctx, p)
	d.want(fault.Conflict, err)

	d.advance(30 * time.Second)
	challenge := d.challenge("ada")
	if len(challenge.Methods) != 2 || challenge.Methods[0] != account.MethodTOTP || challenge.Methods[1] != account.MethodBackupCode {
		t.Errorf("offered are %v", challenge.Methods)
	}
	code := d.code(setup.Secret)
	tokens, err := d.CompleteLogin(ctx, challenge.Token, account.Proof{Code: code[:3] + " " + code[3:]}, desk)
	d.must(err)
	if p := d.principal(tokens.AccessToken); !p.SecondFactor || p.UserID != "ada" {
		t.Errorf("signed in as %+v", p)
	}
	if me, err := d.Me(ctx, p); err != nil || !me.SecondFactor {
		t.Errorf("ada is %+v (%v)", me, err)
	}
	d.must(d.DisableTOTP(ctx, p))
	d.want(fault.NotFound, d.DisableTOTP(ctx, p))
	if result, err := d.Login(ctx, account.Credentials{Login: "ada", Password: factorPassword}, desk); err != nil || result.Tokens == nil {
		t.Errorf("without the app no tokens (%v)", err)
	}
	for action, n := range map[string]int{"mfa.enabled": 1, "mfa.disabled": 1, "mfa.failed": 0} {
		if got := d.recorded(action); got != n {
			t.Errorf("%s is on record %d times, want %d", action, got, n)
		}
	}
	for _, hidden := range append(done.BackupCodes, setup.Secret, code) {
		if strings.Contains(d.trail(), hidden) {
			t.Errorf("%q is on record", hidden)
		}
	}
}

func TestTOTP_TakesTheStepsAroundNowOnce(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.LockAfter = 1000 })
	p := d.person("ada", auth.Teacher)
	secret, _ := d.app(p)
	d.advance(10 * time.Minute)
	try := func(off time.Duration) error {
		_, err := d.StepUp(t.Context(), p, account.Proof{Code: d.codeAt(secret, off)})
		return err
	}
	d.want(fault.Unauthorized, try(-60*time.Second))
	d.want(fault.Unauthorized, try(60*time.Second))
	d.must(try(-30 * time.Second))
	d.want(fault.Unauthorized, try(-30*time.Second))
	d.must(try(0))
	d.want(fault.Unauthorized, try(-30*time.Second)) // older than the last
	d.must(try(30 * time.Second))
	d.want(fault.Unauthorized, try(30*time.Second))
	d.want(fault.Unauthorized, try(0))
	d.advance(60 * time.Second)
	d.must(try(0))
}

// Twenty who have the same code, and the password, at the same time: one of them signs in.
func TestTOTP_OneCodeSignsInOnce(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.LockAfter = 1000 })
	secret, codes := d.app(d.person("ada", auth.Teacher))
	for name, proof := range map[string]account.Proof{"totp": {Code: d.code(secret)}, "backup code": {BackupCode: codes[0]}} {
		const many = 20
		var challenges [many]account.Challenge
		for i := range challenges {
			challenges[i] = d.challenge("ada")
		}
		var signedIn, refused atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for _, challenge := range challenges {
			wg.Go(func() {
				<-start
				switch _, err := d.CompleteLogin(t.Context(), challenge.Token, proof, desk); {
				case err == nil:
					signedIn.Add(1)
				case fault.Is(err, fault.Unauthorized):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if signedIn.Load() != 1 || refused.Load() != many-1 {
			t.Errorf("%s: %d signed in and %d were refused", name, signedIn.Load(), refused.Load())
		}
	}
}

// looksFirst is a store that looks before it writes, as many do.
type looksFirst struct {
	account.SecondFactorStore
	all *sync.WaitGroup // those who look at once
}

func (f looksFirst) UseTOTP(ctx context.Context, tenant, userID string, _ []byte, step int64) (bool, error) {
	now, err := f.Factors(ctx, tenant, userID)
	f.all.Done()
	f.all.Wait()
	return now.TOTPLastStep < step, err
}

// The negative control: with a store that looks first, one code signs in as often as it is asked for.
func TestTOTP_WithoutAnAtomicStoreOneCodeSignsInOften(t *testing.T) {
	t.Parallel()
	const many = 4
	var all sync.WaitGroup
	all.Add(many)
	d := newDesktop(t, func(c *account.Config) { c.Factors = looksFirst{c.Factors, &all} })
	secret, _ := d.app(d.person("ada", auth.Teacher))
	proof := account.Proof{Code: d.code(secret)}
	var signedIn atomic.Int64
	var wg sync.WaitGroup
	for range many {
		challenge := d.challenge("ada")
		wg.Go(func() {
			if _, err := d.CompleteLogin(t.Context(), challenge.Token, proof, desk); err == nil {
				signedIn.Add(1)
			}
		})
	}
	wg.Wait()
	if signedIn.Load() != many {
		t.Errorf("%d of %d signed in: the test of one sign-in would not see a race", signedIn.Load(), many)
	}
}

func TestTOTP_OneChallengeSignsInOnce(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	_, codes := d.app(d.person("ada", auth.Teacher))
	challenge := d.challenge("ada")
	var signedIn atomic.Int64
	var wg sync.WaitGroup
	for _, code := range codes[:4] {
		wg.Go(func() {
			if _, err := d.CompleteLogin(t.Context(), challenge.Token, account.Proof{BackupCode: code}, desk); err == nil {
				signedIn.Add(1)
			} else if !fault.Is(err, fault.Unauthorized) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if signedIn.Load() != 1 {
		t.Errorf("%d signed in with four codes for one challenge", signedIn.Load())
	}
}

func TestTOTP_WrongCodesLockAndEndTheChallenge(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	secret, codes := d.app(d.person("ada", auth.Teacher))
	challenge := d.challenge("ada")
	for range 5 {
		_, err := d.CompleteLogin(ctx, challenge.Token, account.Proof{Code: d.not(secret)}, desk)
		d.want(fault.Unauthorized, err)
	}
	if d.recorded("mfa.failed") != 5 || d.recorded("account.locked") != 1 {
		t.Errorf("on record: %s", d.trail())
	}
	if _, err := d.Login(ctx, account.Credentials{Login: "ada", Password: factorPassword}, desk); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("a locked account: %v", err)
	}
	d.advance(16 * time.Minute)
	_, err := d.CompleteLogin(ctx, challenge.Token, account.Proof{Code: d.code(secret)}, desk)
	d.want(fault.Unauthorized, err) // five tries, and five minutes
	_, err = d.CompleteLogin(ctx, d.challenge("ada").Token, account.Proof{BackupCode: codes[0]}, desk)
	d.must(err)
}

// A challenge ends with its fifth try even where nothing is locked.
func TestTOTP_AChallengeHasFiveTries(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.LockAfter = 1000 })
	secret, _ := d.app(d.person("ada", auth.Teacher))
	challenge := d.challenge("ada")
	for range 5 {
		_, err := d.CompleteLogin(t.Context(), challenge.Token, account.Proof{Code: d.not(secret)}, desk)
		d.want(fault.Unauthorized, err)
	}
	_, err := d.CompleteLogin(t.Context(), challenge.Token, account.Proof{Code: d.code(secret)}, desk)
	d.want(fault.Unauthorized, err)
	_, err = d.CompleteLogin(t.Context(), d.challenge("ada").Token, account.Proof{Code: d.code(secret)}, desk)
	d.must(err)
}

// While an account is locked right codes are refused, and stay good.
func TestTOTP_ALockRefusesRightCodes(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	p := d.person("ada", auth.Teacher)
	secret, codes := d.app(p)
	for range 5 {
		_, err := d.StepUp(t.Context(), p, account.Proof{Code: d.not(secret)})
		d.want(fault.Unauthorized, err)
	}
	for _, proof := range []account.Proof{{Code: d.code(secret)}, {BackupCode: codes[3]}} {
		_, err := d.StepUp(t.Context(), p, proof)
		d.want(fault.Unauthorized, err)
	}
	d.advance(16 * time.Minute)
	_, err := d.StepUp(t.Context(), p, account.Proof{BackupCode: codes[3]})
	d.must(err)
}

// The secret in the database belongs to its user and needs the deployment's key.
func TestTOTP_TheSecretIsSealed(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	ada, bob := d.person("ada", auth.Teacher), d.person("bob", auth.Teacher)
	seed, codes := d.app(ada)
	d.app(bob)
	f, err := d.cfg.Factors.Factors(ctx, "school", "ada")
	d.must(err)
	if bytes.Contains(f.TOTPSecret, []byte(seed)) {
		t.Error("the secret lies in clear")
	}
	d.sql("UPDATE users SET totp_secret = (SELECT totp_secret FROM users WHERE id = 'ada') WHERE id = 'bob'")
	_, err = d.StepUp(ctx, bob, account.Proof{Code: d.code(seed)})
	d.want(fault.Internal, err)

	rotated := d.cfg
	rotated.Box, err = secret.New("another passphrase that is long enough too", deploymentKey)
	d.must(err)
	service, err := account.New(rotated)
	d.must(err)
	_, err = service.StepUp(ctx, ada, account.Proof{Code: d.code(seed)})
	d.must(err)
	_, err = service.StepUp(ctx, ada, account.Proof{BackupCode: codes[0]})
	d.must(err)
	rotated.Box, err = secret.New("another passphrase that is long enough too")
	d.must(err)
	service, err = account.New(rotated)
	d.must(err)
	d.advance(time.Minute)
	_, err = service.StepUp(ctx, ada, account.Proof{Code: d.code(seed)})
	d.want(fault.Internal, err)
	_, err = service.StepUp(ctx, ada, account.Proof{BackupCode: codes[1]})
	d.want(fault.Unauthorized, err)
}

// Whoever has a password alone must not bring a factor of their own into force that they began before there was another.
func TestTOTP_IsNotConfirmedByAPasswordAloneBesideAPasskey(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	thief := d.person("ada", auth.Teacher)
	setup, err := d.BeginTOTP(ctx, thief)
	d.must(err)
	newDevice(d, "ada", virtualwebauthn.KeyTypeEC2).add(thief)
	_, err = d.ConfirmTOTP(ctx, thief, d.code(setup.Secret))
	d.want(fault.Forbidden, err)
	if !errors.Is(err, auth.ErrStepUp) {
		t.Errorf("the error is %v", err)
	}
	_, err = d.ConfirmTOTP(ctx, proved(thief), d.code(setup.Secret))
	d.must(err)
}
