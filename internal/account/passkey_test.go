package account_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

var browser = virtualwebauthn.RelyingParty{ID: "app.example.org", Name: "ToolboxAI", Origin: "https://app.example.org"}

// device is an authenticator with one credential.
type device struct {
	d     *desktop
	party virtualwebauthn.RelyingParty // which the browser says it is on
	virtualwebauthn.Authenticator
	key virtualwebauthn.Credential
}

func newDevice(d *desktop, user string, kind virtualwebauthn.KeyType) *device {
	return &device{
		d: d, party: browser, key: newKey(kind),
		Authenticator: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(user)}),
	}
}

// newKey returns a credential. One key in 128 has a coordinate that begins with a zero, which virtualwebauthn leaves out of the encoding.
func newKey(kind virtualwebauthn.KeyType) virtualwebauthn.Credential {
	const whole = 77 // bytes of an EC2 key in COSE form
	for {
		key := virtualwebauthn.NewCredential(kind)
		if kind != virtualwebauthn.KeyTypeEC2 || len(key.Key.AttestationData()) == whole {
			return key
		}
	}
}

// create answers a ceremony of BeginPasskey.
func (v *device) create(options json.RawMessage) json.RawMessage {
	v.d.tb.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(options))
	v.d.must(err)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(v.party, v.Authenticator, v.key, *parsed))
}

// sign answers a ceremony of BeginPasskeyLogin and counts.
func (v *device) sign(options json.RawMessage) json.RawMessage {
	v.d.tb.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(options))
	v.d.must(err)
	v.key.Counter++
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(v.party, v.Authenticator, v.key, *parsed))
}

// add registers the device.
func (v *device) add(p auth.Principal) account.Passkey {
	v.d.tb.Helper()
	ceremony, err := v.d.BeginPasskey(v.d.tb.Context(), p)
	v.d.must(err)
	key, err := v.d.FinishPasskey(v.d.tb.Context(), p, ceremony.Token, "Phone", v.create(ceremony.Options))
	v.d.must(err)
	return key
}

// signIn runs a whole sign-in.
func (v *device) signIn() (account.Tokens, error) {
	v.d.tb.Helper()
	ceremony, err := v.d.BeginPasskeyLogin(v.d.tb.Context())
	v.d.must(err)
	return v.d.FinishPasskeyLogin(v.d.tb.Context(), ceremony.Token, v.sign(ceremony.Options), desk)
}

func TestPasskey_IsAddedAndSignsIn(t *testing.T) {
	t.Parallel()
	for _, kind := range []virtualwebauthn.KeyType{virtualwebauthn.KeyTypeEC2, virtualwebauthn.KeyTypeRSA} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			d := newDesktop(t)
			ctx := t.Context()
			p := d.person("ada", auth.Teacher)
			v := newDevice(d, "ada", kind)
			ceremony, err := d.BeginPasskey(ctx, p)
			d.must(err)
			for _, want := range []string{`"residentKey":"required"`, `"userVerification":"required"`, `"attestation":"none"`, `"id":"app.example.org"`} {
				if !strings.Contains(string(ceremony.Options), want) {
					t.Errorf("%s is missing in %s", want, ceremony.Options)
				}
			}
			answer := v.create(ceremony.Options)
			key, err := d.FinishPasskey(ctx, p, ceremony.Token, "  My phone ", answer)
			d.must(err)
			if key.Name != "My phone" || key.ID == "" {
				t.Errorf("it is %+v", key)
			}
			p = proved(p)
			_, err = d.FinishPasskey(ctx, p, ceremony.Token, "again", answer)
			d.want(fault.Unauthorized, err)
			tokens, err := v.signIn()
			d.must(err)
			if q := d.principal(tokens.AccessToken); q.UserID != "ada" || !q.SecondFactor || q.SessionID == p.SessionID {
				t.Errorf("signed in as %+v", q)
			}
			keys, err := d.Passkeys(ctx, p)
			if err != nil || len(keys) != 1 || keys[0].ID != key.ID || keys[0].LastUsedAt == nil {
				t.Errorf("the list is %+v (%v)", keys, err)
			}
			d.must(d.DeletePasskey(ctx, p, key.ID))
			d.want(fault.NotFound, d.DeletePasskey(ctx, p, key.ID))
			_, err = v.signIn()
			d.want(fault.Unauthorized, err)
			if d.recorded("passkey.added") != 1 || d.recorded("passkey.removed") != 1 {
				t.Errorf("on record: %s", d.trail())
			}
		})
	}
}

