package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

func TestList_SaysHowOldItIs(t *testing.T) {
	t.Parallel()
	head := func(seq uint64, err error) func(context.Context) (uint64, error) {
		return func(context.Context) (uint64, error) { return seq, err }
	}
	const long, short = time.Hour, time.Millisecond
	for name, c := range map[string]struct {
		head     func(context.Context) (uint64, error)
		age      time.Duration // of event 1
		recorded string        // when it was recorded, in SQL
		stale    bool
		asOf     bool // the event's time; otherwise about now
	}{
		"caught up":                  {head(1, nil), long, "now()", false, false},
		"caught up long ago":         {head(1, nil), long, "now() - interval '1 hour'", false, false},
		"ahead of a head just asked": {head(0, nil), long, "now()", false, false},
		"a moment behind":            {head(2, nil), short, "now()", false, true},
		"behind":                     {head(2, nil), long, "now()", true, true},
		"no head, recorded lately":   {nil, long, "now()", false, true},
		"no head, silent":            {nil, long, "now() - interval '2 minutes'", true, true},
		"head unknown, silent":       {head(0, errors.New("the broker is away")), long, "now() - interval '2 minutes'", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t)
			db := open(t, postgres.Config{URL: url, Head: c.head})
			l := newLog(t)
			l.add("school", "a", queued())
			happened := time.Now().UTC().Add(-c.age).Truncate(time.Microsecond)
			l.events[0].Time = happened
			l.record(db)
			execute(t, url, "UPDATE recorder_position SET recorded_at = "+c.recorded)
			page, err := db.List(t.Context(), task.Filter{Tenant: "school"})
			if err != nil {
				t.Fatal(err)
			}
			if page.Stale != c.stale {
				t.Errorf("stale is %v, want %v", page.Stale, c.stale)
			}
			if at := page.AsOf; c.asOf && !at.Equal(happened) || !c.asOf && time.Since(at).Abs() > time.Minute {
				t.Errorf("as of %v, of the event %v, want the event's %v", at, happened, c.asOf)
			}
		})
	}
}

func TestHead_IsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		last := postgres.NewHead(func(ctx context.Context) (uint64, error) {
			if asked.Add(1) == 2 {
				return 0, errors.New("away")
			}
			if asked.Load() == 3 {
				<-ctx.Done() // a broker that does not answer
				return 0, ctx.Err()
			}
			return 7, nil
		})
		for range 3 {
			go last(t.Context())
		}
		synctest.Wait()
		if seq, _, known := last(t.Context()); seq != 7 || !known || asked.Load() != 1 {
			t.Errorf("got %d, known %v, after %d questions", seq, known, asked.Load())
		}
		<-time.After(1100 * time.Millisecond) // the clock is synctest's
		for range 2 {
			if _, _, known := last(t.Context()); known || asked.Load() != 2 {
				t.Errorf("known %v after %d questions", known, asked.Load())
			}
		}
		<-time.After(1100 * time.Millisecond)
		began := time.Now()
		if _, _, known := last(t.Context()); known || time.Since(began) > time.Second {
			t.Errorf("known %v after %v", known, time.Since(began))
		}
	})
}
