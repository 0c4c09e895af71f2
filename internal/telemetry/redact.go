package telemetry

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Redacted stands where something looked like a secret.
const Redacted = "[redacted]"

const (
	// maxText is how much of one string is looked at, in bytes: what lies beyond is cut off, so a huge string costs no more than this.
	maxText = 8 << 10
	cut     = "… [cut]"
	// minSecret is the length of the shortest exact secret: a shorter one would take ordinary words with it.
	minSecret = 8
	// minOverlap is how much is given up where a string is cut, at least: a part of a secret might stand there that is not recognised.
	minOverlap = 512
)

// Redactor replaces what looks like a secret. It is the last line of defence: nothing of the kind should have come to it. It knows our API keys and
// refresh tokens, JSON Web Tokens, HTTP credentials, passwords in URLs and in assignments, private keys, the key forms of the providers we
// use, set-up addresses of authenticator apps, e-mail addresses, and the exact secrets it was made with. It is immutable and safe for
// concurrent use.
type Redactor struct {
	exact   *strings.Replacer // nil: none
	overlap int
}

// NewRedactor returns a redactor that also replaces these exact values, such as the process's own passwords, as they are and as
// they stand in a URL. Values of fewer than 8 bytes are taken no notice of.
func NewRedactor(secrets ...string) *Redactor {
	r := &Redactor{overlap: minOverlap}
	var values []string
	for _, s := range secrets {
		for _, form := range []string{s, strings.TrimSpace(s), url.QueryEscape(s), url.PathEscape(s)} {
			if len(form) >= minSecret {
				values = append(values, form)
				r.overlap = max(r.overlap, len(form))
			}
		}
	}
	if len(values) == 0 {
		return r
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // a secret before one that it begins with
	pairs := make([]string, 0, 2*len(values))
	for _, v := range slices.Compact(values) {
		pairs = append(pairs, v, Redacted)
	}
	r.exact = strings.NewReplacer(pairs...)
	return r
}

// form is one way in which secrets look. hints are what its match contains, one of them at least: looking for those is cheap.
type form struct {
	hints   []string
	pattern *regexp.Regexp
	with    string
}

// names are what secrets are called in texts.
const names = `(?:password|passwd|passphrase|secret|token|api_?key|authorization|signature|credential|assertion)s?`

var named = []string{
	"assw", "ecret", "oken", "assphrase", "pi_key", "pikey", "piKey", "uthorization", "ignature", "redential", "ssertion",
	"ASSW", "ECRET", "OKEN", "ASSPHRASE", "PI_KEY", "PIKEY", "UTHORIZATION", "IGNATURE", "REDENTIAL",
}

// forms are tried in this order: the first ones may span what the others match.
var forms = []form{
	{[]string{"-----BEGIN "}, regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), Redacted},
	{[]string{"otpauth:"}, regexp.MustCompile(`otpauth://[^\s"']*`), Redacted},
	{[]string{"://"}, regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s/"'@]*:[^\s"']*|[^\s/"']*)@`), "${1}" + Redacted + "@"},
	{[]string{"earer", "EARER", "asic", "ASIC"}, regexp.MustCompile(`(?i)\b(bearer|basic)[ \t:=]+[A-Za-z0-9._~+/=-]{8,}`), "${1} " + Redacted},
	{[]string{"eyJ"}, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`), Redacted},
	{[]string{"tbai_"}, regexp.MustCompile(`tbai_[0-9A-Za-z_-]{4,}`), Redacted},
	{[]string{"tbr_"}, regexp.MustCompile(`tbr_[0-9A-Za-z_-]{8,}`), Redacted},
	{[]string{"sk-", "gsk_", "ghp_", "AIza", "AKIA", "xox"}, regexp.MustCompile(
		`\b(sk-[A-Za-z0-9_-]{16,}|gsk_[A-Za-z0-9]{16,}|ghp_[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16}|xox[a-z]-[A-Za-z0-9-]{10,})`), Redacted},
	{[]string{"SU", "SA", "SO", "SN", "SX", "SC"}, regexp.MustCompile(`\bS[UAONXC][A-Z2-7]{56}\b`), Redacted}, // seeds of NATS keys
	{[]string{"$argon2"}, regexp.MustCompile(`\$argon2(id|i|d)\$[^\s"']*`), Redacted},
	{named, regexp.MustCompile(`(?i)(` + names + `["']?\s?=\s?["']?)[^\s"',;&})\]\[]{4,}`), "${1}" + Redacted},
	{named, regexp.MustCompile(`(?i)(` + names + `["']\s?:\s?["'])[^"']+`), "${1}" + Redacted},
	// After a colon as in "token: it has expired" words are left alone: a secret has digits, capitals or signs.
	{named, regexp.MustCompile(`(?i)(` + names + `:\s{0,2})(?:[^\s"',;&})\]\[]*[:=]\s{1,2})*[^\s"',;&})\]\[]*(?-i:[0-9A-Z_+/=$!#%*-])[^\s"',;&})\]\[]{3,}`), "${1}" + Redacted},
	{[]string{"@", "%40"}, regexp.MustCompile(`[A-Za-z0-9._%+-]+(@|%40)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`), Redacted},
}

// String returns s with Redacted in place of what looks like a secret; s itself when there is none. A string of more than 8 KiB is
// cut.
func (r *Redactor) String(s string) string {
	short := len(s) > maxText
	if short {
		s = s[:maxText]
	}
	if r.exact != nil {
		s = r.exact.Replace(s)
	}
	for _, f := range forms {
		if hinted(s, f.hints) {
			s = f.pattern.ReplaceAllString(s, f.with)
		}
	}
	if short {
		s = strings.ToValidUTF8(s[:max(0, len(s)-r.overlap)], "") + cut
	}
	return s
}

func hinted(s string, hints []string) bool {
	for _, h := range hints {
		if strings.Contains(s, h) {
			return true
		}
	}
	return false
}

// secretKey reports whether a string under this name is a secret whatever it looks like.
func secretKey(key string) bool {
	key = strings.ToLower(strings.NewReplacer("-", "_", ".", "_").Replace(key))
	switch key {
	case "password", "passwd", "passphrase", "secret", "token", "authorization", "proxy_authorization", "cookie", "set_cookie", "api_key", "apikey",
		"x_api_key", "dsn", "credential", "credentials", "otp", "totp", "pepper":
		return true
	}
	for _, end := range []string{"_password", "_secret", "_token", "_api_key", "_private_key", "_dsn"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}
