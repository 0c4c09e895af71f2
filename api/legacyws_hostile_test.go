package api_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

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
		id := k.made()
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
