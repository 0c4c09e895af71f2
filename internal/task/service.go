package task

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Config is what a Service needs.
type Config struct {
	Log       Log
	Queue     Queue
	Progress  ProgressBoard
	Archive   Archive
	Catalog   *Catalog
	Blobs     Blobs                  // where large results are; nil: results come with their ResultRef only
	Explainer Explainer              // says why a queued task has not begun; nil: nobody does
	Gate      Gate                   // decides what goes straight to the queue; nil: everything that is due
	Callback  func(url string) error // checks a callback_url, with faults for field "callback_url"; nil: none is taken
	Names     Namer                  // finds people in inputs; nil: nobody does
	Source    string                 // ce-source of the events it writes; "/api" when empty
	Patience  time.Duration          // how long a write is retried while the broker is away; Patience when 0
	Logger    *slog.Logger
}

// Service is the one way in: every edge submits, reads and decides through it. It is safe for concurrent use and holds no
// state of its own.
type Service struct{ Config }

// NewService checks cfg and returns the service.
func NewService(cfg Config) (*Service, error) {
	for name, missing := range map[string]bool{
		"Log": cfg.Log == nil, "Queue": cfg.Queue == nil, "Progress": cfg.Progress == nil, "Archive": cfg.Archive == nil, "Catalog": cfg.Catalog == nil,
	} {
		if missing {
			return nil, fmt.Errorf("task service: Config.%s is missing", name)
		}
	}
	if cfg.Source == "" {
		cfg.Source = "/api"
	}
	if cfg.Patience == 0 {
		cfg.Patience = Patience
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg}, nil
}

// Limits of a submission.
const (
	MaxInput  = 256 << 10 // bytes of Submission.Input
	MaxKey    = 255       // bytes of Submission.Key
	MaxLabels = 16

	MaxDelay   = 14 * 24 * time.Hour // how far ahead a task may be put off: half of what the log keeps, by default
	MaxTimeout = 24 * time.Hour
	MaxCost    = 24 * 3600.0

	maxLabel = 63 // bytes of a label's name or value
)

// Submission asks for one task.
type Submission struct {
	Tenant      string
	UserID      string
	Kind        string // name or alias
	Input       json.RawMessage
	Priority    events.Lane // Normal when empty
	Key         string      // Idempotency-Key: the same key and content gives the same task; empty for none
	Labels      map[string]string
	Deadline    *time.Time    // the task fails when it is not finished by then
	RunAt       *time.Time    // no worker begins earlier; at most MaxDelay ahead
	ExpiresAt   *time.Time    // the task fails when no worker has begun by then
	Timeout     time.Duration // of one attempt; 0 takes the worker's; 1 s to MaxTimeout
	Cost        float64       // estimate, in seconds of a worker's slot, for fairness; 0 takes the kind's average
	CallbackURL string        // who is told of the task's end; empty: nobody
	NoCache     bool          // nothing of it comes from a cache, or goes into one
	Internal    bool          // Kind is an internal one
	Origin      *events.Origin
	TraceParent string

	// Delay and QueueTTL are what RunAt and ExpiresAt follow from, where the caller gave them so. They stand for those where a repeated
	// submission is told from another one: it is repeated later, and the same all the same.
	Delay, QueueTTL time.Duration
}

// Submit records the task and queues it. The second result is false when the task existed already, made by an earlier
// submission with the same key and content. The task is on record once Submit returns nil: where the queue cannot take it at
// that moment, the dispatcher does it later, so that an answer never invites a client to submit again what will run.
//
// Errors: Invalid, TooLarge, Conflict (the key was used with other content), Unavailable (nothing is on record, or that
// cannot be told: repeat with the same key).
func (s *Service) Submit(ctx context.Context, sub Submission) (Task, bool, error) {
	kind, err := s.check(&sub)
	if err != nil {
		return Task{}, false, err
	}
	hash, err := requestHash(kind.Name, sub)
	if err != nil {
		return Task{}, false, err
	}
	id, err := taskID(sub.Tenant, sub.Key)
	if err != nil {
		return Task{}, false, err
	}
	if err := s.Queue.Admit(ctx); err != nil {
		return Task{}, false, err
	}
	queued := events.Queued{
		Kind: kind.Name, Input: sub.Input, Priority: sub.Priority, Dispatch: 1, UserID: sub.UserID,
		RequestHash: hash, Labels: sub.Labels, Deadline: sub.Deadline, NotBefore: sub.RunAt, ExpiresAt: sub.ExpiresAt,
		TimeoutMS: sub.Timeout.Milliseconds(), Cost: sub.Cost, Origin: sub.Origin, CallbackURL: sub.CallbackURL, NoCache: sub.NoCache,
		Private: kind.Internal,
	}
	queued.Direct, queued.Names = s.direct(sub.Tenant, queued), s.names(ctx, sub.Tenant, sub.Input)
	e, err := events.New(sub.Tenant, id, s.Source, queued)
	if err != nil {
		return Task{}, false, err
	}
	e.TraceParent = sub.TraceParent
	err = s.append(ctx, &e, 0)
	if Stale(err) != nil {
		return s.existing(ctx, sub, id, hash)
	}
	if err != nil {
		return Task{}, false, fmt.Errorf("submit task %s: %w", id, err)
	}
	var t Task
	if err := t.Advance(e, queued); err != nil {
		return Task{}, false, err
	}
	if queued.Direct {
		s.dispatch(ctx, t, e)
	}
	return t, true, nil
}

