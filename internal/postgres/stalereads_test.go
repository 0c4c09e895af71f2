package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/task"
)

// shelf is an archive whose lists have one task, named by the filter's user, until it breaks.
type shelf struct {
	task.Archive
	mu    sync.Mutex
	err   error
	asked int
	text  string // the task's error
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) List(_ context.Context, f task.Filter) (task.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return task.Page{Tasks: []task.Task{{ID: f.UserID, Failure: &task.Failure{Error: s.text}}}, AsOf: time.Now()}, s.err
}

func TestStaleReads_AnswersFromItsLastPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		reads := postgres.NewStaleReads(s)
		mine := task.Filter{Tenant: "school", UserID: "me"}
		fresh, err := reads.List(t.Context(), mine)
		if err != nil || fresh.Stale {
			t.Fatalf("%+v %v", fresh, err)
		}
		fresh.Tasks[0].ID = "written by the caller"
		<-time.After(time.Hour) // the clock is synctest's
		for _, broken := range []error{fault.After(time.Second, "away"), fault.New(fault.Timeout, "slow")} {
			s.fail(broken)
			for range 2 {
				page, err := reads.List(t.Context(), mine)
				if err != nil || !page.Stale || !page.AsOf.Equal(fresh.AsOf) || page.Tasks[0].ID != "me" {
					t.Errorf("%v: got %+v (%v), want the page of an hour ago", broken, page, err)
				}
				page.Tasks[0].ID = "written by the caller"
			}
			for _, f := range []task.Filter{{Tenant: "other", UserID: "me"}, {Tenant: "school"}, {Tenant: "school", UserID: "me", Cursor: "x"}} {
				if _, err := reads.List(t.Context(), f); !fault.Is(err, fault.Unavailable) || fault.RetryAfter(err) == 0 {
					t.Errorf("%v: a list that was never given: %v, want Unavailable and when to come back", broken, err)
				}
			}
			<-time.After(2 * time.Second)
		}
		for _, wrong := range []error{fault.InvalidField("cursor", "is bad"), fault.New(fault.Internal, "a bug")} {
			s.fail(wrong)
			if _, err := reads.List(t.Context(), mine); !errors.Is(err, wrong) {
				t.Errorf("got %v, want %v", err, wrong)
			}
		}
		s.fail(nil)
		if page, err := reads.List(t.Context(), mine); err != nil || page.Stale {
			t.Errorf("it stays stale: %+v %v", page, err)
		}
	})
}

func TestStaleReads_LeavesABrokenArchiveAloneForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		reads := postgres.NewStaleReads(s)
		list := func() {
			if _, err := reads.List(t.Context(), task.Filter{Tenant: "school"}); err != nil {
				t.Error(err)
			}
		}
		list()
		s.fail(fault.After(time.Second, "away"))
		for range 5 {
			list()
		}
		if s.asked != 2 {
			t.Errorf("the archive was asked %d times, want 2", s.asked)
		}
		<-time.After(1100 * time.Millisecond)
		s.fail(nil)
		list()
		list()
		if s.asked != 4 {
			t.Errorf("the archive was asked %d times, want 4", s.asked)
		}
	})
}

func TestStaleReads_ForgetsWhatWasNotAskedForLongest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text        string
		pages, kept int
	}{
		"by number": {"", 300, 256},
		"by size":   {strings.Repeat("x", 1<<20), 40, 31},
		"too large": {strings.Repeat("x", 40<<20), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{text: c.text}
			reads := postgres.NewStaleReads(s)
			filter := func(i int) task.Filter { return task.Filter{Tenant: "school", UserID: fmt.Sprint(i)} }
			for i := range c.pages {
				for _, j := range []int{i, 0} { // the first one is asked for again and again
					if _, err := reads.List(t.Context(), filter(j)); err != nil {
						t.Fatal(err)
					}
				}
			}
			s.fail(fault.After(time.Second, "away"))
			kept := 0
			for i := range c.pages {
				if _, err := reads.List(t.Context(), filter(i)); err == nil {
					kept++
				} else if i == 0 && c.kept > 0 {
					t.Error("what is asked for most is forgotten")
				}
			}
			if kept != c.kept {
				t.Errorf("%d pages are kept, want %d", kept, c.kept)
			}
		})
	}
}

func TestStaleReads_DoesNotAnswerWhoIsGone(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	reads := postgres.NewStaleReads(s)
	if _, err := reads.List(t.Context(), task.Filter{Tenant: "school"}); err != nil {
		t.Fatal(err)
	}
	s.fail(fault.New(fault.Timeout, "slow"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reads.List(ctx, task.Filter{Tenant: "school"}); err == nil {
		t.Error("a page for nobody")
	}
}
