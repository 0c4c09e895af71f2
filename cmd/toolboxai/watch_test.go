package main

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/toolboxai/orchestrator/events"
)

func TestWatch_ShowsWhichToolsWereCalled(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(events.Step{Attempt: 1, Name: "draft", Tools: []events.ToolCall{
		{Server: "maps", Tool: "search", Outcome: events.ToolOK, DurationMS: 412, ArgumentBytes: 31, ResultBytes: 2210},
		{Server: "maps", Tool: "ro\x1b[31mute", Outcome: events.ToolFailed, Reason: "timeout", DurationMS: 10_000, ArgumentBytes: 64},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := called(told{Type: events.TypeStep, Data: data})
	want := []string{
		"tool maps/search ok, 412 ms, 31 bytes sent, 2210 received",
		`tool maps/ro\x1b[31mute failed (timeout), 10000 ms, 64 bytes sent, 0 received`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := called(told{Type: events.TypeStep, Data: json.RawMessage(`{}`)}); got != nil {
		t.Errorf("without tools: %q", got)
	}
}
