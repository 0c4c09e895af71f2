package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

// Who is disabled has nothing run in their name: their schedules go on when they are let in again.
func TestSchedules_OfWhoIsDisabledMakeNoRuns(t *testing.T) {
	t.Parallel()
	a := newAcademy(t)
	a.role("dispatcher")
	d := a.door()
	head := d.head("north", "grace")
	teacher := head.member(auth.Teacher, "lin", "Lin Falter", "")
	var made schedule.Schedule
	teacher.do("POST", "/schedules", json.RawMessage(`{"name":"Often","every":"10s","overlap":"cancel_previous",`+quizBody[1:]), &made)
	last := func(want schedule.Outcome) {
		t.Helper()
		eventually(t, "a tick is "+string(want), func() error {
			var now schedule.Schedule
			head.do("GET", "/schedules/"+made.ID, nil, &now)
			if n := len(now.State.Ticks); n == 0 || now.State.Ticks[n-1].Outcome != want {
				return fmt.Errorf("the ticks are %+v", now.State.Ticks)
			}
			return nil
		})
	}
	last(schedule.Submitted)
	head.do("POST", "/users/"+teacher.ID+"/disable", nil, nil)
	last(schedule.Refused)
	head.do("POST", "/users/"+teacher.ID+"/enable", nil, nil)
	last(schedule.Submitted)
}
