package school

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Class is a group of students and teachers with which results are shared.
type Class struct {
	ID         string     `json:"id"`
	Tenant     string     `json:"tenant_id"`
	Name       string     `json:"name"`
	CreatedBy  string     `json:"created_by"` // the teacher or admin who keeps it
	Version    int64      `json:"version"`
	Members    int        `json:"members"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	ArchivedAt *time.Time `json:"archived_at,omitempty"`
}

// ClassFilter says which classes to list, newest first.
type ClassFilter struct {
	CreatedBy string  // empty: by anybody
	Archived  bool    // those that are archived, instead of those that are open
	Cursor    string  // the Next of the page before
	Limit     int     // 1 to MaxPage; DefaultPage when 0
	Reader    *Reader // set by Service: whose classes; nil: all of the tenant
}

// ClassPage is a page of classes.
type ClassPage struct {
	Classes []Class `json:"classes"`
	Next    string  `json:"next,omitempty"` // the next page's Cursor; empty on the last one
}

// ClassChange says what to change; nil leaves it.
type ClassChange struct {
	Name     *string
	Archived *bool
}

// ListClasses returns a page of the tenant's classes: to students and parents the open ones that they, or their children, are in.
// Invalid: "cursor", "limit".
func (s *Service) ListClasses(ctx context.Context, by auth.Principal, f ClassFilter) (ClassPage, error) {
	if err := checkLimit(&f.Limit); err != nil {
		return ClassPage{}, err
	}
	if err := exists("user", f.CreatedBy); f.CreatedBy != "" && err != nil {
		return ClassPage{}, err
	}
	if f.Reader = nil; !teaches(by) {
		if f.Archived {
			return ClassPage{}, fault.New(fault.Forbidden, "only teachers and admins may see archived classes")
		}
		reader := readerOf(by)
		f.Reader = &reader
	}
	return s.store.Classes(ctx, by.Tenant, f)
}

// GetClass returns a class of the tenant: to students and parents an open one that they, or their children, are in.
func (s *Service) GetClass(ctx context.Context, by auth.Principal, id string) (Class, error) {
	if err := exists("class", id); err != nil {
		return Class{}, err
	}
	if !teaches(by) {
		if err := s.attends(ctx, by, id); err != nil {
			return Class{}, err
		}
	}
	return s.store.Class(ctx, by.Tenant, id)
}

// attends returns NotFound unless by reads what is shared with the class.
func (s *Service) attends(ctx context.Context, by auth.Principal, class string) error {
	in, err := s.store.Attends(ctx, by.Tenant, class, readerOf(by))
	if err == nil && !in {
		return fault.New(fault.NotFound, "there is no class %.64q", class)
	}
	return err
}

// CreateClass adds an open class that by keeps. For teachers and admins. Invalid: "name"; Conflict above MaxClasses.
func (s *Service) CreateClass(ctx context.Context, by auth.Principal, name string) (Class, error) {
	if err := onlyTeachers(by); err != nil {
		return Class{}, err
	}
	name, err := account.CheckName("name", name)
	if err != nil {
		return Class{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Class{}, fmt.Errorf("make a class's id: %w", err)
	}
	at := s.time()
	c := Class{ID: id.String(), Tenant: by.Tenant, Name: name, CreatedBy: by.UserID, Version: 1, CreatedAt: at, UpdatedAt: at}
	if err := s.store.AddClass(ctx, c); err != nil {
		return Class{}, err
	}
	s.record(ctx, c.Tenant, by, "class.created", c.ID, nil)
	return c, nil
}

// UpdateClass renames a class whose version is still the given one. For who keeps it. Invalid: "name"; Conflict: "version", archived.
func (s *Service) UpdateClass(ctx context.Context, by auth.Principal, id string, version int64, name string) (Class, error) {
	name, err := account.CheckName("name", name)
	if err != nil {
		return Class{}, err
	}
	c, err := s.changeClass(ctx, by, id, version, ClassChange{Name: &name})
	if err == nil {
		s.record(ctx, by.Tenant, by, "class.updated", id, map[string]any{"fields": []string{"name"}})
	}
	return c, err
}

// ArchiveClass archives a class whose version is still the given one, or opens it again. For who keeps it. Conflict: "version".
func (s *Service) ArchiveClass(ctx context.Context, by auth.Principal, id string, version int64, archived bool) (Class, error) {
	c, err := s.changeClass(ctx, by, id, version, ClassChange{Archived: &archived})
	if err == nil {
		action := map[bool]string{true: "class.archived", false: "class.opened"}[archived]
		s.record(ctx, by.Tenant, by, action, id, nil)
	}
	return c, err
}

func (s *Service) changeClass(ctx context.Context, by auth.Principal, id string, version int64, change ClassChange) (Class, error) {
	if _, err := s.kept(ctx, by, id); err != nil {
		return Class{}, err
	}
	return s.store.ChangeClass(ctx, by.Tenant, id, version, change, s.time())
}

// kept returns a class that by may change, or says why not.
func (s *Service) kept(ctx context.Context, by auth.Principal, id string) (Class, error) {
	if err := onlyTeachers(by); err != nil {
		return Class{}, err
	}
	if err := exists("class", id); err != nil {
		return Class{}, err
	}
	c, err := s.store.Class(ctx, by.Tenant, id)
	if err != nil {
		return Class{}, err
	}
	return c, mayKeep(by, c)
}
