package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
)

// wsKit is a server with a log of many tasks, on connections in memory.
type wsKit struct {
	*kit
	t      *testing.T
	news   *news
	client *http.Client
}

// wsBubble runs a test of WebSockets on a fake clock. What they leave behind keeps the bubble from ending.
func wsBubble(t *testing.T, test func(t *testing.T, k *wsKit), change ...func(*api.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNews()
		k := newKitOf(t, append(kinds(), lessonKind()), append(change, func(c *api.Config) {
			c.News, c.Tasks = n, newsTasks{c.Tasks, n}
		})...)
		client, stop := k.run()
		defer func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}()
		test(t, &wsKit{kit: k, t: t, news: n, client: client})
	})
}

// newsTasks are followed in the log of many tasks.
type newsTasks struct {
	api.Tasks
	news *news
}

func (f newsTasks) Follow(ctx context.Context, tenant, id string, after uint64) (<-chan events.Event, error) {
	live, _, err := f.news.read(ctx, tenant, id, after)
	return live, err
}

// made is a quiz of ada's, in the log of many tasks and in that of the kit.
func (k *wsKit) made() string {
	k.t.Helper()
	id := k.submit().ID
	k.news.tell(k.t, "school", id, events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada"})
	return id
}

func (k *wsKit) started(id string) {
	k.t.Helper()
	k.news.tell(k.t, "school", id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
}

// line is a client's WebSocket.
type line struct {
	t  *testing.T
	ws *websocket.Conn
}

// wsMessage is what the server says.
type wsMessage struct {
	Type, Scope, Code, Message string
	TaskID                     string `json:"task_id"`
	Seq                        *uint64
	Event                      *api.Event
}

func (m wsMessage) String() string {
	switch {
	case m.Event != nil:
		return fmt.Sprint("event ", m.Scope, m.TaskID, " ", m.Event.Type, " ", m.Event.Seq)
	case m.Type == "error":
		return strings.TrimSpace("error " + m.Code + " " + m.Scope + m.TaskID)
	case m.Seq != nil:
		return fmt.Sprint(m.Type, " ", m.Scope, m.TaskID, " ", *m.Seq)
	}
	return strings.TrimSpace(m.Type + " " + m.Scope + m.TaskID)
}

func (k *wsKit) dial(path string, header http.Header) (*line, int) {
	k.t.Helper()
	ws, answer, err := websocket.Dial(k.t.Context(), "ws://x"+path, &websocket.DialOptions{HTTPClient: k.client, HTTPHeader: header})
	if err != nil {
		if answer == nil {
			k.t.Fatal(err)
		}
		return nil, answer.StatusCode
	}
	ws.SetReadLimit(1 << 20)
	return &line{k.t, ws}, answer.StatusCode
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// opened dials as a user of the school.
func (k *wsKit) opened(path string, role auth.Role, user string) *line {
	k.t.Helper()
	l, status := k.dial(path, bearer(token(k.t, role, user)))
	if l == nil {
		k.t.Fatalf("%s answers %d", path, status)
	}
	return l
}

func (l *line) close() { _ = l.ws.CloseNow() }

func (l *line) say(text string) {
	l.t.Helper()
	if err := l.ws.Write(l.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		l.t.Fatalf("say %.100s: %v", text, err)
	}
}

// next returns the next message, or why there is none.
func (l *line) next() (wsMessage, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Hour)
	defer cancel()
	_, data, err := l.ws.Read(ctx)
	if err != nil {
		return wsMessage{}, err
	}
	var m wsMessage
	if err := json.Unmarshal(data, &m); err != nil {
		l.t.Fatalf("%s: %v", data, err)
	}
	return m, nil
}

// expect reads messages and holds them against their short forms.
func (l *line) expect(want ...string) {
	l.t.Helper()
	for _, w := range want {
		m, err := l.next()
		if err != nil || m.String() != w {
			l.t.Fatalf("got %v (%s) %v, want %s", m, m.Message, err, w)
		}
	}
}

// ends reads what is left and returns it and the code with which the server closes.
func (l *line) ends() (rest []wsMessage, code websocket.StatusCode) {
	l.t.Helper()
	for {
		m, err := l.next()
		if err != nil {
			return rest, websocket.CloseStatus(err)
		}
		rest = append(rest, m)
	}
}
