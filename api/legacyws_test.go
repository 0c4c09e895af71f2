package api_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestSocket_TellsOfItsKindsWhatIsSubscribedTo(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		quiz := k.made("quiz", "ada")
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

func TestSocket_OpensForWhoMay(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		quiz := k.made("quiz", "ada")
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
		id := k.made("quiz", "ada")
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

// What proved who somebody is may be taken away at any time.
func TestSocket_EndsWithItsProof(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		session := issue(t, auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, SessionID: "s"}, 30*time.Minute)
		l, _ := k.dial("/ws/content?ticket="+k.ticket(session, nil), nil)
		silent, _ := k.dial("/ws/content", bearer(session))
		for _, l := range []*line{l, silent} {
			l.say(`{"type":"subscribe","scope":"org"}`)
			l.expect("subscribed org 0")
		}
		<-time.After(5 * time.Second) // of the bubble
		k.revoked.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "s", Before: time.Now()})
		began := time.Now()
		rest, code := l.ends()
		if took := time.Since(began); took > 2*time.Second || code != websocket.StatusPolicyViolation || len(rest) != 1 || rest[0].Code != "unauthorized" {
			t.Errorf("after %v: %v, code %d", took, rest, code)
		}
		<-time.After(began.Add(2500 * time.Millisecond).Sub(time.Now()))
		k.news.tell(t, "school", k.submit().ID, events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada"})
		for _, m := range func() []wsMessage { rest, _ := silent.ends(); return rest }() { // which did not even read
			if m.Type == "event" {
				t.Errorf("is told of %v", m)
			}
		}
		silent.close()

		short, _ := k.dial("/ws/content", bearer(issue(t, auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher}, time.Minute)))
		began = time.Now()
		if rest, code := short.ends(); code != websocket.StatusPolicyViolation || rest[0].Message != "the token has expired" || time.Since(began) > time.Minute {
			t.Errorf("after %v: %v, code %d", time.Since(began), rest, code)
		}
	})
}

func TestSocket_EndsWhatIsShownNoMore(t *testing.T) {
	t.Parallel()
	was := auth.Principal{UserID: "bob", Tenant: "school", Role: auth.Teacher, KeyID: "k", Scopes: []auth.Scope{auth.TasksRead}}
	var key oneKey
	key.Store(&was)
	wsBubble(t, func(t *testing.T, k *wsKit) {
		a, b := k.made("quiz", "ada"), k.made("quiz", "ada")
		k.school.share("eve", a, b)
		l := k.opened("/ws/content", auth.Student, "eve")
		defer l.close()
		for _, id := range []string{a, b} {
			l.say(`{"type":"subscribe","task_id":"` + id + `"}`)
			l.expect("subscribed " + id + " 2")
		}
		bob, _ := k.dial("/ws/content", bearer("tbai_bob"))
		bob.say(`{"type":"subscribe","scope":"org"}`)
		bob.expect("subscribed org 2")
		defer bob.close()
		<-time.After(7 * time.Second)
		k.school.share("eve", b)
		l.expect("error forbidden " + a)
		k.started(a)
		k.started(b)
		l.expect("event " + b + " task.started 4")
		bob.expect("event org task.started 3", "event org task.started 4")
		now := was
		now.Role = auth.Student
		key.Store(&now)
		bob.expect("error forbidden org")
		k.started(a)
		bob.say(`{"type":"ping"}`)
		bob.expect("pong")
	}, func(c *api.Config) { c.Authenticator = &key })
}

func TestSocket_EndsWithTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *api.Config) { c.News = newNews() })
		client, stop := k.run()
		w := &wsKit{kit: k, t: t, client: client}
		l := w.opened("/ws/roblox", auth.Teacher, "ada")
		deaf := w.opened("/ws/roblox", auth.Teacher, "ada") // does not read
		defer deaf.close()
		l.say(`{"type":"subscribe","scope":"user"}`)
		l.expect("subscribed user 0")
		ended := make(chan string, 1)
		go func() {
			rest, code := l.ends()
			ended <- fmt.Sprint(rest, code)
		}()
		synctest.Wait()
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the server waited %v", took)
		}
		if got := <-ended; got != "[error unavailable] StatusGoingAway" {
			t.Errorf("got %s", got)
		}
	})
}