func (s *Service) names(ctx context.Context, tenant string, input json.RawMessage) []string {
	if s.Names == nil {
		return nil
	}
	return s.Names.NamesIn(ctx, tenant, input)
}

// direct reports whether what q asks for goes straight to the queue, instead of being held by the dispatcher until its turn.
func (s *Service) direct(tenant string, q events.Queued) bool {
	if q.NotBefore != nil && q.NotBefore.After(time.Now()) {
		return false
	}
	return s.Gate == nil || s.Gate.Direct(tenant, q.Kind, q.Labels)
}

func (s *Service) check(sub *Submission) (Kind, error) {
	if err := events.CheckToken("tenant", sub.Tenant); err != nil {
		return Kind{}, fault.InvalidField("tenant", "%v", err)
	}
	resolve := s.Catalog.Resolve
	if sub.Internal {
		resolve = s.Catalog.Internal
	}
	kind, err := resolve(sub.Kind)
	if err != nil {
		return Kind{}, err
	}
	if sub.Priority == "" {
		sub.Priority = events.Normal
	}
	if !sub.Priority.Valid() {
		return Kind{}, fault.InvalidField("priority", "%q is none of high, normal, low", clip(string(sub.Priority)))
	}
	if len(sub.Key) > MaxKey {
		return Kind{}, fault.InvalidField("Idempotency-Key", "has %d bytes, at most %d are allowed", len(sub.Key), MaxKey)
	}
	if len(sub.Labels) > MaxLabels {
		return Kind{}, fault.InvalidField("labels", "has %d entries, at most %d are allowed", len(sub.Labels), MaxLabels)
	}
	for name, value := range sub.Labels {
		if name == "" || len(name) > maxLabel || len(value) > maxLabel {
			return Kind{}, fault.InvalidField("labels."+clip(name), "must have a name of 1 to %d bytes and a value of at most %d", maxLabel, maxLabel)
		}
	}
	if err := sub.checkTimes(time.Now()); err != nil {
		return Kind{}, err
	}
	if err := s.checkCallback(sub.CallbackURL); err != nil {
		return Kind{}, err
	}
	return kind, s.CheckInput(kind.Name, sub.Input)
}

func (s *Service) checkCallback(url string) error {
	switch {
	case url == "":
		return nil
	case s.Callback == nil:
		return fault.InvalidField("callback_url", "is not served here: no callbacks are sent")
	}
	return s.Callback(url)
}

// checkTimes holds when the task may run, and for how long, against the clock and each other.
func (sub *Submission) checkTimes(now time.Time) error {
	begins := now
	if at := sub.RunAt; at != nil {
		if at.After(now.Add(MaxDelay)) {
			return fault.InvalidField("run_at", "is more than %s ahead; use a schedule", MaxDelay)
		}
		if at.After(now) {
			begins = *at
		}
	}
	switch {
	case sub.Deadline != nil && !sub.Deadline.After(begins):
		return fault.InvalidField("deadline", "is not after the time at which the task may begin: %s", sub.Deadline.Format(time.RFC3339))
	case sub.ExpiresAt != nil && !sub.ExpiresAt.After(begins):
		return fault.InvalidField("queue_ttl", "ends before the task may begin: %s", sub.ExpiresAt.Format(time.RFC3339))
	case sub.Timeout != 0 && (sub.Timeout < time.Second || sub.Timeout > MaxTimeout):
		return fault.InvalidField("timeout_seconds", "is %s, must be 1s to %s", sub.Timeout, MaxTimeout)
	case sub.Cost < 0 || sub.Cost > MaxCost || sub.Cost != sub.Cost:
		return fault.InvalidField("cost", "is %v, must be 0 to %v seconds", sub.Cost, MaxCost)
	}
	return nil
}

