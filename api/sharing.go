package api

import (
	"context"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/school"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Sharing knows what students and parents may read beside what is theirs. *school.Service has it.
type Sharing interface {
	// Readable reports whether a task of owner is shared with a class of p, or of a child of p, or is a child's own.
	Readable(ctx context.Context, p auth.Principal, owner, task string) (bool, error)
	// SharedTasks returns the ids of what p may read beside their own, the newest first, at most 1,000.
	SharedTasks(ctx context.Context, p auth.Principal) ([]string, error)
}

// Students knows whose data is a student's. *school.Service has it.
type Students interface {
	// IsStudent reports whether a user of the tenant is a student. Somebody it does not know is none.
	IsStudent(ctx context.Context, tenant, user string) (bool, error)
}

var (
	_ Sharing  = (*school.Service)(nil)
	_ Students = (*school.Service)(nil)
)

// readable returns a task that the caller reaches to read it, and puts on record who looks at a student's. One that they may not read
// does not exist for them.
func (s *Server) readable(ctx context.Context, id string) (auth.Principal, task.Task, error) {
	p, reach, err := caller(ctx)
	if err != nil {
		return p, task.Task{}, err
	}
	t, err := s.readableTo(ctx, p, reach, id)
	return p, t, err
}

// readableTo is readable for p, who reaches so far.
func (s *Server) readableTo(ctx context.Context, p auth.Principal, reach auth.Reach, id string) (task.Task, error) {
	t, err := s.cfg.Tasks.Get(ctx, p.Tenant, id)
	if err != nil {
		return task.Task{}, err
	}
	may, err := s.reads(ctx, p, reach, t)
	if err != nil {
		return task.Task{}, err
	}
	if !may {
		return task.Task{}, fault.New(fault.NotFound, "there is no task %q", clip(id))
	}
	if err := s.noteAccess(ctx, p, t); err != nil {
		return task.Task{}, err
	}
	return t, nil
}

// reads reports whether p, who reaches so far, may read t.
func (s *Server) reads(ctx context.Context, p auth.Principal, reach auth.Reach, t task.Task) (bool, error) {
	if t.Private && t.UserID != p.UserID {
		return false, nil
	}
	if reach >= auth.Tenant || reach >= auth.Own && t.UserID == p.UserID {
		return true, nil
	}
	if reach < auth.Shared {
		return false, nil
	}
	return s.cfg.Sharing.Readable(ctx, p, t.UserID, t.ID)
}

// mayNotRead says why the client of a request may not read t any more; nothing while they may. What the directory decides it asks only where
// shared says so. That nobody can say leaves it as it was.
func (s *Server) mayNotRead(ctx context.Context, t task.Task, shared bool) string {
	p, reach, why, err := s.reachesNow(ctx, t.Tenant)
	if why != "" || err != nil || reach < auth.Tenant && t.UserID != p.UserID && !shared {
		return why
	}
	if may, err := s.reads(ctx, p, reach, t); err == nil && !may {
		return notAnyMore
	}
	return ""
}

const notAnyMore = "you may not read this any more"

// reachesNow returns who the client of a request is by now and how far they reach in a tenant, or why they do not. The error says that nobody
// can say.
func (s *Server) reachesNow(ctx context.Context, tenant string) (p auth.Principal, reach auth.Reach, why string, err error) {
	c := callOf(ctx)
	p, err = s.verify(ctx, c.proof, c.ip)
	switch {
	case fault.Is(err, fault.Unauthorized), fault.Is(err, fault.Forbidden):
		return p, auth.Nothing, "what proved who you are does so no longer", nil
	case err != nil:
		return p, auth.Nothing, "", err
	}
	reach, err = c.rule.Decide(p, time.Now())
	if err == nil {
		p, err = p.ActIn(tenant)
	}
	if err != nil {
		return p, auth.Nothing, notAnyMore, nil //nolint:nilerr // it is said in words
	}
	return p, reach, "", nil
}

// noteAccess puts on record that p looks at t when it is a student's and not p's own. What cannot be put on record is not shown.
func (s *Server) noteAccess(ctx context.Context, p auth.Principal, t task.Task) error {
	if p.UserID == t.UserID || !s.students.is(ctx, t.Tenant, t.UserID) {
		return nil
	}
	c := callOf(ctx)
	return s.cfg.Access.RecordAccess(ctx, audit.Access{
		Tenant: t.Tenant, Actor: p.UserID, Student: t.UserID, Resource: "task " + t.ID, Route: c.route, IP: addressText(c.ip),
	})
}

// How long, and of how many users, it is remembered whether they are students. A teacher who becomes a student, or the other way round, is
// told apart that much later.
const (
	studentsFor   = 5 * time.Minute
	studentsKnown = 10_000
)

// students remembers who is a student, so that reading a task asks no database. It is safe for concurrent use.
type students struct {
	port Students

	mu    sync.Mutex
	known map[[2]string]studentMark
}

type studentMark struct {
	student bool
	until   time.Time
}

// is reports whether a user is a student. While nobody can say, everybody counts as one: a record too many does no harm.
func (s *students) is(ctx context.Context, tenant, user string) bool {
	key, now := [2]string{tenant, user}, time.Now()
	s.mu.Lock()
	mark, ok := s.known[key]
	s.mu.Unlock()
	if ok && now.Before(mark.until) {
		return mark.student
	}
	student, err := s.port.IsStudent(ctx, tenant, user)
	if err != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= studentsKnown { // who is asked about next comes to be known again
		s.known = map[[2]string]studentMark{}
	}
	s.known[key] = studentMark{student, now.Add(studentsFor)}
	return student
}
