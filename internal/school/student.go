package school

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// IsStudent reports whether a user of the tenant is a student. Whom the tenant does not have is none: an API key's task may be of somebody
// who is gone. It is for the edge, which puts on record who looks at a student's data, and asks nobody's permission.
func (s *Service) IsStudent(ctx context.Context, tenant, userID string) (bool, error) {
	u, err := s.store.User(ctx, tenant, userID)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && u.Role == auth.Student, err
}
