package school

import (
	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func administers(p auth.Principal) bool { return p.Role == auth.Admin || p.Role == auth.PlatformAdmin }

func teaches(p auth.Principal) bool { return administers(p) || p.Role == auth.Teacher }

func onlyPlatform(p auth.Principal) error {
	if p.Role != auth.PlatformAdmin {
		return fault.New(fault.Forbidden, "only platform admins may do this")
	}
	return nil
}

func onlyAdmins(p auth.Principal) error {
	if !administers(p) {
		return fault.New(fault.Forbidden, "only admins may do this")
	}
	return nil
}

func onlyTeachers(p auth.Principal) error {
	if !teaches(p) {
		return fault.New(fault.Forbidden, "only teachers and admins may do this")
	}
	return nil
}

// mayKeep says whether p may change a class: admins any, teachers those that they created.
func mayKeep(p auth.Principal, c Class) error {
	if administers(p) || p.Role == auth.Teacher && c.CreatedBy == p.UserID {
		return nil
	}
	return fault.New(fault.Forbidden, "only admins and the teacher who created the class may do this")
}

// mayChange says whether p may change a user so.
func mayChange(p auth.Principal, u account.User, change UserChange) error {
	if err := onlyAdmins(p); err != nil {
		return err
	}
	if p.Role != auth.PlatformAdmin && (u.Role == auth.PlatformAdmin || change.Role != nil && *change.Role == auth.PlatformAdmin) {
		return fault.New(fault.Forbidden, "only platform admins may make or change a platform admin")
	}
	if u.ID == p.UserID && (change.Role != nil && *change.Role != u.Role || change.State != nil && *change.State != u.State) {
		return fault.New(fault.Forbidden, "nobody changes their own role or state")
	}
	return nil
}

// readerOf returns as whom p reads what is shared.
func readerOf(p auth.Principal) Reader {
	return Reader{UserID: p.UserID, Children: p.Role == auth.Parent}
}
