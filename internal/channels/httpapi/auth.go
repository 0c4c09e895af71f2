package httpapi

import (
	"crypto/hmac"
	"crypto/md5" // body_md5 is the protocol's; it is the signature over it that protects the body
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// authenticate returns the query's parameters when it was signed with the app's secret, together with the method and the path. What
// body_md5 says of the body is still to be checked. Unauthorized names what is wrong.
func (h *Handler) authenticate(r *http.Request) (map[string]string, error) {
	if len(r.URL.RawQuery) > MaxQuery {
		return nil, &statusError{http.StatusRequestURITooLong, "the query is longer than " + strconv.Itoa(MaxQuery) + " bytes"}
	}
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"auth_key", "auth_timestamp", "auth_version", "auth_signature"} {
		if params[name] == "" {
			return nil, unauthorized("%s is missing from the query", name)
		}
	}
	if params["auth_version"] != "1.0" {
		return nil, unauthorized("auth_version must be 1.0")
	}
	if params["auth_key"] != h.cfg.App.Key {
		return nil, unauthorized("auth_key is not known here")
	}
	if err := h.checkTime(params["auth_timestamp"]); err != nil {
		return nil, err
	}
	signed := false
	query := canonical(params)
	for _, path := range signedPaths(r.URL) {
		signed = h.verify(r.Method+"\n"+path+"\n"+query, params["auth_signature"]) || signed
	}
	if !signed {
		return nil, unauthorized("auth_signature is not the hex HMAC-SHA256, under the secret of auth_key, of %.2000q", r.Method+"\n"+r.URL.EscapedPath()+"\n"+query)
	}
	return params, nil
}

func (h *Handler) checkTime(stamp string) error {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return unauthorized("auth_timestamp must be a whole number of seconds since 1970")
	}
	// Compared as seconds: a duration cannot hold what a peer may write.
	now, most := h.cfg.Now().Unix(), int64(MaxSkew/time.Second)
	if seconds < now-most || seconds > now+most {
		return unauthorized("auth_timestamp %d is not within %d s of the server's time %d", seconds, most, now)
	}
	return nil
}

// read returns the body. Unauthorized when it is not what body_md5 says, TooLarge beyond MaxBody.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, params map[string]string) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, fault.New(fault.TooLarge, "the body is longer than %d bytes", MaxBody)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body could not be read to its end")
	}
	sum, given := params["body_md5"]
	switch {
	case !given && len(body) > 0:
		return nil, unauthorized("body_md5 is missing from the query, and there is a body")
	case given && subtle.ConstantTimeCompare([]byte(h.digest(body)), []byte(sum)) != 1:
		return nil, unauthorized("body_md5 is not the hex MD5 of the body as it was received")
	}
	return body, nil
}

// parseQuery returns the parameters by name in lower case. What could be read in two ways once it is not escaped any more is refused.
func parseQuery(raw string) (map[string]string, error) {
	params := map[string]string{}
	if raw == "" {
		return params, nil
	}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, unauthorized("the query must be name=value pairs joined with &")
		}
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, unauthorized("the query has a %% that is no escape")
		}
		if !plain(name) || strings.ContainsAny(name, "=&") {
			return nil, unauthorized("a name in the query holds a character that cannot be signed")
		}
		name = strings.ToLower(name)
		if !plain(value) || strings.Contains(value, "&") {
			return nil, unauthorized("%.40q in the query holds a character that cannot be signed", name)
		}
		if _, twice := params[name]; twice {
			return nil, unauthorized("%.40q stands twice in the query", name)
		}
		params[name] = value
	}
	return params, nil
}

// canonical returns the part of the string to sign that stands for the query.
func canonical(params map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name == "auth_signature" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + params[name])
	}
	return b.String()
}

// signedPaths returns the path as it was sent, and not escaped where the two mean the same: libraries sign what they were given, and what
// sends it escapes it. A path that still holds a % is one that the library escaped itself.
func signedPaths(u *url.URL) []string {
	sent := u.EscapedPath()
	if !plain(u.Path) {
		return nil
	}
	if u.Path == sent || strings.Contains(u.Path, "%") || strings.Contains(strings.ToLower(sent), "%2f") {
		return []string{sent}
	}
	return []string{sent, u.Path}
}

// plain reports whether s is text without control characters.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func verifier(secret string) func(toSign, signature string) bool {
	key := []byte(secret)
	return func(toSign, signature string) bool {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(toSign))
		return hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(signature))
	}
}

func md5Hex(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

func unauthorized(format string, args ...any) error {
	return fault.New(fault.Unauthorized, format, args...)
}
