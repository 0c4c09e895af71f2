package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// tape is a stream and the archive that it is copied to; items say where they were.
type tape struct {
	mu      sync.Mutex
	epoch   time.Time
	stream  []string // what lies at 1, 2, 3 …; empty for what is not ours
	place   audit.Place
	archive map[string]int
	away    error
}

func newTape() *tape { return &tape{epoch: time.Unix(1, 0), archive: map[string]int{}} }

func (p *tape) State(context.Context) (audit.Place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return audit.Place{Epoch: p.epoch, Seq: uint64(len(p.stream))}, p.away
}

func (p *tape) Read(_ context.Context, after uint64, limit int) (items []string, last uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := int(after); i < len(p.stream) && len(items) < limit; i++ {
		if p.stream[i] != "" {
			items, last = append(items, p.stream[i]), uint64(i+1)
		}
	}
	return items, last, nil
}

func (p *tape) Place(context.Context) (audit.Place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.place, nil
}

// when does something to the tape while it is copied.
func (p *tape) when(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

func (p *tape) Keep(_ context.Context, items []string, from, to audit.Place) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from != p.place {
		return fault.New(fault.Conflict, "another process was here")
	}
	for _, item := range items {
		p.archive[item]++
	}
	p.place = to
	return nil
}

// Whatever happens to the stream and to the place in the archive, in the end the archive has all that the stream has.
func TestCopier_ArchivesWhatTheStreamHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		p := newTape()
		c := &audit.Copier[string]{Source: p, Sink: p, Logger: slog.New(slog.DiscardHandler)}
		backup, taken := p.place, map[string]int{}
		for i := range rapid.IntRange(1, 20).Draw(r, "steps") {
			switch rapid.IntRange(0, 6).Draw(r, "what") {
			case 0, 1:
				for k := range rapid.IntRange(1, 300).Draw(r, "new") {
					p.stream = append(p.stream, fmt.Sprint(i, "-", k))
				}
			case 2:
				p.stream = append(p.stream, "")
			case 3: // the stream is made anew
				p.epoch, p.stream = p.epoch.Add(time.Second), nil
			case 4: // its end is lost
				p.stream = p.stream[:rapid.IntRange(0, len(p.stream)).Draw(r, "left")]
				if more, err := c.Step(t.Context()); err != nil {
					r.Fatal(more, err)
				}
				backup, taken = p.place, maps.Clone(p.archive) // one from before would not know of the loss: see Copier
			case 5:
				backup, taken = p.place, maps.Clone(p.archive)
			case 6: // the database is restored
				p.place, p.archive = backup, maps.Clone(taken)
			}
		}
		for more := true; more; {
			var err error
			if more, err = c.Step(t.Context()); err != nil {
				r.Fatal(err)
			}
		}
		for seq, item := range p.stream {
			if item != "" && p.archive[item] == 0 {
				r.Fatalf("what lies at %d of %d is not archived; the place is %+v", seq+1, len(p.stream), p.place)
			}
		}
	})
}

func TestCopier_WaitsWhileTheStreamIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTape()
		p.stream = []string{"a"}
		var said strings.Builder
		c := &audit.Copier[string]{Name: "TAPE", Source: p, Sink: p, Logger: slog.New(slog.NewTextHandler(&said, nil))}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		p.away = errors.New("away")
		go func() { ended <- c.Run(ctx) }()
		<-time.After(time.Minute)
		p.when(func() {
			if p.away = nil; p.archive["a"] != 0 {
				t.Error("archived what is away")
			}
		})
		<-time.After(5 * time.Second)
		p.when(func() { p.stream = append(p.stream, "b") })
		<-time.After(time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if p.archive["a"] != 1 || p.archive["b"] != 1 || strings.Count(said.String(), "not archived") != 1 || strings.Count(said.String(), "archived again") != 1 {
			t.Errorf("archived %v, said %s", p.archive, said.String())
		}
	})
}

