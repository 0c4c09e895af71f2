package privacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Backlog is what a janitor works off.
type Backlog interface {
	// ClaimErasure returns an erasure that waits, or whose janitor has said nothing for abandoned; false when there is none. It is running
	// from then on.
	ClaimErasure(ctx context.Context, abandoned time.Duration) (Erasure, bool, error)
	// NoteErasure puts on record how far a running erasure is, and in which state.
	NoteErasure(ctx context.Context, e Erasure) error
	// CaughtUp reports whether the archive has everything that the log held a moment ago.
	CaughtUp(ctx context.Context) (bool, error)
	// TasksOf returns at most limit tasks of a user that are in the archive, in no order.
	TasksOf(ctx context.Context, tenant, userID string, limit int) ([]Kept, error)
	// TasksBefore returns at most limit finished tasks of a tenant that have not changed since a time.
	TasksBefore(ctx context.Context, tenant string, before time.Time, limit int) ([]Kept, error)
	// DeleteTasks deletes a tenant's tasks from the archive. What was spent stays in the ledger.
	DeleteTasks(ctx context.Context, tenant string, ids []string) error
	// Retentions returns how long each tenant wants its data kept; tenants that keep everything are left out.
	Retentions(ctx context.Context) ([]Retention, error)
	// DeleteTurns deletes a tenant's messages to an assistant, and the answers, from before a time, at most limit, and returns how many.
	DeleteTurns(ctx context.Context, tenant string, before time.Time, limit int) (int, error)
	// DeletedTurns returns at most limit turns whose conversation was deleted before a time, the oldest first.
	DeletedTurns(ctx context.Context, before time.Time, limit int) ([]DeletedTurn, error)
	// DropTurn says that nothing is left of a turn.
	DropTurn(ctx context.Context, t DeletedTurn) error
	// DeleteAccess deletes entries of the access log from before a time, at most limit, and returns how many.
	DeleteAccess(ctx context.Context, tenant string, before time.Time, limit int) (int, error)
}

// Kept is a task in the archive.
type Kept struct {
	ID   string
	Open bool // not finished: it has to be cancelled first
}

// DeletedTurn is a turn of a conversation that its user deleted: a task of which nothing is to stay.
type DeletedTurn struct{ Tenant, Task string }

// Retention is how many days a tenant's data is kept; 0 for ever.
type Retention struct {
	Tenant               string
	Tasks, Audit, Access int
}

// JanitorConfig is what a Janitor needs. The functions are required, zero times take the defaults.
type JanitorConfig struct {
	Backlog Backlog
	// Cancel ends a task. NotFound and Conflict mean that there is nothing left to end.
	Cancel func(ctx context.Context, tenant, task string) error
	// Forget deletes what the broker keeps of a task: its events, progress, dispatches and large results.
	Forget func(ctx context.Context, tenant, task string) error
	// PurgeAudit deletes a tenant's audit entries from before a time.
	PurgeAudit func(ctx context.Context, tenant string, before time.Time) error
	// EraseElsewhere deletes what else there is of a user, such as schedules.
	EraseElsewhere func(ctx context.Context, tenant, userID string) error
	// AgeElsewhere deletes what else was made of a tenant's tasks, such as cached answers, where it may be older than so many days.
	AgeElsewhere func(ctx context.Context, tenant string, days int) error

	Every  time.Duration // between looks for erasures; 10 s when 0
	Daily  time.Duration // between purges of what is too old; 1 h when 0
	Settle time.Duration // after a request in which what was under way still arrives; 1 min when 0
	Logger *slog.Logger
}

// Janitor deletes. Several may run: they share the work, and doing a part twice does no harm.
type Janitor struct {
	cfg   JanitorConfig
	stale bool // the last round failed, and that is in the log
}

// page is how many tasks are deleted in one transaction.
const page = 200

// abandoned is after how long another janitor takes over.
const abandoned = 5 * time.Minute

// NewJanitor checks cfg and returns the janitor.
func NewJanitor(cfg JanitorConfig) (*Janitor, error) {
	if cfg.Backlog == nil || cfg.Cancel == nil || cfg.Forget == nil || cfg.PurgeAudit == nil || cfg.EraseElsewhere == nil || cfg.AgeElsewhere == nil {
		return nil, errors.New("privacy: JanitorConfig.Backlog, Cancel, Forget, PurgeAudit, EraseElsewhere and AgeElsewhere are required")
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&cfg.Every, 10 * time.Second}, {&cfg.Daily, time.Hour}, {&cfg.Settle, time.Minute}} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Janitor{cfg: cfg}, nil
}

