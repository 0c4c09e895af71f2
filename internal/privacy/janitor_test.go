package privacy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/privacy"
)

// world is what a janitor deletes from: an archive that follows the log by one look, and a broker.
type world struct {
	mu        sync.Mutex
	erasure   *privacy.Erasure
	archive   map[string]bool // task: open
	broker    map[string]bool // task: open
	away      bool
	elsewhere int
	broken    error // of what is elsewhere
	aged      []string
	noted     []string
	keep      privacy.Retention
	access    int
	audited   time.Time
	turns     []privacy.DeletedTurn
}

func (w *world) ClaimErasure(context.Context, time.Duration) (privacy.Erasure, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return privacy.Erasure{}, false, fault.New(fault.Unavailable, "away")
	}
	if w.erasure == nil || w.erasure.State != privacy.Waiting {
		return privacy.Erasure{}, false, nil
	}
	w.erasure.State = privacy.Running
	return *w.erasure, true, nil
}

func (w *world) NoteErasure(_ context.Context, e privacy.Erasure) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.erasure = &e
	w.noted = append(w.noted, e.State+e.Error)
	return nil
}

func (w *world) CaughtUp(context.Context) (bool, error) { return true, nil }

func (w *world) TasksOf(_ context.Context, _, _ string, limit int) ([]privacy.Kept, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []privacy.Kept
	for id, open := range w.archive {
		if out = append(out, privacy.Kept{ID: id, Open: open}); len(out) == limit {
			break
		}
	}
	for id, open := range w.broker { // the recorder comes by
		w.archive[id] = open
	}
	return out, nil
}

func (w *world) TasksBefore(ctx context.Context, _ string, _ time.Time, limit int) ([]privacy.Kept, error) {
	all, err := w.TasksOf(ctx, "", "", limit)
	return slices.DeleteFunc(all, func(k privacy.Kept) bool { return k.Open }), err
}

func (w *world) DeleteTasks(_ context.Context, _ string, ids []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if _, kept := w.broker[id]; kept {
			return errors.New("the log would bring it back")
		}
		delete(w.archive, id)
	}
	return nil
}

func (w *world) Retentions(context.Context) ([]privacy.Retention, error) {
	return []privacy.Retention{w.keep}, nil
}

func (w *world) DeletedTurns(_ context.Context, _ time.Time, limit int) ([]privacy.DeletedTurn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.turns[:min(limit, len(w.turns))]), nil
}

func (w *world) DropTurn(_ context.Context, t privacy.DeletedTurn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns = slices.DeleteFunc(w.turns, func(other privacy.DeletedTurn) bool { return other == t })
	return nil
}

func (w *world) DeleteTurns(context.Context, string, time.Time, int) (int, error) { return 0, nil }

func (w *world) DeleteAccess(_ context.Context, _ string, _ time.Time, limit int) (int, error) {
	n := min(limit, w.access)
	w.access -= n
	return n, nil
}

func (w *world) cancel(_ context.Context, _, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.broker[id]; !ok {
		return fault.New(fault.NotFound, "no task")
	}
	w.broker[id] = false
	return nil
}

func (w *world) forget(_ context.Context, _, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.broker, id)
	return nil
}

