package api_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

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
		<-time.After(time.Until(began.Add(2500 * time.Millisecond)))
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

// With a verifier that knows of no revocation, the negative control, nothing ends.
func TestSocket_EndsWithItsProofControl(t *testing.T) {
	t.Parallel()
	wsBubble(t, func(t *testing.T, k *wsKit) {
		l := k.opened("/ws/content", auth.Teacher, "ada")
		defer l.close()
		l.say(`{"type":"subscribe","scope":"user"}`)
		l.expect("subscribed user 0")
		k.revoked.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: time.Now()})
		<-time.After(10 * time.Second)
		k.made()
		l.expect("event user task.queued 1")
	}, func(c *api.Config) { c.Verifier = verifierOf(t, secret) })
}

func TestSocket_EndsWhatIsShownNoMore(t *testing.T) {
	t.Parallel()
	was := auth.Principal{UserID: "bob", Tenant: "school", Role: auth.Teacher, KeyID: "k", Scopes: []auth.Scope{auth.TasksRead}}
	var key oneKey
	key.Store(&was)
	wsBubble(t, func(t *testing.T, k *wsKit) {
		a, b := k.made(), k.made()
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
		id := k.made() // nobody reads, and a pipe buffers nothing
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
