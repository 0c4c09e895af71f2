package account_test

import (
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// An admin who is shown the door has no key left under the mat: their invitations end with what let them invite.
func TestRegister_AnInvitationEndsWithThePowerOfWhoInvited(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"demoted":  `UPDATE users SET role = 'teacher' WHERE id = 'boss'`,
		"disabled": `UPDATE users SET state = 'disabled' WHERE id = 'boss'`,
		"erased":   `UPDATE users SET state = 'erased' WHERE id = 'boss'`,
		"nothing":  `SELECT`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.user("boss", auth.Admin)
			boss := auth.Principal{UserID: "boss", Tenant: "school", Role: auth.Admin}
			invitation, err := o.Invite(t.Context(), boss, account.InviteSpec{Email: "again@school.example", Role: auth.Admin})
			o.must(err)
			o.sql(change)
			u, err := o.Register(t.Context(), newcomer("again", invitation.Token), laptop)
			if name == "nothing" {
				o.must(err)
				return
			}
			if !fault.Is(err, fault.Unauthorized) {
				t.Errorf("made is %+v, %v", u, err)
			}
		})
	}
}

// Nobody of a suspended school is let in, whatever they prove who they are with.
func TestSignIn_NobodyOfASuspendedTenant(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	p := d.person("ada", auth.Teacher)
	device := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
	device.add(p)
	secret, _ := d.app(proved(p))
	challenge := d.challenge("ada")
	_, err := device.signIn()
	d.must(err) // the control
	d.sql(`UPDATE tenants SET state = 'suspended' WHERE id = 'school'`)
	if _, err := device.signIn(); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("with a passkey: %v", err)
	}
	if _, err := d.CompleteLogin(t.Context(), challenge.Token, account.Proof{Code: d.code(secret)}, desk); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("with the second half of a sign-in: %v", err)
	}
}

// Who has only the password takes no second factor away, and makes none of their own.
func TestSecondFactor_APasswordAloneDoesNotTakeItAway(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	owner := d.person("ada", auth.Teacher)
	result, err := d.Login(t.Context(), account.Credentials{Login: "ada", Password: factorPassword}, desk)
	d.must(err)
	thief := d.principal(result.Tokens.AccessToken) // with the password alone, a moment before ada sets up her app
	d.app(owner)
	if _, err := d.NewBackupCodes(t.Context(), thief); !fault.Is(err, fault.Forbidden) {
		t.Errorf("backup codes: %v", err)
	}
	if _, err := d.BeginPasskey(t.Context(), thief); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a passkey: %v", err)
	}
	if err := d.DisableTOTP(t.Context(), thief); !fault.Is(err, fault.Forbidden) {
		t.Errorf("disable: %v", err)
	}
}

// A proof lengthens no session.
func TestStepUp_LengthensNoSession(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.Absolute = 20 * time.Minute })
	p := d.person("ada", auth.Teacher)
	d.advance(19 * time.Minute)
	access, err := d.StepUp(t.Context(), p, account.Proof{Password: factorPassword})
	d.must(err)
	if got := time.Duration(access.ExpiresIn) * time.Second; got > time.Minute {
		t.Errorf("a session that ends in a minute yields a token for %s", got)
	}
}
