// Package auth says who is asking and what they may do. It does no I/O.
//
// A Principal is a user of one tenant with one role, or an API key that acts for one. Edges obtain it from a bearer token through a
// Verifier, or from an API key, and put it to the Rule of what is asked: Rule.Decide answers how far the principal reaches. What
// anybody may do ends at their tenant: an edge passes Principal.Tenant to everything that it reads or writes, so that another
// tenant's task does not exist for it.
//
//	               submit   read           cancel    administer (dead letters)
//	platform_admin yes      the tenant     any       yes
//	admin          yes      the tenant     any       yes
//	teacher        yes      the tenant     own       no
//	student        no       own, shared    –         no
//	parent         no       own, shared    –         no
//
// A platform admin is an admin of their home tenant, and may act as one in another: see Principal.ActIn.
//
// Tokens are signed by a Keyring, whose keys can be changed without signing anybody out: the first signs, all of them verify. A token
// is good from when it was issued until it expires, unless a Revocation ends it before: Revocations is the set of those, which a
// process fills from wherever they are published.
package auth

import (
	"fmt"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Role is what a user is within a tenant.
type Role string

const (
	PlatformAdmin Role = "platform_admin" // of all tenants
	Admin         Role = "admin"
	Teacher       Role = "teacher"
	Student       Role = "student"
	Parent        Role = "parent"
)

// Roles returns every role, those that may most first.
func Roles() []Role { return []Role{PlatformAdmin, Admin, Teacher, Student, Parent} }

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Above reports whether r has power over other: platform_admin > admin > teacher > student, parent. No role has power over itself.
func (r Role) Above(other Role) bool {
	rank := func(r Role) int {
		return map[Role]int{PlatformAdmin: 4, Admin: 3, Teacher: 2, Student: 1, Parent: 1}[r]
	}
	return r.Valid() && other.Valid() && rank(r) > rank(other)
}

// Principal is who is asking. The zero Principal may do nothing.
type Principal struct {
	UserID string
	Tenant string // a subject token: 1 to 64 of a-z, 0-9, _ and -
	Role   Role
	Name   string // for people; may be empty

	Expires  time.Time // when the proof of who they are ends; zero for never
	IssuedAt time.Time // when the proof was made, in milliseconds; for an API key, when it was last read

	SessionID    string    // of a session's access token; empty for API keys and tokens from the command line
	AuthAt       time.Time // when they last proved who they are: sign-in or step-up; zero for never
	SecondFactor bool      // whether that was with a second factor
	Enroll       bool      // their role demands a second factor that they have not set up: they may only do that
	Renew        bool      // somebody else chose their password: they may only change it

	KeyID     string  // of an API key
	Scopes    []Scope // of an API key; nil: not limited by scopes
	PerMinute int     // an API key's own rate limit; 0: the default

	Home string // a platform admin's own tenant while they act in another; else empty
	Dev  bool   // the developer of DevPrincipal: whatever needs a fresh proof is open to them
}

// DevPrincipal returns the static principal of a developer who works alone: the platform admin "teacher" of tenant "dev".
func DevPrincipal() Principal {
	return Principal{UserID: "teacher", Tenant: "dev", Role: PlatformAdmin, Name: "Developer", Dev: true}
}

// ActIn returns p as it acts in a tenant: p itself in its own, and in another one only a platform admin. The error is Forbidden, or
// Invalid for what is no tenant id. Whether there is such a tenant is for the caller to find out.
func (p Principal) ActIn(tenant string) (Principal, error) {
	switch {
	case !consistsOf(tenant, maxTenant, isTokenChar):
		return Principal{}, fault.InvalidField("tenant_id", "must have 1 to %d characters of a-z, 0-9, _ and -", maxTenant)
	case tenant == p.Tenant:
		return p, nil
	case p.Role != PlatformAdmin:
		return Principal{}, fault.New(fault.Forbidden, "only platform admins may act in another tenant")
	}
	if p.Home == "" {
		p.Home = p.Tenant
	}
	if p.Tenant = tenant; tenant == p.Home {
		p.Home = ""
	}
	return p, nil
}

// administers reports whether p is an admin of the tenant.
func (p Principal) administers() bool { return p.Role == PlatformAdmin || p.Role == Admin }

// CanSubmit reports whether p may submit tasks.
func (p Principal) CanSubmit() bool { return p.administers() || p.Role == Teacher }

// CanReadTenant reports whether p may read every task of the tenant.
func (p Principal) CanReadTenant() bool { return p.administers() || p.Role == Teacher }

// CanRead reports whether p may read a task of the tenant that owner submitted.
func (p Principal) CanRead(owner string) bool {
	return p.CanReadTenant() || p.Role.Valid() && p.UserID == owner
}

// CanCancel reports whether p may cancel a task of the tenant that owner submitted.
func (p Principal) CanCancel(owner string) bool {
	return p.administers() || p.CanSubmit() && p.UserID == owner
}

// CanAdminister reports whether p may decide on the tenant's dead letters and use the other admin routes.
func (p Principal) CanAdminister() bool { return p.administers() }

const (
	maxUserID = 128 // keeps "private-user-<id>" within the length of a channel name
	maxTenant = 64  // of a subject token
	maxName   = 256 // bytes
	maxID     = 64  // of a session or a key
)

// Check reports what keeps p from being used: an id that cannot stand in a channel name or a subject, or an unknown role.
func (p Principal) Check() error {
	switch {
	case !consistsOf(p.UserID, maxUserID, isChannelChar):
		return fmt.Errorf("the user id must have 1 to %d characters of A-Z, a-z, 0-9 and _-@,.;", maxUserID)
	case !consistsOf(p.Tenant, maxTenant, isTokenChar):
		return fmt.Errorf("the tenant id must have 1 to %d characters of a-z, 0-9, _ and -", maxTenant)
	case !p.Role.Valid():
		return fmt.Errorf("the role is none of %v", Roles())
	case len(p.Name) > maxName:
		return fmt.Errorf("the name has more than %d bytes", maxName)
	case p.SessionID != "" && !consistsOf(p.SessionID, maxID, isChannelChar):
		return fmt.Errorf("the session id must have 1 to %d characters of A-Z, a-z, 0-9 and _-@,.;", maxID)
	}
	return nil
}

func consistsOf(s string, limit int, ok func(byte) bool) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isTokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

func isChannelChar(c byte) bool {
	if isTokenChar(c) || 'A' <= c && c <= 'Z' {
		return true
	}
	switch c {
	case '@', ',', '.', ';': // not =, with which channel names escape others
		return true
	}
	return false
}
