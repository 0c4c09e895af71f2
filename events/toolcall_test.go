package events_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/events"
)

func TestKeepToolCalls_IsBoundedAndKeepsWhatWasCalled(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		outcomes := rapid.SliceOfN(rapid.SampledFrom([]events.ToolOutcome{events.ToolOK, events.ToolRefused, events.ToolFailed}), 0, 100).Draw(t, "outcomes")
		var all []events.ToolCall
		called := 0
		for i, o := range outcomes {
			all = append(all, events.ToolCall{Server: "maps", Tool: fmt.Sprint(i, strings.Repeat("\x00€", rapid.IntRange(0, 100).Draw(t, "long"))), Outcome: o})
			if o != events.ToolRefused {
				called++
			}
		}
		kept := events.KeepToolCalls(all)
		if len(kept) != min(len(all), events.MaxToolCalls) {
			t.Fatalf("%d of %d are kept", len(kept), len(all))
		}
		for _, c := range kept {
			if c.Outcome != events.ToolRefused {
				called--
			}
		}
		if called > 0 && len(all)-called < events.MaxToolCalls {
			t.Fatalf("%d calls went before refused ones", called)
		}
		if data, err := json.Marshal(kept); err != nil || len(data) > 16<<10 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if again := events.KeepToolCalls(kept); !reflect.DeepEqual(again, kept) {
			t.Fatalf("a second time it is\n%v, not\n%v", again, kept)
		}
	})
}
