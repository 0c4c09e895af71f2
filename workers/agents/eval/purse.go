package eval

import (
	"errors"
	"fmt"
	"sync"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
)

// Errors of a Purse.
var (
	ErrSpent    = errors.New("the money for this evaluation is spent")
	ErrUnpriced = errors.New("the price of this model is not known, so that no limit on money can be kept")
)

// Purse bounds what evaluations spend. It is safe for concurrent use. Calls that are under way when the last of the money goes are finished
// and counted, so that as many calls as run at once may come on top.
type Purse struct {
	limit float64

	mu       sync.Mutex
	spent    float64
	unpriced bool
}

// NewPurse returns a purse of so many US dollars; 0 sets no limit.
func NewPurse(limit float64) *Purse { return &Purse{limit: limit} }

// Check returns ErrSpent or ErrUnpriced when no further call is to be made; it fails a task for good.
func (p *Purse) Check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.limit <= 0:
		return nil
	case p.unpriced:
		return workers.Terminal(events.CausePolicy, ErrUnpriced)
	case p.spent >= p.limit:
		return workers.Terminal(events.CausePolicy, fmt.Errorf("%w: $%.4f of $%.4f", ErrSpent, p.spent, p.limit))
	}
	return nil
}

// Spent returns the dollars that were spent, as far as prices are known.
func (p *Purse) Spent() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent
}

func (p *Purse) pay(u llm.Usage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent += u.CostUSD
	p.unpriced = p.unpriced || !u.CostKnown
}
