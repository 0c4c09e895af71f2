package main

import (
	"fmt"
	"os"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

type tokenCommand struct {
	User   string        `help:"Who the token is for." default:"teacher"`
	Tenant string        `help:"Their tenant." default:"dev"`
	Role   string        `help:"platform_admin, admin, teacher, student or parent." default:"teacher" enum:"platform_admin,admin,teacher,student,parent"`
	TTL    time.Duration `help:"How long it is valid." default:"15m" name:"ttl"`
}

// Run signs with JWT_SECRET_KEY. Whoever can run it has that secret anyway.
func (c *tokenCommand) Run() error {
	cfg, err := loadConfig(os.Environ())
	if err != nil {
		return &usageError{err}
	}
	if err := need("token", map[string]string{"JWT_SECRET_KEY": cfg.JWTSecret}); err != nil {
		return &usageError{err}
	}
	keys, err := cfg.keyring()
	if err != nil {
		return &usageError{err}
	}
	p := auth.Principal{UserID: c.User, Tenant: c.Tenant, Role: auth.Role(c.Role), AuthAt: time.Now()}
	token, err := keys.Issue(p, c.TTL)
	if err != nil {
		return &usageError{err}
	}
	fmt.Println(token)
	return nil
}

// keyring returns the keys of bearer tokens.
func (c Config) keyring() (*auth.Keyring, error) {
	signing, err := auth.ParseKey(c.JWTSecret)
	if err != nil {
		return nil, fmt.Errorf("JWT_SECRET_KEY: %w", err)
	}
	keys := auth.KeyringConfig{Signing: signing}
	for i, text := range c.JWTPrevious {
		key, err := auth.ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("JWT_PREVIOUS_KEYS, key %d: %w", i+1, err)
		}
		keys.Previous = append(keys.Previous, key)
	}
	return auth.NewKeyring(keys)
}
