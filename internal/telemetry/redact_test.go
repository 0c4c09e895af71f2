package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/telemetry"
)

const (
	jwt     = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLWJ5dGVz"
	apiKey  = "tbai_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyzAB"
	refresh = "tbr_AZ-0123456789_abcdefABCDEF0123456789"
	exact   = "hunter2 & co/%"
	nkey    = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM"
)

// planted are texts with a secret in each, and what may not be left of it.
var planted = []struct{ text, secret string }{
	{"key " + apiKey + " used", "0123456789ab_"},
	{refresh, "0123456789_abc"},
	{"token " + jwt, "c2lnbmF0"},
	{"cut " + jwt[:40], "eyJzdWI"},
	{"Authorization: Bearer abcdef123456", "abcdef123456"},
	{"authorization=bearer abc.def-123456", "def-123456"},
	{"Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpw"},
	{"postgres://app:s3cr3t/pw@db:5432/x", "s3cr3t"},
	{"nats://user:p@ss:w0rd@10.0.0.1:4222", "w0rd"},
	{"https://abcdef0123@o1.ingest.example/2", "abcdef0123"},
	{"redis://:passw0rd!@cache:6379", "passw0rd"},
	{"host=db password=s3cr3t! user=x", "s3cr3t"},
	{`{"password":"four words are here"}`, "words"},
	{`{"api_key": "q0w9e8"}`, "q0w9e8"},
	{"?access_token=0a1b2c3d&x=1", "0a1b2c3d"},
	{"client_secret: S3cretValue", "S3cretValue"},
	{"mail to ada.lovelace+x@school.example.org failed", "lovelace"},
	{"ada%40school.example.org", "ada%40"},
	{"otpauth://totp/ToolboxAI:ada?secret=JBSWY3DPEHPK3PXP", "JBSWY3DP"},
	{"sk-ant-api03-abcdefghijklmnop", "abcdefghijkl"},
	{"AIzaSyA-0123456789abcdefghijklmnopqrstu", "0123456789ab"},
	{nkey, nkey[10:30]},
	{"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "aGFzaGhh"},
	{"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----", "MC4CAQAw"},
	{"it was " + exact + ", they say", "hunter2"},
	{"q=hunter2+%26+co%2F%25", "hunter2"},
}

func newRedactor() *telemetry.Redactor { return telemetry.NewRedactor(exact, "short", "") }

func TestRedactor_TakesSecretsOut(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	for _, p := range planted {
		got := r.String(p.text)
		if strings.Contains(got, p.secret) || !strings.Contains(got, telemetry.Redacted) {
			t.Errorf("%q became %q", p.text, got)
		}
		if again := r.String(got); strings.Contains(again, p.secret) {
			t.Errorf("%q became %q when it was done twice", got, again)
		}
	}
}

func TestRedactor_LeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	for _, text := range []string{
		"", "claim task 0199b0a2-7a0e-7000-8000-000000000001: the lease is held by worker-3", "read tcp 10.0.0.1:5432: connection reset by peer",
		"short", "verify token: the token has expired", "refresh token: signature is invalid", "https://api.example.org/v1/tasks?limit=20",
		"prompt has 150000 tokens", "github.com/nats-io/nats.go@v1.55.0", "SUBJECT tasks.school.quiz", "Basic Latin", "SELECT 1", "päßword – ok",
		"time=2026-01-02T03:04:05Z level=INFO", "a basic error", "nats://127.0.0.1:4222",
	} {
		if got := r.String(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestRedactor_BoundsWhatItLooksAt(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	for _, n := range []int{8<<10 - 20, 8<<10 - 10, 8<<10 - 5, 8 << 10, 100 << 10} { // the secret lies across the cut
		got := r.String(strings.Repeat("ä", n/2) + exact + apiKey + strings.Repeat("b", 1<<20))
		if len(got) > 9<<10 || strings.Contains(got, "hunter2") || strings.Contains(got, "tbai_0123") {
			t.Errorf("%d characters and a secret became %d bytes, …%q", n, len(got), got[len(got)-40:])
		}
		if !json.Valid([]byte(`"` + got + `"`)) {
			t.Error("a character was cut in half")
		}
	}
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

type stringer struct{ secret string }

func (s *stringer) String() string { return "printed " + s.secret }

type hidden struct {
	Name     string
	password string
}

func TestHandler_RedactsWhereverASecretStands(t *testing.T) {
	t.Parallel()
	for _, p := range planted {
		for name, put := range map[string]func(*slog.Logger){
			"message":   func(l *slog.Logger) { l.Info(p.text) }, //nolint:sloglint // that it is not static is what is tested
			"attribute": func(l *slog.Logger) { l.Info("m", "detail", p.text) },
			"group":     func(l *slog.Logger) { l.Info("m", slog.Group("a", slog.Group("b", "c", p.text))) },
			"error":     func(l *slog.Logger) { l.Info("m", "error", fmt.Errorf("wrapped: %w", errors.New(p.text))) },
			"logger":    func(l *slog.Logger) { l.With("a", p.text).WithGroup("g").With("b", p.text).Info("m", "c", p.text) },
			"valuer": func(l *slog.Logger) {
				l.Info("m", "a", valuer{slog.GroupValue(slog.Any("b", valuer{slog.StringValue(p.text)}))})
			},
			"stringer": func(l *slog.Logger) { l.Info("m", "a", &stringer{p.text}) },
			"struct":   func(l *slog.Logger) { l.Info("m", "a", hidden{"x", p.text}) },
			"map":      func(l *slog.Logger) { l.Info("m", "a", map[string][]string{"x": {p.text}}) },
			"bytes":    func(l *slog.Logger) { l.Info("m", "a", []byte(p.text)) },
			"pointer":  func(l *slog.Logger) { l.Info("m", "a", struct{ P *stringer }{&stringer{p.text}}) },
		} {
			for format, make := range map[string]func(*bytes.Buffer) slog.Handler{
				"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
				"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			} {
				var out bytes.Buffer
				put(slog.New(newRedactor().Handler(make(&out))))
				if strings.Contains(out.String(), p.secret) {
					t.Errorf("%s in a %s: %s", format, name, out.String())
				}
			}
		}
	}
}

// The negative control: without the redactor every secret is in the log.
func TestHandler_WithoutItSecretsAreLogged(t *testing.T) {
	t.Parallel()
	for _, p := range planted {
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "error", errors.New(p.text))
		if !strings.Contains(strings.ReplaceAll(out.String(), `\n`, "\n"), p.secret) {
			t.Errorf("%q is not to be found in %s", p.secret, out.String())
		}
	}
}

func TestHandler_RedactsBySecretNames(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"password", "refresh_token", "Authorization", "X-Api-Key", "db.password", "sentry_dsn"} {
		for _, value := range []any{"plain words", errors.New("plain words"), []string{"plain words"}} {
			var out bytes.Buffer
			slog.New(newRedactor().Handler(slog.NewJSONHandler(&out, nil))).Info("m", key, value)
			if strings.Contains(out.String(), "plain") {
				t.Errorf("%s: %s", key, out.String())
			}
		}
	}
}

func TestHandler_KeepsWhatHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var plain, redacted bytes.Buffer
	noTime := &slog.HandlerOptions{AddSource: true, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.SourceKey {
			return slog.Attr{}
		}
		return a
	}}
	var none *stringer
	for out, h := range map[*bytes.Buffer]slog.Handler{
		&plain: slog.NewJSONHandler(&plain, noTime), &redacted: newRedactor().Handler(slog.NewJSONHandler(&redacted, noTime)),
	} {
		l := slog.New(h).With("a", 1).WithGroup("g").With("b", true)
		l.Warn("claim task", "tokens", 1500, "token", 7, "err", errors.New("no luck"), "any", map[string]int{"x": 1}, "nil", nil,
			slog.Group("", "inline", 2.5), slog.Group("h", "d", "e"), "empty", slog.GroupValue(), "password", "")
		l.Debug("not enabled")
		if out.Len() == 0 {
			t.Fatal("nothing was logged")
		}
	}
	if plain.String() != redacted.String() {
		t.Errorf("got  %s\nwant %s", redacted.String(), plain.String())
	}
	slog.New(newRedactor().Handler(slog.NewJSONHandler(&redacted, nil))).Info("m", "a", none)
	if !strings.Contains(redacted.String(), "[unprintable]") {
		t.Error("a nil pointer with a String method was printed")
	}
}

