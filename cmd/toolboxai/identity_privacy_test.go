package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/privacy"
	"github.com/toolboxai/orchestrator/internal/school"
	"github.com/toolboxai/orchestrator/internal/task"
)

// quizFor is a quiz whose input speaks of somebody.
func quizFor(name, address string) string {
	return fmt.Sprintf(`{"kind":"quiz","input":{"subject":"History","objectives":["Explain to %s at %s why Rome fell"],"num_questions":2}}`, name, address)
}

// A model is told of nobody's name and address, unless the school wants it so; the result speaks of them all the same.
func TestPseudonyms_KeepPeopleFromModels(t *testing.T) {
	t.Parallel()
	const name, address = "Wanda Quillfeather", "wanda@family.example"
	// What reaches people is hidden in any case: the setting is about what they are called.
	masked, open := recordAnswersTo(t, quizFor("PERSON_1", "EMAIL_1")), recordAnswersTo(t, quizFor(name, "EMAIL_1"))
	script := func(from *answers) llmtest.Script {
		return func(c llmtest.Call) llmtest.Reply {
			_, text := from.of(c)
			// What a class reads holds no address, also where its teacher's words do.
			return llmtest.Reply{Text: strings.ReplaceAll(text, "EMAIL_1", "home")}
		}
	}
	for _, x := range []struct {
		tenant   string
		settings string
		answers  *answers
		told     bool
	}{
		{"north", `{"pseudonyms":true,"retention_days":{"tasks":0,"audit":0,"access":0}}`, masked, false},
		{"south", `{"pseudonyms":false,"retention_days":{"tasks":0,"audit":0,"access":0}}`, open, true}, // the control
	} {
		t.Run(x.tenant, func(t *testing.T) {
			t.Parallel()
			model := llmtest.NewOpenAI(t, script(x.answers))
			a := newAcademy(t)
			a.role("dispatcher")
			a.role("recorder")
			a.role("worker", scripted(model)...)
			d := a.door()
			head := d.head("main", "grace")
			head.do("POST", "/tenants", json.RawMessage(`{"id":"`+x.tenant+`","name":"School","settings":`+x.settings+`}`), nil)
			head.member(auth.Student, "wanda", name, "", "X-Tenant-ID", x.tenant)
			teacher := head.member(auth.Teacher, "lin", "Lin Falter", "", "X-Tenant-ID", x.tenant)
			var got submitted
			teacher.do("POST", "/tasks", quizFor(name, address), &got)
			var done task.Task
			eventually(t, "the quiz is written", func() error {
				teacher.do("GET", "/tasks/"+got.Task.ID, nil, &done)
				if done.State != task.Completed && done.State != task.Failed {
					return fmt.Errorf("it is %s", done.State)
				}
				return nil
			})
			if done.State != task.Completed || !strings.Contains(string(done.Result), name) {
				t.Fatalf("it is %s, and its result does not speak of them: %s %+v", done.State, done.Result, done.Failure)
			}
			if strings.Contains(string(done.Result), "PERSON_1") {
				t.Errorf("a pseudonym is left in %s", done.Result)
			}
			calls := model.Calls()
			if len(calls) < 2 {
				t.Fatalf("%d calls", len(calls))
			}
			var sent []leaf
			for _, c := range calls {
				sent = append(sent, leaf{fmt.Sprint("call ", c.N), string(c.Body) + encoded(t, c.Header)})
			}
			for secret, told := range map[string]bool{name: x.told, "Quillfeather": x.told, address: false, "family.example": false} {
				if got := found(secret, sent); (len(got) > 0) != told {
					t.Errorf("%q was told in %v", secret, got)
				}
			}
		})
	}
}

