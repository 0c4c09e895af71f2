package account

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	ceremonyTime  = 5 * time.Minute
	maxCredential = 16 << 10 // bytes of what an authenticator answers
)

// Ceremony is one creation or use of a passkey. Its token works once, for five minutes.
type Ceremony struct {
	Token     string          `json:"ceremony"`
	Options   json.RawMessage `json:"options"` // for navigator.credentials.create or .get
	ExpiresAt time.Time       `json:"expires_at"`
}

// ceremonyData is what is kept of a ceremony.
type ceremonyData struct {
	Create  bool                 `json:"create"` // else: to sign in
	Session webauthn.SessionData `json:"session"`
}

func (s *Service) putCeremony(ctx context.Context, tenant, userID string, data ceremonyData, options any) (Ceremony, error) {
	encoded, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, fmt.Errorf("encode the options of a passkey: %w", err)
	}
	kept, err := json.Marshal(data)
	if err != nil {
		return Ceremony{}, fmt.Errorf("encode the ceremony of a passkey: %w", err)
	}
	token, expires, err := s.putOneTime(ctx, OneTime{Purpose: forWebAuthn, Tenant: tenant, UserID: userID, Data: kept}, ceremonyTime, false)
	if err != nil {
		return Ceremony{}, err
	}
	return Ceremony{Token: token, Options: encoded, ExpiresAt: expires}, nil
}

// useCeremony ends a ceremony of a user (empty: of nobody yet) and of a kind, and returns what was kept of it.
func (s *Service) useCeremony(ctx context.Context, token, userID string, create bool) (ceremonyData, error) {
	one, err := s.cfg.Store.UseToken(ctx, hashOf(token), forWebAuthn, s.cfg.Now())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return ceremonyData{}, fmt.Errorf("find the ceremony of a passkey: %w", err)
	}
	var data ceremonyData
	if err == nil {
		if err := json.Unmarshal(one.Data, &data); err != nil {
			return ceremonyData{}, fmt.Errorf("read the ceremony of a passkey: %w", err)
		}
	}
	if err != nil || one.UserID != userID || data.Create != create {
		return ceremonyData{}, fault.New(fault.Unauthorized, "the ceremony is over: begin again")
	}
	return data, nil
}

// BeginPasskeyLogin starts the use of a passkey: to sign in, or as a Proof. It asks nothing about who that will be.
func (s *Service) BeginPasskeyLogin(ctx context.Context) (Ceremony, error) {
	if err := s.needPasskeys(); err != nil {
		return Ceremony{}, err
	}
	options, session, err := s.passkeys.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Ceremony{}, fmt.Errorf("begin the use of a passkey: %w", err)
	}
	return s.putCeremony(ctx, "", "", ceremonyData{false, *session}, options)
}

// FinishPasskeyLogin signs in whoever's passkey answered a ceremony of BeginPasskeyLogin. It counts as a second factor, as the
// authenticator asked for its owner. Unauthorized whatever is wrong with it, and while the account is locked.
func (s *Service) FinishPasskeyLogin(ctx context.Context, ceremony string, assertion json.RawMessage, from Client) (Tokens, error) {
	if err := s.needPasskeys(); err != nil {
		return Tokens{}, err
	}
	f, err := s.usePasskey(ctx, ceremony, assertion)
	if err != nil {
		return Tokens{}, err
	}
	stored, err := s.cfg.Store.ByID(ctx, f.Tenant, f.UserID)
	if err != nil {
		return Tokens{}, fmt.Errorf("find who signs in: %w", err)
	}
	return s.signIn(ctx, stored.User, from, true, MethodPasskey)
}

// usePasskey checks what an authenticator signed for a ceremony of BeginPasskeyLogin, which it ends whatever comes of it, and returns
// whose passkey it was. Everything that is wrong with it is Unauthorized.
func (s *Service) usePasskey(ctx context.Context, ceremony string, assertion json.RawMessage) (Factors, error) {
	data, err := s.useCeremony(ctx, ceremony, "", false)
	if err != nil {
		return Factors{}, err
	}
	if len(assertion) > maxCredential {
		return Factors{}, fault.New(fault.TooLarge, "the assertion has more than %d bytes", maxCredential)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(assertion)
	if err != nil {
		return Factors{}, wrongPasskey(err)
	}
	tenant, userID, err := s.cfg.Factors.PasskeyOwner(ctx, parsed.RawID)
	if fault.Is(err, fault.NotFound) {
		return Factors{}, wrongPasskey(err)
	}
	if err != nil {
		return Factors{}, fmt.Errorf("find whose passkey it is: %w", err)
	}
	f, err := s.cfg.Factors.Factors(ctx, tenant, userID)
	if err != nil {
		return Factors{}, err
	}
	who, stored, err := s.party(ctx, f)
	if err != nil {
		return Factors{}, err
	}
	_, used, err := s.passkeys.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return who, nil }, data.Session, parsed)
	if err != nil {
		s.noteFactor(ctx, f, "mfa.failed", MethodPasskey)
		return Factors{}, wrongPasskey(err)
	}
	return f, s.keepUse(ctx, f, stored, used)
}

// keepUse notes the use of a passkey. One whose count did not go on was copied, or is used a second time.
func (s *Service) keepUse(ctx context.Context, f Factors, stored []StoredPasskey, used *webauthn.Credential) error {
	for _, k := range stored {
		if !bytes.Equal(k.CredentialID, used.ID) {
			continue
		}
		var err error
		if k.Credential, err = json.Marshal(used); err != nil {
			return fmt.Errorf("encode a passkey: %w", err)
		}
		ok := !used.Authenticator.CloneWarning
		if ok {
			if ok, err = s.cfg.Factors.UsePasskey(ctx, k, used.Authenticator.SignCount, s.cfg.Now()); err != nil {
				return fmt.Errorf("note the use of a passkey: %w", err)
			}
		}
		if !ok {
			s.noteFactor(ctx, f, "mfa.failed", "passkey copied")
			return wrongPasskey(nil)
		}
		return nil
	}
	return wrongPasskey(nil)
}

func wrongPasskey(err error) error {
	return &fault.Error{Kind: fault.Unauthorized, Message: "the passkey is not accepted", Err: err}
}