func TestRedactor_NeverLeavesAnExactSecret(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[ -~]{8,40}`).Draw(t, "secret")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		r := telemetry.NewRedactor(secret)
		got := r.String(before + secret + after)
		if strings.Contains(got, secret) && !strings.Contains(telemetry.Redacted, secret) && !strings.Contains(before+telemetry.Redacted+after, secret) {
			t.Fatalf("%q is left in %q", secret, got)
		}
	})
}

func FuzzRedactor(f *testing.F) {
	for _, p := range planted {
		f.Add(p.text)
	}
	r := newRedactor()
	f.Fuzz(func(t *testing.T, text string) {
		got := r.String(text)
		if strings.Contains(got, exact) || strings.Contains(got, apiKey) {
			t.Errorf("%q became %q", text, got)
		}
		if len(got) > 12*len(text)+64 {
			t.Errorf("%d bytes became %d", len(text), len(got))
		}
	})
}

func BenchmarkHandler(b *testing.B) {
	for name, text := range map[string]string{"clean": "claim task 0199b0a2-7a0e-7000-8000-000000000001", "secret": "dial postgres://app:s3cr3t@db:5432/x for ada@school.example", "large": strings.Repeat("a: b=c token ", 4<<10)} {
		for _, redacted := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/redacted=%v", name, redacted), func(b *testing.B) {
				var h slog.Handler = slog.NewJSONHandler(discard{}, nil)
				if redacted {
					h = telemetry.NewRedactor("one exact secret", "another exact secret", "a third exact secret").Handler(h)
				}
				l := slog.New(h)
				err := errors.New(text)
				b.ReportAllocs()
				for b.Loop() {
					l.Info("claim task", "task", text, "attempt", 3, "error", err)
				}
			})
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
