package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/callback"
)

// receiver is somebody's server on this machine that takes messages. It leaves the first one to each of the paths in stall without an answer
// for as long as the connection stands.
type receiver struct {
	address string             // http://localhost:port
	stalled chan *http.Request // each that is left without an answer
	cut     chan struct{}      // and one entry when its connection is gone

	mu    sync.Mutex
	stall []string
	came  []call
}

// call is one that was answered with 200.
type call struct {
	path, id, timestamp, signature string
	body                           []byte
}

func receive(t *testing.T, stall ...string) *receiver {
	t.Helper()
	r := &receiver{stalled: make(chan *http.Request, 1), cut: make(chan struct{}, 1), stall: stall}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.address = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return r
}

// allowed is the entry of CALLBACK_ALLOW for r.
func (r *receiver) allowed() string { return strings.TrimPrefix(r.address, "http://") }

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	i := slices.Index(r.stall, q.URL.Path)
	if i >= 0 {
		r.stall = slices.Delete(r.stall, i, i+1)
	} else {
		r.came = append(r.came, call{q.URL.Path, q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp"), q.Header.Get("webhook-signature"), body})
	}
	r.mu.Unlock()
	if i >= 0 {
		r.stalled <- q
		<-q.Context().Done()
		r.cut <- struct{}{}
		return
	}
	w.WriteHeader(http.StatusOK)
}

// messages returns what came to a path.
func (r *receiver) messages(path string) (found []call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.came {
		if m.path == path {
			found = append(found, m)
		}
	}
	return found
}

// checkSignature verifies a message as a receiver does, by the words of Standard Webhooks and nothing of ours.
func checkSignature(t *testing.T, m call, secret string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 {
		t.Fatalf("the secret has %d bytes, %v", len(key), err)
	}
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%s.%s", m.id, m.timestamp, m.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); !slices.Contains(strings.Fields(m.signature), want) {
		t.Errorf("%s is signed with %q, want %q", m.path, m.signature, want)
	}
	at, err := strconv.ParseInt(m.timestamp, 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age < -5*time.Second || age > 5*time.Minute {
		t.Errorf("%s has the timestamp %s", m.path, m.timestamp)
	}
}

// told is the body of a message about a task.
func (m call) told(t *testing.T) (kind, id, state, url string) {
	t.Helper()
	var body struct {
		Type string `json:"type"`
		Data struct {
			Task  string `json:"task_id"`
			State string `json:"state"`
			URL   string `json:"url"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.body, &body); err != nil {
		t.Fatal(err)
	}
	return body.Type, body.Data.Task, body.Data.State, body.Data.URL
}

func withCallback(url string) string {
	return strings.TrimSuffix(quizBody, "}") + fmt.Sprintf(`,"callback_url":%q}`, url)
}

// A process that is killed in the middle of a delivery leaves it to the next one, and the receiver knows the message by its id.
func TestCallbacks_AreDeliveredWhoeverIsKilled(t *testing.T) {
	t.Parallel()
	r := receive(t, "/task")
	a := newAcademy(t, "CALLBACK_ALLOW="+r.allowed(), "CALLBACK_TIMEOUT=5s", "API_URL=https://toolbox.example/")
	a.role("dispatcher")
	a.role("worker")
	d := a.door()
	head := d.head("north", "grace")
	var secrets struct {
		Secrets []string `json:"secrets"`
	}
	head.do("GET", "/webhooks/task-secret", nil, &secrets)
	var made struct {
		Webhook callback.Endpoint `json:"webhook"`
		Secret  string            `json:"secret"`
	}
	head.do("POST", "/webhooks", map[string]any{"url": r.address + "/endpoint", "events": []string{"task.completed"}}, &made)

	first := a.role("callbacks")
	var submittedTask submitted
	head.do("POST", "/tasks", withCallback(r.address+"/task?token=hunter2"), &submittedTask)
	id := submittedTask.Task.ID
	var lost *http.Request
	select {
	case lost = <-r.stalled:
	case <-time.After(patience):
		t.Fatal("nobody calls the receiver")
	}
	eventually(t, "the other target is told meanwhile", func() error {
		var page callback.DeliveryPage
		head.do("GET", "/webhooks/deliveries?state=delivered&endpoint="+made.Webhook.ID, nil, &page)
		if n := len(r.messages("/endpoint")); n != 1 || len(page.Deliveries) != 1 {
			return fmt.Errorf("%d messages, %d in the log", n, len(page.Deliveries))
		}
		return nil
	})
	first.kill()
	<-r.cut
	if n := len(r.messages("/task")); n != 0 {
		t.Fatalf("%d messages were answered before the kill", n)
	}
	a.role("callbacks")
	eventually(t, "the message comes again", func() error {
		if n := len(r.messages("/task")); n != 1 {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
	again, endpoint := r.messages("/task")[0], r.messages("/endpoint")[0]
	if again.id == "" || again.id != lost.Header.Get("webhook-id") || again.id == endpoint.id {
		t.Errorf("webhook-id is %q, was %q; that of the endpoint is %q", again.id, lost.Header.Get("webhook-id"), endpoint.id)
	}
	checkSignature(t, again, secrets.Secrets[0])
	checkSignature(t, endpoint, made.Secret)
	for _, m := range []call{again, endpoint} {
		kind, task, state, url := m.told(t)
		if kind != "task.completed" || task != id || state != "completed" || url != "https://toolbox.example/api/v1/tasks/"+id {
			t.Errorf("%s is told %s", m.path, m.body)
		}
		if strings.Contains(string(m.body), "Rome") {
			t.Errorf("%s is told what the task is about: %s", m.path, m.body)
		}
	}
	eventually(t, "the log says what came of it", func() error {
		var got callback.Delivery
		head.do("GET", "/webhooks/deliveries/"+again.id, nil, &got)
		if got.State != callback.Delivered || got.Attempt != 2 || strings.Contains(got.URL, "hunter2") {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if n := len(r.messages("/endpoint")); n != 1 {
		t.Errorf("the endpoint, which answered, is told %d times", n)
	}
	var test callback.Delivery
	head.do("POST", "/webhooks/"+made.Webhook.ID+"/test", nil, &test)
	eventually(t, "the test message comes", func() error {
		if all := r.messages("/endpoint"); len(all) < 2 || all[1].id != test.ID {
			return fmt.Errorf("%d messages", len(all))
		}
		return nil
	})
	checkSignature(t, r.messages("/endpoint")[1], made.Secret)
}

// What is not public is refused where it is said, unless the operator allows it.
func TestCallbacks_GoToNoPrivateAddress(t *testing.T) {
	t.Parallel()
	a := newAcademy(t, "CALLBACK_ALLOW=localhost:9999")
	head := a.door().head("north", "grace")
	for _, url := range []string{"https://10.0.0.1/", "https://169.254.169.254/latest/meta-data/", "http://localhost:9998/", "http://127.0.0.1:9999/", "https://[::1]/", "http://hooks.school.example/"} {
		for path, body := range map[string]string{"/tasks": withCallback(url), "/webhooks": fmt.Sprintf(`{"url":%q}`, url)} {
			field := map[string]string{"/tasks": "callback_url", "/webhooks": "url"}[path]
			if r := head.gets(http.StatusBadRequest, "POST", path, body); !strings.Contains(string(r.body), `"field":"`+field+`"`) {
				t.Errorf("%s: %s", url, r)
			}
		}
	}
	head.gets(http.StatusAccepted, "POST", "/tasks", withCallback("http://localhost:9999/"))
}

// Who writes a receiver has it on their own machine, without TLS.
func TestDev_TellsReceiversOnThisMachine(t *testing.T) {
	t.Parallel()
	r := receive(t)
	_, s := startDev(t, openDirectory(t))
	for url, want := range map[string]int{r.address + "/done": http.StatusAccepted, "https://10.0.0.1/": http.StatusBadRequest} {
		if status, answer, err := s.request("POST", "/api/v1/tasks", nil, withCallback(url)); status != want || err != nil {
			t.Fatalf("%s: %d, %+v, %v", url, status, answer, err)
		}
	}
	eventually(t, "the receiver is told", func() error {
		if n := len(r.messages("/done")); n != 1 {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
	var secrets struct {
		Secrets []string `json:"secrets"`
	}
	if err := s.get("/api/v1/webhooks/task-secret", &secrets); err != nil {
		t.Fatal(err)
	}
	checkSignature(t, r.messages("/done")[0], secrets.Secrets[0])
	if _, _, _, url := r.messages("/done")[0].told(t); !strings.HasPrefix(url, s.base+"/api/v1/tasks/") {
		t.Errorf("the task is said to be at %s", url)
	}
}