// shelf is an archive and a stream in memory, for a Trail and for a purge.
type shelf struct {
	archived, fresh []audit.Entry
	away            error
	purged          audit.Anchor
	expired         audit.Anchor
	silent          bool // what is appended is never archived
}

func (s *shelf) Place(context.Context) (audit.Place, error) {
	return audit.Place{Seq: uint64(len(s.archived))}, s.away
}

func (s *shelf) List(_ context.Context, f audit.Filter) (audit.Page, error) {
	var page audit.Page
	for _, e := range slices.Backward(s.archived) {
		if !f.Matches(e) {
			continue
		}
		if len(page.Entries) == f.Limit {
			page.Next = page.Entries[f.Limit-1].N
			break
		}
		page.Entries = append(page.Entries, e)
	}
	return page, nil
}

func (s *shelf) Since(context.Context, string, audit.Place) ([]audit.Entry, error) {
	return s.fresh, nil
}

func (s *shelf) Append(_ context.Context, e audit.Entry) error {
	if !s.silent {
		s.archived = append(s.archived, e)
	}
	return nil
}

func (s *shelf) Expired(context.Context, string, time.Time) (audit.Anchor, error) {
	return s.expired, nil
}

func (s *shelf) PurgeTo(_ context.Context, _ string, to audit.Anchor) error {
	s.purged = to
	return nil
}

// Wherever the archive ends, and whatever is copied while it is read, a walk over the trail meets each entry once, newest first.
func TestTrail_ListsWhatIsNotArchivedYet(t *testing.T) {
	t.Parallel()
	var all []audit.Entry
	for i := range 12 {
		all = append(all, audit.Entry{N: uint64(i + 1), Tenant: school, Actor: fmt.Sprint(i % 2)})
	}
	rapid.Check(t, func(r *rapid.T) {
		archived := rapid.IntRange(0, len(all)).Draw(r, "archived")
		fresh := rapid.IntRange(0, archived).Draw(r, "fresh") // some of it was copied between the two reads
		trail := &audit.Trail{Archive: &shelf{archived: all[:archived]}, Stream: &shelf{fresh: all[fresh:]}}
		f := audit.Filter{Tenant: school, Limit: rapid.IntRange(1, 5).Draw(r, "limit"), Actor: rapid.SampledFrom([]string{"", "1"}).Draw(r, "actor")}
		var want, got []uint64
		for _, e := range slices.Backward(all) {
			if f.Matches(e) {
				want = append(want, e.N)
			}
		}
		for {
			page, err := trail.List(t.Context(), f)
			if err != nil {
				r.Fatal(err)
			}
			for _, e := range page.Entries {
				got = append(got, e.N)
			}
			if page.Next == 0 {
				break
			}
			f.Before = page.Next
		}
		if !slices.Equal(got, want) {
			r.Fatalf("got %v, want %v", got, want)
		}
	})
	away := &audit.Trail{Archive: &shelf{away: fault.New(fault.Unavailable, "away")}, Stream: &shelf{}}
	if _, err := away.List(t.Context(), audit.Filter{Tenant: school}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestPurge_DeletesNothingThatTheChainDoesNotSay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := audit.Anchor{N: 4, Hash: audit.Sum{1}}
		s := &shelf{}
		if err := audit.Purge(t.Context(), s, s, school, time.Now()); err != nil || len(s.archived) > 0 {
			t.Errorf("nothing is old: said %v, %v", s.archived, err)
		}
		s.expired, s.silent = to, true
		if err := audit.Purge(t.Context(), s, s, school, time.Now()); !fault.Is(err, fault.Unavailable) || s.purged.N != 0 {
			t.Errorf("purged up to %v, %v", s.purged, err)
		}
		s.silent = false
		if err := audit.Purge(t.Context(), s, s, school, time.Now()); err != nil || s.purged != to || s.archived[0].Target != to.String() {
			t.Errorf("purged up to %v, said %v, %v", s.purged, s.archived, err)
		}
	})
}
