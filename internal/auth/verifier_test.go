package auth_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestVerifier_ReturnsWhoWasIssuedTheToken(t *testing.T) {
	t.Parallel()
	_, private, _ := edwards(t)
	signedIn := ada()
	signedIn.SessionID, signedIn.AuthAt, signedIn.SecondFactor = "0199", time.UnixMilli(time.Now().UnixMilli()-7), true
	enrolling := ada()
	enrolling.SessionID, enrolling.AuthAt, enrolling.Enroll = "0200", time.UnixMilli(1_700_000_000_000), true
	for name, want := range map[string]auth.Principal{"by hand": ada(), "signed in": signedIn, "enrolling": enrolling} {
		for algorithm, key := range map[string]string{"HS256": string(secret), "EdDSA": private} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				t.Parallel()
				keys := keyring(t, key)
				began := time.Now().Truncate(time.Millisecond)
				got, err := verifierOf(t, keys, nil).Verify(issue(t, keys, want, time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				if left := time.Until(got.Expires); left < 50*time.Second || left > time.Minute {
					t.Errorf("it expires in %v, want about a minute", left)
				}
				if got.IssuedAt.Before(began) || got.IssuedAt.After(time.Now()) {
					t.Errorf("it was issued at %v, want it between %v and now", got.IssuedAt, began)
				}
				got.Expires, got.IssuedAt = time.Time{}, time.Time{}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestVerifier_Refuses(t *testing.T) {
	t.Parallel()
	pub, private, public := edwards(t)
	keys := keyring(t, string(secret), private)
	v := verifierOf(t, keys, nil)
	hs, ed := parseKey(t, string(secret)).ID(), parseKey(t, private).ID()
	with := func(name string, value any) string {
		c := goodClaims()
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return sign(t, jwt.SigningMethodHS256, secret, hs, c)
	}
	none, hs256, eddsa := jwt.SigningMethodNone, jwt.SigningMethodHS256, jwt.SigningMethodEdDSA
	_, strange, _ := edwards(t)
	block, err := jwt.ParseEdPrivateKeyFromPEM([]byte(strange))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(with("role", "student"), ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ada","tenant_id":"other","role":"admin","exp":99999999999}`))
	for _, good := range []string{with("role", "student"), sign(t, hs256, secret, "", goodClaims()), issue(t, keyring(t, private), ada(), time.Minute)} {
		if _, err := v.Verify(good); err != nil {
			t.Fatalf("a good token is refused: %v", err)
		}
	}
	good := with("role", "parent")
	for name, c := range map[string]struct{ token, want string }{
		"nothing":                              {"", "cannot be read"},
		"garbage":                              {"a.b.c", "cannot be read"},
		"too long":                             {strings.Repeat("x", 5000), "more than 4096 bytes"},
		"other secret":                         {sign(t, hs256, []byte(strings.Repeat("y", 32)), "", goodClaims()), "not signed by us"},
		"other secret under our id":            {sign(t, hs256, []byte(strings.Repeat("y", 32)), hs, goodClaims()), "not signed by us"},
		"alg none":                             {sign(t, none, jwt.UnsafeAllowNoneSignatureType, "", goodClaims()), "not signed by us"},
		"alg none under our id":                {sign(t, none, jwt.UnsafeAllowNoneSignatureType, hs, goodClaims()), "not signed by us"},
		"other algorithm":                      {sign(t, jwt.SigningMethodHS512, secret, hs, goodClaims()), "not signed by us"},
		"public key as a secret":               {sign(t, hs256, []byte(pub), ed, goodClaims()), "not signed by us"},
		"public PEM as a secret":               {sign(t, hs256, []byte(public), ed, goodClaims()), "not signed by us"},
		"public key as a secret without an id": {sign(t, hs256, []byte(pub), "", goodClaims()), "not signed by us"},
		"EdDSA without an id":                  {sign(t, eddsa, block, "", goodClaims()), "not signed by us"},
		"EdDSA under the secret's id":          {sign(t, eddsa, block, hs, goodClaims()), "not signed by us"},
		"other EdDSA key":                      {sign(t, eddsa, block, ed, goodClaims()), "not signed by us"},
		"unknown id":                           {sign(t, hs256, secret, "00000000", goodClaims()), "not signed by us"},
		"tampered":                             {strings.Join(parts, "."), "not signed by us"},
		"line break":                           {good[:len(good)-3] + "\n" + good[len(good)-3:], "cannot be read"},
		"expired":                              {with("exp", time.Now().Add(-time.Minute).Unix()), "has expired"},
		"no expiry":                            {with("exp", nil), "no expiry"},
		"expiry beyond time":                   {with("exp", 1e300), "cannot be read"},
		"not yet":                              {with("nbf", time.Now().Add(time.Hour).Unix()), "not valid yet"},
		"issued tomorrow":                      {with("iat", time.Now().Add(time.Hour).Unix()), "not valid yet"},
		"no subject":                           {with("sub", nil), "user id"},
		"subject":                              {with("sub", "a:b"), "user id"},
		"long subject":                         {with("sub", strings.Repeat("a", 129)), "user id"},
		"session":                              {with("sid", "a b"), "session id"},
		"no tenant":                            {with("tenant_id", nil), "tenant id"},
		"tenant":                               {with("tenant_id", "a.>"), "tenant id"},
		"role":                                 {with("role", "root"), "role"},
		"no role":                              {with("role", nil), "role"},
		"role is a list":                       {with("role", []string{"admin"}), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // nothing that was refused is remembered
				p, err := v.Verify(c.token)
				if !fault.Is(err, fault.Unauthorized) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want Unauthorized with %q", err, c.want)
				}
				if diff := cmp.Diff(auth.Principal{}, p); diff != "" {
					t.Errorf("it returned somebody: %s", diff)
				}
			}
		})
	}
}

// The negative control of the confusion of algorithms: a check that takes the token's word for it, as a naive one does, is fooled by
// the very token that the verifier refuses above.
func TestVerifier_WouldBeFooledIfTheTokenChoseTheAlgorithm(t *testing.T) {
	t.Parallel()
	pub, private, _ := edwards(t)
	forged := sign(t, jwt.SigningMethodHS256, []byte(pub), parseKey(t, private).ID(), goodClaims())
	naive := func(*jwt.Token) (any, error) { return []byte(pub), nil }
	if _, err := jwt.Parse(forged, naive); err != nil {
		t.Errorf("the forged token does not even fool a naive check: %v", err)
	}
	if _, err := verifierOf(t, keyring(t, private), nil).Verify(forged); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("the verifier is fooled: %v", err)
	}
}

func TestVerifier_TakesTheTokensOfEarlierReleases(t *testing.T) {
	t.Parallel()
	_, private, _ := edwards(t)
	for name, keys := range map[string]*auth.Keyring{
		"its only key":           keyring(t, string(secret)),
		"a previous key":         keyring(t, strings.Repeat("n", 40), string(secret)),
		"previous key of a pair": keyring(t, private, strings.Repeat("n", 40), string(secret)),
	} {
		p, err := verifierOf(t, keys, nil).Verify(sign(t, jwt.SigningMethodHS256, secret, "", goodClaims()))
		if err != nil || p.UserID != "ada" || !p.IssuedAt.IsZero() {
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
	}
}

func TestVerifier_ToleratesASmallClockSkew(t *testing.T) {
	t.Parallel()
	claims := goodClaims()
	claims["exp"], claims["iat"] = time.Now().Add(-2*time.Second).Unix(), time.Now().Add(2*time.Second).Unix()
	if _, err := verifier(t).Verify(sign(t, jwt.SigningMethodHS256, secret, "", claims)); err != nil {
		t.Error(err)
	}
}

func TestNewVerifier_NeedsKeys(t *testing.T) {
	t.Parallel()
	if _, err := auth.NewVerifier(auth.VerifierConfig{}); err == nil {
		t.Error("it verifies without keys")
	}
}

func FuzzVerifier(f *testing.F) {
	pair := ed25519.NewKeyFromSeed(secret) // fixed, as all seeds are: each process that fuzzes makes them anew
	der, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		f.Fatal(err)
	}
	private := pemOf("PRIVATE KEY", der)
	hs, ed := parseKey(f, string(secret)).ID(), parseKey(f, private).ID()
	v := verifierOf(f, keyring(f, private, string(secret)), auth.NewRevocations())
	claims := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "ada", "tenant_id": "school", "role": "teacher", "sid": "s", "iat": 1700000000.123, "exp": 99999999999}
	}
	ours := map[string]bool{}
	for _, token := range []string{
		sign(f, jwt.SigningMethodEdDSA, pair, ed, claims()), sign(f, jwt.SigningMethodHS256, secret, hs, claims()), sign(f, jwt.SigningMethodHS256, secret, "", claims()),
	} {
		if _, err := v.Verify(token); err != nil {
			f.Fatal(err)
		}
		ours[token] = true
		f.Add(token)
	}
	f.Add("")
	f.Add("a.b.c")
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", claims()))
	f.Add(sign(f, jwt.SigningMethodHS256, []byte(pair.Public().(ed25519.PublicKey)), ed, claims()))
	f.Add(sign(f, jwt.SigningMethodEdDSA, ed25519.NewKeyFromSeed(make([]byte, 32)), ed, claims()))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := v.Verify(s)
		if err != nil && !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%v is not Unauthorized", err)
		}
		if err == nil && (!ours[s] || p.UserID != "ada") {
			t.Errorf("%q proves %+v", s, p)
		}
	})
}
