package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/telemetry"
)

// reportTime is how long reports of errors may take to leave when the process ends.
const reportTime = 2 * time.Second

// openLogs makes the logger of a process and, where SENTRY_DSN is set, what reports its errors. Neither tells a secret that the
// configuration holds, nor what looks like one.
func (c *Config) openLogs() (*slog.Logger, error) {
	redactor := telemetry.NewRedactor(c.secrets()...)
	reports, err := telemetry.NewReporter(telemetry.ReporterConfig{
		DSN: c.SentryDSN, Environment: cmp.Or(c.SentryEnv, c.Environment), Release: version, Redactor: redactor,
	})
	if err != nil {
		return nil, &usageError{fmt.Errorf("SENTRY_DSN: %w", err)}
	}
	c.reports = reports
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var lines slog.Handler = slog.NewJSONHandler(os.Stderr, options)
	if c.LogFormat == "text" {
		lines = slog.NewTextHandler(os.Stderr, options)
	}
	return slog.New(redactor.Handler(reports.Handler(lines))), nil
}

// closeLogs lets the reports of errors leave.
func (c Config) closeLogs(ctx context.Context) {
	if c.reports == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	if err := c.reports.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "toolboxai: some errors were not reported before the end")
	}
}

// secrets returns what of the configuration nobody may be told, with the passwords in its addresses.
func (c Config) secrets() []string {
	all := append([]string{
		c.JWTSecret, c.EncryptionKey, c.SMTPPassword, c.SentryDSN, c.OpenAIKey, c.AnthropicKey, c.GoogleKey, c.PusherSecret,
	}, append(c.JWTPrevious, c.EncryptionBefore...)...)
	addresses := append(strings.Split(c.NATSURL, ","), c.DatabaseURL, c.RedisURL)
	for _, address := range addresses {
		if u, err := url.Parse(strings.TrimSpace(address)); err == nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	return all
}
