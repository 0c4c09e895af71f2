package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
	"github.com/toolboxai/orchestrator/internal/task"
)

// Limits of a batch.
const (
	maxBatch     = 1000
	batchWorkers = 16               // items of one batch that are submitted at the same time
	batchTime    = 60 * time.Second // for the whole batch
)

// SubmitBatch implements StrictServerInterface.
func (s *Server) SubmitBatch(ctx context.Context, r SubmitBatchRequestObject) (SubmitBatchResponseObject, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	items, err := batchItems(r)
	if err != nil {
		return nil, err
	}
	// The body is read. From here on only the time of the batch counts, not the server's limit for slow bodies.
	_ = callOf(ctx).control.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	return SubmitBatch207JSONResponse(success(ctx, s.submitAll(ctx, p, items, r.Params.IdempotencyKey), "see the verdict of each item")), nil
}

// batchItems splits a batch. What is wrong inside an item is found later.
func batchItems(r SubmitBatchRequestObject) ([]json.RawMessage, error) {
	var items []json.RawMessage
	if r.JSONBody != nil {
		if err := json.Unmarshal(*r.JSONBody, &items); err != nil {
			return nil, fault.InvalidField("body", "is not a JSON array: %v", err)
		}
	} else if r.Body != nil {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, readFault(err)
		}
		for line := range bytes.Lines(raw) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				items = append(items, line)
			}
		}
	}
	if len(items) == 0 || len(items) > maxBatch {
		return nil, fault.InvalidField("body", "has %d items, must have 1 to %d", len(items), maxBatch)
	}
	return items, nil
}

// submitAll gives each item its verdict. Once the service is unavailable for one item, those that were not begun are not
// tried: each would wait as long and learn the same.
func (s *Server) submitAll(ctx context.Context, p auth.Principal, raw []json.RawMessage, key string) Batch {
	items := make([]item, len(raw))
	inParallel(len(raw), func(i int) { items[i].sub, items[i].err = s.readItem(ctx, p, raw[i], itemKey(key, i)) })
	s.limitItems(ctx, items)
	verdicts := make([]Verdict, len(items))
	var outage atomic.Pointer[error]
	inParallel(len(items), func(i int) {
		t, created, err := task.Task{}, false, items[i].err
		if down := outage.Load(); err == nil && down != nil {
			err = *down
		}
		if err == nil {
			t, created, err = s.cfg.Tasks.Submit(ctx, items[i].sub)
			if k := fault.KindOf(err); err != nil && (k == fault.Unavailable || k == fault.Timeout || k == fault.Canceled) {
				outage.CompareAndSwap(nil, &err)
			}
		}
		verdicts[i] = verdict(i, t, created, err)
	})
	b := Batch{Items: verdicts}
	for _, v := range verdicts {
		if v.Error == nil {
			b.Accepted++
		} else {
			b.Rejected++
		}
	}
	return b
}

// item is a submission of a batch, or why it is none.
type item struct {
	sub task.Submission
	err error
}

// inParallel calls fn for 0 to n-1, batchWorkers of them at the same time, and waits.
func inParallel(n int, fn func(i int)) {
	var group errgroup.Group
	group.SetLimit(batchWorkers)
	for i := range n {
		group.Go(func() error {
			fn(i)
			return nil
		})
	}
	_ = group.Wait() // fn keeps its errors
}

// limitItems counts the items as if each had come alone: of each class the first ones pass.
func (s *Server) limitItems(ctx context.Context, items []item) {
	byClass := map[string][]int{}
	for i := range items {
		if items[i].err == nil {
			kind := s.resolved(items[i].sub.Kind)
			if items[i].err = s.mayDeploy(ctx, kind); items[i].err == nil {
				byClass[limit.ClassOf(kind)] = append(byClass[limit.ClassOf(kind)], i)
			}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		passed, err := s.limitClass(ctx, class, len(byClass[class]))
		for _, i := range byClass[class][passed:] {
			items[i].err = err
		}
	}
}

func itemKey(key string, i int) string {
	if key == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", key, i)
}

func (s *Server) readItem(ctx context.Context, p auth.Principal, raw json.RawMessage, key string) (task.Submission, error) {
	if len(raw) > maxBody {
		return task.Submission{}, tooLarge(maxBody)
	}
	if err := checkBody(s.contract.batchItem, raw); err != nil {
		return task.Submission{}, err
	}
	var item BatchItem
	if err := decode(raw, &item); err != nil {
		return task.Submission{}, err
	}
	if item.IdempotencyKey != "" {
		key = item.IdempotencyKey
	}
	if err := checkKey(key); err != nil {
		return task.Submission{}, err
	}
	sub := task.Submission{
		Tenant: p.Tenant, UserID: p.UserID, Kind: item.Kind, Input: item.Input, Priority: lane(item.Priority), Key: key,
		Labels: item.Labels, Deadline: item.Deadline, Timeout: inSeconds(item.TimeoutSeconds), Cost: item.Cost, CallbackURL: item.CallbackURL, NoCache: declines(item.Cache),
		TraceParent: callOf(ctx).trace,
	}
	err := setTimes(&sub, item.RunAt, item.DelaySeconds, item.QueueTTLSeconds)
	return sub, err
}

func verdict(i int, t task.Task, created bool, err error) Verdict {
	if err != nil {
		f := failureOf(err)
		return Verdict{Index: i, Status: f.status, Message: f.message, Error: &f.problem}
	}
	t.Input = nil
	v := Verdict{Index: i, Status: http.StatusOK, Task: &t, URL: taskURL(t.ID)}
	if created {
		v.Status = http.StatusAccepted
	}
	return v
}
