package postgres

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Bounds of what StaleReads remembers, and how long it leaves an archive alone that has just failed.
const (
	maxStalePages = 256
	maxStaleBytes = 32 << 20
	stalePause    = time.Second
)

// StaleReads is an archive that answers lists while the one behind it is away, from the pages that it gave out last. Such a
// page is marked Stale and says as of when it was true. Everything else is passed on.
//
// It remembers at most 256 pages and about 32 MiB, those that were asked for last. For a second after a failure, what is
// remembered is answered without asking, so that an outage costs its callers no waiting. It is safe for concurrent use.
type StaleReads struct {
	task.Archive

	mu    sync.Mutex
	pages map[[sha256.Size]byte]*list.Element // of *stalePage
	order *list.List                          // asked for last first
	bytes int
	until time.Time // of the pause
}

var _ task.Archive = (*StaleReads)(nil)

type stalePage struct {
	key   [sha256.Size]byte
	page  task.Page
	bytes int
}

// NewStaleReads returns an archive in front of a.
func NewStaleReads(a task.Archive) *StaleReads {
	return &StaleReads{Archive: a, pages: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

// List returns a page of the archive, or the page that the same filter got last when the archive answers Unavailable or
// Timeout. Without such a page the error is Unavailable and says when to come back.
func (s *StaleReads) List(ctx context.Context, f task.Filter) (task.Page, error) {
	key, err := pageKey(f)
	if err != nil {
		return task.Page{}, err
	}
	if page, ok := s.recall(key, true); ok {
		return page, nil
	}
	page, err := s.Archive.List(ctx, f)
	if err == nil {
		s.remember(key, page)
		return page, nil
	}
	if kind := fault.KindOf(err); ctx.Err() != nil || kind != fault.Unavailable && kind != fault.Timeout {
		return task.Page{}, err
	}
	s.pause()
	if page, ok := s.recall(key, false); ok {
		return page, nil
	}
	if fault.KindOf(err) == fault.Timeout {
		return task.Page{}, fault.After(retryAfter, "the archive took too long: %w", err)
	}
	return task.Page{}, err
}

// recall returns the page under key, with paused only during a pause.
func (s *StaleReads) recall(key [sha256.Size]byte, paused bool) (task.Page, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.pages[key]
	if !ok || paused && !time.Now().Before(s.until) {
		return task.Page{}, false
	}
	s.order.MoveToFront(at)
	page := at.Value.(*stalePage).page
	page.Tasks, page.Stale = slices.Clone(page.Tasks), true // callers may write into their page
	return page, true
}

func (s *StaleReads) remember(key [sha256.Size]byte, page task.Page) {
	page.Tasks = slices.Clone(page.Tasks)
	kept := &stalePage{key: key, page: page, bytes: weight(page)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
	if at, ok := s.pages[key]; ok {
		s.forget(at)
	}
	s.pages[key] = s.order.PushFront(kept)
	s.bytes += kept.bytes
	for s.order.Len() > maxStalePages || s.bytes > maxStaleBytes {
		s.forget(s.order.Back())
	}
}

// forget is called with the lock held.
func (s *StaleReads) forget(at *list.Element) {
	gone := s.order.Remove(at).(*stalePage)
	s.bytes -= gone.bytes
	delete(s.pages, gone.key)
}

func (s *StaleReads) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Now().Add(stalePause)
}

// weight estimates what a page holds in memory. What varies is the errors; the rest is bounded on its way in.
func weight(page task.Page) int {
	n := 256
	for _, t := range page.Tasks {
		n += 1 << 10
		if t.Failure != nil {
			n += len(t.Failure.Error)
		}
		for name, value := range t.Labels {
			n += len(name) + len(value) + 64
		}
	}
	return n
}

func pageKey(f task.Filter) ([sha256.Size]byte, error) {
	doc, err := json.Marshal(f)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("list tasks: %w", fault.New(fault.Invalid, "the filter has no canonical form: %w", err))
	}
	return sha256.Sum256(doc), nil
}
