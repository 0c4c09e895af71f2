package auth_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func verifier(t testing.TB) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerifier_ReturnsWhoWasIssuedTheToken(t *testing.T) {
	t.Parallel()
	want := auth.Principal{UserID: "ada@school.example", Tenant: "school-1", Role: auth.Teacher, Name: "Ada"}
	token, err := auth.Issue(secret, want, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err := verifier(t).Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(got.Expires); left < 50*time.Second || left > time.Minute {
		t.Errorf("it expires in %v, want about a minute", left)
	}
	got.Expires = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVerifier_Refuses(t *testing.T) {
	t.Parallel()
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "ada", "tenant_id": "school", "role": "teacher", "exp": time.Now().Add(time.Minute).Unix()}
	}
	with := func(name string, value any) jwt.MapClaims {
		c := good()
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return c
	}
	hs256 := func(c jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, secret, c) }
	tampered := func() string {
		parts := strings.Split(hs256(good()), ".")
		parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ada","tenant_id":"other","role":"admin","exp":99999999999}`))
		return strings.Join(parts, ".")
	}
	if _, err := verifier(t).Verify(hs256(good())); err != nil {
		t.Fatalf("the good token is refused: %v", err)
	}
	for name, c := range map[string]struct{ token, want string }{
		"nothing":         {"", "cannot be read"},
		"garbage":         {"a.b.c", "cannot be read"},
		"too long":        {strings.Repeat("x", 5000), "more than 4096 bytes"},
		"other secret":    {sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("y", 32)), good()), "not signed by us"},
		"alg none":        {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()), "not signed by us"},
		"other algorithm": {sign(t, jwt.SigningMethodHS512, secret, good()), "not signed by us"},
		"tampered":        {tampered(), "not signed by us"},
		"expired":         {hs256(with("exp", time.Now().Add(-time.Minute).Unix())), "has expired"},
		"no expiry":       {hs256(with("exp", nil)), "no expiry"},
		"not yet":         {hs256(with("nbf", time.Now().Add(time.Hour).Unix())), "not valid yet"},
		"no subject":      {hs256(with("sub", nil)), "user id"},
		"subject":         {hs256(with("sub", "a:b")), "user id"},
		"long subject":    {hs256(with("sub", strings.Repeat("a", 129))), "user id"},
		"no tenant":       {hs256(with("tenant_id", nil)), "tenant id"},
		"tenant":          {hs256(with("tenant_id", "a.>")), "tenant id"},
		"role":            {hs256(with("role", "root")), "role"},
		"no role":         {hs256(with("role", nil)), "role"},
		"role is a list":  {hs256(with("role", []string{"admin"})), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := verifier(t).Verify(c.token)
			if !fault.Is(err, fault.Unauthorized) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want Unauthorized with %q", err, c.want)
			}
			if p != (auth.Principal{}) {
				t.Errorf("it returned %+v", p)
			}
		})
	}
}

func TestVerifier_ToleratesASmallClockSkew(t *testing.T) {
	t.Parallel()
	claims := jwt.MapClaims{"sub": "ada", "tenant_id": "school", "role": "admin", "exp": time.Now().Add(-2 * time.Second).Unix()}
	if _, err := verifier(t).Verify(sign(t, jwt.SigningMethodHS256, secret, claims)); err != nil {
		t.Error(err)
	}
}

func TestShortSecretsAreRefused(t *testing.T) {
	t.Parallel()
	const want = "the token secret has 31 bytes; HS256 needs at least 32, from a random source"
	if _, err := auth.NewVerifier(secret[:31]); err == nil || err.Error() != want {
		t.Errorf("NewVerifier: %v", err)
	}
	if _, err := auth.Issue(secret[:31], auth.DevPrincipal(), time.Minute); err == nil || err.Error() != want {
		t.Errorf("Issue: %v", err)
	}
}

func TestIssue_RefusesAnUnusablePrincipal(t *testing.T) {
	t.Parallel()
	if _, err := auth.Issue(secret, auth.Principal{UserID: "ada", Tenant: "School", Role: auth.Admin}, time.Minute); err == nil {
		t.Error("a tenant with a capital letter got a token")
	}
}

func TestPrincipal_Can(t *testing.T) {
	t.Parallel()
	type may struct{ Submit, ReadOwn, ReadOther, CancelOwn, CancelOther, Administer bool }
	for role, want := range map[auth.Role]may{
		auth.Admin:   {true, true, true, true, true, true},
		auth.Teacher: {true, true, true, true, false, false},
		auth.Student: {false, true, false, false, false, false},
		auth.Parent:  {false, true, false, false, false, false},
		"":           {},
		"root":       {},
	} {
		p := auth.Principal{UserID: "me", Tenant: "school", Role: role}
		got := may{p.CanSubmit(), p.CanRead("me"), p.CanRead("other"), p.CanCancel("me"), p.CanCancel("other"), p.CanAdminister()}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", role, got, want)
		}
		if p.CanReadTenant() != want.ReadOther {
			t.Errorf("%q: CanReadTenant is %v", role, p.CanReadTenant())
		}
	}
}

func TestDevPrincipal_IsUsable(t *testing.T) {
	t.Parallel()
	if err := auth.DevPrincipal().Check(); err != nil {
		t.Error(err)
	}
}

func FuzzVerifier(f *testing.F) {
	v := verifier(f)
	token, err := auth.Issue(secret, auth.DevPrincipal(), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("")
	f.Add("a.b.c")
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "x", "exp": 99999999999}))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := v.Verify(s)
		if err != nil && !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%v is not Unauthorized", err)
		}
		if err == nil && (s != token || p.Tenant != "dev") {
			t.Errorf("%q proves %+v", s, p)
		}
	})
}
