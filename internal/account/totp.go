package account

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"image/png"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// What authenticator apps agree on: RFC 6238 with SHA-1, six digits and steps of 30 seconds.
const (
	totpPeriod = 30 // seconds
	totpDigits = otp.DigitsSix
	totpSkew   = 1 // steps by which a clock may be off, either way
	totpLabel  = "totp seal"
	qrSize     = 256 // pixels
)

// TOTPSetup is what an authenticator app needs. It is shown once.
type TOTPSetup struct {
	Secret string `json:"secret"` // base32, to type in
	URI    string `json:"uri"`    // otpauth://
	QR     []byte `json:"qr"`     // URI as a PNG
}

// TOTPConfirmed is what comes of setting up an authenticator app.
type TOTPConfirmed struct {
	BackupCodes []string    `json:"backup_codes"` // shown once
	Access      AccessToken `json:"access"`       // for the same session, with the second factor in it; empty if that has ended
}

// BeginTOTP makes a secret for an authenticator app. It is in force once ConfirmTOTP has seen a code of it; until then a new call
// replaces it. Conflict when one is in force; Forbidden, with auth.ErrStepUp, for who has a passkey and proved with a password alone.
func (s *Service) BeginTOTP(ctx context.Context, p auth.Principal) (TOTPSetup, error) {
	f, err := s.ownFactors(ctx, p)
	if err != nil {
		return TOTPSetup{}, err
	}
	if err := needSecondFactor(p, f); err != nil {
		return TOTPSetup{}, err
	}
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: s.cfg.RelyingParty.Name, AccountName: f.Username, Period: totpPeriod, Digits: totpDigits, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return TOTPSetup{}, fmt.Errorf("make a secret for an authenticator app: %w", err)
	}
	img, err := key.Image(qrSize, qrSize)
	if err != nil {
		return TOTPSetup{}, fmt.Errorf("draw the QR code: %w", err)
	}
	var qr bytes.Buffer
	if err := png.Encode(&qr, img); err != nil {
		return TOTPSetup{}, fmt.Errorf("encode the QR code: %w", err)
	}
	sealed := s.cfg.Box.Seal(totpLabel, []byte(key.Secret()), []byte(f.UserID))
	if err := s.cfg.Factors.PutTOTP(ctx, f.Tenant, f.UserID, sealed); err != nil {
		return TOTPSetup{}, fmt.Errorf("keep the secret of an authenticator app: %w", err)
	}
	return TOTPSetup{Secret: key.Secret(), URI: key.URL(), QR: qr.Bytes()}, nil
}

// ConfirmTOTP brings the secret of BeginTOTP into force when code is one of it, and makes backup codes. The session counts as proved
// with a second factor from now on. A wrong code is an Invalid fault and counts for nothing: who asks made the secret themself.
// Forbidden, with auth.ErrStepUp, as BeginTOTP: there may be a passkey by now.
func (s *Service) ConfirmTOTP(ctx context.Context, p auth.Principal, code string) (TOTPConfirmed, error) {
	if err := needSession(p); err != nil {
		return TOTPConfirmed{}, err
	}
	f, err := s.ownFactors(ctx, p)
	if err != nil {
		return TOTPConfirmed{}, err
	}
	if err := needSecondFactor(p, f); err != nil {
		return TOTPConfirmed{}, err
	}
	if f.TOTPSecret == nil || f.TOTPConfirmed {
		return TOTPConfirmed{}, fault.New(fault.Conflict, "no authenticator app is being set up: begin first")
	}
	step, ok, err := s.matchTOTP(f, code)
	if err != nil {
		return TOTPConfirmed{}, err
	}
	if !ok {
		return TOTPConfirmed{}, fault.InvalidField("code", "is not what the authenticator app should show now: check the clock of the device")
	}
	codes, hashes := s.makeBackupCodes(f.UserID)
	if err := s.cfg.Factors.ConfirmTOTP(ctx, f.Tenant, f.UserID, f.TOTPSecret, step, hashes, s.cfg.Now()); err != nil {
		return TOTPConfirmed{}, fmt.Errorf("bring an authenticator app into force: %w", err)
	}
	s.factorChanged(ctx, p, "mfa.enabled", MethodTOTP)
	access, err := s.freshen(ctx, p, true)
	if err != nil { // the codes are shown now or never
		s.cfg.Logger.WarnContext(ctx, "a session could not be marked as proved", "session_id", p.SessionID, "error", err)
	}
	return TOTPConfirmed{BackupCodes: codes, Access: access}, nil
}

// DisableTOTP forgets the authenticator app. The backup codes go with the last second factor. Who must have one can do nothing but set
// up another with their next token. NotFound when there is none; Forbidden, with auth.ErrStepUp, for who proved with a password alone.
func (s *Service) DisableTOTP(ctx context.Context, p auth.Principal) error {
	if err := s.provedWithFactor(ctx, p); err != nil {
		return err
	}
	had, err := s.cfg.Factors.DropTOTP(ctx, home(p), p.UserID)
	if err != nil {
		return fmt.Errorf("forget an authenticator app: %w", err)
	}
	if !had {
		return fault.New(fault.NotFound, "no authenticator app is set up")
	}
	s.factorChanged(ctx, p, "mfa.disabled", MethodTOTP)
	return nil
}

// useTOTP reports whether code is one of f's secret that nobody has used, and uses it up.
func (s *Service) useTOTP(ctx context.Context, f Factors, code string) (bool, error) {
	step, ok, err := s.matchTOTP(f, code)
	if err != nil || !ok {
		return false, err
	}
	return s.cfg.Factors.UseTOTP(ctx, f.Tenant, f.UserID, f.TOTPSecret, step)
}

// matchTOTP returns the time step of code, if it belongs to one that is near now and was not used.
func (s *Service) matchTOTP(f Factors, code string) (step int64, ok bool, err error) {
	code = strings.ReplaceAll(code, " ", "") // as apps group them
	if len(code) != totpDigits.Length() {
		return 0, false, nil
	}
	secret, err := s.cfg.Box.Open(totpLabel, f.TOTPSecret, []byte(f.UserID))
	if err != nil {
		return 0, false, fmt.Errorf("open the secret of an authenticator app: %w", err)
	}
	current := s.cfg.Now().Unix() / totpPeriod
	for at := current - totpSkew; at <= current+totpSkew; at++ {
		want, err := totp.GenerateCodeCustom(string(secret), time.Unix(at*totpPeriod, 0), totp.ValidateOpts{
			Period: totpPeriod, Digits: totpDigits, Algorithm: otp.AlgorithmSHA1,
		})
		if err != nil {
			return 0, false, fmt.Errorf("compute the code of an authenticator app: %w", err)
		}
		if at > f.TOTPLastStep && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return at, true, nil
		}
	}
	return 0, false, nil
}
