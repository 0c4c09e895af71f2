package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/events"
	turns "github.com/toolboxai/orchestrator/internal/chat"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents"
	"github.com/toolboxai/orchestrator/workers/agents/chat"
)

// allAgents returns an agent of every kind, the internal ones last. What a chat starts goes to submitter, which may be nil where nothing
// runs.
func allAgents(client llm.Client, submitter chat.Submitter) ([]workers.Agent, error) {
	all, err := agents.All(client)
	if err != nil {
		return nil, err
	}
	catalog, err := task.NewCatalog(kindsOf(all))
	if err != nil {
		return nil, err
	}
	assistant, err := chat.New(chat.Config{Client: client, Catalog: catalog, Submitter: submitter})
	return append(all, assistant), err
}

func kindsOf(all []workers.Agent) []task.Kind {
	kinds := make([]task.Kind, len(all))
	for i, a := range all {
		kinds[i] = a.Kind()
	}
	return kinds
}

// chats returns what keeps conversations.
func (s *system) chats(tasks turns.Tasks) (*turns.Service, error) {
	return turns.New(turns.Config{Store: postgres.NewChats(s.db), Tasks: tasks, Logger: s.logger})
}

// starter starts tasks for the chats that a worker answers. It appends them to the log, and the dispatcher queues them: a worker may
// write the one and not the other. It reads no archive: what a chat may ask about is on the log as long as its conversation is of use.
type starter struct {
	service task.Service
	limiter limit.Limiter // nil: nobody is asked to slow down
	rates   func() limit.Rates
	rights  *rights
}

var _ chat.Submitter = (*starter)(nil)

// starter returns what starts tasks for chats.
func (s *system) starter(limiter limit.Limiter, rates func() limit.Rates, r *rights) (*starter, error) {
	all, err := agents.All(composer.New())
	if err != nil {
		return nil, err
	}
	catalog, err := task.NewCatalog(kindsOf(all))
	if err != nil {
		return nil, err
	}
	service, err := task.NewService(task.Config{
		Log: s.broker.log, Queue: unseen{}, Progress: s.broker.log, Archive: unseen{}, Catalog: catalog, Blobs: s.broker.blobs, Gate: closed{},
		Source: "/chat", Patience: s.cfg.writePatience(), Logger: s.logger,
	})
	if err != nil {
		return nil, err
	}
	return &starter{*service, limiter, rates, r}, nil
}

// Submit implements chat.Submitter. It starts nothing for who may not start it any more, see rights, and nothing for a turn that is over: its
// user may have ended or deleted it, or have been erased, while this worker stood still. What was started before, by an attempt that did not live to say so, is not counted again. Where that is
// of another kind, an earlier dispatch of the turn started it, and the fault is a Conflict.
func (s *starter) Submit(ctx context.Context, o chat.Order) (string, error) {
	id := task.KeyedID(o.Turn.Tenant, o.Key)
	begun, err := s.service.Get(ctx, o.Turn.Tenant, id)
	switch {
	case err == nil && begun.Kind != o.Kind:
		return "", fault.New(fault.Conflict, "this message has started task %s already, of kind %s: the user may ask for more in the next one", id, begun.Kind)
	case err == nil:
		return id, nil
	case !fault.Is(err, fault.NotFound):
		return "", err
	}
	if err := s.rights.check(o); err != nil {
		return "", err
	}
	if err := s.goesOn(ctx, o.Turn); err != nil {
		return "", err
	}
	if err := s.take(ctx, o); err != nil {
		return "", err
	}
	service := s.service
	service.Names = known(o.Turn.Names)
	made, _, err := service.Submit(ctx, task.Submission{
		Tenant: o.Turn.Tenant, UserID: o.Turn.UserID, Kind: o.Kind, Input: o.Input, Key: o.Key, NoCache: o.Turn.NoCache, Origin: &events.Origin{Chat: o.Turn.ID},
	})
	if fault.Is(err, fault.Conflict) { // another attempt was faster
		return id, nil
	}
	return made.ID, err
}

// goesOn returns nil while this worker answers the turn. Conflict when somebody else does, or nobody.
func (s *starter) goesOn(ctx context.Context, turn task.Task) error {
	now, err := s.service.Get(ctx, turn.Tenant, turn.ID)
	switch {
	case fault.Is(err, fault.NotFound):
		return fault.New(fault.Conflict, "the message was deleted")
	case err != nil:
		return err
	case now.State != task.Running || now.Dispatch != turn.Dispatch || now.Attempt != turn.Attempt:
		return fault.New(fault.Conflict, "the message is not being answered any more: it is %s", now.State)
	}
	return nil
}

// take counts a submission as the API does.
func (s *starter) take(ctx context.Context, o chat.Order) error {
	if s.limiter == nil {
		return nil
	}
	v, err := s.limiter.Take(ctx, limit.Ask{Key: o.Turn.UserID, Limit: s.rates().For(limit.ClassOf(o.Kind), o.Turn.Tenant)})
	if err != nil || v.Allowed {
		return err
	}
	return fault.New(fault.RateLimited, "too many tasks: the limit %s allows %d in %s", v.Limit.Name, v.Limit.Rate, v.Limit.Per)
}

// Task implements chat.Submitter.
func (s *starter) Task(ctx context.Context, tenant, id string) (task.Task, error) {
	return s.service.Get(ctx, tenant, id)
}

// known are the people that a turn speaks of: a worker has no directory to look for others.
type known []string

// NamesIn implements task.Namer.
func (k known) NamesIn(_ context.Context, _ string, input json.RawMessage) []string {
	return slices.DeleteFunc(slices.Clone(k), func(name string) bool { return !strings.Contains(string(input), name) })
}

// unseen is the queue and the archive of who has neither.
type unseen struct{}

var (
	_ task.Queue   = unseen{}
	_ task.Archive = unseen{}
)

func (unseen) Admit(context.Context) error { return nil }

func (unseen) Dispatch(context.Context, events.Dispatch, events.Event) error {
	return fault.New(fault.Internal, "a worker queues nothing")
}

func (unseen) Has(context.Context, events.Dispatch) (bool, error) {
	return false, fault.New(fault.Internal, "a worker sees no queue")
}

func (unseen) Waiting(context.Context) ([]events.Dispatch, error) {
	return nil, fault.New(fault.Internal, "a worker sees no queue")
}

func (unseen) List(context.Context, task.Filter) (task.Page, error) {
	return task.Page{}, fault.New(fault.Internal, "a worker sees no archive")
}

func (unseen) Get(_ context.Context, _, id string) (task.Task, error) {
	return task.Task{}, fault.New(fault.NotFound, "task %s has left the log", id)
}

func (unseen) History(_ context.Context, _, id string, _ uint64, _ int) ([]events.Event, error) {
	return nil, fault.New(fault.NotFound, "task %s has left the log", id)
}
