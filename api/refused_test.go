package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// TestRefused_IsForTeachersAndInNoHistory fails a task by answers that were refused: whoever reads it as one with whom it is shared does not see
// them, and no list, history or stream holds them for anybody.
func TestRefused_IsForTeachersAndInNoHistory(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.fail(id, events.CauseInvalidOutput)
	k.school.shared = map[string][]string{"eve": {id}, "pat": {id}}
	holds := func(got answer) bool {
		return strings.Contains(string(got.raw), `"refused"`) || strings.Contains(string(got.raw), "has 2 questions")
	}
	for who, c := range map[string]struct {
		as   string
		sees bool
	}{
		"teacher": {token(t, auth.Teacher, "ada"), true}, "another teacher": {token(t, auth.Teacher, "bob"), true}, "admin": {token(t, auth.Admin, "root"), true},
		"student": {token(t, auth.Student, "eve"), false}, "parent": {token(t, auth.Parent, "pat"), false},
	} {
		got := k.do(ask{method: "GET", path: "/api/v1/tasks/" + id, as: c.as})
		k.want(got, http.StatusOK, "")
		var read struct {
			State   string           `json:"state"`
			Refused []events.Refusal `json:"refused"`
		}
		if err := json.Unmarshal(got.Data, &read); err != nil || read.State != "failed" {
			t.Fatalf("%s: %+v, %v", who, read, err)
		}
		if holds(got) != c.sees || (len(read.Refused) == 1) != c.sees {
			t.Errorf("%s: is shown the refused answer: %v, want %v: %s", who, !c.sees, c.sees, got.raw)
		}
		for _, path := range []string{"/tasks/" + id + "/events", "/tasks", "/events", "/tasks/" + id + "/explain"} {
			got := k.raw(ask{method: "GET", path: "/api/v1" + path, as: c.as})
			if got.status != http.StatusOK || holds(got) {
				t.Errorf("%s: %s: %d, %s", who, path, got.status, got.raw)
			}
		}
		stream := k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events", as: c.as, header: http.Header{"Accept": {"text/event-stream"}}})
		if !strings.Contains(string(stream.raw), "event: task.failed") || holds(stream) {
			t.Errorf("%s: the stream is %s", who, stream.raw)
		}
	}
}
