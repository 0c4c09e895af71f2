package callback

import (
	"context"
	"net/http"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// deliver tries a delivery and writes what came of it. When ctx ends the try is cut off, and somebody else's at once.
func (r *Runner) deliver(ctx context.Context, job Job, claim Claim) {
	o := r.try(ctx, job)
	o.Tenant, o.ID, o.Target, o.EndpointID, o.To, o.Attempt, o.Claim = job.Tenant, job.ID, job.Target, job.EndpointID, job.To, job.Attempt, claim
	r.stats.count(o.Verdict)
	if o.Verdict == Gone && job.EndpointID != "" {
		r.cfg.Logger.InfoContext(ctx, "an endpoint is gone and was disabled", "tenant", job.Tenant, "endpoint_id", job.EndpointID)
	}
	// The outcome is worth as much as the lease lasts: behind it somebody else tries again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(r.cfg.Lease/3, 20*time.Second))
	defer cancel()
	for failures := 1; ; failures++ {
		err := r.cfg.Queue.Finish(ctx, o)
		if err == nil {
			return
		}
		if !fault.KindOf(err).Retryable() || ctx.Err() != nil {
			r.stats.unwritten.Add(1)
			r.cfg.Logger.WarnContext(ctx, "what came of a callback could not be written: it is tried again", "delivery_id", job.ID, "verdict", o.Verdict, "error", err)
			return
		}
		sleep(ctx, r.random(min(5*time.Second, 100*time.Millisecond<<min(failures, 6))))
	}
}

// try makes the request and judges the answer.
func (r *Runner) try(ctx context.Context, job Job) Outcome {
	if job.State != Active {
		return Outcome{Verdict: GaveUp, Error: "the endpoint is disabled", At: r.cfg.Now()}
	}
	secrets, err := r.secrets(ctx, job)
	if err != nil {
		r.cfg.Logger.ErrorContext(ctx, "a callback cannot be signed", "tenant", job.Tenant, "delivery_id", job.ID, "error", err)
		return r.failed(job, answer{}, "it could not be signed")
	}
	a := r.sender.send(ctx, job.To, job.ID, job.Body, secrets)
	switch {
	case a.status >= 200 && a.status < 300:
		return Outcome{Verdict: Accepted, Status: a.status, At: r.cfg.Now()}
	case a.status == 0 && ctx.Err() != nil:
		return Outcome{Verdict: LetGo, At: r.cfg.Now()}
	case a.status == http.StatusGone:
		return Outcome{Verdict: Gone, Status: a.status, Error: explain(a), At: r.cfg.Now()}
	}
	return r.failed(job, a, explain(a))
}

// failed says when the next try is: none behind the day that the delivery has, of which the last moment is used.
func (r *Runner) failed(job Job, a answer, why string) Outcome {
	now := r.cfg.Now()
	o := Outcome{Verdict: Failed, Status: a.status, Error: why, At: now}
	if !now.Before(job.ExpiresAt) {
		o.Verdict = GaveUp
		return o
	}
	if o.NextAt = now.Add(backoff(job.Attempt, a.retryAfter, r.random)); o.NextAt.After(job.ExpiresAt) {
		o.NextAt = job.ExpiresAt
	}
	return o
}

// secrets returns those that sign a delivery. A tenant that has none for its tasks gets them here.
func (r *Runner) secrets(ctx context.Context, job Job) ([][]byte, error) {
	owner, stored := job.EndpointID, job.Secrets
	if owner == "" {
		owner = ofTasks
	}
	if stored.Current == nil {
		var err error
		first := Secrets{Current: seal(r.cfg.Sealer, job.Tenant, ofTasks, newSecret())}
		if stored, err = r.cfg.Secrets.TaskSecrets(ctx, job.Tenant, first); err != nil {
			return nil, err
		}
	}
	return stored.open(r.cfg.Sealer, job.Tenant, owner, r.cfg.Now())
}
