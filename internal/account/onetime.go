package account

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/toolboxai/orchestrator/internal/secret"
)

// oneTimeLen is how many random bytes stand in what is used once.
const oneTimeLen = 32

// putOneTime makes a token that is good for ttl, keeps its hash and returns it.
func (s *Service) putOneTime(ctx context.Context, t OneTime, ttl time.Duration, replace bool) (token string, expires time.Time, err error) {
	token = secret.RandomToken(oneTimeLen)
	now := s.cfg.Now().UTC().Truncate(time.Microsecond)
	t.Hash, t.CreatedAt, t.ExpiresAt = hashOf(token), now, now.Add(ttl)
	if len(t.Data) == 0 {
		t.Data = []byte("{}")
	}
	if err := s.cfg.Store.PutToken(ctx, t, replace); err != nil {
		return "", time.Time{}, fmt.Errorf("keep a one-time token: %w", err)
	}
	return token, t.ExpiresAt, nil
}

// hashOf returns what is kept of a token. Tokens are random: they need no salt and no slow hash.
func hashOf(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}
