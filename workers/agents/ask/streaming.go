package ask

import (
	"context"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
)

// streaming is a client whose words readers see as they come. Each call begins the step's text anew: a repair takes the place of what
// it repairs.
type streaming struct {
	llm.Client
	text *workers.TextWriter
}

func (s streaming) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	s.text.Restart()
	tell := req.OnDelta
	req.OnDelta = func(delta string) {
		if tell != nil {
			tell(delta)
		}
		_, _ = s.text.WriteString(delta)
	}
	return s.Client.Complete(ctx, req)
}
