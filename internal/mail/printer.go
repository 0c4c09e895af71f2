package mail

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Printer prints mails for who develops alone and has no mail server: whole, with the links that are secret elsewhere.
type Printer struct {
	mu sync.Mutex
	w  io.Writer
}

var _ Sender = (*Printer)(nil)

// NewPrinter returns a printer to w, such as the standard output.
func NewPrinter(w io.Writer) *Printer { return &Printer{w: w} }

// Send implements Sender.
func (p *Printer) Send(_ context.Context, m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintf(p.w, "--- mail to %s ---\nSubject: %s\n\n%s\n--- end of mail ---\n", m.To, m.Subject, m.Text); err != nil {
		return fault.New(fault.Unavailable, "print a mail: %w", err)
	}
	return nil
}
