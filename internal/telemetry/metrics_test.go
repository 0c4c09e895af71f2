package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/internal/telemetry"
)

type backlogs struct {
	all []task.Backlog
	err error
}

func (b backlogs) Backlog(context.Context) ([]task.Backlog, error) { return b.all, b.err }

func scrape(t *testing.T, b backlogs) string {
	t.Helper()
	w := httptest.NewRecorder()
	telemetry.Handler(telemetry.NewRegistry("v9", b)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestRegistry_ShowsWhatTheDispatcherKnows(t *testing.T) {
	t.Parallel()
	page := scrape(t, backlogs{all: []task.Backlog{{
		Kind: "quiz", Pending: 14, Held: 3, Later: 2, Running: 5, OldestAge: 7.5, Slots: 20, Workers: 2, Load: 19.25,
	}}})
	for _, line := range []string{
		`toolboxai_dispatcher_up 1`, `toolboxai_kind_load{kind="quiz"} 19.25`, `toolboxai_kind_tasks{kind="quiz",state="pending"} 14`,
		`toolboxai_kind_tasks{kind="quiz",state="held"} 3`, `toolboxai_kind_tasks{kind="quiz",state="later"} 2`,
		`toolboxai_kind_tasks{kind="quiz",state="running"} 5`, `toolboxai_kind_oldest_age_seconds{kind="quiz"} 7.5`,
		`toolboxai_kind_slots{kind="quiz"} 20`, `toolboxai_kind_workers{kind="quiz"} 2`, `toolboxai_build_info{version="v9"} 1`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}

func TestRegistry_DoesNotTakeNotKnownForNothingToDo(t *testing.T) {
	t.Parallel()
	page := scrape(t, backlogs{err: errors.New("no dispatcher answers")})
	if !strings.Contains(page, "toolboxai_dispatcher_up 0") || strings.Contains(page, "toolboxai_kind_load") {
		t.Errorf("got\n%s", page)
	}
}
