package nats

import (
	"errors"
	"fmt"
	"sync"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Workers are services of the broker (nats micro list, info and stats show them): one endpoint tells of the worker, and one for
// each of its kinds tells of that. Their statistics carry the same, so that one question reaches the whole fleet.
const (
	workerService  = "toolboxai-worker"
	workerEndpoint = "worker"
	workerSubject  = "fleet.worker"
	kindSubject    = "fleet.kind."
	changeSubject  = "fleet.changed" // a worker came, goes or drains
	serviceVersion = "1.0.0"         // of what is said here
)

// Presence is a worker that others see.
type Presence struct {
	nc      *natsgo.Conn
	service micro.Service
	stop    sync.Once
}

// RegisterWorker makes a worker seen, and tells everybody that it came. report is called for each question and must not wait;
// its kinds are those of the first call. The caller ends it with Stop.
func RegisterWorker(nc *natsgo.Conn, report func() task.Worker) (*Presence, error) {
	about := report()
	// The service asks for one endpoint after the other, the worker's first, under a lock of its own.
	var last task.Worker
	stats := func(e *micro.Endpoint) any {
		if e.Name == workerEndpoint {
			last = report()
			return last
		}
		return kindOf(last, e.Name)
	}
	service, err := micro.AddService(nc, micro.Config{
		Name: workerService, Version: serviceVersion, Description: "runs tasks", StatsHandler: stats,
		Metadata: map[string]string{"worker": about.Name, "build": about.Build},
	})
	if err != nil {
		return nil, fmt.Errorf("register worker %s: %w", about.Name, err)
	}
	p := &Presence{nc: nc, service: service}
	err = service.AddEndpoint(workerEndpoint, answerJSON(func() any { return report() }), micro.WithEndpointSubject(workerSubject))
	for _, k := range about.Kinds {
		answer := answerJSON(func() any { return kindOf(report(), k.Kind) })
		err = errors.Join(err, service.AddEndpoint(k.Kind, answer, micro.WithEndpointSubject(kindSubject+k.Kind)))
	}
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("register worker %s: %w", about.Name, err)
	}
	p.Announce()
	return p, nil
}

func kindOf(w task.Worker, kind string) task.WorkerKind {
	for _, k := range w.Kinds {
		if k.Kind == kind {
			return k
		}
	}
	return task.WorkerKind{Kind: kind}
}

func answerJSON(what func() any) micro.Handler {
	return micro.HandlerFunc(func(req micro.Request) { _ = req.RespondJSON(what()) })
}

// Announce tells everybody that something about the worker changed that they should not miss: that it drains, above all. It does
// not wait, and what cannot be sent now is not sent later.
func (p *Presence) Announce() { _ = p.nc.Publish(changeSubject, nil) }

// Stop makes the worker unseen, and tells everybody. It may be called again.
func (p *Presence) Stop() {
	p.stop.Do(func() {
		_ = p.service.Stop() // fails without a connection, and then nobody is asked either
		p.Announce()
	})
}
