package audit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Place is a place in a stream. A stream that was made anew has another epoch, and begins at 1 again.
type Place struct {
	Epoch time.Time
	Seq   uint64
}

// Source is a stream that is copied.
type Source[T any] interface {
	// State returns the stream's last place.
	State(ctx context.Context) (Place, error)
	// Read returns what comes behind a sequence, oldest first, at most limit messages, and the sequence of the last one: 0 when there is
	// none. What cannot be decoded is passed over, and said in the log.
	Read(ctx context.Context, after uint64, limit int) (items []T, last uint64, err error)
}

// Sink keeps what is copied.
type Sink[T any] interface {
	// Place returns how far the stream has been copied; a zero Place at first.
	Place(ctx context.Context) (Place, error)
	// Keep stores items and moves the place, both or neither. Items that are there already change nothing. Conflict when the place is no
	// longer from: another process has copied them.
	Keep(ctx context.Context, items []T, from, to Place) error
}

// Copier copies a stream into an archive, which holds the place: a restored backup is filled up from where it ends, and a stream that
// was made anew or lost its end is copied from its beginning. Any number of processes may copy the same stream.
//
// A stream that lost its end and was filled beyond the place before a Copier looked is not told from one that has only grown; Compare
// finds what is missing. Without its place in the archive, a stream is copied from its beginning.
type Copier[T any] struct {
	Name   string // of the stream, for the log
	Source Source[T]
	Sink   Sink[T]
	Every  time.Duration // how often the stream is looked at while nothing comes; 250 ms when 0
	Logger *slog.Logger
}

const (
	copyBatch   = 128 // entries have half a megabyte at the most
	copyBackoff = 5 * time.Second
)

// Run copies until ctx ends; then it returns nil. While the stream or the archive is away it waits.
func (c *Copier[T]) Run(ctx context.Context) error {
	every := c.Every
	if every == 0 {
		every = 250 * time.Millisecond
	}
	failures := 0
	for ctx.Err() == nil {
		wait := every
		more, err := c.Step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if failures == 0 {
				c.Logger.WarnContext(ctx, "stream not archived, trying again", "stream", c.Name, "error", err)
			}
			failures++
			wait = min(copyBackoff, every<<min(failures, 8))
			wait = wait/2 + rand.N(wait/2+1)
		case err == nil && failures > 0:
			c.Logger.InfoContext(ctx, "stream is archived again", "stream", c.Name)
			failures = 0
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// Step copies one batch and reports whether there may be more.
func (c *Copier[T]) Step(ctx context.Context) (more bool, err error) {
	from, err := c.Sink.Place(ctx)
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", c.Name, err)
	}
	end, err := c.Source.State(ctx)
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", c.Name, err)
	}
	after := from.Seq
	if !end.Epoch.Equal(from.Epoch) || end.Seq < from.Seq { // another stream, or one that was set back
		after = 0
	}
	if after == end.Seq && end.Epoch.Equal(from.Epoch) && after == from.Seq {
		return false, nil
	}
	items, last, err := c.Source.Read(ctx, after, copyBatch)
	if err != nil {
		return false, fmt.Errorf("archive %s: %w", c.Name, err)
	}
	to := Place{Epoch: end.Epoch, Seq: last}
	if last == 0 {
		to.Seq = end.Seq // what lies there is not ours
	}
	err = c.Sink.Keep(ctx, items, from, to)
	if err != nil && !fault.Is(err, fault.Conflict) {
		return false, fmt.Errorf("archive %s: %w", c.Name, err)
	}
	return to.Seq < end.Seq || err != nil, nil
}
