package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	boxes "github.com/toolboxai/orchestrator/internal/secret"
	"github.com/toolboxai/orchestrator/internal/ticket"
)

// newTickets returns those of a process that is alone.
func newTickets() api.Tickets {
	box, err := boxes.New(string(secret))
	if err != nil {
		panic(err)
	}
	s, err := ticket.New(&ticket.Memory{}, box, nil)
	if err != nil {
		panic(err)
	}
	return s
}

// ticket is one that who has token gets.
func (k *kit) ticket(token string, header http.Header) string {
	k.t.Helper()
	got := k.do(ask{method: "POST", path: "/api/v1/stream-tickets", as: token, header: header})
	var made ticket.Ticket
	if err := json.Unmarshal(got.Data, &made); err != nil || got.status != http.StatusCreated || time.Until(made.ExpiresAt) > ticket.TTL {
		k.t.Fatalf("%d %s: %v", got.status, got.raw, err)
	}
	return made.Text
}

// follow asks for the stream of a task that has ended, as EventSource does.
func (k *kit) follow(id, ticket string) answer {
	k.t.Helper()
	return k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?ticket=" + ticket, as: "-", header: http.Header{"Accept": {"text/event-stream"}}})
}

func TestTicket_OpensOneStream(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.complete(id, 1)
	one := k.ticket("", nil)
	if got := k.follow(id, one); got.status != http.StatusOK || !strings.Contains(string(got.raw), "event: end") {
		t.Fatalf("%d %s %s", got.status, got.raw, k.log)
	}
	if got := k.follow(id, one); got.status != http.StatusUnauthorized {
		t.Errorf("it was good twice: %d", got.status)
	}
	if strings.Contains(k.log.String(), one) {
		t.Error("it is in the log")
	}
	// What its owner may not read it does not open, and a key's has the key's scopes.
	if got := k.follow(id, k.ticket(token(t, auth.Student, "eve"), nil)); got.status != http.StatusNotFound {
		t.Errorf("a stranger: %d", got.status)
	}
	k.keys["tbai_x"] = auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, KeyID: "x", Scopes: []auth.Scope{auth.TasksRead}}
	if got := k.follow(id, k.ticket("-", http.Header{"X-Api-Key": {"tbai_x"}})); got.status != http.StatusOK {
		t.Errorf("a key: %d %s", got.status, got.raw)
	}
	root := issue(t, auth.Principal{UserID: "root", Tenant: "home", Role: auth.PlatformAdmin}, 30*time.Minute)
	if got := k.follow(id, k.ticket(root, http.Header{"X-Tenant-Id": {"school"}})); got.status != http.StatusOK {
		t.Errorf("a platform admin in another tenant: %d %s", got.status, got.raw)
	}
}

func TestTicket_EndsWithWhatItWasGivenFor(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.complete(id, 1)
	session := issue(t, auth.Principal{UserID: "ada", Tenant: "school", Role: auth.Teacher, SessionID: "s"}, 30*time.Minute)
	one := k.ticket(session, nil)
	k.revoked.Add(auth.Revocation{Kind: auth.RevokedSession, ID: "s", Before: time.Now()})
	if got := k.follow(id, one); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestTicket_IsForStreamsAlone(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	id := k.submit().ID
	one := k.ticket("", nil)
	stream := http.Header{"Accept": {"text/event-stream"}}
	for name, c := range map[string]struct {
		ask  ask
		want int
	}{
		"no stream":     {ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?ticket=" + one, as: "-"}, http.StatusBadRequest},
		"another route": {ask{method: "GET", path: "/api/v1/tasks/" + id + "?ticket=" + one, as: "-", header: stream}, http.StatusUnauthorized},
		"with a token":  {ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?ticket=" + one, header: stream}, http.StatusBadRequest},
		"twice":         {ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?ticket=" + one + "&ticket=" + one, as: "-", header: stream}, http.StatusBadRequest},
		"a token":       {ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?ticket=" + token(t, auth.Teacher, "ada"), as: "-", header: stream}, http.StatusUnauthorized},
		"empty":         {ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?ticket=", as: "-", header: stream}, http.StatusUnauthorized},
	} {
		if got := k.raw(c.ask); got.status != c.want {
			t.Errorf("%s: %d %s", name, got.status, got.raw)
		}
	}
	k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
	k.complete(id, 1)
	if got := k.follow(id, one); got.status != http.StatusOK {
		t.Errorf("what was refused has used it up: %d", got.status)
	}
}
