package account

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of names, in characters.
const (
	minUsername = 3
	maxUsername = 64
	maxEmail    = 254 // RFC 5321, 4.5.3.1
	maxName     = 200
)

// UsernameKey returns the form in which usernames are compared: RFC 8265, case mapped. Invalid when it can be none; a username has no
// @, so that it is never taken for an e-mail address.
func UsernameKey(username string) (string, error) {
	if len(username) > maxUsername*utf8.UTFMax {
		return "", fault.InvalidField("username", "must have %d to %d characters", minUsername, maxUsername)
	}
	key, err := precis.UsernameCaseMapped.String(username)
	if n := utf8.RuneCountInString(key); err == nil && (n < minUsername || n > maxUsername) {
		return "", fault.InvalidField("username", "must have %d to %d characters", minUsername, maxUsername)
	}
	if err != nil || strings.ContainsFunc(key, notInUsername) || !strings.ContainsFunc(key, isLetterOrDigit) {
		return "", fault.InvalidField("username", "may hold letters, digits and . _ - +")
	}
	return key, nil
}

func notInUsername(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune("._-+", r)
}

func isLetterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// EmailKey returns the form in which e-mail addresses are compared: NFKC, lower case. Hosts that tell capitals apart in the part before
// the @ are not known. Invalid when it can be none.
func EmailKey(email string) (string, error) {
	key := ""
	if email = strings.TrimSpace(email); len(email) <= maxEmail && utf8.ValidString(email) {
		key = norm.NFKC.String(strings.ToLower(norm.NFKC.String(email)))
	}
	address, err := mail.ParseAddress(key)
	_, host, _ := strings.Cut(key, "@")
	if err != nil || address.Address != key || len(key) > maxEmail || !strings.Contains(host, ".") || strings.ContainsAny(host, "[@") ||
		strings.ContainsFunc(key, hides) {
		return "", fault.InvalidField("email", "is no e-mail address such as ada@school.example")
	}
	return key, nil
}

// loginKey returns the form in which what somebody signs in with is looked for; empty for what nobody can have.
func loginKey(login string) string {
	normal, key := EmailKey, ""
	if !strings.Contains(login, "@") {
		normal = UsernameKey
	}
	if k, err := normal(strings.TrimSpace(login)); err == nil {
		key = k
	}
	return key
}

// CheckName returns a person's or a class's name as it is kept: trimmed and composed (NFC). Invalid without a letter or digit, above 200
// characters, and with characters that hide or turn others.
func CheckName(field, name string) (string, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, hides):
		return "", fault.InvalidField(field, "may not hold control characters, or others that hide or turn what stands beside them")
	case utf8.RuneCountInString(name) > maxName:
		return "", fault.InvalidField(field, "has more than %d characters", maxName)
	case !strings.ContainsFunc(name, isLetterOrDigit):
		return "", fault.InvalidField(field, "must hold a letter or a digit")
	}
	return name, nil
}

// hides reports whether a character is not seen, or makes others be seen elsewhere. The two joiners are letters' business: Persian and many
// languages of India need them.
func hides(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return r != nonJoiner && r != joiner &&
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
