package auth

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxPrevious bounds the keys of a keyring: without a key id, each of them is tried.
const maxPrevious = 8

// KeyringConfig names the keys.
type KeyringConfig struct {
	Signing  Key   // signs, and verifies
	Previous []Key // verify what they once signed; at most 8
}

// Keyring holds the keys of tokens. To change keys, make the old one a previous one: whoever has a token goes on, and once the last of
// those has expired the old key can go. It is immutable, safe for concurrent use, and does not print its keys.
type Keyring struct {
	signing Key
	byID    map[string]Key
	plain   jwt.VerificationKeySet // the HS256 keys, for tokens that name none
	jwks    []byte
}

// NewKeyring returns the keyring of cfg. A key that is listed twice counts once.
func NewKeyring(cfg KeyringConfig) (*Keyring, error) {
	if cfg.Signing.sign == nil {
		return nil, errors.New("keyring: the first key cannot sign")
	}
	if len(cfg.Previous) > maxPrevious {
		return nil, fmt.Errorf("keyring: there are %d previous keys, at most %d are allowed", len(cfg.Previous), maxPrevious)
	}
	k := &Keyring{signing: cfg.Signing, byID: map[string]Key{}}
	set := jwks{Keys: []jwk{}}
	for _, key := range append([]Key{cfg.Signing}, cfg.Previous...) {
		if key.verify == nil {
			return nil, errors.New("keyring: a key is empty")
		}
		if known, ok := k.byID[key.id]; ok {
			if !sameKey(known, key) {
				return nil, fmt.Errorf("keyring: two keys have the id %s", key.id)
			}
			continue
		}
		k.byID[key.id] = key
		switch verify := key.verify.(type) {
		case ed25519.PublicKey:
			set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", "sig", "EdDSA", key.id, base64.RawURLEncoding.EncodeToString(verify)})
		case []byte:
			k.plain.Keys = append(k.plain.Keys, verify)
		}
	}
	var err error
	if k.jwks, err = json.Marshal(set); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return k, nil
}

// jwks is a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037).
type jwks struct {
	Keys []jwk `json:"keys"`
}

type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

func sameKey(a, b Key) bool {
	switch verify := a.verify.(type) {
	case ed25519.PublicKey:
		return verify.Equal(b.verify)
	case []byte:
		other, ok := b.verify.([]byte)
		return ok && slices.Equal(verify, other)
	}
	return false
}

// JWKS returns the public keys as a JSON Web Key Set, the signing one first; an empty set where secrets sign.
func (k *Keyring) JWKS() []byte { return slices.Clone(k.jwks) }

// String names the signing key.
func (k *Keyring) String() string { return "keyring of " + k.signing.String() }

// GoString is String: %#v prints no secret either.
func (k *Keyring) GoString() string { return k.String() }

// Issue returns a token that proves p from now on for ttl. Of p it carries who they are, the session, and the steps that they took
// to prove it; Expires and IssuedAt are not read. A session's token lives RevocationTTL at the longest, so that no revocation is forgotten before
// it. An API key is its own proof: it is an error to issue a token for one.
func (k *Keyring) Issue(p Principal, ttl time.Duration) (token string, err error) {
	switch {
	case p.KeyID != "" || p.Scopes != nil:
		return "", errors.New("issue a token: an API key gets none")
	case p.Home != "":
		return "", errors.New("issue a token: it would be of another tenant than the user's own")
	case p.SessionID != "" && ttl+leeway > RevocationTTL:
		return "", fmt.Errorf("issue a token: %s is longer than the %s for which revocations are remembered", ttl, RevocationTTL-leeway)
	}
	if err := p.Check(); err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	t := jwt.NewWithClaims(k.signing.method, newClaims(p, time.Now(), ttl))
	t.Header["kid"] = k.signing.id
	signed, err := t.SignedString(k.signing.sign)
	if err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	return signed, nil
}

// key returns what a token is to be verified with. The algorithm is the key's and never the token's choice: a public key is no secret,
// and must not be taken for one.
func (k *Keyring) key(t *jwt.Token) (any, error) {
	named, ok := t.Header["kid"]
	if !ok { // from before keys had ids
		if t.Method.Alg() != jwt.SigningMethodHS256.Alg() || len(k.plain.Keys) == 0 {
			return nil, errors.New("the token names no key")
		}
		return k.plain, nil
	}
	id, _ := named.(string)
	key, ok := k.byID[id]
	if !ok {
		return nil, errors.New("the token names a key that is not ours")
	}
	if t.Method.Alg() != key.method.Alg() {
		return nil, errors.New("the token uses a key in another way than it is meant for")
	}
	return key.verify, nil
}
