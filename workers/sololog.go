package workers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// soloLog is the log, the board and the object store of the one task of a Solo. It lives as long as that, and the bounds of a task's
// history bound it: MaxSteps, MaxJournal, MaxWaits and the budgets.
type soloLog struct {
	mu      sync.Mutex
	history []events.Event
	objects map[string][]byte
}

var (
	_ task.Log           = (*soloLog)(nil)
	_ task.ProgressBoard = (*soloLog)(nil)
	_ task.Blobs         = (*soloLog)(nil)
)

// Append implements task.Log.
func (l *soloLog) Append(_ context.Context, e events.Event, after uint64) (uint64, error) {
	if len(e.Data) > events.MaxData {
		return 0, fault.New(fault.TooLarge, "the event has %d bytes, at most %d are allowed", len(e.Data), events.MaxData)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := uint64(len(l.history))
	if after != n {
		var last events.Event
		if n > 0 {
			last = l.history[n-1]
		}
		if last.ID == e.ID {
			return n, nil
		}
		return 0, &task.StaleError{Last: last}
	}
	e.Seq = n + 1
	l.history = append(l.history, e)
	return e.Seq, nil
}

// Last implements task.Log.
func (l *soloLog) Last(ctx context.Context, tenant, id string) (events.Event, error) {
	all, err := l.History(ctx, tenant, id, 0, 0)
	if err != nil {
		return events.Event{}, err
	}
	return all[len(all)-1], nil
}

// History implements task.Log.
func (l *soloLog) History(_ context.Context, _, id string, after uint64, limit int) ([]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.history) == 0 || l.history[0].Task != id {
		return nil, fault.New(fault.NotFound, "task %s has no history", id)
	}
	found := l.history[min(after, uint64(len(l.history))):]
	if limit > 0 {
		found = found[:min(limit, len(found))]
	}
	return slices.Clone(found), nil
}

// Follow implements task.Log. Nothing follows a task that nobody else writes to.
func (l *soloLog) Follow(context.Context, string, string, uint64) (<-chan events.Event, error) {
	return nil, fault.New(fault.NotFound, "nobody else writes to this log")
}

// Report implements task.ProgressBoard. Nobody watches.
func (l *soloLog) Report(context.Context, events.Event) error { return nil }

// Latest implements task.ProgressBoard.
func (l *soloLog) Latest(_ context.Context, _, id string) (events.Event, error) {
	return events.Event{}, fault.New(fault.NotFound, "nobody reports on task %s", id)
}

// Text implements task.ProgressBoard.
func (l *soloLog) Text(context.Context, string, string) (<-chan events.Event, error) {
	return nil, fault.New(fault.NotFound, "nobody watches")
}

// Put implements task.Blobs.
func (l *soloLog) Put(_ context.Context, _, id string, data []byte) (events.Reference, error) {
	if len(data) > task.MaxBlob {
		return events.Reference{}, fault.New(fault.TooLarge, "the object has %d bytes, at most %d are allowed", len(data), task.MaxBlob)
	}
	sum := sha256.Sum256(data)
	ref := events.Reference{Key: id + "/" + hex.EncodeToString(sum[:]), Bytes: len(data), SHA256: hex.EncodeToString(sum[:])}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.objects[ref.Key] = slices.Clone(data)
	return ref, nil
}

// Get implements task.Blobs.
func (l *soloLog) Get(_ context.Context, ref events.Reference) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data, ok := l.objects[ref.Key]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no object %s", ref.Key)
	}
	return slices.Clone(data), nil
}