// CheckInput holds a task's input against its size limit and the rules of Catalog.CheckInput.
func (s *Service) CheckInput(kind string, input json.RawMessage) error {
	if len(input) > MaxInput {
		return &fault.Error{Kind: fault.TooLarge, Message: "the input is too large",
			Details: []fault.Detail{{Field: "input", Reason: fmt.Sprintf("has %d bytes, at most %d are allowed", len(input), MaxInput)}}}
	}
	if len(input) == 0 {
		return fault.InvalidField("input", "is missing")
	}
	return s.Catalog.CheckInput(kind, input)
}

// existing answers a repeated submission with the task that the first one made.
func (s *Service) existing(ctx context.Context, sub Submission, id, hash string) (Task, bool, error) {
	t, _, err := s.read(ctx, sub.Tenant, id)
	if err != nil {
		return Task{}, false, fmt.Errorf("read task %s: %w", id, err)
	}
	if t.RequestHash != hash {
		return Task{}, false, fault.New(fault.Conflict, "the Idempotency-Key was used for task %s with another request; take a new key", id)
	}
	if t.State == Queued {
		if q, e, err := QueuedEvent(ctx, s.Log, t); err == nil && q.Direct {
			s.dispatch(ctx, t, e)
		}
	}
	return t, false, nil
}

// QueuedEvent returns the task.queued event of t's current dispatch, its body first: what Queue.Dispatch takes.
func QueuedEvent(ctx context.Context, log Log, t Task) (events.Queued, events.Event, error) {
	found, err := log.History(ctx, t.Tenant, t.ID, t.QueuedSeq-1, 1)
	if err != nil {
		return events.Queued{}, events.Event{}, err
	}
	if len(found) == 0 || found[0].Seq != t.QueuedSeq {
		return events.Queued{}, events.Event{}, fault.New(fault.NotFound, "event %d of task %s is gone", t.QueuedSeq, t.ID)
	}
	q, err := events.DataAs[events.Queued](found[0])
	return q, found[0], err
}

// dispatchPatience is how long a caller whose task is on record waits for it to be queued: long enough for a hiccup, not for an election.
const dispatchPatience = 2 * time.Second

// dispatch queues what is on record already. A failure is no failure of the caller's request: the dispatcher repeats it.
func (s *Service) dispatch(ctx context.Context, t Task, e events.Event) {
	err := Patiently(ctx, min(s.Patience, dispatchPatience), func(ctx context.Context) error { return s.Queue.Dispatch(ctx, t.DispatchEntry(), e) })
	if err != nil {
		s.Logger.WarnContext(ctx, "dispatch put off until the dispatcher's next look", "task_id", e.Task, "tenant", e.Tenant, "error", err)
	}
}

// append writes e and sets its sequence, waiting out a broker that is away for at most s.Patience.
func (s *Service) append(ctx context.Context, e *events.Event, after uint64) error {
	return Patiently(ctx, s.Patience, func(ctx context.Context) error {
		seq, err := s.Log.Append(ctx, *e, after)
		if err == nil {
			e.Seq = seq
		}
		return err
	})
}

// taskID is random and ordered by time, or derived from the tenant's Idempotency-Key, so that the same key meets the same
// history.
func taskID(tenant, key string) (string, error) {
	if key != "" {
		return uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceURL, []byte("toolboxai:tenant:"+tenant)), []byte(key)).String(), nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("new task id: %w", err)
	}
	return id.String(), nil
}

// requestHash is the same for requests that differ only in white space, in the order of keys, or in when they were made.
func requestHash(kind string, sub Submission) (string, error) {
	if sub.Key == "" {
		return "", nil
	}
	var input any
	if err := json.Unmarshal(sub.Input, &input); err != nil {
		return "", fault.InvalidField("input", "is not valid JSON: %v", err)
	}
	request := []any{kind, input, sub.Priority, sub.Labels, sub.Deadline}
	if sub.RunAt != nil || sub.ExpiresAt != nil || sub.Timeout != 0 || sub.Cost != 0 {
		var begins, expires any = sub.RunAt, sub.ExpiresAt
		if sub.Delay > 0 {
			begins = sub.Delay.String()
		}
		if sub.QueueTTL > 0 {
			expires = sub.QueueTTL.String()
		}
		request = append(request, begins, expires, sub.Timeout, sub.Cost)
	}
	if sub.CallbackURL != "" {
		request = append(request, "callback", sub.CallbackURL)
	}
	if sub.NoCache {
		request = append(request, "no cache")
	}
	canonical, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("canonical request: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}
