package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// MinSecret is the length of the shortest signing secret, in bytes: that of the hash behind HS256.
	MinSecret = 32
	// maxToken is the length of the longest token that is looked at, in bytes.
	maxToken = 4096
	// leeway is how far the clocks of issuer and verifier may be apart.
	leeway = 5 * time.Second
)

// claims are the names on the wire: sub, tenant_id, role, name, exp, iat.
type claims struct {
	Tenant string `json:"tenant_id"`
	Role   Role   `json:"role"`
	Name   string `json:"name,omitempty"`
	jwt.RegisteredClaims
}

// Verifier turns bearer tokens into principals. It is safe for concurrent use.
type Verifier struct {
	secret   []byte
	parser   *jwt.Parser
	verified *verified
}

// NewVerifier returns a verifier of HS256 tokens signed with secret, which has at least MinSecret bytes.
func NewVerifier(secret []byte) (*Verifier, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	return &Verifier{
		secret:   append([]byte(nil), secret...),
		verified: newVerified(generation),
		parser:   jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway)),
	}, nil
}

// Verify returns the principal that token proves. Every error is an Unauthorized fault whose message says what is wrong and
// holds no part of the token.
func (v *Verifier) Verify(token string) (Principal, error) {
	if len(token) > maxToken {
		return Principal{}, fault.New(fault.Unauthorized, "the token has more than %d bytes", maxToken)
	}
	hash := sha256.Sum256([]byte(token))
	if p, ok := v.verified.get(hash, time.Now()); ok {
		return p, nil
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.secret, nil })
	if err != nil {
		return Principal{}, &fault.Error{Kind: fault.Unauthorized, Message: reason(err), Err: err}
	}
	p := Principal{UserID: c.Subject, Tenant: c.Tenant, Role: c.Role, Name: c.Name, Expires: c.ExpiresAt.Time}
	if err := p.Check(); err != nil {
		return Principal{}, fault.New(fault.Unauthorized, "the token's claims are not usable: %v", err)
	}
	v.verified.put(hash, p)
	return p, nil
}

func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "the token has no expiry (exp)"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "the token is not signed by us with HS256"
	}
	return "the token cannot be read"
}

// Issue returns a token that proves p for ttl.
func Issue(secret []byte, p Principal, ttl time.Duration) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", err
	}
	if err := p.Check(); err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Tenant: p.Tenant, Role: p.Role, Name: p.Name, RegisteredClaims: jwt.RegisteredClaims{
		Subject: p.UserID, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}})
	signed, err := token.SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecret {
		return fmt.Errorf("the token secret has %d bytes; HS256 needs at least %d, from a random source", len(secret), MinSecret)
	}
	return nil
}
