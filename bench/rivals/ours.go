package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/workers"
)

// platform is the API's domain, a dispatcher and a worker, wired as the roles wire them, over one connection.
type platform struct {
	conn       *natsgo.Conn
	js         jetstream.JetStream
	service    *task.Service
	subscriber *nats.Subscriber
	router     *message.Router
	presence   *nats.Presence
	fleet      *nats.Fleet
	ran        chan error
	stop       context.CancelFunc
	roles      *errgroup.Group // gate, policy, dispatcher
}

// nothing is an archive without a database: no list is asked for.
type nothing struct{}

func (nothing) List(context.Context, task.Filter) (task.Page, error) { return task.Page{}, nil }
func (nothing) Get(_ context.Context, _, id string) (task.Task, error) {
	return task.Task{}, fault.New(fault.NotFound, "there is no task %s", id)
}
func (nothing) History(_ context.Context, _, id string, _ uint64, _ int) ([]events.Event, error) {
	return nil, fault.New(fault.NotFound, "there is no task %s", id)
}

type input struct {
	ID string `json:"id"`
}

func openOurs(durable bool) func(ctx context.Context, url string, work func(id string)) (subject, error) {
	return func(ctx context.Context, url string, work func(id string)) (subject, error) {
		conn, js, err := nats.Connect(nats.ConnectConfig{URL: url, Name: "rivals"})
		if err != nil {
			return nil, err
		}
		if _, err := nats.Provision(ctx, js, nats.Topology{Kinds: []string{"job"}}); err != nil {
			return nil, err
		}
		p := &platform{conn: conn, js: js, ran: make(chan error, 1)}
		return p, p.start(durable, work)
	}
}

func (p *platform) start(durable bool, work func(id string)) error {
	log := nats.NewLog(p.js, nats.LogConfig{GroupCommit: durable})
	queue, err := nats.NewQueue(p.js, nats.QueueConfig{GroupCommit: durable})
	if err != nil {
		return err
	}
	anything := json.RawMessage(`{"type":"object"}`)
	kind := task.Kind{Name: "job", Title: "job", InputSchema: anything, OutputSchema: anything, Example: json.RawMessage(`{}`)}
	catalog, err := task.NewCatalog([]task.Kind{kind})
	if err != nil {
		return err
	}
	gate, err := nats.NewGate(p.js, nats.GateConfig{})
	if err != nil {
		return err
	}
	cfg := task.Config{Log: log, Queue: queue, Progress: log, Archive: nothing{}, Catalog: catalog, Gate: gate}
	if p.service, err = task.NewService(cfg); err != nil {
		return err
	}
	if err := p.dispatch(log, queue, gate); err != nil {
		return err
	}
	agent := workers.New(kind, func(_ context.Context, _ *workers.Run, in input) (map[string]any, error) {
		work(in.ID)
		return map[string]any{}, nil
	})
	runner, err := workers.NewRunner(workers.RunnerConfig{Worker: "rivals", Slots: concurrency, Agents: []workers.Agent{agent}, Log: log, Board: log})
	if err != nil {
		return err
	}
	if p.subscriber, err = nats.NewSubscriber(p.js, nats.SubscriberConfig{Slots: concurrency}); err != nil {
		return err
	}
	if p.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: time.Minute}, watermill.NopLogger{}); err != nil {
		return err
	}
	p.router.AddConsumerHandler("job", "job", p.subscriber, runner.Handle)
	go func() { p.ran <- p.router.Run(context.Background()) }()
	<-p.router.Running()
	if p.presence, err = nats.RegisterWorker(p.conn, runner.Stats); err != nil {
		return err
	}
	<-gate.Ready()
	return nil
}

// dispatch starts what decides who is next.
func (p *platform) dispatch(log *nats.Log, queue *nats.Queue, gate *nats.Gate) error {
	policies, err := nats.NewPolicyStore(p.js, nil)
	if err != nil {
		return err
	}
	lease, err := nats.NewLease(p.js, "dispatcher", "rivals", nats.LeaseConfig{})
	if err != nil {
		return err
	}
	writer, err := nats.NewGateWriter(p.js)
	if err != nil {
		return err
	}
	if p.fleet, err = nats.NewFleet(p.conn, nats.FleetConfig{}); err != nil {
		return err
	}
	d, err := dispatch.New(dispatch.Config{Log: log, Queue: queue, Tasks: p.service, Watcher: log, Fleet: p.fleet, Lease: lease, Policies: policies, Gate: writer})
	if err != nil {
		return err
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.roles, ctx = errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{policies.Run, gate.Run, d.Run} {
		p.roles.Go(func() error { return run(ctx) })
	}
	return nil
}

func (p *platform) submit(ctx context.Context, id string) error {
	data, err := json.Marshal(input{id})
	if err != nil {
		return err
	}
	_, _, err = p.service.Submit(ctx, task.Submission{Tenant: "rivals", UserID: "u", Kind: "job", Input: data})
	return err
}

// settled waits until every task has ended on the log, and its dispatch is acked. A task has three events there: queued, started, completed.
func (p *platform) settled(ctx context.Context, n int) error {
	for {
		log, err := p.js.Stream(ctx, events.StreamEvents)
		if err != nil {
			return err
		}
		queue, err := p.js.Stream(ctx, events.StreamTasks)
		if err != nil {
			return err
		}
		if log.CachedInfo().State.Msgs >= uint64(3*n) && queue.CachedInfo().State.Msgs == 0 {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (p *platform) close() error {
	p.presence.Stop()
	err := errors.Join(p.router.Close(), p.subscriber.Close(), <-p.ran)
	p.stop()
	err = errors.Join(err, p.roles.Wait())
	p.fleet.Close()
	p.conn.Close()
	return err
}
