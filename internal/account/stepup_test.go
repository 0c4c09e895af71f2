package account_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// sensitive is what asks for a fresh proof.
var sensitive = auth.Rule{Admin: auth.Tenant, Teacher: auth.Own, Student: auth.Own, StepUp: true}

func TestStepUp_OpensWhatAsksForAFreshProof(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	p := d.person("ada", auth.Teacher)
	d.advance(14 * time.Minute) // within the access token's life, beyond the window of a proof
	if _, err := sensitive.Decide(p, d.clock()); !errors.Is(err, auth.ErrStepUp) {
		t.Fatalf("an old proof will do: %v", err)
	}
	_, err := d.StepUp(ctx, p, account.Proof{Password: "not this one at all"})
	d.want(fault.Unauthorized, err)
	for _, proof := range []account.Proof{
		{}, {Code: "123456"}, {BackupCode: "01234-56789"}, {Passkey: json.RawMessage(`{}`)}, {Ceremony: "x"}, {Password: factorPassword, Code: "123456"},
	} {
		_, err := d.StepUp(ctx, p, proof)
		d.want(fault.Invalid, err)
	}
	access, err := d.StepUp(ctx, p, account.Proof{Password: factorPassword})
	d.must(err)
	fresh := d.principal(access.Token)
	if _, err := sensitive.Decide(fresh, d.clock()); err != nil || fresh.SessionID != p.SessionID || fresh.SecondFactor || access.ExpiresIn != 900 {
		t.Errorf("%+v: %v", fresh, err)
	}
	if d.recorded("step_up") != 1 {
		t.Error("it is not on record")
	}
	d.advance(11 * time.Minute)
	if _, err := sensitive.Decide(fresh, d.clock()); !errors.Is(err, auth.ErrStepUp) {
		t.Errorf("it lasts for ever: %v", err)
	}
}

func TestStepUp_AsksForTheSecondFactorOfWhoHasOne(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	p := d.person("ada", auth.Teacher)
	secret, codes := d.app(p)
	_, err := d.StepUp(ctx, p, account.Proof{Password: factorPassword})
	d.want(fault.Invalid, err)
	for _, proof := range []account.Proof{{Code: d.code(secret)}, {BackupCode: codes[0]}} {
		access, err := d.StepUp(ctx, p, proof)
		d.must(err)
		if !d.principal(access.Token).SecondFactor {
			t.Errorf("%+v counts as no second factor", proof)
		}
	}
}

func TestStepUp_NeedsASessionThatGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	p := d.person("ada", auth.Teacher)
	noSession := p
	noSession.SessionID = ""
	_, err := d.StepUp(ctx, noSession, account.Proof{Password: factorPassword})
	d.want(fault.Forbidden, err)
	d.must(d.Logout(ctx, p))
	_, err = d.StepUp(ctx, p, account.Proof{Password: factorPassword})
	d.want(fault.Unauthorized, err)

	q := d.person("bob", auth.Teacher)
	d.sql("UPDATE users SET state = 'disabled' WHERE id = 'bob'")
	_, err = d.StepUp(ctx, q, account.Proof{Password: factorPassword})
	d.want(fault.Unauthorized, err)
	_, err = d.BeginTOTP(ctx, q)
	d.want(fault.Unauthorized, err)
}

// A stolen access token guesses no password: the guesses lock the account.
func TestStepUp_WrongPasswordsLock(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	p := d.person("ada", auth.Teacher)
	for range 5 {
		_, err := d.StepUp(t.Context(), p, account.Proof{Password: "not this one at all"})
		d.want(fault.Unauthorized, err)
	}
	_, err := d.StepUp(t.Context(), p, account.Proof{Password: factorPassword})
	d.want(fault.Unauthorized, err)
	d.advance(16 * time.Minute)
	_, err = d.StepUp(t.Context(), p, account.Proof{Password: factorPassword})
	d.must(err)
}

// Who acts in another school proves who they are at home.
func TestStepUp_IsAtHome(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	p := d.person("root", auth.PlatformAdmin)
	away, err := p.ActIn("other")
	d.must(err)
	access, err := d.StepUp(t.Context(), away, account.Proof{Password: factorPassword})
	d.must(err)
	if got := d.principal(access.Token); got.Tenant != "school" {
		t.Errorf("the token is of %s", got.Tenant)
	}
	secret, _ := d.app(away)
	_, err = d.StepUp(t.Context(), away, account.Proof{Code: d.code(secret)})
	d.must(err)
}

func TestSecondFactor_WhoMustHaveOneMayOnlySetItUp(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.Require = []auth.Role{auth.Admin} })
	ctx := t.Context()
	everyday := auth.Rule{Admin: auth.Tenant, Teacher: auth.Tenant}
	if _, err := everyday.Decide(d.person("tom", auth.Teacher), d.clock()); err != nil {
		t.Errorf("a teacher need not: %v", err)
	}
	p := d.person("ada", auth.Admin)
	if _, err := everyday.Decide(p, d.clock()); !errors.Is(err, auth.ErrEnroll) || !p.Enroll {
		t.Fatalf("an admin without a second factor: %v", err)
	}
	access, err := d.StepUp(ctx, p, account.Proof{Password: factorPassword})
	d.must(err)
	if !d.principal(access.Token).Enroll {
		t.Error("a password lifts the duty")
	}
	setup, err := d.BeginTOTP(ctx, p)
	d.must(err)
	done, err := d.ConfirmTOTP(ctx, p, d.code(setup.Secret))
	d.must(err)
	if got := d.principal(done.Access.Token); got.Enroll || !got.SecondFactor {
		t.Errorf("after the set-up: %+v", got)
	}
	d.must(d.DisableTOTP(ctx, proved(p)))
	result, err := d.Login(ctx, account.Credentials{Login: "ada", Password: factorPassword}, desk)
	d.must(err)
	if !d.principal(result.Tokens.AccessToken).Enroll {
		t.Error("without it the duty is not back")
	}
}
