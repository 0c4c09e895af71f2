package nats

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
)

// Durable consumers of the log. Each is one reader's place in it.
const (
	Recorder  = "recorder"  // copies the log into Postgres
	Notifier  = "notifier"  // tells subscribers
	Callbacks = "callbacks" // plans what webhooks are told
)

// feedGroup is the priority group of the log's durable consumers: of all that pull, the broker serves one.
const feedGroup = "feed"

// Topology says how streams and consumers are to be. Zero fields take the defaults.
type Topology struct {
	Kinds            []string      // task kinds: each gets a consumer for every lane
	Replicas         int           // of all streams but PROGRESS: 1, 3 or 5; 1
	EventsMaxAge     time.Duration // how far back the log goes; 30 days
	EventsMaxBytes   int64         // the log drops its oldest events above it; 0 sets no limit
	TasksMaxMsgs     int64         // waiting and running tasks; intake is refused above it; 1,000,000
	TasksMaxBytes    int64         // the same in bytes; 1 GiB
	ProgressMaxBytes int64         // of progress reports and streamed text; 64 MiB
	AckWait          time.Duration // a worker that gives no sign for so long has lost its task; 45 s
	PinTTL           time.Duration // a feed's reader that gives no sign for so long is replaced; 10 s
	LeaseTTL         time.Duration // the holder of a lease that gives no sign for so long is replaced; 10 s
	InMemory         bool          // keep no stream on disk: for tests
}

func (t Topology) withDefaults() (Topology, error) {
	setDefault(&t.Replicas, 1)
	setDefault(&t.EventsMaxAge, 30*24*time.Hour)
	setDefault(&t.TasksMaxMsgs, 1_000_000)
	setDefault(&t.TasksMaxBytes, 1<<30)
	setDefault(&t.ProgressMaxBytes, 64<<20)
	setDefault(&t.AckWait, 45*time.Second)
	setDefault(&t.PinTTL, 10*time.Second)
	setDefault(&t.LeaseTTL, 10*time.Second)
	if t.EventsMaxBytes == 0 {
		t.EventsMaxBytes = -1
	}
	var errs []error
	if t.Replicas != 1 && t.Replicas != 3 && t.Replicas != 5 {
		errs = append(errs, fmt.Errorf("replicas is %d, must be 1, 3 or 5", t.Replicas))
	}
	if t.EventsMaxAge < 0 || t.TasksMaxMsgs < 0 || t.TasksMaxBytes < 0 || t.ProgressMaxBytes < 0 || t.AckWait < 0 || t.PinTTL < 0 || t.LeaseTTL < 0 {
		errs = append(errs, errors.New("a limit is negative"))
	}
	seen := map[string]bool{}
	for _, kind := range t.Kinds {
		if err := events.CheckToken("kind", kind); err != nil {
			errs = append(errs, err)
		}
		if seen[kind] {
			errs = append(errs, fmt.Errorf("kind %s is listed twice", kind))
		}
		seen[kind] = true
	}
	return t, errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// WorkConsumer returns the name of the durable consumer on TASKS that serves a kind in a lane.
func WorkConsumer(kind string, lane events.Lane) string { return "work-" + kind + "-" + string(lane) }

func (t Topology) storage() jetstream.StorageType {
	if t.InMemory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// forgetful is how streams persist whose content nobody misses. They are on disk all the same: a stream in memory would be gone with its
// configuration when a broker of one node restarts.
func (t Topology) forgetful() jetstream.PersistModeType {
	if t.InMemory {
		return jetstream.DefaultPersistMode
	}
	return jetstream.AsyncPersistMode
}

func (t Topology) streams() []jetstream.StreamConfig {
	live := &jetstream.RePublish{Source: ">", Destination: events.Live(">")}
	return []jetstream.StreamConfig{
		{
			Name: events.StreamEvents, Subjects: []string{events.AllEvents}, Description: "every task's history: the truth",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: t.storage(), Replicas: t.Replicas,
			MaxAge: t.EventsMaxAge, MaxBytes: t.EventsMaxBytes, MaxMsgs: -1, MaxMsgsPerSubject: -1,
			AllowDirect: true, RePublish: live, AllowAtomicPublish: true,
		},
		{
			// One message per subject at most, and the newer one is refused: a dispatch that waits is not queued twice.
			Name: events.StreamTasks, Subjects: []string{events.AllTasks}, Description: "what is to run next; rebuilt from EVENTS",
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, Storage: t.storage(), Replicas: t.Replicas,
			MaxMsgs: t.TasksMaxMsgs, MaxBytes: t.TasksMaxBytes, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true,
			AllowAtomicPublish: true,
		},
		{
			Name: events.StreamProgress, Subjects: []string{events.AllProgress, events.AllText},
			Description: "the last progress report of each task, and what its models write; may be lost",
			Retention:   jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Storage: t.storage(), PersistMode: t.forgetful(), Replicas: 1,
			MaxAge: time.Hour, MaxBytes: t.ProgressMaxBytes, MaxMsgs: -1, MaxMsgsPerSubject: 1,
			AllowDirect: true, RePublish: live,
		},
	}
}

// Limits of the broker's bookkeeping. None bounds the work itself.
const (
	maxParked     = 16384     // pulls that wait on one work consumer: one for each idle process
	feedUnacked   = 16384     // events that a feed's reader has and did not settle
	feedAckWait   = time.Hour // feeds never wait for it: a new reader starts over at the last settled event
	unlimited     = -1
	maxPullsAFeed = 512
)

// consumers returns the durable consumers by stream. Work consumers have no MaxDeliver and no MaxAckPending: messages that
// exhaust the one stay in the stream and are never delivered, and delayed retries would fill the other. They have no BackOff
// either: it overrides AckWait.
func (t Topology) consumers() map[string][]jetstream.ConsumerConfig {
	all := map[string][]jetstream.ConsumerConfig{}
	for _, kind := range t.Kinds {
		for _, lane := range events.Lanes() {
			all[events.StreamTasks] = append(all[events.StreamTasks], jetstream.ConsumerConfig{
				Durable: WorkConsumer(kind, lane), FilterSubject: events.DispatchFilter(kind, lane),
				AckPolicy: jetstream.AckExplicitPolicy, AckWait: t.AckWait, DeliverPolicy: jetstream.DeliverAllPolicy,
				MaxDeliver: unlimited, MaxAckPending: unlimited, MaxWaiting: maxParked,
			})
		}
	}
	for _, name := range []string{Recorder, Notifier, Callbacks} {
		all[events.StreamEvents] = append(all[events.StreamEvents], t.feed(name))
	}
	return all
}

func (t Topology) feed(name string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, FilterSubject: events.AllEvents,
		AckPolicy: jetstream.AckAllPolicy, AckWait: feedAckWait, DeliverPolicy: jetstream.DeliverAllPolicy,
		MaxDeliver: unlimited, MaxAckPending: feedUnacked, MaxWaiting: maxPullsAFeed,
		PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{feedGroup}, PinnedTTL: t.PinTTL,
	}
}
