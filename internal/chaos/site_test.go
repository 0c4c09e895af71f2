//go:build chaos && linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/chaos"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
	"github.com/toolboxai/orchestrator/internal/redis/redistest"
	"github.com/toolboxai/orchestrator/nats"
)

// ackWait is after how long a worker that gives no sign has lost its task.
const ackWait = 3 * time.Second

// fleet is what a site runs, in the order of its start: how many processes of each role.
type fleet []struct {
	role  string
	count int
	says  string // what the role's log holds when it is at work; empty: nothing is waited for
}

func wholeFleet() fleet {
	return fleet{{"api", 1, "api listens"}, {"worker", 3, "worker pulls"}, {"dispatcher", 2, ""}, {"recorder", 1, ""}, {"notifier", 1, ""}}
}

// site is the platform as processes of their own, with what it needs.
type site struct {
	t       *testing.T
	suite   *suite
	name    string
	rng     *rand.Rand // of the goroutine that plays the scenarios
	env     []string
	base    string // of the API
	nodes   []node
	model   *model
	pusher  *pushertest.Server
	links   map[string]*link // by name: postgres, redis, pusher, llm
	js      jetstream.JetStream
	fleet   fleet
	log     logbook
	program func(role string) string // which binary runs a role

	mu    sync.Mutex
	procs map[string]*process
	fault []chaos.Fault
}

const (
	pusherApp, pusherKey, pusherSecret = "chaos", "chaos-key", "chaos-secret"
	jwtSecret                          = "a secret of the chaos suite, nothing else knows it"
	sealingKey                         = "a passphrase of the chaos suite, nothing else knows it"
)

// newSite starts nodes of a broker, with whatever the platform needs, and brings it up to date. No role runs yet.
func newSite(t *testing.T, s *suite, name string, brokers int, f fleet, env ...string) *site {
	t.Helper()
	site := &site{
		t: t, suite: s, name: name, rng: s.random(name), fleet: f, links: map[string]*link{}, procs: map[string]*process{},
		nodes: newNodes(t, brokers), program: func(string) string { return s.binary },
	}
	ln := newLinks()
	database, postgres := overTCP(t, ln, pgtest.New(t))
	site.model = newModel(t)
	var err error
	if site.pusher, err = pushertest.New(pushertest.App{ID: pusherApp, Key: pusherKey, Secret: pusherSecret}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.pusher.Close)
	site.links["postgres"] = postgres
	site.links["redis"] = ln.open(t, "redis", strings.TrimPrefix(redistest.Start(t).URL, "redis://"))
	site.links["pusher"] = ln.open(t, "pusher", fmt.Sprintf("%s:%d", site.pusher.Host(), site.pusher.Port()))
	site.links[chaos.Model] = ln.open(t, chaos.Model, strings.TrimPrefix(site.model.server.URL, "http://"))
	port := porttest.Free(t)
	site.base = fmt.Sprintf("http://127.0.0.1:%d", port)
	pusherURL, err := url.Parse("http://" + site.links["pusher"].addr)
	if err != nil {
		t.Fatal(err)
	}
	site.env = append(append(bareEnvironment(),
		"NATS_URL="+brokerURL(site.nodes), fmt.Sprintf("NATS_REPLICAS=%d", brokers), "DATABASE_URL="+database,
		"REDIS_URL=redis://"+site.links["redis"].addr, "JWT_SECRET_KEY="+jwtSecret, "ENCRYPTION_KEY="+sealingKey, "RATE_LIMITS=off", "TASK_ACK_WAIT="+ackWait.String(),
		"HOST=127.0.0.1", fmt.Sprintf("PORT=%d", port), "LOG_FORMAT=text", "ACCEPT_DURABILITY=memory", "GOMAXPROCS=2",
		"PUSHER_APP_ID="+pusherApp, "PUSHER_KEY="+pusherKey, "PUSHER_SECRET="+pusherSecret, "PUSHER_HOST="+pusherURL.Hostname(),
		"PUSHER_PORT="+pusherURL.Port(), "PUSHER_SSL=false",
		"LLM_PROVIDER=openai", "OPENAI_API_KEY="+llmtest.Key, "AGENT_TIMEOUT_SECONDS=12", "MAX_AGENT_RETRIES=10", "LLM_CACHE=off",
		"DRAIN_TIMEOUT=10s", "LLM_PROCESSES=3",
	), env...)
	for _, n := range site.nodes {
		site.must(site.start(s.ctx, n.Name))
	}
	site.must(site.migrate(s.ctx))
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: brokerURL(site.nodes), Name: "chaos"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	site.js = js
	t.Cleanup(func() {
		if t.Failed() {
			site.tellOutput()
		}
	})
	return site
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) migrate(ctx context.Context) error {
	p, err := s.suite.launcher.run(s.t, "migrate", s.env, s.suite.binary, "migrate")
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("migrate ended with %d: %s", code, p.output)
	}
	return nil
}

