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
	Log      Log
	Queue    Queue
	Progress ProgressBoard
	Archive  Archive
	Catalog  *Catalog
	Source   string        // ce-source of the events it writes; "/api" when empty
	Patience time.Duration // how long a write is retried while the broker is away; Patience when 0
	Logger   *slog.Logger
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
	maxLabel  = 63 // bytes of a label's name or value
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
	Deadline    *time.Time // the task fails when it is not finished by then
	TraceParent string
}

// Submit records the task and queues it. The second result is false when the task existed already, made by an earlier
// submission with the same key and content. The task is on record once Submit returns nil: where the queue cannot take it at
// that moment, the reconciler dispatches it later, so that an answer never invites a client to submit again what will run.
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
		RequestHash: hash, Labels: sub.Labels, Deadline: sub.Deadline,
	}
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
	s.dispatch(ctx, t, e)
	return t, true, nil
}

func (s *Service) check(sub *Submission) (Kind, error) {
	if err := events.CheckToken("tenant", sub.Tenant); err != nil {
		return Kind{}, fault.InvalidField("tenant", "%v", err)
	}
	kind, err := s.Catalog.Resolve(sub.Kind)
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
	if sub.Deadline != nil && !sub.Deadline.After(time.Now()) {
		return Kind{}, fault.InvalidField("deadline", "is in the past: %s", sub.Deadline.Format(time.RFC3339))
	}
	return kind, s.CheckInput(kind.Name, sub.Input)
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
		if e, err := QueuedEvent(ctx, s.Log, t); err == nil {
			s.dispatch(ctx, t, e)
		}
	}
	return t, false, nil
}

// QueuedEvent returns the task.queued event of t's current dispatch: what Queue.Dispatch takes.
func QueuedEvent(ctx context.Context, log Log, t Task) (events.Event, error) {
	found, err := log.History(ctx, t.Tenant, t.ID, t.QueuedSeq-1, 1)
	if err != nil {
		return events.Event{}, err
	}
	if len(found) == 0 || found[0].Seq != t.QueuedSeq {
		return events.Event{}, fault.New(fault.NotFound, "event %d of task %s is gone", t.QueuedSeq, t.ID)
	}
	return found[0], nil
}

// dispatch queues what is on record already. A failure is no failure of the caller's request: the reconciler repeats it.
func (s *Service) dispatch(ctx context.Context, t Task, e events.Event) {
	err := s.Queue.Dispatch(ctx, t.DispatchEntry(), e)
	if err != nil {
		s.Logger.WarnContext(ctx, "dispatch put off until the reconciler's next round", "task_id", e.Task, "tenant", e.Tenant, "error", err)
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

// requestHash is the same for requests that differ only in white space or in the order of keys.
func requestHash(kind string, sub Submission) (string, error) {
	if sub.Key == "" {
		return "", nil
	}
	var input any
	if err := json.Unmarshal(sub.Input, &input); err != nil {
		return "", fault.InvalidField("input", "is not valid JSON: %v", err)
	}
	canonical, err := json.Marshal([]any{kind, input, sub.Priority, sub.Labels, sub.Deadline})
	if err != nil {
		return "", fmt.Errorf("canonical request: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}