func TestPasskey_IsASecondFactor(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.Require = []auth.Role{auth.Teacher} })
	ctx := t.Context()
	p := d.person("ada", auth.Teacher)
	v := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
	v.add(p)
	prove := func(by *device) account.Proof {
		t.Helper()
		ceremony, err := d.BeginPasskeyLogin(ctx)
		d.must(err)
		return account.Proof{Passkey: by.sign(ceremony.Options), Ceremony: ceremony.Token}
	}
	challenge := d.challenge("ada")
	if fmt.Sprint(challenge.Methods) != "[passkey]" {
		t.Errorf("offered are %v", challenge.Methods)
	}
	tokens, err := d.CompleteLogin(ctx, challenge.Token, prove(v), desk)
	d.must(err)
	if q := d.principal(tokens.AccessToken); !q.SecondFactor || q.Enroll {
		t.Errorf("signed in as %+v", q)
	}
	access, err := d.StepUp(ctx, p, prove(v))
	d.must(err)
	if q := d.principal(access.Token); !q.SecondFactor || q.Enroll {
		t.Errorf("stepped up to %+v", q)
	}
	// Another's passkey proves nothing.
	w := newDevice(d, "bob", virtualwebauthn.KeyTypeEC2)
	w.add(d.person("bob", auth.Teacher))
	_, err = d.StepUp(ctx, p, prove(w))
	d.want(fault.Unauthorized, err)
	_, err = d.CompleteLogin(ctx, d.challenge("ada").Token, prove(w), desk)
	d.want(fault.Unauthorized, err)
	codes, err := d.NewBackupCodes(ctx, proved(p))
	d.must(err)
	_, err = d.CompleteLogin(ctx, d.challenge("ada").Token, account.Proof{BackupCode: codes[0]}, desk)
	d.must(err)
}

func TestPasskey_RefusesWhatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*device){
		"another origin":     func(v *device) { v.party.Origin = "https://app.example.org.evil.example" },
		"plain http":         func(v *device) { v.party.Origin = "http://app.example.org" },
		"another party":      func(v *device) { v.party.ID = "evil.example" },
		"no verification":    func(v *device) { v.Options.UserNotVerified = true },
		"nobody present":     func(v *device) { v.Options.UserNotPresent = true },
		"another's handle":   func(v *device) { v.Options.UserHandle = []byte("bob") },
		"no handle":          func(v *device) { v.Options.UserHandle = nil },
		"another key":        func(v *device) { v.key.Key = newKey(virtualwebauthn.KeyTypeEC2).Key },
		"unknown credential": func(v *device) { v.key.ID = []byte("unknown") },
		"a synced one now":   func(v *device) { v.Options.BackupEligible = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesktop(t)
			p := proved(d.person("ada", auth.Teacher))
			d.person("bob", auth.Teacher)
			v := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
			v.add(p)
			_, err := v.signIn()
			d.must(err)
			good := *v
			spoil(v)
			_, err = v.signIn()
			d.want(fault.Unauthorized, err)
			if strings.Contains(name, "handle") || strings.Contains(name, "key") || strings.Contains(name, "synced") {
				good.key.Counter = v.key.Counter
				_, err = good.signIn()
				d.must(err)
				return
			}
			if name == "unknown credential" {
				return
			}
			// Nor is one made that way.
			w := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
			spoil(w)
			ceremony, err := d.BeginPasskey(t.Context(), p)
			d.must(err)
			_, err = d.FinishPasskey(t.Context(), p, ceremony.Token, "", w.create(ceremony.Options))
			d.want(fault.Invalid, err)
		})
	}
}

