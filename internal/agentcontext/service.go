package agentcontext

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Change is what becomes of a context. Put holds whole entries; those of Rank keep their content and get another priority.
type Change struct {
	Put  []Entry
	Rank []Entry
	Drop []string
}

// Store keeps contexts. Its errors are faults, and those of the functions that it is given as they are.
type Store interface {
	// Entries returns the entries of an owner, or the one of key where that is not empty, in any order. None is no error.
	Entries(ctx context.Context, of Owner, key string) ([]Entry, error)
	// Change hands the heads of an owner's entries, without their content, to decide and does what that answers. From before it reads until
	// it is done nobody else changes this context. When decide fails, nothing changes.
	Change(ctx context.Context, of Owner, decide func(heads []Entry) (Change, error)) error
}

// Config is what a Service needs.
type Config struct {
	Store      Store            // required
	Budget     int              // tokens; Budget when 0
	MaxEntries int              // MaxEntries when 0
	Now        func() time.Time // time.Now when nil
}

// Service keeps contexts within their bounds. It is safe for concurrent use.
type Service struct {
	store        Store
	budget, most int
	now          func() time.Time
	unbounded    bool // only a negative control sets it
}

// NewService checks cfg and returns the service.
func NewService(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Budget < 0 || cfg.MaxEntries < 0 {
		return nil, errors.New("agentcontext: Config needs a Store, and limits that are not negative")
	}
	s := &Service{store: cfg.Store, budget: cfg.Budget, most: cfg.MaxEntries, now: cfg.Now}
	if s.budget == 0 {
		s.budget = Budget
	}
	if s.most == 0 {
		s.most = MaxEntries
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// Get returns an owner's context, or the entry of key alone where that is not empty. Errors: NotFound for a key that is not there, Invalid
// for one that is none.
func (s *Service) Get(ctx context.Context, of Owner, key string) (Context, error) {
	if why := checkKey(key); key != "" && why != "" {
		return Context{}, fault.InvalidField("key", "%s", why)
	}
	entries, err := s.store.Entries(ctx, of, key)
	if err != nil {
		return Context{}, fmt.Errorf("read the agent context: %w", err)
	}
	if key != "" && len(entries) == 0 {
		return Context{}, notThere(key)
	}
	return s.shown(slices.SortedFunc(slices.Values(entries), first), nil), nil
}

func notThere(key string) error {
	return fault.New(fault.NotFound, "the context has no entry %q", key)
}

func (s *Service) shown(entries []Entry, pruned []string) Context {
	if entries == nil {
		entries = []Entry{}
	}
	return Context{Entries: entries, Tokens: total(entries), Budget: s.budget, Pruned: pruned}
}

// Update writes entries, in place of those that have the same keys, prunes the context and returns it without contents. Of several
// entries the last counts as the newest. Errors: Invalid with what is wrong with each, and nothing is written.
func (s *Service) Update(ctx context.Context, of Owner, writes []Write) (Context, error) {
	if err := s.check(writes); err != nil {
		return Context{}, err
	}
	var after Context
	err := s.store.Change(ctx, of, func(heads []Entry) (Change, error) {
		written := s.written(heads, writes)
		all := slices.DeleteFunc(slices.Clone(heads), func(e Entry) bool { return has(written, e.Key) })
		all = append(all, written...)
		kept, pruned := prune(all, s.budget, s.most)
		if s.unbounded {
			kept, pruned = all, nil
		}
		change := Change{Put: slices.DeleteFunc(written, func(e Entry) bool { return !has(kept, e.Key) })}
		for _, key := range pruned {
			if has(heads, key) {
				change.Drop = append(change.Drop, key)
			}
		}
		after = s.shown(withoutContent(kept), pruned)
		return change, nil
	})
	if err != nil {
		return Context{}, fmt.Errorf("update the agent context: %w", err)
	}
	return after, nil
}

func (s *Service) check(writes []Write) error {
	if len(writes) == 0 || len(writes) > MaxUpdate {
		return fault.InvalidField("entries", "are %d, must be 1 to %d", len(writes), MaxUpdate)
	}
	var details []fault.Detail
	seen := map[string]bool{}
	for i, w := range writes {
		at := fmt.Sprintf("entries[%d]", i)
		details = append(details, w.check(at, s.budget)...)
		if seen[w.Key] {
			details = append(details, fault.Detail{Field: at + ".key", Reason: "stands twice"})
		}
		seen[w.Key] = true
	}
	if len(details) > 0 {
		return fault.InvalidFields(details)
	}
	return nil
}

// written makes entries of writes. They are newer than all heads, whatever the clock of whoever wrote those says.
func (s *Service) written(heads []Entry, writes []Write) []Entry {
	at := s.now().UTC().Truncate(time.Microsecond) // as databases keep it
	for _, e := range heads {
		if !e.UpdatedAt.Before(at) {
			at = e.UpdatedAt.Add(time.Microsecond)
		}
	}
	out := make([]Entry, len(writes))
	for i, w := range writes {
		at = at.Add(time.Duration(min(i, 1)) * time.Microsecond)
		e := Entry{Key: w.Key, Content: w.Content, Priority: w.Priority, Tokens: Tokens(w.Content), Source: w.Source, CreatedAt: at, UpdatedAt: at}
		was := slices.IndexFunc(heads, func(h Entry) bool { return h.Key == w.Key })
		if was >= 0 {
			e.CreatedAt = heads[was].CreatedAt
		}
		switch {
		case e.Priority != "":
		case was >= 0:
			e.Priority = heads[was].Priority
		default:
			e.Priority = Normal
		}
		out[i] = e
	}
	return out
}

func has(entries []Entry, key string) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Key == key })
}

