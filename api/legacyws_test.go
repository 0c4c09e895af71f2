package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

func TestSocket_TellsOfItsKindsWhatIsSubscribedTo(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		quiz := k.made()
		review := "01890000-0000-7000-8000-00000000000a"
		k.news.tell(t, "school", review, events.Queued{Kind: "code_review", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada"})
		content := k.opened("/ws/content", auth.Teacher, "ada")
		defer content.close()
		agent := k.opened("/ws/agent/review", auth.Teacher, "ada") // an alias
		defer agent.close()
		content.say(`{"type":"ping"}`)
		content.say(`{"type":"subscribe","scope":"user"}`)
		content.say(`{"type":"subscribe","scope":"org","after":0}`)
		content.expect("pong", "subscribed user 2", "subscribed org 0", "event org task.queued 1")
		agent.say(`{"type":"subscribe","scope":"user","after":1}`)
		agent.expect("subscribed user 1", "event user task.queued 2")
		lin := "01890000-0000-7000-8000-00000000000b"
		k.news.tell(t, "school", lin, events.Queued{Kind: "content", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "lin"})
		content.expect("event org task.queued 3")
		k.news.tell(t, "school", review, events.Completed{Attempt: 1, Result: []byte(`{}`)})
		agent.expect("event user task.completed 4")
		content.say(`{"type":"unsubscribe","scope":"org"}`)
		content.expect("unsubscribed org")
		k.news.tell(t, "college", "01890000-0000-7000-8000-00000000000c", events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada"})
		k.started(quiz)
		content.expect("event user task.started 6")
		content.say(`{"type":"subscribe","task_id":"` + quiz + `","after":1}`)
		content.expect("subscribed "+quiz+" 1", "event "+quiz+" task.started 6")
		content.say(`{"type":"subscribe","task_id":"` + quiz + `"}`)
		content.expect("error conflict " + quiz)
		agent.say(`{"type":"subscribe","task_id":"` + quiz + `"}`) // another kind's
		agent.expect("error invalid " + quiz)
		k.news.change(func() { k.news.first = 5 })
		content.say(`{"type":"subscribe","scope":"org","after":2}`)
		content.expect("error not_found org")
		content.say(`{"type":"subscribe","scope":"org","after":4}`)
		content.expect("subscribed org 4", "event org task.started 6")
	})
}

// What a model writes comes as it is written, to who follows that one task.
func TestSocket_ShowsWhatAModelWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kit := newKit(t)
		client, stop := kit.run()
		defer func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}()
		k := &wsKit{kit: kit, t: t, client: client}
		id := k.submit().ID
		started := k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		say := func(text string) {
			piece := events.Text{Attempt: 1, Step: "draft", Run: events.TextRun(started.Seq, 0), Text: text}
			if err := k.memory.Report(t.Context(), tasktest.Event(t, started.Tenant, id, piece)); err != nil {
				t.Fatal(err)
			}
		}
		say("The fall")
		line := k.opened("/ws/content", auth.Teacher, "ada")
		defer line.close()
		line.say(`{"type":"subscribe","task_id":"` + id + `"}`)
		var shown events.Transcript
		for _, text := range []string{"The fall", "The fall of Rome"} {
			say(text)
			for shown.String() != text {
				m, err := line.next()
				if err != nil {
					t.Fatal(err)
				}
				var p events.Text
				if m.Event == nil || m.Event.Type != string(events.TypeText) {
					continue
				}
				if err := json.Unmarshal(m.Event.Data, &p); err != nil {
					t.Fatal(err)
				}
				shown.Apply(p)
			}
		}
	})
}

func TestSocket_OpensForWhoMay(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		quiz := k.made()
		k.school.share("eve", quiz)
		k.revoked.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "ended", Before: time.Now()})
		k.keys["tbai_wide"] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "w", Scopes: []auth.Scope{auth.TasksRead}}
		k.keys["tbai_narrow"] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "n", Scopes: []auth.Scope{auth.ContentRead}}
		as := func(p auth.Principal) http.Header { return bearer(issue(t, p, 30*time.Minute)) }
		root := auth.Principal{UserID: "root", Tenant: "home", Role: auth.PlatformAdmin}
		acting := as(root)
		acting.Set("X-Tenant-ID", "school")
		trespasser := as(auth.Principal{UserID: "fay", Tenant: "college", Role: auth.Admin})
		trespasser.Set("X-Tenant-ID", "school")
		for name, c := range map[string]struct {
			header        http.Header
			status        int
			task, org, me string // what subscribing says
		}{
			"nobody":         {nil, 401, "", "", ""},
			"expired":        {bearer(issue(t, auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher}, -time.Hour)), 401, "", "", ""},
			"made up":        {bearer("a.b.c"), 401, "", "", ""},
			"revoked":        {as(auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, SessionID: "ended"}), 401, "", "", ""},
			"unenrolled":     {as(auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Admin, Enroll: true}), 403, "", "", ""},
			"narrow key":     {http.Header{"X-Api-Key": {"tbai_narrow"}}, 403, "", "", ""},
			"trespasser":     {trespasser, 403, "", "", ""},
			"wide key":       {http.Header{"X-Api-Key": {"tbai_wide"}}, 101, "subscribed", "subscribed", "subscribed"},
			"teacher":        {bearer(token(t, auth.Teacher, "ada")), 101, "subscribed", "subscribed", "subscribed"},
			"other teacher":  {bearer(token(t, auth.Teacher, "lin")), 101, "subscribed", "subscribed", "subscribed"},
			"admin":          {bearer(token(t, auth.Admin, "root")), 101, "subscribed", "subscribed", "subscribed"},
			"student shared": {bearer(token(t, auth.Student, "eve")), 101, "subscribed", "forbidden", "subscribed"},
			"student":        {bearer(token(t, auth.Student, "tom")), 101, "not_found", "forbidden", "subscribed"},
			"parent":         {bearer(token(t, auth.Parent, "petra")), 101, "not_found", "forbidden", "subscribed"},
			"other tenant":   {as(auth.Principal{UserID: "fay", Tenant: "college", Role: auth.Admin}), 101, "not_found", "subscribed", "subscribed"},
			"platform admin": {acting, 101, "subscribed", "subscribed", "subscribed"},
			"platform home":  {as(root), 101, "not_found", "subscribed", "subscribed"},
		} {
			l, status := k.dial("/ws/content", c.header)
			if status != c.status {
				t.Errorf("%s: %d, want %d", name, status, c.status)
			}
			if l == nil {
				continue
			}
			for text, want := range map[string]string{`"task_id":"` + quiz + `"`: c.task, `"scope":"org"`: c.org, `"scope":"user"`: c.me} {
				l.say(`{"type":"subscribe",` + text + `}`)
				m, err := l.next()
				if got := m.Type; err != nil || (got == "error" && m.Code != want) || (got != "error" && got != want) {
					t.Errorf("%s subscribes to %s: %v %v, want %s", name, text, m, err, want)
				}
			}
			l.close()
			synctest.Wait()
		}
		if got := len(k.accessesOf("ada")); got != 0 {
			t.Errorf("%d looks at a teacher's task are on record", got)
		}
	})
}