func TestPasskey_OneAssertionSignsInOnce(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	v := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
	v.add(d.person("ada", auth.Teacher))
	ceremony, err := d.BeginPasskeyLogin(ctx)
	d.must(err)
	answer := v.sign(ceremony.Options)
	var signedIn, refused atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 20 {
		wg.Go(func() {
			<-start
			switch _, err := d.FinishPasskeyLogin(ctx, ceremony.Token, answer, desk); {
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
	if signedIn.Load() != 1 || refused.Load() != 19 {
		t.Errorf("%d signed in and %d were refused", signedIn.Load(), refused.Load())
	}
	// Nor does it fit another ceremony.
	other, err := d.BeginPasskeyLogin(ctx)
	d.must(err)
	_, err = d.FinishPasskeyLogin(ctx, other.Token, answer, desk)
	d.want(fault.Unauthorized, err)
}

func TestPasskey_ACopyIsFoundOut(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	v := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
	v.add(d.person("ada", auth.Teacher))
	_, err := v.signIn()
	d.must(err)
	original := *v
	for range 3 {
		_, err = v.signIn()
		d.must(err)
	}
	for range 3 { // counts that were seen before, the last of them the same
		_, err = original.signIn()
		d.want(fault.Unauthorized, err)
	}
	if d.recorded("mfa.failed") != 3 || !strings.Contains(d.trail(), "passkey copied") {
		t.Errorf("on record: %s", d.trail())
	}
	_, err = v.signIn()
	d.must(err)
}

func TestPasskey_CeremoniesEnd(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	ada, bob := proved(d.person("ada", auth.Teacher)), d.person("bob", auth.Teacher)
	v := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
	finish := func(p auth.Principal, c account.Ceremony) error {
		_, err := d.FinishPasskey(ctx, p, c.Token, "", v.create(c.Options))
		return err
	}
	begin := func() account.Ceremony {
		t.Helper()
		c, err := d.BeginPasskey(ctx, ada)
		d.must(err)
		return c
	}
	old := begin()
	d.advance(5*time.Minute + time.Second)
	d.want(fault.Unauthorized, finish(ada, old))
	d.want(fault.Unauthorized, finish(bob, begin()))
	d.want(fault.Unauthorized, finish(ada, account.Ceremony{Token: "none", Options: begin().Options}))
	login, err := d.BeginPasskeyLogin(ctx)
	d.must(err)
	_, err = d.FinishPasskey(ctx, ada, login.Token, "", v.create(begin().Options))
	d.want(fault.Unauthorized, err)
	d.must(finish(ada, begin()))
	d.want(fault.Conflict, finish(ada, begin())) // the same credential
	_, err = d.FinishPasskeyLogin(ctx, begin().Token, v.sign(login.Options), desk)
	d.want(fault.Unauthorized, err)
	login, err = d.BeginPasskeyLogin(ctx)
	d.must(err)
	d.advance(5*time.Minute + time.Second)
	_, err = d.FinishPasskeyLogin(ctx, login.Token, v.sign(login.Options), desk)
	d.want(fault.Unauthorized, err)
}

func TestPasskey_IsRefusedWhileLockedOrDisabled(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	v := newDevice(d, "ada", virtualwebauthn.KeyTypeEC2)
	v.add(d.person("ada", auth.Teacher))
	d.sql("UPDATE users SET locked_until = $1", d.clock().Add(time.Minute))
	_, err := v.signIn()
	d.want(fault.Unauthorized, err)
	d.sql("UPDATE users SET locked_until = NULL, state = 'disabled'")
	_, err = v.signIn()
	d.want(fault.Unauthorized, err)
	d.sql("UPDATE users SET state = 'active'")
	_, err = v.signIn()
	d.must(err)
}

func TestPasskey_Bounds(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	p := proved(d.person("ada", auth.Teacher))
	for _, name := range []string{strings.Repeat("a", 65), "a\x00b", "a\nb", "\xff"} {
		_, err := d.FinishPasskey(ctx, p, "x", name, json.RawMessage(`{}`))
		d.want(fault.Invalid, err)
	}
	for _, junk := range []string{``, `{}`, `null`, `[]`, `{"id":"x","rawId":"x","type":"public-key","response":{}}`, strings.Repeat(" ", 17<<10)} {
		ceremony, err := d.BeginPasskey(ctx, p)
		d.must(err)
		if _, err := d.FinishPasskey(ctx, p, ceremony.Token, "", json.RawMessage(junk)); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%.20q: %v", junk, err)
		}
		login, err := d.BeginPasskeyLogin(ctx)
		d.must(err)
		if _, err := d.FinishPasskeyLogin(ctx, login.Token, json.RawMessage(junk), desk); !fault.Is(err, fault.Unauthorized) && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%.20q: %v", junk, err)
		}
	}
	for range 10 {
		newDevice(d, "ada", virtualwebauthn.KeyTypeEC2).add(p)
	}
	_, err := d.BeginPasskey(ctx, p)
	d.want(fault.Conflict, err)
}

func TestPasskey_IsOffWithoutARelyingParty(t *testing.T) {
	t.Parallel()
	d := newDesktop(t, func(c *account.Config) { c.RelyingParty = account.RelyingParty{} })
	p := d.person("ada", auth.Teacher)
	_, err := d.BeginPasskey(t.Context(), p)
	d.want(fault.NotFound, err)
	_, err = d.BeginPasskeyLogin(t.Context())
	d.want(fault.NotFound, err)
	_, err = d.FinishPasskeyLogin(t.Context(), "x", json.RawMessage(`{}`), desk)
	d.want(fault.NotFound, err)
	bad := d.cfg
	bad.RelyingParty = account.RelyingParty{ID: "app.example.org", Name: "x"}
	if _, err := account.New(bad); err == nil {
		t.Error("a relying party without origins is taken")
	}
}
