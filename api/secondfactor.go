package api

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// SecondFactors is the part of Accounts for codes and fresh proofs.
type SecondFactors interface {
	BeginTOTP(ctx context.Context, p auth.Principal) (account.TOTPSetup, error)
	ConfirmTOTP(ctx context.Context, p auth.Principal, code string) (account.TOTPConfirmed, error)
	DisableTOTP(ctx context.Context, p auth.Principal) error
	NewBackupCodes(ctx context.Context, p auth.Principal) ([]string, error)
	StepUp(ctx context.Context, p auth.Principal, proof account.Proof) (account.AccessToken, error)
}

// StepUp implements StrictServerInterface.
func (s *Server) StepUp(ctx context.Context, r StepUpRequestObject) (StepUpResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	b := r.Body
	proof, err := oneProof(account.Proof{Code: b.Code, BackupCode: b.BackupCode, Password: b.Password, Passkey: b.Passkey, Ceremony: b.Ceremony})
	if err != nil {
		return nil, err
	}
	token, err := s.cfg.Accounts.StepUp(ctx, p, proof)
	if err != nil {
		return nil, err
	}
	return StepUp200JSONResponse(success(ctx, token, "use this access token from now on")), nil
}

// BeginTOTP implements StrictServerInterface.
func (s *Server) BeginTOTP(ctx context.Context, _ BeginTOTPRequestObject) (BeginTOTPResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	setup, err := s.cfg.Accounts.BeginTOTP(ctx, p)
	if err != nil {
		return nil, err
	}
	return BeginTOTP200JSONResponse(success(ctx, setup, "scan the code with an authenticator app, then confirm it")), nil
}

// ConfirmTOTP implements StrictServerInterface.
func (s *Server) ConfirmTOTP(ctx context.Context, r ConfirmTOTPRequestObject) (ConfirmTOTPResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	confirmed, err := s.cfg.Accounts.ConfirmTOTP(ctx, p, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return ConfirmTOTP200JSONResponse(success(ctx, confirmed, "signing in asks for a code from now on; keep the backup codes where the app is not")), nil
}

// DisableTOTP implements StrictServerInterface.
func (s *Server) DisableTOTP(ctx context.Context, _ DisableTOTPRequestObject) (DisableTOTPResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Accounts.DisableTOTP(ctx, p); err != nil {
		return nil, err
	}
	return DisableTOTP200JSONResponse(done(ctx, "the authenticator app is removed")), nil
}

// ReplaceBackupCodes implements StrictServerInterface.
func (s *Server) ReplaceBackupCodes(ctx context.Context, _ ReplaceBackupCodesRequestObject) (ReplaceBackupCodesResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	codes, err := s.cfg.Accounts.NewBackupCodes(ctx, p)
	if err != nil {
		return nil, err
	}
	return ReplaceBackupCodes200JSONResponse(success(ctx, BackupCodes{BackupCodes: orNone(codes)}, "the old codes are void")), nil
}
