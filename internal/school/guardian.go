package school

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Guardian is a parent of a child.
type Guardian struct {
	Parent     string    `json:"parent_id"`
	ParentName string    `json:"parent_name"`
	Child      string    `json:"child_id"`
	ChildName  string    `json:"child_name"`
	AddedAt    time.Time `json:"added_at"`
}

// ListGuardians returns a parent's children or a child's parents: exactly one of parent and child is given. For teachers and admins,
// and for parents and children about themselves. Invalid: "parent".
func (s *Service) ListGuardians(ctx context.Context, by auth.Principal, parent, child string) ([]Guardian, error) {
	if (parent == "") == (child == "") {
		return nil, fault.InvalidField("parent", "must be given, or child, and not both")
	}
	if err := exists("user", parent+child); err != nil {
		return nil, err
	}
	about := by.Role == auth.Parent && parent == by.UserID || by.Role == auth.Student && child == by.UserID
	if !teaches(by) && !about {
		return nil, fault.New(fault.Forbidden, "only teachers, admins and who it is about may do this")
	}
	return s.store.Guardians(ctx, by.Tenant, parent, child)
}

// AddGuardian makes an active parent of the tenant the guardian of an active student; who is it stays it. For admins. NotFound: such a
// parent or such a student; Conflict above MaxGuardians of a child or MaxChildren of a parent.
func (s *Service) AddGuardian(ctx context.Context, by auth.Principal, parent, child string) (Guardian, error) {
	if err := s.checkPair(by, parent, child); err != nil {
		return Guardian{}, err
	}
	g, added, err := s.store.AddGuardian(ctx, by.Tenant, parent, child, by.UserID, s.time())
	if err == nil && added {
		s.record(ctx, by.Tenant, by, "guardian.added", child, map[string]string{"parent_id": parent})
	}
	return g, err
}

// RemoveGuardian ends that. For admins. NotFound: the pair.
func (s *Service) RemoveGuardian(ctx context.Context, by auth.Principal, parent, child string) error {
	if err := s.checkPair(by, parent, child); err != nil {
		return err
	}
	if err := s.store.RemoveGuardian(ctx, by.Tenant, parent, child); err != nil {
		return err
	}
	s.record(ctx, by.Tenant, by, "guardian.removed", child, map[string]string{"parent_id": parent})
	return nil
}

func (s *Service) checkPair(by auth.Principal, parent, child string) error {
	if err := onlyAdmins(by); err != nil {
		return err
	}
	if err := exists("parent", parent); err != nil {
		return err
	}
	return exists("student", child)
}
