package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pusherhttp "github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/nodetest"
	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/task"
)

// The app of Channels that academies serve themselves.
const (
	appID     = "kit"
	appKey    = "kit-key"
	appSecret = "kit-secret-0123456789"
)

// newCampus returns an academy whose APIs serve channels.
func newCampus(t *testing.T, env ...string) *academy {
	t.Helper()
	return newAcademy(t, append([]string{
		"CHANNELS_ENABLED=true", "PUSHER_APP_ID=" + appID, "PUSHER_KEY=" + appKey, "PUSHER_SECRET=" + appSecret, "PUSHER_SSL=false", "PUSHER_HOST=127.0.0.1",
	}, env...)...)
}

// hostPort returns the host and port of an address such as http://127.0.0.1:80.
func hostPort(t *testing.T, base string) (host, port string) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), u.Port()
}

// notifier starts a notifier that sends to one API.
func (a *academy) notifier(base string) *process {
	a.t.Helper()
	_, port := hostPort(a.t, base)
	return a.role("notifier", "PUSHER_PORT="+port)
}

// app sends to an API as servers of Pusher's customers do.
func (d *door) app() *pusherhttp.Client {
	return &pusherhttp.Client{AppID: appID, Key: appKey, Secret: appSecret, Host: strings.TrimPrefix(d.base, "http://")}
}

// submit submits a quiz.
func (p *person) submit() task.Task {
	p.t.Helper()
	var got submitted
	p.do("POST", "/tasks", quizBody, &got)
	return got.Task
}

// log returns a task's history.
func (p *person) log(id string) []events.Event {
	p.t.Helper()
	var page struct {
		Events []events.Event `json:"events"`
		Next   uint64         `json:"next"`
	}
	p.do("GET", "/tasks/"+id+"/events?limit=500", nil, &page)
	if page.Next != 0 {
		p.t.Fatalf("task %s has more events than a page", id)
	}
	for i := range page.Events {
		page.Events[i].Tenant, page.Events[i].Task = p.Tenant, id
	}
	return page.Events
}

// ends waits until a task of p has completed.
func (p *person) ends(id string) {
	p.t.Helper()
	eventually(p.t, "task "+id+" completes", func() error {
		r, err := p.try("GET", "/tasks/"+id, p.access, nil)
		if err != nil {
			return err
		}
		var got task.Task
		if err := json.Unmarshal(r.Data, &got); err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
		if got.State.Terminal() && got.State != task.Completed {
			p.t.Fatalf("task %s is %s: %+v", id, got.State, got.Failure)
		}
		if got.State != task.Completed {
			return fmt.Errorf("it is %s", got.State)
		}
		return nil
	})
}

// pushed returns what the subscribers of each channel are told of a task's history: messages, each as line prints it.
func pushed(t *testing.T, p *person, id string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, e := range p.log(id) {
		for _, m := range notify.Route(e, notify.Snapshot{Kind: "quiz", UserID: p.ID}) {
			all[m.Channel] = append(all[m.Channel], line(t, m.Event, m.Data))
		}
	}
	return all
}

// line is a message in one notation.
func line(t *testing.T, event string, data []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v: %s", event, err, data)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return event + " " + string(out)
}

// volatile reports whether a line may be one of no event of the log: of how far a task has come, or of what a model writes.
func volatile(line string) bool {
	return strings.HasPrefix(line, "task.progress ") || strings.HasPrefix(line, "task.text ")
}

// watch has pusher-js follow channels at an address, as p, until each has told an event named done.
func (p *person) watch(dir, base string, channels ...string) *script {
	p.t.Helper()
	host, port := hostPort(p.t, base)
	return node(p.t, dir, "watch.js", "HOST="+host, "PORT="+port, "KEY="+appKey, "API="+base, "TOKEN="+p.access,
		"CHANNELS="+strings.Join(channels, " "), "UNTIL="+farewell)
}

// farewell is the event that ends a watch.
const farewell = "test.done"

func isReady(x said) bool { return x.Ready }

// pusherJS returns a folder with Pusher's own client.
func pusherJS(t *testing.T) string {
	t.Helper()
	return nodetest.Install(t, filepath.Join("testdata", "pusherjs"))
}

// realtime returns a folder with @toolboxai/realtime as it is built, and the script of its readers.
func realtime(t *testing.T) string {
	t.Helper()
	dir := nodetest.Install(t, filepath.Join("..", "..", "api", "console", "realtime"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	build := exec.CommandContext(ctx, "npm", "run", "build")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the client cannot be built: %v\n%s", err, out)
	}
	const file = "readers.mjs"
	text, err := os.ReadFile(filepath.Join("testdata", "realtime", file))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, file), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