func (w *world) janitor(t *testing.T) (stop func()) {
	j, err := privacy.NewJanitor(privacy.JanitorConfig{
		Backlog: w, Cancel: w.cancel, Forget: w.forget,
		PurgeAudit: func(_ context.Context, _ string, before time.Time) error { w.audited = before; return nil },
		EraseElsewhere: func(context.Context, string, string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.elsewhere++
			return w.broken
		},
		AgeElsewhere: func(_ context.Context, tenant string, days int) error {
			w.aged = append(w.aged, fmt.Sprint(tenant, " ", days))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestJanitor_ErasesOnlyWhenNothingCanArriveAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			erasure: &privacy.Erasure{ID: "e", Tenant: "school", UserID: "u", State: privacy.Waiting, RequestedAt: time.Now()},
			archive: map[string]bool{"running": true, "lost": true}, broker: map[string]bool{"running": true, "late": false},
		}
		for range 450 { // several pages
			id := time.Now().Add(time.Duration(len(w.archive))).Format(time.RFC3339Nano)
			w.archive[id], w.broker[id] = false, false
		}
		stop := w.janitor(t)
		<-time.After(30 * time.Second)
		w.mu.Lock()
		if w.erasure.State == privacy.Done {
			t.Error("it is done while what was under way may still arrive")
		}
		w.mu.Unlock()
		<-time.After(60 * time.Second)
		stop()
		if w.erasure.State != privacy.Done || len(w.archive) != 0 || len(w.broker) != 0 || w.erasure.ErasedTasks != 453 || w.elsewhere == 0 {
			t.Errorf("erasure %+v, %d tasks archived, %d in the broker", w.erasure, len(w.archive), len(w.broker))
		}
	})
}

func TestJanitor_GoesOnAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{away: true, archive: map[string]bool{}, erasure: &privacy.Erasure{ID: "e", State: privacy.Waiting, RequestedAt: time.Now().Add(-time.Hour)}}
		stop := w.janitor(t)
		<-time.After(time.Minute)
		w.mu.Lock()
		w.away = false
		w.mu.Unlock()
		<-time.After(time.Minute)
		stop()
		if w.erasure.State != privacy.Done {
			t.Errorf("erasure %+v", w.erasure)
		}
	})
}

// What is elsewhere and away keeps an erasure from being done, not the tasks from being deleted.
func TestJanitor_DeletesTasksWhileSomethingElseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			broken: fault.New(fault.Unavailable, "away"), archive: map[string]bool{"a": false}, broker: map[string]bool{"a": false},
			erasure: &privacy.Erasure{ID: "e", Tenant: "school", UserID: "u", State: privacy.Waiting, RequestedAt: time.Now().Add(-time.Hour)},
		}
		stop := w.janitor(t)
		<-time.After(time.Minute)
		w.mu.Lock()
		if len(w.archive)+len(w.broker) != 0 || w.erasure.State != privacy.Waiting || w.erasure.Error == "" {
			t.Errorf("left are %v and %v, the erasure is %+v", w.archive, w.broker, w.erasure)
		}
		w.broken = nil
		w.mu.Unlock()
		<-time.After(time.Minute)
		stop()
		if w.erasure.State != privacy.Done || w.erasure.Error != "" {
			t.Errorf("the erasure is %+v", w.erasure)
		}
	})
}

func TestJanitor_DeletesWhatIsTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{archive: map[string]bool{"old": false, "open": true}, broker: map[string]bool{}, access: 2500, keep: privacy.Retention{Tenant: "school", Tasks: 30, Access: 400, Audit: 365}}
		stop := w.janitor(t)
		<-time.After(time.Second)
		stop()
		if _, kept := w.archive["old"]; kept || len(w.archive) != 1 || w.access != 0 {
			t.Errorf("kept %v and %d entries of access", w.archive, w.access)
		}
		if !slices.Equal(w.aged, []string{"school 30"}) {
			t.Errorf("elsewhere the age is %q", w.aged)
		}
		if days := time.Since(w.audited).Hours() / 24; days < 364 || days > 366 {
			t.Errorf("the audit is purged from before %v", w.audited)
		}
	})
}

// Of a conversation that its user deleted no task is left, in the broker or in the archive.
func TestJanitor_DeletesTheTurnsOfDeletedConversations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			archive: map[string]bool{"t1": false, "t2": false, "other": false}, broker: map[string]bool{"t1": false, "t2": false, "other": false},
			turns: []privacy.DeletedTurn{{Tenant: "school", Task: "t1"}, {Tenant: "school", Task: "t2"}},
		}
		stop := w.janitor(t)
		synctest.Wait()
		stop()
		if len(w.turns) != 0 || len(w.archive) != 1 || len(w.broker) != 1 {
			t.Errorf("left are %v, %v and %v", w.turns, w.archive, w.broker)
		}
	})
}
