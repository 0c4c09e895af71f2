package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
)

// Provision makes streams and consumers as t says, and changes those that differ where the broker allows it. It returns a
// line for each thing that it made or changed, none when all was well, also together with an error. It deletes nothing but
// streams whose content nobody misses, to make them anew where the broker cannot change them: consumers of a kind that is gone stay
// with what waits for them. Settings that t says nothing about are left as they are.
//
// It is one explicit step (toolboxai migrate, and dev) before any other process starts, and may be repeated at will.
func Provision(ctx context.Context, js jetstream.JetStream, t Topology) (changes []string, err error) {
	t, err = t.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	for _, want := range append(t.streams(), t.buckets()...) {
		made, err := answered(ctx, func(ctx context.Context) ([]string, error) { return provisionStream(ctx, js, want) })
		changes = append(changes, made...)
		if err != nil {
			return changes, broken(ctx, "provision stream "+want.Name, err)
		}
	}
	consumers := t.consumers()
	for _, stream := range []string{events.StreamEvents, events.StreamTasks} {
		for _, want := range consumers[stream] {
			made, err := answered(ctx, func(ctx context.Context) ([]string, error) { return provisionConsumer(ctx, js, stream, want) })
			changes = append(changes, made...)
			if err != nil {
				return changes, broken(ctx, "provision consumer "+want.Durable, err)
			}
		}
	}
	return changes, nil
}

// answerWait is how long a broker may take over a stream or a consumer. One that has no leader yet drops requests without an answer, so
// whoever waits for the answer to the first one, for as long as ctx lasts, waits in vain.
const answerWait = 10 * time.Second

func answered(ctx context.Context, provision func(context.Context) ([]string, error)) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return provision(ctx)
}

func provisionStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) ([]string, error) {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err := js.CreateStream(ctx, want); err != nil {
			return nil, err
		}
		return []string{"stream " + want.Name + ": created"}, nil
	}
	if err != nil {
		return nil, err
	}
	have := stream.CachedInfo().Config
	if disposable(want.Name) && (have.Storage != want.Storage || have.PersistMode != want.PersistMode) {
		if err := js.DeleteStream(ctx, want.Name); err != nil {
			return nil, err
		}
		if _, err := js.CreateStream(ctx, want); err != nil {
			return nil, err
		}
		return []string{"stream " + want.Name + ": made anew, to be kept in another way"}, nil
	}
	next := have
	d := diff{about: "stream " + want.Name}
	set(&d, "description", &next.Description, want.Description)
	setSlice(&d, "subjects", &next.Subjects, want.Subjects)
	set(&d, "retention", &next.Retention, want.Retention)
	set(&d, "storage", &next.Storage, want.Storage)
	set(&d, "replicas", &next.Replicas, want.Replicas)
	set(&d, "discard", &next.Discard, want.Discard)
	set(&d, "discard_new_per_subject", &next.DiscardNewPerSubject, want.DiscardNewPerSubject)
	set(&d, "max_age", &next.MaxAge, want.MaxAge)
	set(&d, "max_bytes", &next.MaxBytes, want.MaxBytes)
	set(&d, "max_msgs", &next.MaxMsgs, want.MaxMsgs)
	set(&d, "max_msgs_per_subject", &next.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	set(&d, "allow_direct", &next.AllowDirect, want.AllowDirect)
	set(&d, "allow_atomic", &next.AllowAtomicPublish, want.AllowAtomicPublish)
	set(&d, "deny_delete", &next.DenyDelete, have.DenyDelete || want.DenyDelete)
	set(&d, "allow_rollup", &next.AllowRollup, have.AllowRollup || want.AllowRollup)
	set(&d, "allow_msg_ttl", &next.AllowMsgTTL, have.AllowMsgTTL || want.AllowMsgTTL)
	if want.MaxMsgSize != 0 {
		set(&d, "max_msg_size", &next.MaxMsgSize, want.MaxMsgSize)
	}
	if want.RePublish != nil {
		var now jetstream.RePublish
		if have.RePublish != nil {
			now = *have.RePublish
		}
		set(&d, "republish", &now, *want.RePublish)
		next.RePublish = &now
	}
	if len(d.lines) == 0 {
		return nil, nil
	}
	if _, err := js.UpdateStream(ctx, next); err != nil {
		return nil, fmt.Errorf("%v: %w", d.lines, err)
	}
	return d.lines, nil
}

// disposable reports whether a stream holds nothing that anybody misses.
func disposable(stream string) bool {
	return stream == events.StreamProgress || stream == kvStream(BucketGate) || stream == kvStream(BucketChannelCache)
}

func provisionConsumer(ctx context.Context, js jetstream.JetStream, stream string, want jetstream.ConsumerConfig) ([]string, error) {
	consumer, err := js.Consumer(ctx, stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		if _, err := js.CreateConsumer(ctx, stream, want); err != nil {
			return nil, err
		}
		return []string{"consumer " + stream + "/" + want.Durable + ": created"}, nil
	}
	if err != nil {
		return nil, err
	}
	next := consumer.CachedInfo().Config
	d := diff{about: "consumer " + stream + "/" + want.Durable}
	set(&d, "filter_subject", &next.FilterSubject, want.FilterSubject)
	set(&d, "ack_policy", &next.AckPolicy, want.AckPolicy)
	set(&d, "ack_wait", &next.AckWait, want.AckWait)
	set(&d, "deliver_policy", &next.DeliverPolicy, want.DeliverPolicy)
	set(&d, "max_deliver", &next.MaxDeliver, want.MaxDeliver)
	set(&d, "max_ack_pending", &next.MaxAckPending, want.MaxAckPending)
	set(&d, "max_waiting", &next.MaxWaiting, want.MaxWaiting)
	set(&d, "priority_policy", &next.PriorityPolicy, want.PriorityPolicy)
	set(&d, "priority_timeout", &next.PinnedTTL, want.PinnedTTL)
	setSlice(&d, "priority_groups", &next.PriorityGroups, want.PriorityGroups)
	if len(d.lines) == 0 {
		return nil, nil
	}
	if _, err := js.UpdateConsumer(ctx, stream, next); err != nil {
		return nil, fmt.Errorf("%v: %w", d.lines, err)
	}
	return d.lines, nil
}

// diff collects what differs between what there is and what is wanted.
type diff struct {
	about string
	lines []string
}

func (d *diff) add(name string, from, to any) {
	d.lines = append(d.lines, fmt.Sprintf("%s: %s %v → %v", d.about, name, from, to))
}

func set[T comparable](d *diff, name string, have *T, want T) {
	if *have != want {
		d.add(name, *have, want)
		*have = want
	}
}

func setSlice(d *diff, name string, have *[]string, want []string) {
	if !slices.Equal(*have, want) {
		d.add(name, *have, want)
		*have = want
	}
}
