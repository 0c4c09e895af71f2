package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/auth"
)

const (
	backupCodes     = 10
	backupCodeLen   = 10 // characters of 5 bits
	backupCodeLabel = "backup code"
	// backupAlphabet is Crockford's base32: no letter that looks like a digit, and no u, which makes words.
	backupAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// NewBackupCodes makes ten codes, each good for one sign-in without the second factor, in place of those before. They are shown once.
// Conflict when there is no second factor for which they could stand in; Forbidden, with auth.ErrStepUp, for who proved with a password alone.
func (s *Service) NewBackupCodes(ctx context.Context, p auth.Principal) ([]string, error) {
	if err := s.provedWithFactor(ctx, p); err != nil {
		return nil, err
	}
	codes, hashes := s.makeBackupCodes(p.UserID)
	if err := s.cfg.Factors.ReplaceBackupCodes(ctx, home(p), p.UserID, hashes); err != nil {
		return nil, fmt.Errorf("replace backup codes: %w", err)
	}
	s.factorChanged(ctx, p, "backup_codes.renewed", "")
	return codes, nil
}

// makeBackupCodes returns codes as they are shown, such as 4t7qk-m0w9z, and what is kept of them.
func (s *Service) makeBackupCodes(userID string) (codes []string, hashes [][]byte) {
	raw := make([]byte, backupCodes*backupCodeLen)
	_, _ = rand.Read(raw) // never fails
	for i := range raw {
		raw[i] = backupAlphabet[raw[i]&31]
	}
	for i := range backupCodes {
		code := string(raw[i*backupCodeLen : (i+1)*backupCodeLen])
		codes = append(codes, code[:backupCodeLen/2]+"-"+code[backupCodeLen/2:])
		hashes = append(hashes, s.cfg.Box.MAC(backupCodeLabel, backupCodeData(userID, code)))
	}
	return codes, hashes
}

// useBackupCode reports whether code is one of the user's that was not used, and uses it up.
func (s *Service) useBackupCode(ctx context.Context, f Factors, code string) (bool, error) {
	code = normalBackupCode(code)
	if len(code) != backupCodeLen {
		return false, nil
	}
	hashes, err := s.cfg.Factors.BackupCodes(ctx, f.Tenant, f.UserID)
	if err != nil {
		return false, fmt.Errorf("read backup codes: %w", err)
	}
	for _, hash := range hashes { // one by one, as a hash may have been made with an older key
		if s.cfg.Box.VerifyMAC(backupCodeLabel, backupCodeData(f.UserID, code), hash) {
			return s.cfg.Factors.UseBackupCode(ctx, f.Tenant, f.UserID, hash, s.cfg.Now())
		}
	}
	return false, nil
}

// backupCodeData is what the MAC of a code is made of: the same code of another user has another one.
func backupCodeData(userID, code string) []byte { return []byte(userID + "\x00" + code) }

// normalBackupCode undoes what people do to a code when they copy it.
func normalBackupCode(code string) string {
	return strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(strings.TrimSpace(code)))
}
