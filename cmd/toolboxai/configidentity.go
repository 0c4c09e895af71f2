package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/secret"
)

// checkIdentity holds what says who may do what against each other.
func (c Config) checkIdentity() error {
	for _, choice := range []struct {
		name, value string
		of          []string
	}{
		{"RATE_LIMITS", c.RateLimits, []string{"on", "off"}},
		{"REGISTRATION", c.Registration, []string{"open", "invite", "closed"}},
		{"REGISTRATION_ROLE", c.OpenRole, []string{"student", "teacher", "parent"}},
		{"SMTP_TLS", c.SMTPTLS, []string{"starttls", "tls", "none"}},
	} {
		if !slices.Contains(choice.of, choice.value) {
			return fmt.Errorf("%s is %q, must be one of %v", choice.name, choice.value, choice.of)
		}
	}
	for _, role := range c.SecondFactor {
		if !auth.Role(role).Valid() {
			return fmt.Errorf("MFA_REQUIRED_ROLES: there is no role %q, only %v", role, auth.Roles())
		}
	}
	switch {
	case c.Registration == "open" && c.OpenTenant == "":
		return fmt.Errorf("REGISTRATION_TENANT is not set: REGISTRATION=open needs it")
	case c.RateLimits == "off" && c.production():
		return fmt.Errorf("RATE_LIMITS=off is refused when ENVIRONMENT is production")
	case slices.Contains(c.AllowedOrigins, "*") && c.production():
		return fmt.Errorf("ALLOWED_ORIGINS=* is refused when ENVIRONMENT is production: name the origins")
	case c.SMTPHost != "" && c.SMTPFrom == "":
		return fmt.Errorf("SMTP_FROM is not set: SMTP_HOST needs it")
	case c.SMTPTLS == "none" && c.SMTPHost != "" && c.production():
		return fmt.Errorf("SMTP_TLS=none is refused when ENVIRONMENT is production")
	}
	return c.checkAddress("PUBLIC_URL", c.PublicURL, "https://app.example.org")
}

// checkAddress holds where others find us against what browsers and receivers take.
func (c Config) checkAddress(name, value, example string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%s is no URL such as %s", name, example)
	}
	if u.Scheme == "http" && c.production() {
		return fmt.Errorf("%s has to be https when ENVIRONMENT is production", name)
	}
	return nil
}

func (c Config) accessTTL() time.Duration { return time.Duration(c.AccessMinutes) * time.Minute }

// developer returns who asks without a token, or nil where nobody may.
func (c Config) developer() *auth.Principal {
	if !c.dev && !c.SkipAuth {
		return nil
	}
	p := auth.DevPrincipal()
	return &p
}

// keysForAPI returns c with the keys that an API needs. Where everybody is the development admin they may be missing: nobody's session
// outlives the process then.
func (c Config) keysForAPI() (Config, error) {
	if c.SkipAuth {
		return c.withKeys("")
	}
	return c, need("the API", map[string]string{"JWT_SECRET_KEY": c.JWTSecret, "ENCRYPTION_KEY": c.EncryptionKey})
}

// withKeys fills in the keys that are not set: with those that an earlier start kept in dir or, where that is empty, with ones that are gone
// with the process.
func (c Config) withKeys(dir string) (Config, error) {
	missing := map[string]*string{"jwt.key": &c.JWTSecret, "encryption.key": &c.EncryptionKey}
	if c.Channels {
		missing["channels.key"] = &c.PusherSecret
	}
	for name, value := range missing {
		if *value != "" {
			continue
		}
		if dir == "" {
			*value = secret.RandomToken(32)
			continue
		}
		path := filepath.Join(dir, name)
		kept, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			kept = []byte(secret.RandomToken(32))
			err = os.WriteFile(path, kept, 0o600)
		}
		if err != nil {
			return c, fmt.Errorf("the key %s: %w", name, err)
		}
		*value = strings.TrimSpace(string(kept))
	}
	return c, nil
}
