package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// The dispatcher answers other processes as a service of the broker.
const (
	dispatcherService = "toolboxai-dispatcher"
	explainSubject    = "dispatcher.explain"
	backlogSubject    = "dispatcher.backlog"
	dispatcherWait    = time.Second
	// leaderLook is how often a dispatcher looks whether it has become, or ceased to be, the one that answers.
	leaderLook = 100 * time.Millisecond
)

// DispatcherAnswers is what a dispatcher knows.
type DispatcherAnswers interface {
	// Explain says why a task is where it is.
	Explain(ctx context.Context, tenant, id string) (task.Explanation, error)
	// Backlog says what waits and runs, by kind.
	Backlog(ctx context.Context) ([]task.Backlog, error)
}

// Leader knows whether this process is the one that acts; a Lease does.
type Leader interface{ Held() bool }

// explainRequest is what is asked of explainSubject.
type explainRequest struct {
	Tenant string `json:"tenant_id"`
	Task   string `json:"task_id"`
}

// ServeDispatcher lets other processes ask a dispatcher, through DispatcherClient, while this process is the leader. It returns nil
// when ctx ends, and an error when the connection is closed for good.
func ServeDispatcher(ctx context.Context, nc *natsgo.Conn, leader Leader, answers DispatcherAnswers) error {
	var service micro.Service
	stop := func() {
		if service != nil {
			_ = service.Stop() // fails without a connection, and then nobody asks
		}
		service = nil
	}
	defer stop()
	tick := time.NewTicker(leaderLook)
	defer tick.Stop()
	for {
		switch held := leader.Held(); {
		case nc.IsClosed():
			return fmt.Errorf("serve the dispatcher: %w", natsgo.ErrConnectionClosed)
		case held && service == nil:
			var err error
			if service, err = addDispatcher(ctx, nc, leader, answers); err != nil {
				return fmt.Errorf("serve the dispatcher: %w", err)
			}
		case !held:
			stop()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func addDispatcher(ctx context.Context, nc *natsgo.Conn, leader Leader, answers DispatcherAnswers) (micro.Service, error) {
	service, err := micro.AddService(nc, micro.Config{
		Name: dispatcherService, Version: serviceVersion, Description: "says who runs next, and why not this one",
	})
	if err != nil {
		return nil, err
	}
	serve := func(answer func(context.Context, []byte) (any, error)) micro.Handler {
		return micro.HandlerFunc(func(req micro.Request) {
			bounded, cancel := context.WithTimeout(ctx, dispatcherWait)
			defer cancel()
			value, err := any(nil), error(fault.After(comeBack, "another process is the dispatcher by now"))
			if leader.Held() {
				value, err = answer(bounded, req.Data())
			}
			if err != nil {
				_ = req.Error(fault.KindOf(err).String(), err.Error(), nil)
				return
			}
			_ = req.RespondJSON(value)
		})
	}
	explain := serve(func(ctx context.Context, data []byte) (any, error) {
		var in explainRequest
		if err := json.Unmarshal(data, &in); err != nil {
			return nil, fault.New(fault.Invalid, "the question cannot be read: %w", err)
		}
		return answers.Explain(ctx, in.Tenant, in.Task)
	})
	backlog := serve(func(ctx context.Context, _ []byte) (any, error) { return answers.Backlog(ctx) })
	err = errors.Join(
		service.AddEndpoint("explain", explain, micro.WithEndpointSubject(explainSubject)),
		service.AddEndpoint("backlog", backlog, micro.WithEndpointSubject(backlogSubject)),
	)
	if err != nil {
		_ = service.Stop()
		return nil, err
	}
	return service, nil
}

// DispatcherClient asks the dispatcher of the platform, wherever it runs. It is safe for concurrent use and has nothing to close.
type DispatcherClient struct {
	nc      *natsgo.Conn
	backlog shared[[]task.Backlog]
}

var _ DispatcherAnswers = (*DispatcherClient)(nil)

// NewDispatcherClient returns a client. It sends nothing yet.
func NewDispatcherClient(nc *natsgo.Conn) *DispatcherClient {
	c := &DispatcherClient{nc: nc}
	c.backlog.maxAge = time.Second
	return c
}

// Explain says why a task is where it is. Faults are the dispatcher's; Unavailable when none answers within a second.
func (c *DispatcherClient) Explain(ctx context.Context, tenant, id string) (task.Explanation, error) {
	return askDispatcher[task.Explanation](ctx, c.nc, explainSubject, explainRequest{tenant, id})
}

// Backlog says what waits and runs, by kind, as it was within the last second. Unavailable when no dispatcher answers within a
// second. The slice is shared: do not change it.
func (c *DispatcherClient) Backlog(ctx context.Context) ([]task.Backlog, error) {
	return c.backlog.get(ctx, func(ctx context.Context) ([]task.Backlog, error) {
		return askDispatcher[[]task.Backlog](ctx, c.nc, backlogSubject, nil)
	})
}

func askDispatcher[T any](ctx context.Context, nc *natsgo.Conn, subject string, in any) (answer T, err error) {
	data, err := json.Marshal(in)
	if err != nil {
		return answer, fmt.Errorf("ask the dispatcher: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, dispatcherWait)
	defer cancel()
	msg, err := nc.RequestWithContext(bounded, subject, data)
	switch {
	case ctx.Err() != nil:
		return answer, fmt.Errorf("ask the dispatcher: %w", ctx.Err())
	case err != nil:
		return answer, fault.After(comeBack, "no dispatcher answers: %w", err)
	}
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		return answer, fault.New(kindNamed(code), "%s", msg.Header.Get(micro.ErrorHeader))
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return answer, fmt.Errorf("read the dispatcher's answer: %w", err)
	}
	return answer, nil
}

// kindNamed returns the kind of fault with the given code.
func kindNamed(code string) fault.Kind {
	for kind := fault.Internal; kind <= fault.Canceled; kind++ {
		if kind.String() == code {
			return kind
		}
	}
	return fault.Internal
}
