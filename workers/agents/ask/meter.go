package ask

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/workers"
)

const (
	meterPause    = 500 * time.Millisecond // between two reports
	defaultLength = 4000                   // characters
)

// meter turns what a model streams into progress. Its methods are called from one goroutine.
type meter struct {
	ctx      context.Context // of the one call that it measures
	run      *workers.Run
	doing    string
	from, to float64
	length   int
	written  int
	last     time.Time
}

func newMeter(ctx context.Context, run *workers.Run, doing string, from, to float64, length int) *meter {
	if length <= 0 {
		length = defaultLength
	}
	return &meter{ctx: ctx, run: run, doing: doing, from: from, to: to, length: length, last: time.Now()}
}

// delta reports at most every meterPause, and never that the step is done: its length is a guess.
func (m *meter) delta(text string) {
	m.written += utf8.RuneCountInString(text)
	if time.Since(m.last) < meterPause {
		return
	}
	m.last = time.Now()
	share := min(float64(m.written)/float64(m.length), 0.95)
	m.run.Progress(m.ctx, m.from+(m.to-m.from)*share, fmt.Sprintf("%s (%d characters)", m.doing, m.written))
}
