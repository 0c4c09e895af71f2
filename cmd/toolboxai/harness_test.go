package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// TestMain makes the test binary double as the program, so that tests can run roles as separate processes and kill them.
func TestMain(m *testing.M) {
	switch os.Getenv("TOOLBOXAI_TEST_RUN") {
	case "":
		os.Exit(m.Run())
	case "broker":
		os.Exit(runBroker(os.Args[1], os.Args[2]))
	case "configured broker":
		os.Exit(runConfiguredBroker(os.Args[1], os.Args[2]))
	case "hasty notifier":
		os.Exit(runHastyNotifier(os.Args[1], os.Args[2], os.Args[3]))
	default:
		os.Exit(run(os.Args[1:]))
	}
}

// runBroker is a broker as a process of its own.
func runBroker(dir, port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		return exitUsage
	}
	b, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir, Port: n, MonitorPort: -1, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	b.Shutdown()
	return exitOK
}

// patience bounds every wait of these tests.
const patience = time.Minute

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s: %v", what, patience, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// process is a role that runs on its own.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	output *lockedBuffer
	ended  chan struct{}
	err    error // of Wait, once ended is closed
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the program with args and ends it with the test. mode is "toolboxai" or "broker".
func start(t *testing.T, mode string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: args[0], cmd: exec.Command(os.Args[0], args...), output: &lockedBuffer{}, ended: make(chan struct{})}
	p.cmd.Env = append(cleanEnvironment(), append(env, "TOOLBOXAI_TEST_RUN="+mode)...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of %s:\n%s", strings.Join(args, " "), tail(p.output.String()))
		}
	})
	return p
}

func tail(s string) string { return s[max(0, len(s)-8000):] }

// cleanEnvironment is what a fresh machine has: no keys, no addresses.
func cleanEnvironment() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if _, ours := variables()[strings.TrimSuffix(name, "_FILE")]; !ours && !strings.HasPrefix(name, "TOOLBOXAI_") {
			env = append(env, entry)
		}
	}
	return env
}

// kill ends the process at once and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// signal asks the process to end and waits until it has, for a bounded time.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end", p.name)
	}
}

// site is a deployment of separate processes on this machine.
type site struct {
	t        *testing.T
	env      []string
	base     string
	store    string
	natsPort int
	broker   *process
	ran      []*process // in the order of their start
}

// newSite starts a broker and brings it and the database up to date. Roles are started by the test.
func newSite(t *testing.T, database string, env ...string) *site {
	t.Helper()
	if testing.Short() {
		t.Fatal("these tests start processes; run them without -short")
	}
	apiPort := porttest.Free(t)
	s := &site{t: t, store: t.TempDir(), natsPort: porttest.Free(t), base: fmt.Sprintf("http://127.0.0.1:%d", apiPort)}
	s.env = append([]string{
		fmt.Sprintf("NATS_URL=nats://127.0.0.1:%d", s.natsPort), "DATABASE_URL=" + database, "SKIP_AUTH=true", "RATE_LIMITS=off", "TASK_ACK_WAIT=2s",
		"HOST=127.0.0.1", fmt.Sprintf("PORT=%d", apiPort), "LLM_PROVIDER=offline", "LOG_FORMAT=text",
		"LLM_CACHE=off", // tasks of a crowd are alike, and each is to take its time
	}, env...)
	s.startBroker()
	migrate := s.role("migrate")
	<-migrate.ended
	if migrate.err != nil {
		t.Fatalf("migrate: %v\n%s", migrate.err, migrate.output)
	}
	return s
}

func (s *site) startBroker() {
	s.t.Helper()
	s.broker = start(s.t, "broker", nil, s.store, strconv.Itoa(s.natsPort))
	s.ran = append(s.ran, s.broker)
	eventually(s.t, "the broker answers", func() error {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.natsPort))
		if err == nil {
			conn.Close()
		}
		return err
	})
}

func (s *site) role(name string, env ...string) *process {
	s.t.Helper()
	p := start(s.t, "toolboxai", slices.Concat(s.env, env), name)
	s.ran = append(s.ran, p)
	return p
}

// api starts the API, and a dispatcher, and waits until the API is ready.
func (s *site) api() *process {
	s.t.Helper()
	s.role("dispatcher")
	p := s.role("api")
	eventually(s.t, "the API is ready", func() error { return s.get("/health/ready", nil) })
	return p
}

// request sends a request and returns the status and the answer.
func (s *site) request(method, path string, header map[string]string, body string) (int, envelope, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		return 0, envelope{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return 0, envelope{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, envelope{}, err
	}
	var answer envelope
	return res.StatusCode, answer, json.Unmarshal(data, &answer)
}

func (s *site) get(path string, out any) error {
	status, answer, err := s.request("GET", path, nil, "")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d: %s", path, status, answer.Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, out)
}

const quizBody = `{"kind":"quiz","input":{"subject":"History","objectives":["Explain why Rome fell"],"num_questions":2}}`

// submit submits a quiz and returns the task; status is that of the answer.
func (s *site) submit(key string) (status int, t task.Task, err error) {
	header := map[string]string{}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	status, answer, err := s.request("POST", "/api/v1/tasks", header, quizBody)
	if err != nil || status >= 300 {
		return status, task.Task{}, err
	}
	var got submitted
	err = json.Unmarshal(answer.Data, &got)
	return status, got.Task, err
}

func (s *site) mustSubmit(key string) task.Task {
	s.t.Helper()
	status, got, err := s.submit(key)
	if err != nil || status != http.StatusAccepted {
		s.t.Fatalf("submit: %d, %v", status, err)
	}
	return got
}

// read returns a task as the API tells it.
func (s *site) read(id string) (task.Task, error) {
	var t task.Task
	err := s.get("/api/v1/tasks/"+id, &t)
	return t, err
}

// await waits until a task is in one of the states.
func (s *site) await(id string, states ...task.State) task.Task {
	s.t.Helper()
	var t task.Task
	eventually(s.t, fmt.Sprintf("task %s is %v", id, states), func() (err error) {
		if t, err = s.read(id); err != nil {
			return err
		}
		for _, want := range states {
			if t.State == want {
				return nil
			}
		}
		return fmt.Errorf("it is %s", t.State)
	})
	return t
}

// history returns the types of a task's events.
func (s *site) history(id string) []told {
	s.t.Helper()
	var page struct {
		Events []told `json:"events"`
	}
	if err := s.get("/api/v1/tasks/"+id+"/events?limit=500", &page); err != nil {
		s.t.Fatal(err)
	}
	return page.Events
}

// outcomes counts the events that end a dispatch.
func outcomes(history []told) (n int) {
	for _, e := range history {
		if e.Type == events.TypeCompleted || e.Type == events.TypeFailed || e.Type == events.TypeCancelled {
			n++
		}
	}
	return n
}