// Run works until ctx ends. While the database or the broker is away it tries again.
func (j *Janitor) Run(ctx context.Context) error {
	tick := time.NewTicker(j.cfg.Every)
	defer tick.Stop()
	var purged time.Time
	for {
		err := j.erase(ctx)
		if err == nil {
			err = j.forgetTurns(ctx)
		}
		if err == nil && time.Since(purged) >= j.cfg.Daily {
			if err = j.purge(ctx); err == nil {
				purged = time.Now()
			}
		}
		j.say(ctx, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (j *Janitor) say(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !j.stale:
		j.cfg.Logger.WarnContext(ctx, "deletions wait, trying again", "error", err)
	case err == nil && j.stale:
		j.cfg.Logger.InfoContext(ctx, "deletions go on")
	}
	j.stale = err != nil
}

// erase carries out the erasures that wait, one after the other.
func (j *Janitor) erase(ctx context.Context) error {
	for ctx.Err() == nil {
		e, ok, err := j.cfg.Backlog.ClaimErasure(ctx, abandoned)
		if err != nil || !ok {
			return err
		}
		over, err := j.eraseOne(ctx, &e)
		e.Error, e.State = "", Waiting
		switch {
		case err != nil:
			e.Error = fault.KindOf(err).String()
		case over:
			e.State = Done
		}
		if noted := j.cfg.Backlog.NoteErasure(context.WithoutCancel(ctx), e); noted != nil || err != nil {
			return errors.Join(err, noted)
		}
		if !over {
			return nil // it is looked at again in the next round
		}
		j.cfg.Logger.InfoContext(ctx, "a user is erased", "tenant", e.Tenant, "user_id", e.UserID, "tasks", e.ErasedTasks)
	}
	return ctx.Err()
}

// eraseOne deletes what there is of a user and reports whether that is all.
func (j *Janitor) eraseOne(ctx context.Context, e *Erasure) (over bool, err error) {
	elsewhere := j.cfg.EraseElsewhere(ctx, e.Tenant, e.UserID) // which may be away for long: the tasks do not wait for it
	if elsewhere != nil {
		elsewhere = fmt.Errorf("erase what else there is of user %s: %w", e.UserID, elsewhere)
	}
	settled, err := j.cfg.Backlog.CaughtUp(ctx)
	if err != nil {
		return false, err
	}
	settled = settled && time.Since(e.RequestedAt) >= j.cfg.Settle
	for {
		tasks, err := j.cfg.Backlog.TasksOf(ctx, e.Tenant, e.UserID, page)
		if err != nil {
			return false, err
		}
		ended, err := j.delete(ctx, e.Tenant, tasks)
		e.ErasedTasks += int64(ended)
		if err != nil {
			return false, err
		}
		if ended < len(tasks) {
			return false, elsewhere // those that were cancelled are deleted when the archive has heard of it
		}
		if len(tasks) == 0 {
			return settled && elsewhere == nil, elsewhere
		}
		e.State = Running
		if err := j.cfg.Backlog.NoteErasure(ctx, *e); err != nil {
			return false, err
		}
	}
}

// delete deletes the tasks that are finished, cancels the others, and returns how many are gone.
func (j *Janitor) delete(ctx context.Context, tenant string, tasks []Kept) (int, error) {
	var gone []string
	for _, t := range tasks {
		if t.Open {
			err := j.cfg.Cancel(ctx, tenant, t.ID)
			if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
				return 0, fmt.Errorf("cancel task %s: %w", t.ID, err)
			}
			if !fault.Is(err, fault.NotFound) { // else the log has lost it, and the archive would wait for ever
				continue
			}
		}
		if err := j.cfg.Forget(ctx, tenant, t.ID); err != nil {
			return 0, fmt.Errorf("delete task %s from the broker: %w", t.ID, err)
		}
		gone = append(gone, t.ID)
	}
	if len(gone) == 0 {
		return 0, nil
	}
	return len(gone), j.cfg.Backlog.DeleteTasks(ctx, tenant, gone)
}

// forgetTurns deletes the tasks of the turns of deleted conversations, once the archive has heard of their end: what is deleted before
// would be written down again.
func (j *Janitor) forgetTurns(ctx context.Context) error {
	for ctx.Err() == nil {
		turns, err := j.cfg.Backlog.DeletedTurns(ctx, time.Now().Add(-j.cfg.Settle), page)
		if err != nil || len(turns) == 0 {
			return err
		}
		if settled, err := j.cfg.Backlog.CaughtUp(ctx); err != nil || !settled {
			return err
		}
		for _, t := range turns {
			if _, err := j.delete(ctx, t.Tenant, []Kept{{ID: t.Task}}); err != nil {
				return err
			}
			if err := j.cfg.Backlog.DropTurn(ctx, t); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// purge deletes what is older than its tenant wants it kept.
func (j *Janitor) purge(ctx context.Context) error {
	all, err := j.cfg.Backlog.Retentions(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, r := range all {
		if err := j.purgeTenant(ctx, r); err != nil {
			failed = errors.Join(failed, fmt.Errorf("purge tenant %s: %w", r.Tenant, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func (j *Janitor) purgeTenant(ctx context.Context, r Retention) error {
	before := func(days int) time.Time { return time.Now().AddDate(0, 0, -days) }
	for r.Tasks > 0 {
		tasks, err := j.cfg.Backlog.TasksBefore(ctx, r.Tenant, before(r.Tasks), page)
		if err != nil {
			return err
		}
		if _, err := j.delete(ctx, r.Tenant, tasks); err != nil {
			return err
		}
		if len(tasks) < page {
			break
		}
	}
	for r.Tasks > 0 {
		n, err := j.cfg.Backlog.DeleteTurns(ctx, r.Tenant, before(r.Tasks), 1000)
		if err != nil {
			return err
		}
		if n < 1000 {
			break
		}
	}
	for r.Access > 0 {
		n, err := j.cfg.Backlog.DeleteAccess(ctx, r.Tenant, before(r.Access), 1000)
		if err != nil {
			return err
		}
		if n < 1000 {
			break
		}
	}
	if r.Audit > 0 {
		if err := j.cfg.PurgeAudit(ctx, r.Tenant, before(r.Audit)); err != nil {
			return err
		}
	}
	if r.Tasks > 0 {
		return j.cfg.AgeElsewhere(ctx, r.Tenant, r.Tasks)
	}
	return nil
}