// accessesOf returns who looked at a student's data.
func (k *wsKit) accessesOf(student string) (actors []string) {
	k.school.mu.Lock()
	defer k.school.mu.Unlock()
	for _, a := range k.school.accesses {
		if a.Student == student {
			actors = append(actors, a.Actor)
		}
	}
	return actors
}

func TestSocket_PutsOnRecordWhoLooksAtAStudent(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		k.school.students = map[string]bool{"ada": true}
		id := k.made()
		l := k.opened("/ws/content", auth.Teacher, "lin")
		defer l.close()
		l.say(`{"type":"subscribe","task_id":"` + id + `"}`)
		l.expect("subscribed " + id + " 1")
		if got := k.accessesOf("ada"); !slices.Equal(got, []string{"lin"}) {
			t.Errorf("on record: %v", got)
		}
	})
}

func TestSocket_ChecksTheOrigin(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.org"
	for _, c := range []struct {
		allowed []string
		origins []string
		status  int
	}{
		{nil, nil, 101},
		{nil, []string{"http://x"}, 101}, // this host
		{nil, []string{app}, 403},
		{nil, []string{"null"}, 403},
		{nil, []string{""}, 403},
		{nil, []string{"http://x.evil.example"}, 403},
		{nil, []string{"file://x"}, 403},
		{[]string{app}, []string{app}, 101},
		{[]string{app}, []string{app + ".evil.example"}, 403},
		{[]string{app}, []string{"http://app.example.org"}, 403},
		{[]string{app}, []string{app, "https://evil.example"}, 403},
		{[]string{"*"}, []string{"https://evil.example"}, 101},
	} {
		wsBubble(t, func(t *testing.T, k *wsKit) {
			header := bearer(token(t, auth.Teacher, "ada"))
			if c.origins != nil {
				header["Origin"] = c.origins
			}
			l, status := k.dial("/ws/roblox", header)
			if status != c.status {
				t.Errorf("%v of %v: %d, want %d", c.origins, c.allowed, status, c.status)
			}
			if l != nil {
				l.close()
			}
		}, func(cfg *api.Config) { cfg.AllowedOrigins = c.allowed })
	}
}

func TestSocket_TakesATicketOnce(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		one := k.ticket("", nil)
		refused := func(path string, header http.Header, want int) {
			t.Helper()
			if l, status := k.dial(path, header); status != want {
				t.Errorf("%s: %d, want %d", path, status, want)
				if l != nil {
					l.close()
				}
			}
		}
		jwt := token(t, auth.Teacher, "ada")
		refused("/ws/content?ticket="+one, http.Header{"Origin": {"https://evil.example"}}, 403)
		refused("/ws/content?ticket="+one, bearer(jwt), 400)
		refused("/ws/content?ticket="+one+"&ticket="+one, nil, 400)
		refused("/ws/content?ticket="+one+"&token=x", nil, 400)
		refused("/ws/content?token="+jwt, nil, 400)
		refused("/ws/content?ticket="+jwt, nil, 401)
		if got := k.raw(ask{method: "GET", path: "/ws/content?ticket=" + one, as: "-"}); got.status != http.StatusUpgradeRequired || got.header.Get("Upgrade") != "websocket" {
			t.Errorf("no upgrade: %d %v", got.status, got.header)
		}
		l, status := k.dial("/ws/content?ticket="+one, nil)
		if l == nil {
			t.Fatalf("what was refused has used it up: %d", status)
		}
		l.say(`{"type":"subscribe","scope":"user"}`)
		l.expect("subscribed user 0")
		l.close()
		refused("/ws/content?ticket="+one, nil, 401)
		refused("/ws/agent/nobody", bearer(jwt), 404)
		if log := k.log.String(); strings.Contains(log, one) || strings.Contains(log, jwt) {
			t.Error("a proof is in the log")
		}
	})
}
