package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/internal/breaker"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Every process answers for its own breakers, by a subscription without a group: each hears every question.
const (
	breakersListSubject  = "breakers.list"
	breakersResetSubject = "breakers.reset"

	// breakersWait is how long processes may take to answer: nobody knows how many there are.
	breakersWait = 500 * time.Millisecond
	// maxBreakerProcesses bounds the answers that are gathered.
	maxBreakerProcesses = 10_000
)

// breakerReset asks one process, or all where Process is empty, to close a breaker.
type breakerReset struct {
	Process string `json:"process"`
	Name    string `json:"name"`
}

// breakerResetAnswer is what a process says that was meant.
type breakerResetAnswer struct {
	Process string `json:"process"`
	Found   bool   `json:"found"`
}

// ServeBreakers answers a BreakersClient for the breakers of this process, whose name must be its own alone. It returns nil once
// ctx has ended and no question is being answered, and an error when it cannot listen.
func ServeBreakers(ctx context.Context, nc *natsgo.Conn, process string, reg *breaker.Registry) error {
	questions := make(chan *natsgo.Msg, 64) // an operator's; what does not fit is dropped, and the process missing from the answer
	for _, subject := range []string{breakersListSubject, breakersResetSubject} {
		sub, err := nc.ChanSubscribe(subject, questions)
		if err != nil {
			return fmt.Errorf("serve the breakers of %s: %w", process, err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-questions:
			if answer := answerBreakers(msg, process, reg); answer != nil {
				_ = msg.Respond(answer) // fails without a connection, and then nobody waits
			}
		}
	}
}

// answerBreakers returns nil for what this process has nothing to say to.
func answerBreakers(msg *natsgo.Msg, process string, reg *breaker.Registry) []byte {
	var answer any
	switch msg.Subject {
	case breakersListSubject:
		answer = breaker.ProcessState{Process: process, Breakers: reg.States()}
	case breakersResetSubject:
		var in breakerReset
		if json.Unmarshal(msg.Data, &in) != nil || in.Process != "" && in.Process != process {
			return nil
		}
		answer = breakerResetAnswer{process, reg.Reset(in.Name) == nil}
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil
	}
	return data
}

// BreakersClient asks all processes of the platform for their breakers. It is safe for concurrent use and has nothing to close.
type BreakersClient struct{ nc *natsgo.Conn }

// NewBreakersClient returns a client. It sends nothing yet.
func NewBreakersClient(nc *natsgo.Conn) *BreakersClient { return &BreakersClient{nc} }

// List returns the breakers of all processes that answer within 500 ms, which it always takes, sorted by process. Unavailable
// while the broker is away.
func (c *BreakersClient) List(ctx context.Context) ([]breaker.ProcessState, error) {
	const op = "list breakers"
	found := []breaker.ProcessState{}
	err := askMany(ctx, c.nc, op, &natsgo.Msg{Subject: breakersListSubject}, func(data []byte) bool {
		var answer breaker.ProcessState
		if json.Unmarshal(data, &answer) == nil && answer.Process != "" {
			found = append(found, answer)
		}
		return len(found) < maxBreakerProcesses
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b breaker.ProcessState) int { return strings.Compare(a.Process, b.Process) })
	return found, nil
}

// Reset closes a breaker of one process, or of every process that has it where process is empty. NotFound when nobody that
// answers within 500 ms has it. Unavailable while the broker is away.
func (c *BreakersClient) Reset(ctx context.Context, process, name string) error {
	const op = "reset a breaker"
	data, err := json.Marshal(breakerReset{process, name})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	heard, reset := false, false
	err = askMany(ctx, c.nc, op, &natsgo.Msg{Subject: breakersResetSubject, Data: data}, func(data []byte) bool {
		var answer breakerResetAnswer
		if json.Unmarshal(data, &answer) == nil {
			heard, reset = true, reset || answer.Found
		}
		return process == "" // else nobody else answers
	})
	switch {
	case err != nil:
		return err
	case reset:
		return nil
	case !heard:
		return fault.New(fault.NotFound, "no process of that name answers")
	}
	return fault.New(fault.NotFound, "the process has no breaker of that name")
}

// askMany sends msg to whoever listens and shows each answer to take, until that wants no more or breakersWait is over. Nobody
// that listens is no error.
func askMany(ctx context.Context, nc *natsgo.Conn, op string, msg *natsgo.Msg, take func([]byte) bool) error {
	replies := make(chan *natsgo.Msg, 1024)
	sub, err := nc.ChanSubscribe(nc.NewInbox(), replies)
	if err != nil {
		return broken(ctx, op, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if !nc.IsConnected() { // a question that waits for the broker would be answered to nobody
		return fault.After(comeBack, "%s: the broker cannot be reached", op)
	}
	msg.Reply = sub.Subject
	if err := nc.PublishMsg(msg); err != nil {
		return broken(ctx, op, err)
	}
	limit := time.NewTimer(breakersWait)
	defer limit.Stop()
	for {
		select {
		case reply := <-replies:
			if reply.Header.Get("Status") == noResponders || !take(reply.Data) {
				return nil
			}
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return broken(ctx, op, ctx.Err())
		}
	}
}
