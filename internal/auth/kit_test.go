package auth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/toolboxai/orchestrator/internal/auth"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func parseKey(t testing.TB, text string) auth.Key {
	t.Helper()
	key, err := auth.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyring returns a keyring of keys as ParseKey takes them, the first of which signs.
func keyring(t testing.TB, signing string, previous ...string) *auth.Keyring {
	t.Helper()
	cfg := auth.KeyringConfig{Signing: parseKey(t, signing)}
	for _, text := range previous {
		cfg.Previous = append(cfg.Previous, parseKey(t, text))
	}
	keys, err := auth.NewKeyring(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// edwards returns a new Ed25519 key pair, and both halves as PEM.
func edwards(t testing.TB) (pub ed25519.PublicKey, private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pub, pemOf("PRIVATE KEY", privateDER), pemOf("PUBLIC KEY", publicDER)
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func verifierOf(t testing.TB, keys *auth.Keyring, revocations *auth.Revocations) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(auth.VerifierConfig{Keys: keys, Revocations: revocations})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verifier returns a verifier of what secret signs.
func verifier(t testing.TB) *auth.Verifier { return verifierOf(t, keyring(t, string(secret)), nil) }

func issue(t testing.TB, keys *auth.Keyring, p auth.Principal, ttl time.Duration) string {
	t.Helper()
	token, err := keys.Issue(p, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// sign makes a token by hand; an empty kid leaves it out.
func sign(t testing.TB, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{"sub": "ada", "tenant_id": "school", "role": "teacher", "exp": time.Now().Add(time.Minute).Unix()}
}

func ada() auth.Principal {
	return auth.Principal{UserID: "ada@school.example", Tenant: "school-1", Role: auth.Teacher, Name: "Ada"}
}
