package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/campaign"
	"github.com/toolboxai/orchestrator/internal/dispatch"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/internal/privacy"
	"github.com/toolboxai/orchestrator/internal/schedule"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

type dispatcherCommand struct{}

func (dispatcherCommand) Run(ctx context.Context) error {
	return runRole(ctx, "dispatcher", true, (*system).dispatch)
}

// service returns the domain as the process called source speaks for it. Where callback is nil it takes no callback_url.
func (s *system) service(source string, catalog *task.Catalog, queue task.Queue, gate task.Gate, callback func(url string) error) (*task.Service, error) {
	return task.NewService(task.Config{
		Log: s.broker.log, Queue: queue, Progress: s.broker.log, Archive: postgres.NewStaleReads(s.db), Catalog: catalog,
		Names: privacy.NewNames(sparing{postgres.NewSchool(s.db)}, s.logger), Blobs: s.broker.blobs, Explainer: nats.NewDispatcherClient(s.broker.conn), Gate: gate, Callback: callback,
		Source: source, Logger: s.logger,
	})
}

// books returns what users say of schedules and campaigns, and where it is kept.
func (s *system) books(service *task.Service, record audit.Recorder) (*schedule.Service, *campaign.Service, error) {
	schedules, err := newDocuments[schedule.Schedule](s.broker.js, nats.BucketSchedules, s.logger)
	if err != nil {
		return nil, nil, err
	}
	campaigns, err := newDocuments[campaign.Campaign](s.broker.js, nats.BucketCampaigns, s.logger)
	if err != nil {
		return nil, nil, err
	}
	book, err := schedule.NewService(schedule.ServiceConfig{Documents: schedules, Tasks: service, Checker: service, Audit: record})
	if err != nil {
		return nil, nil, err
	}
	bulk, err := campaign.NewService(campaign.ServiceConfig{Documents: campaigns, Tasks: service, Audit: record})
	return book, bulk, err
}

