package account

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxPasskeys = 10 // of one user
	maxKeyName  = 64 // characters
)

// newRelyingParty returns nil when rp has no ID.
func newRelyingParty(rp RelyingParty) (*webauthn.WebAuthn, error) {
	if rp.ID == "" {
		return nil, nil //nolint:nilnil // off is no error
	}
	required := true
	w, err := webauthn.New(&webauthn.Config{
		RPID: rp.ID, RPDisplayName: rp.Name, RPOrigins: rp.Origins,
		// Nobody frames a page to have a passkey used in it.
		RPTopOriginVerificationMode: protocol.TopOriginExplicitVerificationMode,
		AttestationPreference:       protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &required, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("account: Config.RelyingParty: %w", err)
	}
	return w, nil
}

// party is a user as the library sees one.
type party struct {
	id, name, display string
	keys              []webauthn.Credential
}

func (p party) WebAuthnID() []byte                         { return []byte(p.id) }
func (p party) WebAuthnName() string                       { return p.name }
func (p party) WebAuthnDisplayName() string                { return p.display }
func (p party) WebAuthnCredentials() []webauthn.Credential { return p.keys }

// party returns a user's passkeys, once as they are stored and once as the library sees them.
func (s *Service) party(ctx context.Context, f Factors) (party, []StoredPasskey, error) {
	stored, err := s.cfg.Factors.Passkeys(ctx, f.Tenant, f.UserID)
	if err != nil {
		return party{}, nil, fmt.Errorf("read passkeys: %w", err)
	}
	p := party{id: f.UserID, name: f.Username, display: f.Name}
	for _, k := range stored {
		var c webauthn.Credential
		if err := json.Unmarshal(k.Credential, &c); err != nil {
			return party{}, nil, fmt.Errorf("read passkey %s: %w", k.ID, err)
		}
		p.keys = append(p.keys, c)
	}
	return p, stored, nil
}

// BeginPasskey starts the creation of a passkey. Conflict when the user has ten; Forbidden, with auth.ErrStepUp, for who has a second factor
// and proved with a password alone. So do FinishPasskey and DeletePasskey.
func (s *Service) BeginPasskey(ctx context.Context, p auth.Principal) (Ceremony, error) {
	if err := s.needPasskeys(); err != nil {
		return Ceremony{}, err
	}
	f, err := s.ownFactors(ctx, p)
	if err != nil {
		return Ceremony{}, err
	}
	if err := needSecondFactor(p, f); err != nil {
		return Ceremony{}, err
	}
	if f.Passkeys >= maxPasskeys {
		return Ceremony{}, fault.New(fault.Conflict, "there are %d passkeys already: remove one first", f.Passkeys)
	}
	who, _, err := s.party(ctx, f)
	if err != nil {
		return Ceremony{}, err
	}
	options, session, err := s.passkeys.BeginRegistration(who, webauthn.WithExclusions(webauthn.Credentials(who.keys).CredentialDescriptors()))
	if err != nil {
		return Ceremony{}, fmt.Errorf("begin a passkey: %w", err)
	}
	return s.putCeremony(ctx, f.Tenant, f.UserID, ceremonyData{true, *session}, options)
}

// FinishPasskey keeps the passkey that an authenticator made for a ceremony of BeginPasskey. It counts as a second factor. Errors:
// Unauthorized when the ceremony is over or another's; Invalid when the credential is not what was asked for; Conflict when it is
// known already.
func (s *Service) FinishPasskey(ctx context.Context, p auth.Principal, ceremony, name string, credential json.RawMessage) (Passkey, error) {
	if err := s.needPasskeys(); err != nil {
		return Passkey{}, err
	}
	name, err := passkeyName(name)
	if err != nil {
		return Passkey{}, err
	}
	f, err := s.ownFactors(ctx, p)
	if err != nil {
		return Passkey{}, err
	}
	if err := needSecondFactor(p, f); err != nil {
		return Passkey{}, err
	}
	data, err := s.useCeremony(ctx, ceremony, f.UserID, true)
	if err != nil {
		return Passkey{}, err
	}
	made, err := s.create(f, data.Session, credential)
	if err != nil {
		return Passkey{}, err
	}
	id, err := newID()
	if err != nil {
		return Passkey{}, err
	}
	encoded, err := json.Marshal(made)
	if err != nil {
		return Passkey{}, fmt.Errorf("encode a passkey: %w", err)
	}
	key := StoredPasskey{
		Passkey: Passkey{ID: id, Name: name, CreatedAt: s.cfg.Now().UTC().Truncate(time.Microsecond)},
		UserID:  f.UserID, Tenant: f.Tenant, CredentialID: made.ID, Credential: encoded,
	}
	if err := s.cfg.Factors.AddPasskey(ctx, key, maxPasskeys); err != nil {
		return Passkey{}, fmt.Errorf("add a passkey: %w", err)
	}
	s.factorChanged(ctx, p, "passkey.added", key.ID)
	return key.Passkey, nil
}

// create checks what an authenticator made.
func (s *Service) create(f Factors, session webauthn.SessionData, credential json.RawMessage) (*webauthn.Credential, error) {
	if len(credential) > maxCredential {
		return nil, fault.New(fault.TooLarge, "the credential has more than %d bytes", maxCredential)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return nil, fault.InvalidField("credential", "is not what an authenticator answers")
	}
	made, err := s.passkeys.CreateCredential(party{id: f.UserID}, session, parsed)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the passkey does not fit what was asked for", Err: err}
	}
	// What the device is was not asked for and is not kept.
	made.Attestation = webauthn.CredentialAttestation{}
	return made, nil
}

// Passkeys returns p's passkeys, oldest first.
func (s *Service) Passkeys(ctx context.Context, p auth.Principal) ([]Passkey, error) {
	stored, err := s.cfg.Factors.Passkeys(ctx, home(p), p.UserID)
	if err != nil {
		return nil, fmt.Errorf("read passkeys: %w", err)
	}
	out := make([]Passkey, len(stored))
	for i, k := range stored {
		out[i] = k.Passkey
	}
	return out, nil
}

// DeletePasskey removes one of p's passkeys. NotFound when it is none.
func (s *Service) DeletePasskey(ctx context.Context, p auth.Principal, id string) error {
	if err := s.provedWithFactor(ctx, p); err != nil {
		return err
	}
	if err := s.cfg.Factors.DeletePasskey(ctx, home(p), p.UserID, id); err != nil {
		return fmt.Errorf("remove a passkey: %w", err)
	}
	s.factorChanged(ctx, p, "passkey.removed", id)
	return nil
}

func (s *Service) needPasskeys() error {
	if s.passkeys == nil {
		return fault.New(fault.NotFound, "passkeys are not set up here")
	}
	return nil
}

func passkeyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "Passkey", nil
	}
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxKeyName || strings.ContainsFunc(name, unicode.IsControl) {
		return "", fault.InvalidField("name", "has at most %d characters, none of them a control character", maxKeyName)
	}
	return name, nil
}
