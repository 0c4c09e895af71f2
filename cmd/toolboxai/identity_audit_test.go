package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/toolboxai/orchestrator/internal/apikey"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/task"
)

// recorded is an act as the test expects it on record.
type recorded struct{ actor, action, target, outcome string }

// onRecord waits until acts are on the record that p reads, and returns it.
func (p *person) onRecord(want []recorded, header ...string) (all []audit.Entry) {
	p.t.Helper()
	eventually(p.t, "all acts are on record", func() error {
		all = nil
		for before := ""; ; {
			var page struct {
				Entries []audit.Entry `json:"entries"`
				Next    uint64        `json:"next"`
			}
			p.gets(http.StatusOK, "GET", "/admin/audit?limit=100"+before, nil, header...).into(p.t, &page)
			all = append(all, page.Entries...)
			if page.Next == 0 {
				break
			}
			before = fmt.Sprint("&before=", page.Next)
		}
	next:
		for _, w := range want {
			for _, e := range all {
				if w == (recorded{e.Actor, e.Action, e.Target, e.Outcome}) {
					continue next
				}
			}
			return fmt.Errorf("%+v is not among %d entries", w, len(all))
		}
		for i, e := range all {
			if i > 0 && e.N != all[i-1].N-1 {
				return fmt.Errorf("entry %d stands behind %d", e.N, all[i-1].N)
			}
		}
		return nil
	})
	return all
}

// What people did to each other and to the school is on record, for their admins alone, and nobody changes it unnoticed.
func TestAudit_HoldsWhatWasDoneAndShowsTampering(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	answers := recordAnswers(t)
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		if !mended.Load() {
			return llmtest.Reply{Status: http.StatusBadRequest, Raw: `{"error":{"message":"no such model"}}`}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	a := newAcademy(t, "MAX_AGENT_RETRIES=0")
	a.role("dispatcher")
	recorder := a.role("recorder")
	a.role("worker", scripted(model)...)
	d := a.door()
	head := d.head("north", "grace")
	admin := head.member(auth.Admin, "ada", "Ada Amt", "")
	teacher := head.member(auth.Teacher, "lin", "Lin Falter", "")
	pupil := head.member(auth.Student, "sam", "Sam Tupfer", "")

	d.expect(http.StatusUnauthorized, "POST", "/auth/login", "", map[string]string{"login": "lin", "password": "not it at all"})
	key, _ := teacher.key(auth.TasksRead)
	var rotated struct {
		Key apikey.Key `json:"key"`
	}
	teacher.do("POST", "/api-keys/"+key.ID+"/rotate", map[string]int{"overlap_seconds": 60}, &rotated)
	teacher.do("DELETE", "/api-keys/"+key.ID, nil, nil)
	var dead []string
	for range 2 {
		var got submitted
		teacher.do("POST", "/tasks", quizBody, &got)
		dead = append(dead, got.Task.ID)
	}
	for _, id := range dead {
		eventually(t, "the task has failed", func() error {
			var got task.Task
			if teacher.do("GET", "/tasks/"+id, nil, &got); got.State != task.Failed {
				return fmt.Errorf("it is %s", got.State)
			}
			return nil
		})
	}
	mended.Store(true)
	admin.do("POST", "/admin/dead-letters/"+dead[0]+"/replay", map[string]string{"reason": "the model is back"}, nil)
	admin.do("POST", "/admin/dead-letters/"+dead[1]+"/discard", map[string]string{"reason": "of no use"}, nil)
	admin.gets(http.StatusConflict, "POST", "/admin/dead-letters/"+dead[1]+"/replay", map[string]string{"reason": "again"})
	admin.gets(http.StatusOK, "GET", "/users/"+pupil.ID+"/export", nil)
	admin.do("PATCH", fmt.Sprintf("/users/%s?version=%d", teacher.ID, teacher.Version), map[string]string{"role": "parent"}, nil)
	admin.do("POST", "/users/"+teacher.ID+"/disable", nil, nil)
	admin.do("POST", "/users/"+pupil.ID+"/erasure", nil, nil)
	head.do("POST", "/tenants", map[string]string{"id": "south", "name": "South"}, nil)
	head.gets(http.StatusOK, "GET", "/users", nil, "X-Tenant-ID", "south")
	admin.do("POST", "/auth/logout", nil, nil)

	all := head.onRecord([]recorded{
		{head.ID, "password.reset", head.ID, audit.Done},
		{head.ID, "login.succeeded", head.ID, audit.Done},
		{head.ID, "user.invited", "", audit.Done},
		{teacher.ID, "user.registered", teacher.ID, audit.Done},
		{teacher.ID, "login.succeeded", teacher.ID, audit.Done},
		{"unknown", "login.failed", teacher.ID, "password"},
		{teacher.ID, "apikey.created", key.ID, audit.Done},
		{teacher.ID, "apikey.rotated", key.ID, audit.Done},
		{teacher.ID, "apikey.revoked", key.ID, audit.Done},
		{admin.ID, "dead_letter.replayed", dead[0], audit.Done},
		{admin.ID, "dead_letter.discarded", dead[1], audit.Done},
		{admin.ID, "dead_letter.replayed", dead[1], "conflict"},
		{admin.ID, "data.exported", pupil.ID, audit.Done},
		{admin.ID, "user.role_changed", teacher.ID, audit.Done},
		{admin.ID, "user.disabled", teacher.ID, audit.Done},
		{admin.ID, "user.erased", pupil.ID, audit.Done},
		{admin.ID, "logout", admin.ID, audit.Done},
	})
	head.onRecord([]recorded{{head.ID, "platform.acted", "GET /api/v1/users", audit.Done}}, "X-Tenant-ID", "south")
	pupil2 := head.member(auth.Student, "tom", "Tom Neu", "")
	pupil2.gets(http.StatusForbidden, "GET", "/admin/audit", nil)

	eventually(t, "all is archived and as it was", func() error {
		out, code := a.audited()
		var archived uint64
		if i := strings.Index(out, "north: "); i >= 0 {
			_, _ = fmt.Sscanf(out[i:], "north: %d entries", &archived)
		}
		if code != exitOK || archived < all[0].N {
			return fmt.Errorf("exit %d, entries up to %d are to be there: %s", code, all[0].N, out)
		}
		return nil
	})
	recorder.kill()
	a.query(`ALTER TABLE audit_log DISABLE TRIGGER USER; UPDATE audit_log SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'role_changed', 'role_kept'), 'UTF8')
		WHERE tenant = 'north' AND action = 'user.role_changed'; ALTER TABLE audit_log ENABLE TRIGGER USER`)
	row := all[slices.IndexFunc(all, func(e audit.Entry) bool { return e.Action == "user.role_changed" })].N
	if out, code := a.audited("--tenant", "north"); code != exitFailed || !strings.Contains(out, fmt.Sprintf("north: in Postgres entry %d is changed", row)) {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := a.audited("--tenant", "south"); code != exitOK {
		t.Errorf("exit %d: %s", code, out)
	}
}
