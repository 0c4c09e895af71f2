package account

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Rules of a password: NIST SP 800-63B asks for length, and for what everybody tries first to be refused, and for nothing else.
const (
	MinPassword = 12  // characters
	MaxPassword = 128 // characters
	keptHashes  = 5   // none of which may come again
	ownWord     = 4   // characters from which on a part of one's own name may not be most of a password
)

// common are passwords that everybody tries first, in lower case and without digits and signs at their ends.
//
//go:embed common.txt
var common string

// normalPassword returns the form in which a password is hashed: what two keyboards type for the same signs is the same (NFKC).
func normalPassword(password string) string { return norm.NFKC.String(password) }

// longestPassword is beyond what any password takes that may be: 128 characters, each with marks of its own.
const longestPassword = 4096 // bytes

// clipPassword is normalPassword for what anybody sends. It bounds the work: what is longer than any password is nobody's.
func clipPassword(password string) string {
	if len(password) > longestPassword {
		return ""
	}
	return normalPassword(password)
}

// checkNewPassword returns an Invalid fault that says what is wrong with a password that somebody wants.
func (s *Service) checkNewPassword(password, field string, u User) error {
	if !utf8.ValidString(password) {
		return fault.InvalidField(field, "is no text")
	}
	if len(password) <= longestPassword {
		password = normalPassword(password)
	}
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword || n > MaxPassword:
		return fault.InvalidField(field, "must have %d to %d characters", MinPassword, MaxPassword)
	case tooEasy(password, u):
		return fault.InvalidField(field, "is easy to guess: it is a common one, or little more than your own name")
	case s.cfg.Breached != nil && s.cfg.Breached(password):
		return fault.InvalidField(field, "is known from a breach: others have it from there")
	}
	return nil
}

// checkNotFormer returns an Invalid fault when a user had a password before. It costs a hash for each that is kept.
func (s *Service) checkNotFormer(ctx context.Context, password, field string, u User) error {
	old, err := s.cfg.Store.PasswordHistory(ctx, u.Tenant, u.ID, keptHashes)
	if err != nil {
		return fmt.Errorf("read former passwords: %w", err)
	}
	for _, hash := range old {
		same, err := s.cfg.Hasher.Check(ctx, hash, normalPassword(password))
		if err != nil {
			return fmt.Errorf("compare with former passwords: %w", err)
		}
		if same {
			return fault.InvalidField(field, "is one of your last %d", keptHashes)
		}
	}
	return nil
}

// tooEasy reports whether a password is one of those that everybody tries, a few characters or a word over and over, a row of the alphabet or
// of numbers, or hardly more than the user's own name.
func tooEasy(password string, u User) bool {
	plain := strings.ToLower(normalPassword(password))
	bare := unit(strings.Trim(unit(plain), "0123456789!?.,-_*#@$%&+= "))
	for line := range strings.SplitSeq(common, "\n") {
		if line != "" && (bare == line || plain == line) {
			return true
		}
	}
	if distinct(unit(plain)) < 5 || surprises(plain) < 5 {
		return true
	}
	mailbox, _, _ := strings.Cut(u.Email, "@")
	for _, own := range append(strings.Fields(u.Name), u.Username, mailbox) {
		own = strings.ToLower(normalPassword(own))
		if utf8.RuneCountInString(own) >= ownWord && strings.Contains(plain, own) && distinct(strings.ReplaceAll(plain, own, "")) < ownWord {
			return true
		}
	}
	return false
}

// unit returns what s repeats, s itself where it repeats nothing.
func unit(s string) string {
	if at := strings.Index((s + s)[min(1, len(s)):], s); at >= 0 && at+1 < len(s) {
		return s[:at+1]
	}
	return s
}

// surprises counts the characters of s that are neither the one before them again nor its neighbour.
func surprises(s string) (n int) {
	var last rune
	for i, r := range s {
		if i > 0 && (r < last-1 || r > last+1) {
			n++
		}
		last = r
	}
	return n
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// ChangePassword replaces p's password by another one and ends p's other sessions. Errors: Unauthorized when old is not right, which counts
// to the lockout, or the account is locked; Invalid when the new one may not be; Conflict when somebody else changed it meanwhile.
func (s *Service) ChangePassword(ctx context.Context, p auth.Principal, old, password string) error {
	stored, err := s.cfg.Store.ByID(ctx, home(p), p.UserID)
	if err != nil {
		return fmt.Errorf("read user %s: %w", p.UserID, err)
	}
	if until := stored.LockedUntil; until != nil && until.After(s.cfg.Now()) {
		return wrong()
	}
	right, err := s.cfg.Hasher.Check(ctx, stored.PasswordHash, clipPassword(old))
	if err != nil {
		return fmt.Errorf("check a password: %w", err)
	}
	if !right {
		return s.countFailure(ctx, stored.User, "password")
	}
	err = s.setPassword(ctx, stored, password, PasswordChange{But: p.SessionID, Why: "the password was changed"})
	if err != nil {
		return err
	}
	s.noteSession(ctx, stored.User, p.SessionID, "password.changed", "")
	s.send(ctx, stored.Email, "Your password was changed", "The password of your account "+stored.Username+" was changed.\n\nIf that was not you, ask an admin of your school at once.\n")
	return nil
}

// setPassword checks and keeps a new password. c says what ends with the old one.
func (s *Service) setPassword(ctx context.Context, stored StoredUser, password string, c PasswordChange) (err error) {
	const field = "new_password"
	if err := s.checkNewPassword(password, field, stored.User); err != nil {
		return err
	}
	if err := s.checkNotFormer(ctx, password, field, stored.User); err != nil {
		return err
	}
	c.Tenant, c.UserID, c.Old, c.Keep, c.At = stored.Tenant, stored.ID, stored.PasswordHash, keptHashes, s.cfg.Now()
	if c.New, err = s.cfg.Hasher.Hash(ctx, normalPassword(password)); err != nil {
		return fmt.Errorf("hash a password: %w", err)
	}
	ended, err := s.cfg.Store.SetPassword(ctx, c)
	if err != nil {
		return fmt.Errorf("keep a password: %w", err)
	}
	s.announce(ctx, ended)
	return nil
}
