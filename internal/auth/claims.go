package auth

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// How somebody proved who they are (RFC 8176).
const (
	byPassword     = "pwd"
	bySecondFactor = "mfa"
)

// claims are the names on the wire.
type claims struct {
	Subject   string   `json:"sub"`
	Tenant    string   `json:"tenant_id"`
	Role      Role     `json:"role"`
	Name      string   `json:"name,omitempty"`
	Session   string   `json:"sid,omitempty"`
	IssuedAt  instant  `json:"iat,omitzero"`
	NotBefore instant  `json:"nbf,omitzero"` // honoured, never issued
	Expires   instant  `json:"exp,omitzero"`
	AuthAt    instant  `json:"auth_at,omitzero"`
	Methods   []string `json:"amr,omitempty"`
	Enroll    bool     `json:"enroll,omitempty"`
	Renew     bool     `json:"renew,omitempty"`
}

func newClaims(p Principal, now time.Time, ttl time.Duration) *claims {
	c := &claims{
		Subject: p.UserID, Tenant: p.Tenant, Role: p.Role, Name: p.Name, Session: p.SessionID,
		IssuedAt: instant{now}, Expires: instant{now.Add(ttl).Truncate(time.Second)}, AuthAt: instant{p.AuthAt}, Enroll: p.Enroll, Renew: p.Renew,
	}
	if !p.AuthAt.IsZero() {
		c.Methods = []string{byPassword}
	}
	if p.SecondFactor {
		c.Methods = append(c.Methods, bySecondFactor)
	}
	return c
}

func (c *claims) principal() Principal {
	return Principal{
		UserID: c.Subject, Tenant: c.Tenant, Role: c.Role, Name: c.Name, SessionID: c.Session,
		Expires: c.Expires.Time, IssuedAt: c.IssuedAt.Time, AuthAt: c.AuthAt.Time,
		SecondFactor: slices.Contains(c.Methods, bySecondFactor), Enroll: c.Enroll, Renew: c.Renew,
	}
}

// GetExpirationTime implements jwt.Claims, as do the methods below.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires.date(), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt.date(), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.date(), nil }
func (c *claims) GetIssuer() (string, error)                   { return "", nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// instant is a NumericDate (RFC 7519): seconds since 1970, with milliseconds behind a dot where there are any. A token that is issued
// after a revocation within the same second must not be taken for one from before.
type instant struct{ time.Time }

func (i instant) date() *jwt.NumericDate {
	if i.IsZero() {
		return nil
	}
	return &jwt.NumericDate{Time: i.Time}
}

// MarshalJSON implements json.Marshaler.
func (i instant) MarshalJSON() ([]byte, error) {
	ms := i.UnixMilli()
	if ms%1000 == 0 {
		return strconv.AppendInt(nil, ms/1000, 10), nil
	}
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64), nil
}

// lastSecond is the end of the year 9999, beyond which times have no form in JSON.
const lastSecond = 253402300799

// UnmarshalJSON implements json.Unmarshaler.
func (i *instant) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return err
	}
	if seconds < 0 || seconds > lastSecond {
		return errors.New("a time is out of range")
	}
	i.Time = time.Time{}
	if seconds != 0 {
		i.Time = time.UnixMilli(int64(math.Round(seconds * 1000)))
	}
	return nil
}
