package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecret is the length of the shortest signing secret, in bytes: that of the hash behind HS256.
const MinSecret = 32

// Key signs or verifies tokens in one way, which is bound to it. The zero Key is unusable. It does not print what it is made of.
type Key struct {
	id     string
	method jwt.SigningMethod
	sign   any // nil: it only verifies
	verify any
}

// ParseKey reads a key: PEM makes it EdDSA (PKCS #8 with an Ed25519 private key; or a public key, which only verifies), and any other
// text is the secret of HS256, of at least MinSecret bytes from a random source. In PEM, "\n" as two characters stands for the end of
// a line, as environment files have it. Errors hold no part of the text.
func ParseKey(text string) (Key, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN ") {
		return parsePEM(strings.ReplaceAll(text, `\n`, "\n"))
	}
	if len(text) < MinSecret {
		return Key{}, fmt.Errorf("the token secret has %d bytes; HS256 needs at least %d, from a random source", len(text), MinSecret)
	}
	secret := []byte(text)
	return Key{id: keyID(secret), method: jwt.SigningMethodHS256, sign: secret, verify: secret}, nil
}

func parsePEM(text string) (Key, error) {
	block, rest := pem.Decode([]byte(strings.TrimSpace(text)))
	if block == nil {
		return Key{}, errors.New("the signing key is no PEM")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return Key{}, errors.New("the signing key has more than one PEM block")
	}
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return Key{}, errors.New("the signing key is no PKCS #8 private key")
		}
		if private, ok := parsed.(ed25519.PrivateKey); ok {
			public := private.Public().(ed25519.PublicKey)
			return Key{id: keyID(public), method: jwt.SigningMethodEdDSA, sign: private, verify: public}, nil
		}
	case "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return Key{}, errors.New("the verifying key is no PKIX public key")
		}
		if public, ok := parsed.(ed25519.PublicKey); ok {
			return Key{id: keyID(public), method: jwt.SigningMethodEdDSA, verify: public}, nil
		}
	}
	return Key{}, errors.New("the signing key is no Ed25519 key")
}

// keyID returns the first 8 hex digits of a SHA-256: enough to tell a keyring's keys apart, and nothing to guess a random secret by.
func keyID(material []byte) string {
	sum := sha256.Sum256(material)
	return hex.EncodeToString(sum[:4])
}

// ID returns what tokens name the key by (kid). It is no secret.
func (k Key) ID() string { return k.id }

// Algorithm returns "HS256" or "EdDSA", and "" for the zero Key.
func (k Key) Algorithm() string {
	if k.method == nil {
		return ""
	}
	return k.method.Alg()
}

// String returns algorithm and id.
func (k Key) String() string { return k.Algorithm() + " " + k.id }

// GoString is String: %#v prints no secret either.
func (k Key) GoString() string { return k.String() }
