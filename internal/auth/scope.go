package auth

import "slices"

// Scope is a part of what its user may do that an API key may do as well.
type Scope string

const (
	TasksRead     Scope = "tasks:read"
	TasksWrite    Scope = "tasks:write"
	ContentRead   Scope = "content:read"
	AnalyticsRead Scope = "analytics:read"
	RobloxDeploy  Scope = "roblox:deploy"
	ScopeAdmin    Scope = "admin" // what admins do; it holds no other scope
)

// Scopes returns every scope.
func Scopes() []Scope {
	return []Scope{TasksRead, TasksWrite, ContentRead, AnalyticsRead, RobloxDeploy, ScopeAdmin}
}

// Valid reports whether s is one of Scopes.
func (s Scope) Valid() bool { return slices.Contains(Scopes(), s) }

// Scopes returns what a key that acts for somebody of the role can make use of. A key is given no other scope.
func (r Role) Scopes() []Scope {
	switch r {
	case PlatformAdmin, Admin:
		return Scopes()
	case Teacher:
		return []Scope{TasksRead, TasksWrite, ContentRead, AnalyticsRead, RobloxDeploy}
	case Student, Parent:
		return []Scope{TasksRead, ContentRead}
	}
	return nil
}
