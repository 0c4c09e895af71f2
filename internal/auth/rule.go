package auth

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Reach is how far somebody may reach into their tenant. Greater ones hold the smaller.
type Reach int

const (
	Nothing Reach = iota
	Own           // what is theirs
	Shared        // and what is shared with a class of theirs; for parents, what their children may read
	Tenant        // and all else in the tenant
)

// String returns a word for r.
func (r Reach) String() string {
	switch r {
	case Own:
		return "own"
	case Shared:
		return "shared"
	case Tenant:
		return "tenant"
	default:
		return "nothing"
	}
}

// StepUpWindow is how long a proof of who somebody is counts as fresh.
const StepUpWindow = 10 * time.Minute

var (
	// ErrStepUp says that the principal must first prove anew who they are. It comes wrapped in a Forbidden fault.
	ErrStepUp = errors.New("step-up required")
	// ErrRenew says that the principal must first choose a password of their own. It comes wrapped in a Forbidden fault.
	ErrRenew = errors.New("new password required")
	// ErrEnroll says that the principal must first set up a second factor. It comes wrapped in a Forbidden fault.
	ErrEnroll = errors.New("second factor required")
)

// Rule says who may do one thing, and how far they reach when they do it. The zero Rule lets nobody.
type Rule struct {
	Public   bool // anybody, also those who say nothing about themselves
	Platform bool // platform admins only

	Admin, Teacher, Student, Parent Reach // by role; platform admins reach as far as admins

	Scope  Scope  // what an API key needs; empty: API keys may not at all
	StepUp bool   // needs a proof of who they are within StepUpWindow; API keys have none
	Enroll bool   // also open to who has yet to set up their second factor, or to choose a password
	Class  string // rate limit class; empty: the user's own limit only
	Group  string // bulkhead: "auth", "read", "write", "stream", "admin"
}

// Decide returns how far p reaches at now: Nothing without an error for what is public, where it matters not who asks, and otherwise at
// least Own. The error is a Forbidden fault that says which role, scope or step may; ErrStepUp, ErrEnroll and ErrRenew are in its chain
// where one of these steps is all that is missing.
func (r Rule) Decide(p Principal, now time.Time) (Reach, error) {
	if r.Public {
		return Nothing, nil
	}
	reach := r.reach(p.Role)
	if reach == Nothing {
		return Nothing, fault.New(fault.Forbidden, "this is for %s", r.audience())
	}
	if p.KeyID != "" || p.Scopes != nil {
		if err := r.admitKey(p); err != nil {
			return Nothing, err
		}
		return reach, nil
	}
	if p.Renew && !r.Enroll {
		return Nothing, fault.New(fault.Forbidden, "your password was chosen by somebody else: change it first: %w", ErrRenew)
	}
	if p.Enroll && !r.Enroll {
		return Nothing, fault.New(fault.Forbidden, "your role needs a second factor: set one up first: %w", ErrEnroll)
	}
	if r.StepUp && !p.Dev && !fresh(p.AuthAt, now) {
		return Nothing, fault.New(fault.Forbidden, "this needs a proof of who you are from the last %d minutes: %w", int(StepUpWindow.Minutes()), ErrStepUp)
	}
	return reach, nil
}

// reach returns how far a role reaches, keys and steps aside.
func (r Rule) reach(role Role) Reach {
	switch {
	case r.Platform && role == PlatformAdmin:
		return max(r.Admin, Tenant)
	case r.Platform:
		return Nothing
	case role == PlatformAdmin, role == Admin:
		return r.Admin
	case role == Teacher:
		return r.Teacher
	case role == Student:
		return r.Student
	case role == Parent:
		return r.Parent
	}
	return Nothing
}

func (r Rule) admitKey(p Principal) error {
	switch {
	case r.Scope == "", r.StepUp:
		return fault.New(fault.Forbidden, "API keys may not do this: sign in")
	case !slices.Contains(p.Scopes, r.Scope):
		return fault.New(fault.Forbidden, "the API key lacks the scope %s", r.Scope)
	}
	return nil
}

// audience names the roles that the rule lets.
func (r Rule) audience() string {
	if r.Platform {
		return "platform admins only"
	}
	var names []string
	for _, role := range Roles()[1:] {
		if r.reach(role) > Nothing {
			names = append(names, string(role))
		}
	}
	if len(names) == 0 {
		return "nobody"
	}
	return "the roles " + strings.Join(names, ", ") + " only"
}

// fresh reports whether a proof made at some time counts as fresh at now. The clock of who made it may be ahead by leeway.
func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return !at.IsZero() && age <= StepUpWindow && age >= -leeway
}