func TestSocket_LetsGoOfAClientThatStoppedReading(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		defer l.close()
		l.say(`{"type":"subscribe","scope":"user"}`)
		id := k.made("quiz", "ada") // nobody reads, and a pipe buffers nothing
		for range 100 {
			k.started(id)
		}
		full := func() int {
			l, status := k.dial("/ws/content", bearer(token(t, auth.Teacher, "ada")))
			if l != nil {
				l.close()
				synctest.Wait()
			}
			return status
		}
		<-time.After(9 * time.Second)
		if got := full(); got != http.StatusServiceUnavailable {
			t.Errorf("after 9 s: %d", got)
		}
		<-time.After(3 * time.Second)
		if got := full(); got != http.StatusSwitchingProtocols {
			t.Errorf("after 12 s: %d: its slot is not free", got)
		}
	}, func(c *api.Config) { c.MaxStreams = 1 })
}

func TestSocket_EndsWhenItsReaderDoes(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		l.say(`{"type":"subscribe","scope":"user"}`)
		l.expect("subscribed user 0")
		k.news.change(func() { k.news.torn = fault.New(fault.NotFound, "the log was replaced") })
		l.expect("error not_found user")
		k.news.change(func() { k.news.torn = nil })
		l.say(`{"type":"subscribe","scope":"user"}`)
		l.expect("subscribed user 0")
		k.news.change(func() { k.news.torn = fault.New(fault.Unavailable, "the reader is too slow") })
		if rest, code := l.ends(); code != websocket.StatusTryAgainLater || len(rest) != 1 || rest[0].Code != "unavailable" {
			t.Errorf("%v, code %d", rest, code)
		}
	})
}

func TestSocket_PingsAndLetsGoOfWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		began := time.Now()
		go func() {
			<-time.After(20 * time.Minute)
			k.revoked.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: time.Now()})
		}()
		if _, code := l.ends(); code != websocket.StatusPolicyViolation || time.Since(began) < 20*time.Minute {
			t.Errorf("a client that answers was let go after %v: %d", time.Since(began), code)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, func(c *api.Config) { c.MaxStreams = 1 })
		client, stop, dial := k.runDialled()
		conn := dial(t)
		if _, err := fmt.Fprintf(conn, "GET /ws/content HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer %s\r\n\r\n", token(t, auth.Teacher, "ada")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := io.Copy(io.Discard, conn); err != nil { // it reads, and says nothing
			t.Error(err)
		}
		if took := time.Since(began); took < 40*time.Second || took > 42*time.Second {
			t.Errorf("it lasted %v, want 30 s and the 10 s that an answer may take", took)
		}
		_ = conn.Close()
		_ = client
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSocket_RefusesHostileMessages(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		defer l.close()
		for _, text := range []string{
			``, `x`, `null`, `[]`, `{}`, `{"type":"subscribe"}`, `{"type":"event"}`, `{"type":"subscribe","scope":"all"}`, `{"type":"subscribe","scope":"user","task_id":"x"}`,
			`{"type":"subscribe","task_id":"` + strings.Repeat("0", 36) + `"}`, `{"type":"subscribe","task_id":"*"}`, `{"type":"subscribe","task_id":"01890000-0000-7000-8000-00000000000A"}`,
			`{"type":"subscribe","scope":"user","after":-1}`, `{"type":"subscribe","scope":"user","after":"1"}`, `{"type":"subscribe","scope":"user","after":18446744073709551615}`,
			`{"type":"unsubscribe","scope":"user","after":1}`, `{"type":"ping","scope":"user"}`, `{"type":"ping","type":"ping"}`, `{"type":"ping","x":1}`, `{"type":"ping"}{}`, `{"TYPE":"ping"}`,
			strings.Repeat("[", 4000), `{"type":"` + strings.Repeat("a", 4000) + `"}`,
		} {
			l.say(text)
			if m, err := l.next(); err != nil || m.Type != "error" || m.Code != "invalid" || m.Message == "" || len(m.Message) > 400 {
				t.Errorf("%.60s: %+v %v", text, m, err)
			}
		}
		l.say(`{"type":"unsubscribe","scope":"user"}`)
		l.expect("error not_found user")
		l.say(`{"type":"subscribe","task_id":"01890000-0000-7000-8000-000000000000"}`)
		l.expect("error not_found 01890000-0000-7000-8000-000000000000")

		for want, do := range map[websocket.StatusCode]func(*line) error{
			websocket.StatusMessageTooBig: func(l *line) error {
				return l.ws.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat(" ", 4097)))
			},
			websocket.StatusUnsupportedData: func(l *line) error {
				return l.ws.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"ping"}`))
			},
		} {
			l := k.opened("/ws/content", auth.Teacher, "ada")
			go func() { _ = do(l) }()
			if _, code := l.ends(); code != want {
				t.Errorf("closed with %d, want %d", code, want)
			}
		}
	})
}

func TestSocket_BoundsSubscriptions(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		defer l.close()
		var last string
		for i := range 51 {
			id := k.submit().ID
			l.say(`{"type":"subscribe","task_id":"` + id + `"}`)
			if i < 50 {
				last = id
				l.expect("subscribed " + id + " 0")
				continue
			}
			l.expect("error conflict " + id)
			l.say(`{"type":"unsubscribe","task_id":"` + last + `"}`)
			l.say(`{"type":"subscribe","task_id":"` + id + `"}`)
			l.expect("unsubscribed "+last, "subscribed "+id+" 0")
		}
	})
}

func TestSocket_ReadsNoFasterThanItMust(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		defer l.close()
		began := time.Now()
		go func() {
			for range 300 {
				l.say(`{"type":"ping"}`)
			}
		}()
		for range 300 {
			l.expect("pong")
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("300 messages took %v: 100 at once and 20 a second take 10 s", took)
		}
	})
}

// Bytes that anybody makes up, over real WebSockets: each is answered or ends its connection, and nothing of it is left.
func TestSocket_MadeUpBytesHarmNothing(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		id := k.made("quiz", "ada")
		seeds := []string{`{"type":"subscribe","task_id":"` + id + `","after":0}`, `{"type":"subscribe","scope":"user"}`, `{"type":"unsubscribe","scope":"org"}`, `{"type":"ping"}`}
		r := rand.New(rand.NewPCG(floodSeed, 1))
		for range 40 {
			l := k.opened("/ws/content", auth.Teacher, "ada")
			read := make(chan struct{})
			go func() {
				defer close(read)
				l.ends()
			}()
			for range 50 {
				text := mutated(r, []byte(seeds[r.IntN(len(seeds))]))
				if err := l.ws.Write(t.Context(), []websocket.MessageType{websocket.MessageText, websocket.MessageText, websocket.MessageText, websocket.MessageBinary}[min(r.IntN(80), 3)%4], text[:min(len(text), 4200)]); err != nil {
					break
				}
			}
			l.close()
			<-read
			synctest.Wait()
		}
		if strings.Contains(k.log.String(), "panic") {
			t.Error("it panicked")
		}
	})
}

func FuzzSocketRequest(f *testing.F) {
	for _, seed := range []string{`{"type":"ping"}`, `{"type":"subscribe","scope":"user","after":41}`, `{"type":"unsubscribe","task_id":"01890000-0000-7000-8000-000000000000"}`, `{`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if task, scope, err := api.ParseSocketRequest(text); err == nil && task != "" && (scope != "" || strings.ContainsAny(task, ".*> ")) {
			t.Errorf("%q was taken: task %q, scope %q", text, task, scope)
		} else if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