// Somebody who has left finished, failed, running and scheduled work, a schedule, keys, sessions, codes and shares behind is erased:
// of all that nothing is left, but an id on record.
func TestErasure_LeavesNothingButAnID(t *testing.T) {
	t.Parallel()
	const name, address, secret = "Wanda Quillfeather", "wandaq@people.example", "zebrafinch-7781"
	body := strings.Replace(quizBody, "History", secret, 1)
	answers := recordAnswersTo(t, body)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	model := llmtest.NewOpenAI(t, func(c llmtest.Call) llmtest.Reply {
		switch {
		case strings.Contains(c.System, "You are the assistant"):
			return llmtest.Reply{Text: "What you say of the " + secret + " is said back."}
		case strings.Contains(c.Prompt, "hanging"):
			return llmtest.Reply{Hold: hang}
		case strings.Contains(c.Prompt, "failing"):
			return llmtest.Reply{Status: http.StatusBadRequest, Raw: `{"error":{"message":"no such thing as ` + secret + `"}}`}
		}
		_, text := answers.of(c)
		return llmtest.Reply{Text: text}
	})
	a := newAcademy(t)
	a.role("dispatcher")
	a.role("recorder")
	a.role("worker", scripted(model)...)
	d := a.door()
	head := d.head("north", "grace")
	user := head.member(auth.Teacher, "wandaq", name, "")
	pupil := head.member(auth.Student, "sam", "Sam Tupfer", "")
	var class school.Class
	user.do("POST", "/classes", map[string]string{"name": "7b"}, &class)
	user.do("POST", "/classes/"+class.ID+"/members", map[string]string{"user_id": pupil.ID}, nil)

	submit := func(body string) string {
		t.Helper()
		var got submitted
		user.do("POST", "/tasks", body, &got)
		return got.Task.ID
	}
	in := func(state task.State, id string) {
		t.Helper()
		eventually(t, fmt.Sprintf("the task is listed as %s", state), func() error {
			if r := user.gets(http.StatusOK, "GET", "/tasks?state="+string(state), nil); !strings.Contains(string(r.body), id) {
				return errors.New("it is not")
			}
			return nil
		})
	}
	finished, failed := submit(body), submit(strings.Replace(body, secret, secret+" failing", 1))
	running := submit(strings.Replace(body, secret, secret+" hanging", 1))
	later := submit(`{"run_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `","labels":{"of":"` + secret + `"},` + body[1:])
	in(task.Completed, finished)
	in(task.Failed, failed)
	in(task.Running, running)
	in(task.Queued, later)
	var conversation chat.Conversation
	user.do("POST", "/ai-chat/conversations", map[string]string{"title": "The " + secret + " talk"}, &conversation)
	user.do("POST", "/ai-chat/conversations/"+conversation.ID+"/messages", map[string]string{"text": "Tell me of the " + secret + " in a chat"}, nil)
	eventually(t, "the message is answered", func() error {
		if r := user.gets(http.StatusOK, "GET", "/ai-chat/conversations/"+conversation.ID+"/messages", nil); !strings.Contains(string(r.body), "is said back") {
			return errors.New("it is not")
		}
		return nil
	})
	user.do("POST", "/schedules", `{"name":"`+secret+`","every":"24h",`+body[1:], nil)
	user.do("POST", "/classes/"+class.ID+"/shares", map[string]string{"task_id": finished}, nil)
	pupil.gets(http.StatusOK, "GET", "/tasks/"+finished, nil)
	user.key(auth.TasksRead)
	var setup account.TOTPSetup
	user.do("POST", "/auth/totp", nil, &setup)
	d.expect(http.StatusAccepted, "POST", "/auth/password/reset-request", "", map[string]string{"login": "wandaq"})
	a.post.link(t, address, "/reset#token=")
	head.do("POST", "/invitations", map[string]string{"email": "WandaQ@people.example", "role": "student"}, nil) // nobody will take it

	// What there is of them can be had first: all of it, and no secret in it.
	head.gets(http.StatusOK, "GET", "/users/"+user.ID, nil)
	exported := []leaf{{"export", string(user.gets(http.StatusOK, "GET", "/users/"+user.ID+"/export", nil).body)}}
	if !json.Valid([]byte(exported[0].text)) {
		t.Error("the export is no JSON")
	}
	for _, part := range []string{name, address, "wandaq", secret, finished, failed, running, later, class.ID, user.session, "failing", "in a chat", "is said back"} {
		if len(found(part, exported)) == 0 {
			t.Errorf("the export lacks %q", part)
		}
	}
	for _, part := range []string{setup.Secret, goodPassword, "argon2", user.access, user.refresh} {
		if len(found(part, exported)) > 0 {
			t.Errorf("the export holds the secret %q", part)
		}
	}
	pupil.gets(http.StatusNotFound, "GET", "/users/"+user.ID+"/export", nil)
	kept := append(a.messages(), a.rows()...)
	// The control: the search finds them while they are there.
	for part, least := range map[string]int{name: 1, address: 1, "WandaQ@people.example": 1, secret: 10, finished: 10, user.ID: 10} {
		if where := found(part, kept); len(where) < least {
			t.Errorf("before the erasure %q is found in %v only", part, where)
		}
	}

	var e privacy.Erasure
	head.do("POST", "/users/"+user.ID+"/erasure", nil, &e)
	d.expect(http.StatusUnauthorized, "POST", "/auth/login", "", map[string]string{"login": "wandaq", "password": goodPassword})
	d.expect(http.StatusUnauthorized, "GET", "/agents", user.access, nil)
	// A minute is waited for what is on its way; this one is over.
	a.query(`UPDATE erasures SET requested_at = requested_at - interval '2 minutes', updated_at = updated_at - interval '2 minutes' WHERE id = $1`, e.ID)
	asked := time.Now()
	eventually(t, "the erasure is done", func() error {
		if head.do("GET", "/users/"+user.ID+"/erasure", nil, &e); e.State != privacy.Done {
			return fmt.Errorf("it is %s with %d tasks, %s", e.State, e.ErasedTasks, e.Error)
		}
		return nil
	})
	t.Logf("%d tasks erased within %s", e.ErasedTasks, time.Since(asked).Round(100*time.Millisecond))
	if e.ErasedTasks != 5 {
		t.Errorf("%d tasks were erased, want 5", e.ErasedTasks)
	}
	head.gets(http.StatusNotFound, "GET", "/tasks/"+finished, nil)
	pupil.gets(http.StatusNotFound, "GET", "/tasks/"+finished, nil)

	kept = append(a.messages(), a.rows()...)
	for _, part := range []string{name, "Quillfeather", address, "wandaq", "WandaQ", secret} {
		if where := found(part, kept); len(where) > 0 {
			t.Errorf("%q is left in %v", part, where)
		}
	}
	// What a task or a session was called leads to nobody, and is on record only where who did what has to be.
	record := []string{"table audit_log", "table ledger", "table access_log", "stream AUDIT,", "stream ACCESS,"}
	person := append(slices.Clone(record), "table erasures", "table users", "table classes", "table class_members", "stream KV_REVOCATIONS,")
	for part, places := range map[string][]string{
		finished: record, failed: record, running: record, later: record, user.ID: person,
		user.session: append(slices.Clone(record), "stream KV_REVOCATIONS,"),
	} {
		for _, where := range found(part, kept) {
			if !slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(where, p) }) {
				t.Errorf("the id %s is left in %s", part, where)
			}
		}
	}
}