// startFleet starts every role and returns when those that say so are at work.
func (s *site) startFleet(ctx context.Context) {
	s.t.Helper()
	for _, name := range s.members("") {
		s.must(s.start(ctx, name))
	}
	s.must(s.ready(ctx))
}

func (s *site) ready(ctx context.Context) error {
	for _, name := range s.members("") {
		if err := s.atWork(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// members returns the names of a role's processes; of all roles when it is empty.
func (s *site) members(role string) []string {
	var names []string
	for _, r := range s.fleet {
		for i := range r.count {
			if role == "" || role == r.role {
				names = append(names, fmt.Sprintf("%s-%d", r.role, i+1))
			}
		}
	}
	return names
}

// start starts a node or a role's process by its name.
func (s *site) start(ctx context.Context, name string) error {
	if i := slices.IndexFunc(s.nodes, func(n node) bool { return n.Name == name }); i >= 0 {
		env, err := s.nodes[i].environment()
		if err != nil {
			return err
		}
		p, err := s.suite.launcher.run(s.t, name, env, s.suite.self)
		if err != nil {
			return err
		}
		s.keep(p)
		return answers(ctx, s.nodes[i].Port)
	}
	role, _, _ := strings.Cut(name, "-")
	env := append(slices.Clone(s.env), "OPENAI_API_BASE=http://"+s.links[chaos.Model].addr+"/"+name+"/v1")
	p, err := s.suite.launcher.run(s.t, name, env, s.program(role), role)
	if err == nil {
		s.keep(p)
	}
	return err
}

func (s *site) keep(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.procs[p.name] = p
}

func (s *site) proc(name string) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.procs[name]
}

// atWork waits until a process says that it is.
func (s *site) atWork(ctx context.Context, name string) error {
	role, _, _ := strings.Cut(name, "-")
	i := slices.IndexFunc(s.fleet, func(r struct {
		role  string
		count int
		says  string
	}) bool {
		return r.role == role
	})
	if i < 0 || s.fleet[i].says == "" {
		return nil
	}
	return eventually(ctx, name+" is at work", func() error {
		if p := s.proc(name); !p.output.began(s.fleet[i].says) {
			return fmt.Errorf("it says: %s", p.output)
		}
		return nil
	})
}

// kill ends a process and returns how to start it again.
func (s *site) kill(name string) (undo func() error) {
	s.proc(name).kill()
	return func() error { return s.start(s.suite.ctx, name) }
}

// stall stops a process and returns how to let it go on.
func (s *site) stall(name string) (undo func() error) {
	p := s.proc(name)
	p.signal(syscall.SIGSTOP)
	return func() error {
		p.signal(syscall.SIGCONT)
		return nil
	}
}

// restart asks a process to stop, waits until it has, and starts it again.
func (s *site) restart(ctx context.Context, name string) error {
	p := s.proc(name)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		return fmt.Errorf("%s does not stop: %s", name, p.output)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with %d: %s", name, code, p.output)
	}
	return errors.Join(s.start(ctx, name), s.atWork(ctx, name))
}

// done records what was done to a process or a link.
func (s *site) done(f chaos.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = append(s.fault, f)
}

func (s *site) faults() []chaos.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fault)
}

// dead returns the processes that ended although nobody ended them.
func (s *site) dead() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.procs)) {
		if !s.procs[name].alive() {
			names = append(names, name)
		}
	}
	return names
}

func (s *site) tellOutput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.procs)) {
		s.t.Logf("output of %s:\n%s", name, s.procs[name].output)
	}
}
