package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Keys change, from a secret to a pair and to another pair, and whoever has a token goes on.
func TestKeyring_ChangesItsKeysAndSignsNobodyOut(t *testing.T) {
	t.Parallel()
	_, first, firstPublic := edwards(t)
	_, second, _ := edwards(t)
	was := keyring(t, string(secret))
	tokens := []string{issue(t, was, ada(), time.Minute)}
	steps := []*auth.Keyring{
		keyring(t, first, string(secret)),
		keyring(t, second, first, string(secret)),
		keyring(t, second, firstPublic, string(secret)), // what only verifies does not need its private half any more
	}
	for i, keys := range steps {
		tokens = append(tokens, issue(t, keys, ada(), time.Minute))
		for j, token := range tokens {
			if p, err := verifierOf(t, keys, nil).Verify(token); err != nil || p.UserID != ada().UserID {
				t.Errorf("step %d: the token of step %d is refused: %v", i, j, err)
			}
		}
	}
	without := verifierOf(t, keyring(t, second), nil) // the control: once the old keys are gone their tokens are
	for j, token := range tokens[:2] {
		if _, err := without.Verify(token); err == nil {
			t.Errorf("the token of step %d outlives its key", j)
		}
	}
	if _, err := verifierOf(t, was, nil).Verify(tokens[1]); err == nil {
		t.Error("a pod that does not have the new key yet takes its tokens")
	}
}

func TestKeyring_JWKS(t *testing.T) {
	t.Parallel()
	pub, private, _ := edwards(t)
	if got := string(keyring(t, string(secret)).JWKS()); got != `{"keys":[]}` {
		t.Errorf("of a secret it tells %s", got)
	}
	var got, want any
	if err := json.Unmarshal(keyring(t, private, string(secret)).JWKS(), &got); err != nil {
		t.Fatal(err)
	}
	doc := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":%q,"x":%q}]}`, parseKey(t, private).ID(), base64.RawURLEncoding.EncodeToString(pub))
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	_, private, public := edwards(t)
	for text, want := range map[string]string{
		string(secret): "HS256", private: "EdDSA", public: "EdDSA", " \n" + strings.ReplaceAll(private, "\n", `\n`): "EdDSA",
	} {
		if key := parseKey(t, text); key.Algorithm() != want || len(key.ID()) != 8 {
			t.Errorf("got %s with id %q, want %s", key.Algorithm(), key.ID(), want)
		}
	}
	if parseKey(t, private).ID() != parseKey(t, public).ID() {
		t.Error("the halves of a pair have two ids")
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                "the token secret has 0 bytes; HS256 needs at least 32, from a random source",
		string(secret[:31]):               "the token secret has 31 bytes; HS256 needs at least 32, from a random source",
		"-----BEGIN PRIVATE KEY-----\nxy": "the signing key is no PEM",
		private + private:                 "the signing key has more than one PEM block",
		pemOf("PRIVATE KEY", []byte("x")): "the signing key is no PKCS #8 private key",
		pemOf("PUBLIC KEY", []byte("x")):  "the verifying key is no PKIX public key",
		pemOf("PRIVATE KEY", der):         "the signing key is no Ed25519 key",
		pemOf("CERTIFICATE", []byte("x")): "the signing key is no Ed25519 key",
	} {
		if _, err := auth.ParseKey(text); err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	_, private, public := edwards(f)
	for _, text := range []string{"", string(secret), private, public, "-----BEGIN PRIVATE KEY-----", `-----BEGIN X-----\n-----END X-----`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := auth.ParseKey(text)
		if err == nil && (key.Algorithm() == "" || len(key.ID()) != 8) {
			t.Errorf("%q is a key without a use: %v", text, key)
		}
		if err != nil && len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("%v tells the key", err)
		}
	})
}

func TestNewKeyring_Refuses(t *testing.T) {
	t.Parallel()
	_, _, public := edwards(t)
	ours := parseKey(t, string(secret))
	var many []auth.Key
	for i := range 9 {
		many = append(many, parseKey(t, fmt.Sprintf("%032d", i)))
	}
	for want, cfg := range map[string]auth.KeyringConfig{
		"the first key cannot sign":      {},
		"first key cannot sign":          {Signing: parseKey(t, public)},
		"a key is empty":                 {Signing: ours, Previous: []auth.Key{{}}},
		"9 previous keys, at most 8 are": {Signing: ours, Previous: many},
	} {
		if _, err := auth.NewKeyring(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := auth.NewKeyring(auth.KeyringConfig{Signing: ours, Previous: []auth.Key{ours}}); err != nil {
		t.Errorf("a key that is listed twice: %v", err)
	}
}

func TestKeyring_IssuesNoTokenFor(t *testing.T) {
	t.Parallel()
	keys := keyring(t, string(secret))
	change := func(f func(*auth.Principal)) auth.Principal { p := ada(); f(&p); return p }
	for want, p := range map[string]auth.Principal{
		"the tenant id must have":  change(func(p *auth.Principal) { p.Tenant = "School" }),
		"the role is none of":      change(func(p *auth.Principal) { p.Role = "root" }),
		"an API key gets none":     change(func(p *auth.Principal) { p.KeyID = "k" }),
		"API key gets none":        change(func(p *auth.Principal) { p.Scopes = []auth.Scope{auth.TasksRead} }),
		"the user's own":           change(func(p *auth.Principal) { p.Home = "home" }),
		"revocations are remember": change(func(p *auth.Principal) { p.SessionID = "s" }),
	} {
		if _, err := keys.Issue(p, time.Hour); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestKeys_DoNotPrintThemselves(t *testing.T) {
	t.Parallel()
	text := "a secret of the deployment: 123456"
	key, keys := parseKey(t, text), keyring(t, text)
	bytes := strings.Trim(fmt.Sprintf("%d", []byte(text[:12])), "[]")
	hexed := fmt.Sprintf("%x", text[:12])
	for _, v := range []any{key, &key, keys, struct{ K auth.Key }{key}, []any{keys}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, text[:12]) || strings.Contains(got, bytes) || strings.Contains(got, hexed) {
				t.Errorf("%s prints %s", verb, got)
			}
		}
	}
}
