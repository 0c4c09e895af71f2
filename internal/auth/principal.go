// Package auth says who is asking and what they may do.
//
// A Principal is a user of one tenant with one role. Edges obtain it from a bearer token through a Verifier, or take
// DevPrincipal where a developer works alone, and ask its Can… methods before they act. What a principal may do ends at its
// tenant: an edge passes Principal.Tenant to everything that it reads or writes, so that another tenant's task does not
// exist for it.
//
//	            submit   read           cancel    administer (dead letters)
//	admin       yes      the tenant     any       yes
//	teacher     yes      the tenant     own       no
//	student     no       own            –         no
//	parent      no       own            –         no
//
// What is shared with students, and the children of a parent, will widen "own"; until then both see nothing but tasks that
// were submitted in their name.
package auth

import (
	"fmt"
	"slices"
	"time"
)

// Role is what a user is within a tenant.
type Role string

const (
	Admin   Role = "admin"
	Teacher Role = "teacher"
	Student Role = "student"
	Parent  Role = "parent"
)

// Roles returns every role.
func Roles() []Role { return []Role{Admin, Teacher, Student, Parent} }

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Principal is who is asking. The zero Principal may do nothing.
type Principal struct {
	UserID  string
	Tenant  string // a subject token: 1 to 64 of a-z, 0-9, _ and -
	Role    Role
	Name    string    // for people; may be empty
	Expires time.Time // when the proof of who they are ends; zero for never
}

// DevPrincipal returns the static principal of a developer who works alone: the admin "teacher" of tenant "dev".
func DevPrincipal() Principal {
	return Principal{UserID: "teacher", Tenant: "dev", Role: Admin, Name: "Developer"}
}

// CanSubmit reports whether p may submit tasks.
func (p Principal) CanSubmit() bool { return p.Role == Admin || p.Role == Teacher }

// CanReadTenant reports whether p may read every task of the tenant.
func (p Principal) CanReadTenant() bool { return p.Role == Admin || p.Role == Teacher }

// CanRead reports whether p may read a task of the tenant that owner submitted.
func (p Principal) CanRead(owner string) bool {
	return p.CanReadTenant() || p.Role.Valid() && p.UserID == owner
}

// CanCancel reports whether p may cancel a task of the tenant that owner submitted.
func (p Principal) CanCancel(owner string) bool {
	return p.Role == Admin || p.CanSubmit() && p.UserID == owner
}

// CanAdminister reports whether p may decide on the tenant's dead letters and use the other admin routes.
func (p Principal) CanAdminister() bool { return p.Role == Admin }

// maxUserID keeps "private-user-<id>" within the length of a channel name.
const maxUserID = 128

// Check reports what keeps p from being used: an id that cannot stand in a channel name or a subject, or an unknown role.
func (p Principal) Check() error {
	switch {
	case !consistsOf(p.UserID, maxUserID, isChannelChar):
		return fmt.Errorf("the user id must have 1 to %d characters of A-Z, a-z, 0-9 and _-@,.;", maxUserID)
	case !consistsOf(p.Tenant, 64, isTokenChar):
		return fmt.Errorf("the tenant id must have 1 to 64 characters of a-z, 0-9, _ and -")
	case !p.Role.Valid():
		return fmt.Errorf("the role is none of %v", Roles())
	case len(p.Name) > 256:
		return fmt.Errorf("the name has more than 256 bytes")
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
