package workers

import (
	"context"

	"github.com/toolboxai/orchestrator/events"
)

// Text returns where the work of a step writes what its model says, for readers to see it grow. Call it inside the step's function,
// before the model is called; what was written up to the step's end is on record with the step, and no later attempt writes it again.
// What was written for a step that did not come on record is taken back when the next one, in this attempt or a later one, calls
// Text.
//
// What is written reaches readers as task.text events, see events.Text: at once where nothing was written for a while, else every 50 ms.
// It never fails and never waits: while the broker is away, up to 64 Ki units of the latest text are kept for it, and of what is
// dropped readers see that it is missing. Beyond events.MaxText nothing of a task is streamed.
func (r *Run) Text(ctx context.Context, step string) *TextWriter {
	r.mu.Lock()
	if r.pen == nil {
		r.pen = newPen(ctx, r)
	}
	pen, mark := r.pen, r.journal.text
	r.mu.Unlock()
	pen.open(step, mark)
	return &TextWriter{pen}
}

// TextWriter takes what a model says. It is for one goroutine.
type TextWriter struct{ pen *pen }

// WriteString adds a piece of text, which may end in the middle of a character. It implements io.StringWriter and never fails.
func (w *TextWriter) WriteString(s string) (int, error) {
	w.pen.write(s)
	return len(s), nil
}

// Restart takes back what was written for the step: its model begins anew.
func (w *TextWriter) Restart() { w.pen.restart() }

// endText ends what a step writes and returns how far the text is on record once the step is; nil when it wrote nothing.
func (r *Run) endText() *events.TextMark {
	r.mu.Lock()
	pen := r.pen
	r.mu.Unlock()
	if pen == nil {
		return nil
	}
	return pen.endStep()
}

// stopText ends the attempt's text, when there is any.
func (r *Run) stopText() {
	r.mu.Lock()
	pen := r.pen
	r.mu.Unlock()
	if pen != nil {
		close(pen.quit)
		<-pen.done
	}
}
