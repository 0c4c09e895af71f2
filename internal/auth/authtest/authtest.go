// Package authtest signs tokens for tests with nothing but a secret.
package authtest

import (
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Keyring returns a keyring whose only key is the secret of HS256, of at least auth.MinSecret bytes.
func Keyring(secret string) (*auth.Keyring, error) {
	key, err := auth.ParseKey(secret)
	if err != nil {
		return nil, err
	}
	return auth.NewKeyring(auth.KeyringConfig{Signing: key})
}

// Issue returns a token of p, signed with such a keyring.
func Issue(secret string, p auth.Principal, ttl time.Duration) (string, error) {
	keys, err := Keyring(secret)
	if err != nil {
		return "", err
	}
	return keys.Issue(p, ttl)
}
