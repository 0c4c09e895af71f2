package school

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Member is somebody in a class.
type Member struct {
	UserID  string    `json:"user_id"`
	Name    string    `json:"name"`
	Role    auth.Role `json:"role"`
	AddedAt time.Time `json:"added_at"`
}

// ListMembers returns all members of a class of the tenant, by name. For teachers and admins.
func (s *Service) ListMembers(ctx context.Context, by auth.Principal, class string) ([]Member, error) {
	if err := onlyTeachers(by); err != nil {
		return nil, err
	}
	if err := exists("class", class); err != nil {
		return nil, err
	}
	return s.store.Members(ctx, by.Tenant, class)
}

// AddMember adds an active student of the tenant, or for an admin also a teacher, to an open class; who is in it stays. For who keeps the
// class. NotFound: the class, or such a user; Conflict: archived, or above MaxMembers.
func (s *Service) AddMember(ctx context.Context, by auth.Principal, class, userID string) (Member, error) {
	if _, err := s.kept(ctx, by, class); err != nil {
		return Member{}, err
	}
	if err := exists("user", userID); err != nil {
		return Member{}, err
	}
	roles := []auth.Role{auth.Student}
	if administers(by) {
		roles = append(roles, auth.Teacher)
	}
	m, added, err := s.store.AddMember(ctx, by.Tenant, class, userID, roles, by.UserID, s.time())
	if err == nil && added {
		s.record(ctx, by.Tenant, by, "class.member_added", class, map[string]string{"user_id": userID})
	}
	return m, err
}

// RemoveMember takes somebody out of an open class. For who keeps the class. NotFound: the class, or the member; Conflict: archived.
func (s *Service) RemoveMember(ctx context.Context, by auth.Principal, class, userID string) error {
	if _, err := s.kept(ctx, by, class); err != nil {
		return err
	}
	if err := exists("member", userID); err != nil {
		return err
	}
	if err := s.store.RemoveMember(ctx, by.Tenant, class, userID); err != nil {
		return err
	}
	s.record(ctx, by.Tenant, by, "class.member_removed", class, map[string]string{"user_id": userID})
	return nil
}
