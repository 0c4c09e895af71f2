package main

import (
	"os"
	"path/filepath"
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
	cfg, err := loadConfig([]string{"OPENAI_API_KEY_FILE=" + secret, "TASK_ACK_WAIT=3s", "ALLOWED_ORIGINS=https://a.example,https://b.example"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.OpenAIKey != "s3cret" || cfg.Port != 8009 || cfg.TaskAckWait != 3*time.Second || len(cfg.AllowedOrigins) != 2 || cfg.PusherCluster != "us2" {
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