// dispatch decides who runs next until ctx ends. Of several processes one acts; it also ticks schedules and carries out campaigns.
func (s *system) dispatch(ctx context.Context) error {
	all, err := kinds()
	if err != nil {
		return err
	}
	catalog, err := task.NewCatalog(all)
	if err != nil {
		return err
	}
	service, err := s.service("/dispatcher", catalog, s.broker.queue, closed{}, nil)
	if err != nil {
		return err
	}
	policies, err := nats.NewPolicyStore(s.broker.js, s.logger)
	if err != nil {
		return err
	}
	lease, err := nats.NewLease(s.broker.js, "dispatcher", workerName(), nats.LeaseConfig{Logger: s.logger})
	if err != nil {
		return err
	}
	gate, err := nats.NewGateWriter(s.broker.js)
	if err != nil {
		return err
	}
	fleet, err := nats.NewFleet(s.broker.conn, nats.FleetConfig{})
	if err != nil {
		return err
	}
	defer fleet.Close()
	d, err := dispatch.New(dispatch.Config{
		Log: s.broker.log, Queue: s.broker.queue, Tasks: service, Watcher: s.broker.log, Fleet: fleet, Lease: lease, Policies: policies, Gate: gate,
		Board: dispatch.BoardConfig{AttemptTimeout: s.cfg.agentTimeout(), MaxOpen: int(s.cfg.TaskQueueLimit)}, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	schedules, err := newDocuments[schedule.Schedule](s.broker.js, nats.BucketSchedules, s.logger)
	if err != nil {
		return err
	}
	campaigns, err := newDocuments[campaign.Campaign](s.broker.js, nats.BucketCampaigns, s.logger)
	if err != nil {
		return err
	}
	ticker, err := schedule.NewTicker(schedule.TickerConfig{
		Documents: schedules, Tasks: &inOffice{Service: service, schools: postgres.NewSchool(s.db), logger: s.logger}, Runs: d, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	runner, err := campaign.NewRunner(campaign.RunnerConfig{Documents: campaigns, Tasks: service, Logger: s.logger})
	if err != nil {
		return err
	}
	pauses := &pauses{queue: s.broker.queue, kinds: names(all), policies: policies, logger: s.logger}
	return runRoles(ctx, s.logger,
		role{"policy", policies.Run},
		role{"durability", s.shareSyncs},
		role{"dispatch", d.Run},
		role{"answers", func(ctx context.Context) error { return nats.ServeDispatcher(ctx, s.broker.conn, lease, d) }},
		role{"schedules", func(ctx context.Context) error { return d.WhileLeading(ctx, ticker.Run) }},
		role{"campaigns", func(ctx context.Context) error { return d.WhileLeading(ctx, runner.Run) }},
		role{"pauses", func(ctx context.Context) error { return d.WhileLeading(ctx, pauses.run) }},
	)
}

// inOffice submits runs in the names of those who may still submit: the schedules of who is disabled, erased or of another role by now, and
// those of a suspended tenant, make none.
type inOffice struct {
	*task.Service
	schools *postgres.School
	logger  *slog.Logger
	retry   atomic.Int64 // when the database is asked again after it was away, in nanoseconds since 1970
}

// How long a run waits to hear of its user, and the next ones are submitted without asking when it heard nothing.
const (
	officeWait  = time.Second
	officeRetry = 5 * time.Second
)

// Submit implements schedule.Tasks. While the database cannot be asked, runs are submitted: the log is all that a schedule needs.
func (o *inOffice) Submit(ctx context.Context, sub task.Submission) (task.Task, bool, error) {
	if !o.may(ctx, sub.Tenant, sub.UserID) {
		return task.Task{}, false, fault.New(fault.Forbidden, "user %s may not submit any more, or tenant %s is suspended", sub.UserID, sub.Tenant)
	}
	return o.Service.Submit(ctx, sub)
}

func (o *inOffice) may(ctx context.Context, tenant, user string) bool {
	if time.Now().UnixNano() < o.retry.Load() {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, officeWait)
	defer cancel()
	may, err := o.schools.MaySubmit(ctx, tenant, user)
	if err != nil {
		o.retry.Store(time.Now().Add(officeRetry).UnixNano())
		o.logger.WarnContext(ctx, "runs are submitted though it is not known whether their users still may", "error", err)
		return true
	}
	return may
}

// closed sends nothing straight to the queue: what the dispatcher itself submits waits its turn.
type closed struct{}

func (closed) Direct(string, string, map[string]string) bool { return false }

// ruled is the gate as the API sees it: a pause and a limit hold from the moment in which the API knows of them, and also while there is
// no dispatcher to say so.
type ruled struct {
	task.Gate
	policies interface{ Current() policy.Policy }
}

// Direct implements task.Gate.
func (r ruled) Direct(tenant, kind string, labels map[string]string) bool {
	p := r.policies.Current()
	if _, paused := p.PausedKind(kind); paused {
		return false
	}
	of := policy.Facts{Kind: kind, Tenant: tenant, Labels: labels}
	if slices.ContainsFunc(p.Limits, func(l policy.Limit) bool { return l.Fits(of) }) {
		return false
	}
	return r.Gate.Direct(tenant, kind, labels)
}

func names(kinds []task.Kind) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = k.Name
	}
	return out
}

// pauses keeps the queue from handing out tasks of paused kinds that are in it already.
type pauses struct {
	queue    *nats.Queue
	kinds    []string
	policies *nats.PolicyStore
	logger   *slog.Logger
}

const (
	// pauseRetry is how long a pause that the broker did not take is tried again after.
	pauseRetry = 2 * time.Second
	// pauseRepeat is how often pauses are set although nothing changed: a queue that was lost and made anew knows of none.
	pauseRepeat = time.Minute
)

// run follows the policy until ctx ends.
func (p *pauses) run(ctx context.Context) error {
	for failing := false; ; {
		changed := p.policies.Changed()
		again := pauseRepeat
		err := p.apply(ctx, p.policies.Current())
		if err != nil {
			again = pauseRetry
			if !failing && ctx.Err() == nil {
				p.logger.WarnContext(ctx, "kinds cannot be paused or resumed in the queue, trying again", "error", err)
			}
		}
		failing = err != nil
		select {
		case <-changed:
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

// apply pauses and resumes each kind as the policy says. Both change nothing where it is so already.
func (p *pauses) apply(ctx context.Context, now policy.Policy) error {
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	for _, kind := range p.kinds {
		all.Go(func() {
			act := p.queue.ResumeKind
			if _, paused := now.PausedKind(kind); paused {
				act = p.queue.PauseKind
			}
			if err := act(ctx, kind); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