func withoutContent(entries []Entry) []Entry {
	out := slices.Clone(entries)
	for i := range out {
		out[i].Content = ""
	}
	return out
}

// Clear removes the entry of key, or all where that is empty, and returns the rest without contents. Errors: NotFound for a key that is
// not there, Invalid for one that is none.
func (s *Service) Clear(ctx context.Context, of Owner, key string) (Context, error) {
	if why := checkKey(key); key != "" && why != "" {
		return Context{}, fault.InvalidField("key", "%s", why)
	}
	var after Context
	err := s.store.Change(ctx, of, func(heads []Entry) (Change, error) {
		if key != "" && !has(heads, key) {
			return Change{}, notThere(key)
		}
		var change Change
		var kept []Entry
		for _, e := range heads {
			if key == "" || e.Key == key {
				change.Drop = append(change.Drop, e.Key)
			} else {
				kept = append(kept, e)
			}
		}
		slices.SortFunc(kept, first)
		after = s.shown(kept, nil)
		return change, nil
	})
	if err != nil {
		return Context{}, fmt.Errorf("clear the agent context: %w", err)
	}
	return after, nil
}

// SetPriority gives the entry of key another priority and returns the context without contents. Errors: NotFound, Invalid.
func (s *Service) SetPriority(ctx context.Context, of Owner, key string, p Priority) (Context, error) {
	if why := checkKey(key); why != "" {
		return Context{}, fault.InvalidField("key", "%s", why)
	}
	if p.Rank() < 0 {
		return Context{}, fault.InvalidField("priority", "must be low, normal, high or critical")
	}
	var after Context
	err := s.store.Change(ctx, of, func(heads []Entry) (Change, error) {
		i := slices.IndexFunc(heads, func(e Entry) bool { return e.Key == key })
		if i < 0 {
			return Change{}, notThere(key)
		}
		heads[i].Priority = p
		change := Change{Rank: []Entry{heads[i]}}
		slices.SortFunc(heads, first)
		after = s.shown(heads, nil)
		return change, nil
	})
	if err != nil {
		return Context{}, fmt.Errorf("set a priority in the agent context: %w", err)
	}
	return after, nil
}
