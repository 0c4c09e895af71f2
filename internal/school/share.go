package school

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// Share is a task whose result a class may read.
type Share struct {
	Class    string    `json:"class_id"`
	Task     string    `json:"task_id"`
	SharedBy string    `json:"shared_by"`
	SharedAt time.Time `json:"shared_at"`
}

// ShareFilter says which shares to list, newest first.
type ShareFilter struct {
	Class  string // required
	Cursor string // the Next of the page before
	Limit  int    // 1 to MaxPage; DefaultPage when 0
}

// SharePage is a page of shares.
type SharePage struct {
	Shares []Share `json:"shares"`
	Next   string  `json:"next,omitempty"` // the next page's Cursor; empty on the last one
}

// ListShares returns a page of what is shared with a class of the tenant: to students and parents with an open one that they, or their
// children, are in. Invalid: "cursor", "limit".
func (s *Service) ListShares(ctx context.Context, by auth.Principal, f ShareFilter) (SharePage, error) {
	if err := checkLimit(&f.Limit); err != nil {
		return SharePage{}, err
	}
	if _, err := s.GetClass(ctx, by, f.Class); err != nil {
		return SharePage{}, err
	}
	return s.store.Shares(ctx, by.Tenant, f)
}

// Share lets an open class read a task of the tenant; what is shared stays so. For who keeps the class. NotFound: the class, or the task:
// one that was submitted this second may not be in the archive yet. Conflict: archived, or above MaxShares.
func (s *Service) Share(ctx context.Context, by auth.Principal, class, task string) (Share, error) {
	if _, err := s.kept(ctx, by, class); err != nil {
		return Share{}, err
	}
	if err := exists("task", task); err != nil {
		return Share{}, err
	}
	share, added, err := s.store.AddShare(ctx, by.Tenant, Share{Class: class, Task: task, SharedBy: by.UserID, SharedAt: s.time()})
	if err == nil && added {
		s.record(ctx, by.Tenant, by, "share.added", class, map[string]string{"task_id": task})
	}
	return share, err
}

// Unshare ends that. For who keeps the class. NotFound: the class, or the share; Conflict: archived.
func (s *Service) Unshare(ctx context.Context, by auth.Principal, class, task string) error {
	if _, err := s.kept(ctx, by, class); err != nil {
		return err
	}
	if err := exists("task", task); err != nil {
		return err
	}
	if err := s.store.RemoveShare(ctx, by.Tenant, class, task); err != nil {
		return err
	}
	s.record(ctx, by.Tenant, by, "share.removed", class, map[string]string{"task_id": task})
	return nil
}

// Readable reports whether p may read a task of their tenant that taskOwner submitted: admins and teachers any; others their own, what is
// shared with an open class that they are in, and parents what their children may read. It costs a query only where that decides.
func (s *Service) Readable(ctx context.Context, p auth.Principal, taskOwner, taskID string) (bool, error) {
	if p.CanRead(taskOwner) {
		return true, nil
	}
	if !p.Role.Valid() || !possible(taskID) || !possible(taskOwner) {
		return false, nil
	}
	return s.store.Readable(ctx, p.Tenant, readerOf(p), taskOwner, taskID)
}

// SharedTasks returns the ids of the tasks that p may read though they are not p's own, as Readable says of students and parents: the
// newest first, at most MaxReadable.
func (s *Service) SharedTasks(ctx context.Context, p auth.Principal) ([]string, error) {
	return s.store.SharedTasks(ctx, p.Tenant, readerOf(p), MaxReadable)
}
