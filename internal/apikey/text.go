package apikey

import (
	"crypto/rand"
	"hash/crc32"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// The text of a key is "tbai_", the id, "_", the secret, and the CRC-32 of all that before it: whoever finds such a text, a scanner for
// leaked secrets as well as this server, can tell without asking anybody whether it may be one.
const (
	prefix     = "tbai_"
	idSize     = 12 // characters: 71 bits
	secretSize = 32 // characters: 190 bits
	crcSize    = 6
	textSize   = len(prefix) + idSize + 1 + secretSize + crcSize
)

// Pattern is the regular expression that finds keys in texts: for scanners for leaked secrets. What it finds and Parse takes is a key of
// some ToolboxAI; revoke it by its id.
const Pattern = `tbai_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}`

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// IsKey reports whether a bearer token is meant as an API key, good or not.
func IsKey(text string) bool { return strings.HasPrefix(text, prefix) }

// Parse returns the id and the secret of a key's text. It asks nobody: a text that it takes has the form of a key, no more. The error
// is Unauthorized and holds no part of the text.
func Parse(text string) (id, secret string, err error) {
	if len(text) != textSize || !strings.HasPrefix(text, prefix) || text[len(prefix)+idSize] != '_' {
		return "", "", fault.New(fault.Unauthorized, "the API key has not the form of one")
	}
	id = text[len(prefix):][:idSize]
	secret = text[len(prefix)+idSize+1:][:secretSize]
	if !isBase62(id) || !isBase62(secret) {
		return "", "", fault.New(fault.Unauthorized, "the API key has not the form of one")
	}
	if text[textSize-crcSize:] != checksum(text[:textSize-crcSize]) {
		return "", "", fault.New(fault.Unauthorized, "the API key has a typing error")
	}
	return id, secret, nil
}

// format returns the text that Parse reads.
func format(id, secret string) string {
	text := prefix + id + "_" + secret
	return text + checksum(text)
}

func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var digits [crcSize]byte
	for i := crcSize - 1; i >= 0; i-- {
		digits[i] = alphabet[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

func isBase62(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// random returns n characters of the alphabet, each as likely as any other.
func random(n int) string {
	const fair = 256 - 256%len(alphabet) // bytes from there on would favour the first characters
	text := make([]byte, 0, n)
	for raw := make([]byte, 2*n); len(text) < n; {
		_, _ = rand.Read(raw) // never fails: the process ends instead
		for _, b := range raw {
			if int(b) < fair && len(text) < n {
				text = append(text, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(text)
}
