package auth

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// maxToken is the length of the longest token that is looked at, in bytes.
	maxToken = 4096
	// leeway is how far the clocks of issuer and verifier may be apart.
	leeway = 5 * time.Second
)

// VerifierConfig says what a Verifier goes by.
type VerifierConfig struct {
	Keys        *Keyring     // required
	Revocations *Revocations // asked about every token each time; nil: nothing is ever revoked
	Known       func() bool  // whether Revocations holds what was revoked before; until then nobody is let in. Nil: it does
}

// Verifier turns bearer tokens into principals. It is safe for concurrent use.
type Verifier struct {
	keys        *Keyring
	revocations *Revocations
	known       func() bool
	parser      *jwt.Parser
	verified    *verified
}

// NewVerifier returns a verifier of what cfg.Keys has signed.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.Keys == nil {
		return nil, errors.New("verifier: there are no keys")
	}
	return &Verifier{
		keys: cfg.Keys, revocations: cfg.Revocations, known: cfg.Known, verified: newVerified(generation),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg(), jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
		),
	}, nil
}

// Verify returns the principal that token proves. Errors: Unauthorized, whose message says what is wrong and holds no part of the token;
// Unavailable for a token of ours while it is not known what was revoked.
func (v *Verifier) Verify(token string) (Principal, error) {
	if len(token) > maxToken {
		return Principal{}, fault.New(fault.Unauthorized, "the token has more than %d bytes", maxToken)
	}
	hash := sha256.Sum256([]byte(token))
	p, ok := v.verified.get(hash, time.Now())
	if !ok {
		var err error
		if p, err = v.parse(token); err != nil {
			return Principal{}, err
		}
		v.verified.put(hash, p)
	}
	if v.known != nil && !v.known() {
		return Principal{}, fault.After(time.Second, "it is not known yet which tokens were revoked")
	}
	if v.revocations != nil && v.revocations.Revoked(p) {
		return Principal{}, fault.New(fault.Unauthorized, "the token was revoked: sign in again")
	}
	return p, nil
}

func (v *Verifier) parse(token string) (Principal, error) {
	if strings.ContainsAny(token, "\r\n") { // decoding base64 passes over them: one signature would have many texts
		return Principal{}, fault.New(fault.Unauthorized, "the token cannot be read")
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.keys.key); err != nil {
		return Principal{}, &fault.Error{Kind: fault.Unauthorized, Message: reason(err), Err: err}
	}
	p := c.principal()
	if err := p.Check(); err != nil {
		return Principal{}, fault.New(fault.Unauthorized, "the token's claims are not usable: %v", err)
	}
	return p, nil
}

func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "the token has no expiry (exp)"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "the token is not signed by us"
	}
	return "the token cannot be read"
}
