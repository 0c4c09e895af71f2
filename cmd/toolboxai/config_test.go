package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfig_TakesDefaultsAndFiles(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig([]string{"OPENAI_API_KEY_FILE=" + secret, "TASK_ACK_WAIT=3s", "ALLOWED_ORIGINS= https://a.example , http://b.example:8080,", "TRUSTED_PROXIES=10.0.0.0/8, ::1/128"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.OpenAIKey != "s3cret" || cfg.Port != 8009 || cfg.TaskAckWait != 3*time.Second || !slices.Equal(cfg.AllowedOrigins, []string{"https://a.example", "http://b.example:8080"}) || len(cfg.TrustedProxies) != 2 || cfg.PusherCluster != "us2" {
		t.Errorf("got %+v", cfg)
	}
}

func TestConfig_AWrongValueNamesItsVariable(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"PORT=eight":                   "PORT",
		"PORT=70000":                   "PORT is 70000, must be 0 to 65535",
		"ENVIRONMENT=prod":             `ENVIRONMENT is "prod", must be development, staging or production`,
		"LOG_LEVEL=loud":               "LOG_LEVEL",
		"LOG_FORMAT=xml":               "LOG_FORMAT",
		"AGENT_TIMEOUT_SECONDS=0":      "AGENT_TIMEOUT_SECONDS is 0, must be 1 to 86400",
		"MAX_CONCURRENT_GENERATIONS=0": "MAX_CONCURRENT_GENERATIONS",
		"TASK_ACK_WAIT=soon":           "TASK_ACK_WAIT",
		"PUSHER_SSL=perhaps":           "PUSHER_SSL",
		"JWT_SECRET_KEY_FILE=/nowhere": "JWT_SECRET_KEY_FILE",
		"DRAIN_TIMEOUT=0s":             "DRAIN_TIMEOUT is 0s, must be 1ms to 1h",
		"NATS_REPLICAS=2":              "NATS_REPLICAS is 2, must be 1, 3 or 5",
		"LLM_PROVIDER=gpt":             `LLM_PROVIDER is "gpt", must be`,
		"ALLOWED_ORIGINS=example.org":  `ALLOWED_ORIGINS: "example.org" is no origin`,
		"ALLOWED_ORIGINS=https://a/b":  `ALLOWED_ORIGINS: "https://a/b" is no origin`,
		"ALLOWED_ORIGINS=*,https://a":  `ALLOWED_ORIGINS: "*" is no origin`,
		"MCP_ALLOW=10.0.0.0/33":        `MCP_ALLOW: entry "10.0.0.0/33" is no network`,
		"MCP_SERVERS={}":               "MCP_SERVERS is no JSON list",
		"CALLBACK_ALLOW=10.0.0.0/33":   `CALLBACK_ALLOW: entry "10.0.0.0/33" is no network`,
		"CALLBACK_TIMEOUT=2m":          "CALLBACK_TIMEOUT is 2m0s, must be 1s to 1m",
		"API_URL=toolbox.example.org":  "API_URL is no URL such as https://toolbox.example.org",
		"TRUSTED_PROXIES=10.0.0.1":     `TRUSTED_PROXIES: "10.0.0.1" is no network`,
		"ACCEPT_DURABILITY=yes":        `ACCEPT_DURABILITY: "yes" is none of memory, page-cache, fsync, replicated`,
	} {
		_, err := loadConfig([]string{entry})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", entry, err, want)
		}
	}
	if _, err := loadConfig([]string{"ENVIRONMENT=production", "SKIP_AUTH=true"}); err == nil || !strings.Contains(err.Error(), "SKIP_AUTH") {
		t.Errorf("SKIP_AUTH in production: %v", err)
	}
}

func TestConfig_RefusesWhatIsNotSafeInProduction(t *testing.T) {
	t.Parallel()
	for _, unsafe := range []string{
		"SKIP_AUTH=true", "RATE_LIMITS=off", "ALLOWED_ORIGINS=*", "PUBLIC_URL=http://app.example.org", "API_URL=http://toolbox.example.org", "SMTP_TLS=none", "TRUSTED_PROXIES=0.0.0.0/0",
	} {
		name, _, _ := strings.Cut(unsafe, "=")
		mail := []string{"SMTP_HOST=mail.example.org", "SMTP_FROM=a@b.example"}
		if _, err := loadConfig(append(mail, "ENVIRONMENT=production", unsafe)); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s in production: %v", unsafe, err)
		}
		if _, err := loadConfig(append(mail, unsafe)); err != nil {
			t.Errorf("%s in development: %v", unsafe, err)
		}
	}
	for entry, want := range map[string]string{
		"REGISTRATION=open":                  "REGISTRATION_TENANT is not set",
		"REGISTRATION_ROLE=admin":            "REGISTRATION_ROLE",
		"MFA_REQUIRED_ROLES=boss":            "MFA_REQUIRED_ROLES",
		"SMTP_HOST=mail.example.org":         "SMTP_FROM is not set",
		"PUBLIC_URL=app.example.org":         "PUBLIC_URL",
		"JWT_ACCESS_TOKEN_EXPIRE_MINUTES=90": "JWT_ACCESS_TOKEN_EXPIRE_MINUTES is 90, must be 1 to 50",
	} {
		if _, err := loadConfig([]string{entry}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}
