package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
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
	p, err := submitter(ctx)
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
func (s *Server) submitAll(ctx context.Context, p auth.Principal, items []json.RawMessage, key string) Batch {
	verdicts := make([]Verdict, len(items))
	var outage atomic.Pointer[error]
	var group errgroup.Group
	group.SetLimit(batchWorkers)
	for i, raw := range items {
		group.Go(func() error {
			if err := outage.Load(); err != nil {
				verdicts[i] = verdict(i, task.Task{}, false, *err)
				return nil
			}
			t, created, err := s.submitItem(ctx, p, raw, itemKey(key, i))
			if k := fault.KindOf(err); err != nil && (k == fault.Unavailable || k == fault.Timeout || k == fault.Canceled) {
				outage.CompareAndSwap(nil, &err)
			}
			verdicts[i] = verdict(i, t, created, err)
			return nil
		})
	}
	_ = group.Wait() // the verdicts hold the errors
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

func itemKey(key string, i int) string {
	if key == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", key, i)
}

func (s *Server) submitItem(ctx context.Context, p auth.Principal, raw json.RawMessage, key string) (task.Task, bool, error) {
	if len(raw) > maxBody {
		return task.Task{}, false, tooLarge(maxBody)
	}
	if err := checkBody(s.contract.batchItem, raw); err != nil {
		return task.Task{}, false, err
	}
	var item BatchItem
	if err := decode(raw, &item); err != nil {
		return task.Task{}, false, err
	}
	if item.IdempotencyKey != "" {
		key = item.IdempotencyKey
	}
	return s.cfg.Tasks.Submit(ctx, task.Submission{
		Tenant: p.Tenant, UserID: p.UserID, Kind: item.Kind, Input: item.Input, Priority: lane(item.Priority), Key: key,
		Labels: item.Labels, Deadline: item.Deadline, TraceParent: callOf(ctx).trace,
	})
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
