package composer_test

import (
	"encoding/json"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
)

// FuzzComplete checks that no input, fit for its purpose or not, makes the composer fail otherwise than by a refusal.
func FuzzComplete(f *testing.F) {
	purposes := requests()
	for i, req := range purposes {
		f.Add(uint8(i), []byte(req.Input))
	}
	f.Add(uint8(3), []byte(`{"request":{"subject":"Art"},"slots":[{"type":"ordering","objective":-1},{"type":"?"}],"from":1,"to":2}`))
	f.Add(uint8(0), []byte(`{"request":{"objectives":[{}]}}`))
	f.Add(uint8(6), []byte(`{"limits":{"size":{"x":1e300,"y":50,"z":50},"max_operations":-1}}`))
	c := composer.New()
	f.Fuzz(func(t *testing.T, purpose uint8, input []byte) {
		if len(input) > 4096 {
			return
		}
		req := llm.Request{Purpose: purposes[int(purpose)%len(purposes)].Purpose, Input: input}
		resp, err := c.Complete(t.Context(), req)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || resp.Text != "" {
				t.Fatalf("%s: %v, text %q", req.Purpose, err, resp.Text)
			}
			return
		}
		if !json.Valid([]byte(resp.Text)) {
			t.Fatalf("%s: %q is no JSON", req.Purpose, resp.Text)
		}
	})
}
