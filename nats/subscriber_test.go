package nats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// dispatch queues a new task and returns its id.
func dispatch(t testing.TB, broker *natstest.Broker, kind string, lane events.Lane) string {
	t.Helper()
	e := tasktest.Event(t, "school", uuid.NewString(), events.Queued{Kind: kind, Input: []byte(`{}`), Priority: lane, Dispatch: 1, UserID: "u"})
	e.Seq = 7
	if err := newQueue(t, broker).Dispatch(t.Context(), tasktest.EntryOf(t, e), e); err != nil {
		t.Fatal(err)
	}
	return e.Task
}

func subscribe(t testing.TB, sub message.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	messages, err := sub.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func receive(t testing.TB, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, open := <-messages:
		if !open {
			t.Fatal("the channel is closed")
		}
		return msg
	case <-time.After(patience):
		t.Fatal("no message")
	}
	return nil
}

func taskOf(t testing.TB, msg *message.Message) string {
	t.Helper()
	d, err := events.ParseDispatch(msg.Metadata.Get(events.HeaderQueueSubject))
	if err != nil {
		t.Fatal(err)
	}
	return d.Task
}

// brief is a broker whose deliveries lapse soon.
func brief(t testing.TB, ackWait time.Duration) *natstest.Broker {
	t.Helper()
	return natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, MonitorPort: -1}, nats.Topology{Kinds: natstest.Kinds(), InMemory: true, AckWait: ackWait})
}

func TestSubscriber_TellsWhatItDelivers(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	id := dispatch(t, broker, "quiz", events.High)
	msg := receive(t, subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{}), "quiz"))
	defer msg.Ack()
	e, err := events.Decode(msg.Metadata.Get, msg.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if e.Task != id || e.ID != msg.UUID {
		t.Errorf("got task %s, event %s in message %s; want task %s", e.Task, e.ID, msg.UUID, id)
	}
	want := map[string]string{
		events.HeaderQueueSubject: "tasks.quiz.high.school." + id + ".1", nats.MetaDeliveries: "1", events.HeaderSeq: "7", events.HeaderDispatch: "1",
	}
	for key, value := range want {
		if got := msg.Metadata.Get(key); got != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
}

// runs counts how often each task is run, by handlers that take more than twice the AckWait.
func runs(t *testing.T, mute bool) map[string]int {
	t.Helper()
	const ackWait, tasks = 2 * time.Second, 8
	broker := brief(t, ackWait)
	for range tasks {
		dispatch(t, broker, "quiz", events.Normal)
	}
	counts := map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 { // two pods, and room for everything at once
		sub := newSubscriber(t, broker, nats.SubscriberConfig{Slots: tasks})
		if mute {
			nats.Mute(sub)
		}
		messages, err := sub.Subscribe(ctx, "quiz")
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for msg := range messages {
				mu.Lock()
				counts[taskOf(t, msg)]++
				mu.Unlock()
				group.Go(func() {
					<-time.After(2*ackWait + ackWait/4)
					msg.Ack()
				})
			}
		})
	}
	until(t, "the queue is empty", func() bool {
		waiting, err := newQueue(t, broker).Waiting(t.Context())
		return err == nil && len(waiting) == 0
	})
	cancel()
	group.Wait()
	return counts
}

func TestSubscriber_RunsNothingTwiceHoweverLongItTakes(t *testing.T) {
	t.Parallel()
	for id, n := range runs(t, false) {
		if n != 1 {
			t.Errorf("task %s ran %d times", id, n)
		}
	}
}

// The heartbeats are what prevents it.
func TestSubscriber_RunsTwiceWithoutHeartbeats(t *testing.T) {
	t.Parallel()
	counts := runs(t, true)
	for _, n := range counts {
		if n > 1 {
			return
		}
	}
	t.Errorf("every task ran once although nothing kept it alive: %v", counts)
}

func TestSubscriber_BoundsWorkOverAllTopics(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	const slots, each = 3, 20
	for range each {
		dispatch(t, broker, "quiz", events.Normal)
		dispatch(t, broker, "content", events.High)
	}
	sub := newSubscriber(t, broker, nats.SubscriberConfig{Slots: slots})
	quiz, content := subscribe(t, sub, "quiz"), subscribe(t, sub, "content")
	var group sync.WaitGroup
	var mu sync.Mutex
	now, most := 0, 0
	work := func(msg *message.Message) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		<-time.After(2 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		msg.Ack()
	}
	for range 2 * each {
		var msg *message.Message
		select {
		case msg = <-quiz:
		case msg = <-content:
		case <-time.After(patience):
			t.Fatal("no message")
		}
		group.Go(func() { work(msg) })
	}
	group.Wait()
	if most != slots {
		t.Errorf("at most %d messages were in progress, want %d", most, slots)
	}
}

func TestSubscriber_ServesUrgentLanesFirstAndLetsNoneStarve(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	lanes := map[string]events.Lane{}
	for lane, n := range map[events.Lane]int{events.Low: 3, events.Normal: 3, events.High: 60} {
		for range n {
			lanes[dispatch(t, broker, "quiz", lane)] = lane
		}
	}
	until(t, "the consumers know of all", func() bool { // they hear of a message a little after its publisher
		pending := func(lane events.Lane) uint64 { return consumerInfo(t, broker, "quiz", lane).NumPending }
		return pending(events.High) == 60 && pending(events.Normal) == 3 && pending(events.Low) == 3
	})
	messages := subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{Slots: 1}), "quiz")
	var order []events.Lane
	for range len(lanes) {
		msg := receive(t, messages)
		order = append(order, lanes[taskOf(t, msg)])
		msg.Ack()
	}
	if order[0] != events.High || order[1] != events.High {
		t.Errorf("the first two are %v, want high", order[:2])
	}
	share := map[events.Lane]int{}
	for _, lane := range order[:56] { // while high still waits
		share[lane]++
	}
	if share[events.High] < 48 || share[events.Normal] != 3 || share[events.Low] != 3 {
		t.Errorf("of the first 56, %v; want all of low and normal, and high for the rest", share)
	}
}

// Tasks take longer than a lane that was empty is left alone. Yet that the least urgent one is empty keeps nothing from the one above it.
func TestSubscriber_AnEmptyLaneCostsTheOthersNoTurn(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	lanes := map[string]events.Lane{}
	for lane, n := range map[events.Lane]int{events.Normal: 2, events.High: 30} {
		for range n {
			lanes[dispatch(t, broker, "quiz", lane)] = lane
		}
	}
	until(t, "the consumers know of all", func() bool {
		return consumerInfo(t, broker, "quiz", events.High).NumPending == 30 && consumerInfo(t, broker, "quiz", events.Normal).NumPending == 2
	})
	messages := subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{Slots: 1}), "quiz")
	normal := 0
	for range 28 { // while high still waits
		msg := receive(t, messages)
		if lanes[taskOf(t, msg)] == events.Normal {
			normal++
		}
		<-time.After(25 * time.Millisecond)
		msg.Ack()
	}
	if normal != 2 {
		t.Errorf("of the first 28 %d are normal, want both", normal)
	}
}

func TestSubscriber_HandsBackWhatFindsNoSlot(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	busy := newSubscriber(t, broker, nats.SubscriberConfig{Slots: 1, HoldWait: 30 * time.Millisecond, ParkWait: time.Minute})
	quiz := subscribe(t, busy, "quiz")
	waitParked(t, broker, "quiz", 1)
	dispatch(t, broker, "quiz", events.Normal)
	held := receive(t, quiz) // takes the only slot
	defer held.Ack()
	id := dispatch(t, broker, "quiz", events.High) // goes to the pull that is parked
	until(t, "the busy process has it", func() bool {
		info := consumerInfo(t, broker, "quiz", events.High)
		return info.NumAckPending == 1 || info.Delivered.Consumer > 0
	})
	other := newSubscriber(t, broker, nats.SubscriberConfig{})
	msg := receive(t, subscribe(t, other, "quiz"))
	defer msg.Ack()
	if got := taskOf(t, msg); got != id || msg.Metadata.Get(nats.MetaDeliveries) == "1" {
		t.Errorf("got task %s, delivery %s; want %s, handed back before", got, msg.Metadata.Get(nats.MetaDeliveries), id)
	}
}

func TestSubscriber_GivesHeldMessagesTheNextSlot(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	sub := newSubscriber(t, broker, nats.SubscriberConfig{Slots: 1, HoldWait: time.Minute, ParkWait: time.Minute})
	messages := subscribe(t, sub, "quiz")
	waitParked(t, broker, "quiz", 1)
	dispatch(t, broker, "quiz", events.Normal)
	first := receive(t, messages)
	id := dispatch(t, broker, "quiz", events.High)
	until(t, "it is delivered", func() bool { return consumerInfo(t, broker, "quiz", events.High).NumAckPending == 1 })
	first.Ack()
	msg := receive(t, messages)
	defer msg.Ack()
	if taskOf(t, msg) != id || msg.Metadata.Get(nats.MetaDeliveries) != "1" {
		t.Errorf("got task %s at delivery %s, want %s at its first", taskOf(t, msg), msg.Metadata.Get(nats.MetaDeliveries), id)
	}
}

func TestSubscriber_CloseLetsWorkFinish(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	dispatch(t, broker, "quiz", events.Normal)
	sub := newSubscriber(t, broker, nats.SubscriberConfig{DrainTimeout: patience})
	messages := subscribe(t, sub, "quiz")
	msg := receive(t, messages)
	closed := make(chan struct{})
	go func() { defer close(closed); _ = sub.Close() }()
	until(t, "the pulling has ended", func() bool { return consumerInfo(t, broker, "quiz", events.High).NumWaiting == 0 })
	later := dispatch(t, broker, "quiz", events.High)
	if err := msg.Context().Err(); err != nil {
		t.Errorf("the message's context ended while it may finish: %v", err)
	}
	msg.Ack()
	<-closed
	if _, open := <-messages; open {
		t.Error("a message after Close")
	}
	until(t, "only the later one waits", func() bool {
		waiting, err := newQueue(t, broker).Waiting(t.Context())
		return err == nil && len(waiting) == 1 && waiting[0].Task == later
	})
}

func TestSubscriber_CloseHandsBackWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t) // AckWait is 45 s: what comes back sooner was handed back
	cause := errors.New("deploy")
	ids := []string{dispatch(t, broker, "quiz", events.Normal), dispatch(t, broker, "quiz", events.Normal), dispatch(t, broker, "quiz", events.Normal)}
	sub := newSubscriber(t, broker, nats.SubscriberConfig{Slots: 3, DrainTimeout: 10 * time.Millisecond, HandBack: 50 * time.Millisecond, DrainCause: cause})
	messages := subscribe(t, sub, "quiz")
	polite, deaf := receive(t, messages), receive(t, messages) // and nobody takes the third
	go func() {
		<-polite.Context().Done()
		polite.Metadata.Set(events.HeaderRetryAfter, "1ms")
		polite.Nack()
	}()
	_ = sub.Close()
	for _, msg := range []*message.Message{polite, deaf} {
		if got := context.Cause(msg.Context()); !errors.Is(got, cause) {
			t.Errorf("the context ended because of %v, want %v", got, cause)
		}
	}
	next := subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{}), "quiz")
	var got []string
	for range ids {
		msg := receive(t, next)
		got = append(got, taskOf(t, msg))
		msg.Ack()
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("got back %v, want %v", got, ids)
	}
}

func TestSubscriber_RedeliversAfterTheTimeThatTheHandlerAsksFor(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	dispatch(t, broker, "quiz", events.Normal)
	messages := subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{}), "quiz")
	msg := receive(t, messages)
	msg.Metadata.Set(events.HeaderRetryAfter, "300ms")
	nacked := time.Now()
	msg.Nack()
	again := receive(t, messages)
	defer again.Ack()
	if waited := time.Since(nacked); waited < 300*time.Millisecond || waited > 5*time.Second {
		t.Errorf("it came again after %s, want 300ms", waited)
	}
	if again.Metadata.Get(events.HeaderRetryAfter) != "" {
		t.Error("the wish travelled with the message")
	}
}

type contextKey struct{}

func TestSubscriber_EndOfTheSubscribeContextOnlyStopsThePulling(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	dispatch(t, broker, "quiz", events.Normal)
	sub := newSubscriber(t, broker, nats.SubscriberConfig{})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "kept"))
	messages, err := sub.Subscribe(ctx, "quiz")
	if err != nil {
		t.Fatal(err)
	}
	msg := receive(t, messages)
	waitParked(t, broker, "quiz", 1)
	cancel()
	waitParked(t, broker, "quiz", 0)
	dispatch(t, broker, "quiz", events.Normal)
	if msg.Context().Err() != nil || msg.Context().Value(contextKey{}) != "kept" {
		t.Errorf("the message's context: error %v, value %v", msg.Context().Err(), msg.Context().Value(contextKey{}))
	}
	msg.Ack()
	if _, open := <-messages; open {
		t.Error("a message after the end")
	}
	if msg := receive(t, subscribe(t, sub, "quiz")); !msg.Ack() { // the subscriber itself lives on
		t.Error("not acknowledged")
	}
}

func TestSubscriber_OneSlotKeepsTheOrder(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	var want, got []string
	for range 50 {
		want = append(want, dispatch(t, broker, "quiz", events.Normal))
	}
	messages := subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{Slots: 1}), "quiz")
	for range want {
		msg := receive(t, messages)
		got = append(got, taskOf(t, msg))
		msg.Ack()
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSubscriber_SurvivesItsConsumer(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	logs := &logBook{}
	sub := newSubscriber(t, broker, nats.SubscriberConfig{ParkWait: time.Minute, Logger: logs.logger()})
	messages := subscribe(t, sub, "quiz")
	waitParked(t, broker, "quiz", 1)
	for _, lane := range events.Lanes() {
		if err := broker.JS.DeleteConsumer(t.Context(), events.StreamTasks, nats.WorkConsumer("quiz", lane)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the trouble is logged", func() bool { return logs.count("consumer cannot be pulled, trying again") == 3 })
	if _, err := nats.Provision(t.Context(), broker.JS, nats.Topology{Kinds: natstest.Kinds(), InMemory: true}); err != nil {
		t.Fatal(err)
	}
	id := dispatch(t, broker, "quiz", events.Low)
	msg := receive(t, messages)
	if taskOf(t, msg) != id {
		t.Errorf("got %s, want %s", taskOf(t, msg), id)
	}
	msg.Ack()
	until(t, "the end of the trouble is logged", func() bool { return logs.count("consumer answers again") == 3 })
	if n := logs.count("consumer cannot be pulled, trying again"); n != 3 {
		t.Errorf("the trouble of 3 lanes was logged %d times", n)
	}
}

func TestSubscriber_WaitsOutAPause(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	name := nats.WorkConsumer("quiz", events.Normal)
	if _, err := broker.JS.PauseConsumer(t.Context(), events.StreamTasks, name, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	dispatch(t, broker, "quiz", events.Normal)
	messages := subscribe(t, newSubscriber(t, broker, nats.SubscriberConfig{ParkWait: 100 * time.Millisecond}), "quiz")
	other := dispatch(t, broker, "quiz", events.High)
	msg := receive(t, messages)
	if taskOf(t, msg) != other {
		t.Errorf("a paused lane delivered")
	}
	msg.Ack()
	if _, err := broker.JS.ResumeConsumer(t.Context(), events.StreamTasks, name); err != nil {
		t.Fatal(err)
	}
	receive(t, messages).Ack()
}

// What lapses while the broker is away comes again to the process that still works on it.
func TestSubscriber_HandsNothingOutThatIsInProgressHere(t *testing.T) {
	t.Parallel()
	broker := brief(t, 100*time.Millisecond)
	sub := newSubscriber(t, broker, nats.SubscriberConfig{Slots: 2})
	nats.Mute(sub)
	messages := subscribe(t, sub, "quiz")
	first := dispatch(t, broker, "quiz", events.Normal)
	msg := receive(t, messages)
	until(t, "the broker has delivered it three times", func() bool {
		return consumerInfo(t, broker, "quiz", events.Normal).Delivered.Consumer >= 3
	})
	second := dispatch(t, broker, "quiz", events.Normal)
	other := receive(t, messages)
	if taskOf(t, msg) != first || taskOf(t, other) != second {
		t.Errorf("got tasks %s and %s, want %s and %s", taskOf(t, msg), taskOf(t, other), first, second)
	}
	msg.Ack()
	other.Ack()
	until(t, "the queue is empty", func() bool {
		waiting, err := newQueue(t, broker).Waiting(t.Context())
		return err == nil && len(waiting) == 0
	})
}

func TestSubscriber_ServesARouterAndDrainsWithIt(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	sub := newSubscriber(t, broker, nats.SubscriberConfig{DrainTimeout: patience})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 2 * patience}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	began, release := make(chan string, 10), make(chan struct{})
	for _, kind := range natstest.Kinds() {
		router.AddConsumerHandler(kind, kind, sub, func(msg *message.Message) error {
			began <- taskOf(t, msg)
			<-release
			return msg.Context().Err()
		})
	}
	ran := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ran <- router.Run(ctx) }()
	<-router.Running()
	dispatch(t, broker, "quiz", events.Normal)
	dispatch(t, broker, "content", events.Low)
	<-began
	<-began
	cancel() // the router closes; what is in progress may finish
	until(t, "the pulling has ended", func() bool { return consumerInfo(t, broker, "quiz", events.Normal).NumWaiting == 0 })
	close(release)
	if err := <-ran; err != nil {
		t.Error(err)
	}
	until(t, "both are acknowledged", func() bool {
		waiting, err := newQueue(t, broker).Waiting(t.Context())
		return err == nil && len(waiting) == 0
	})
}

func TestSubscriber_ClosesWithoutItsConnection(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	nc := connect(t, broker)
	sub, err := nats.NewSubscriber(mustJetStream(t, nc), nats.SubscriberConfig{DrainTimeout: time.Millisecond, HandBack: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	messages := subscribe(t, sub, "quiz")
	dispatch(t, broker, "quiz", events.Normal)
	receive(t, messages)
	nc.Close()
	_ = sub.Close()
	if _, open := <-messages; open {
		t.Error("a message after Close")
	}
}

func TestSubscriber_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	for _, cfg := range []nats.SubscriberConfig{{Slots: -1}, {Slots: 1 << 20}, {DrainTimeout: -1}} {
		if sub, err := nats.NewSubscriber(broker.JS, cfg); err == nil {
			_ = sub.Close()
			t.Errorf("accepted %+v", cfg)
		}
	}
	sub := newSubscriber(t, broker, nats.SubscriberConfig{})
	if _, err := sub.Subscribe(t.Context(), "nokind"); err == nil {
		t.Error("subscribed to a topic without consumers")
	}
	feeds := newSubscriber(t, broker, nats.SubscriberConfig{Consumers: func(string) []nats.ConsumerRef {
		return []nats.ConsumerRef{{Stream: events.StreamEvents, Name: nats.Recorder}}
	}})
	if _, err := feeds.Subscribe(t.Context(), "quiz"); err == nil {
		t.Error("subscribed to a consumer that settles many messages at once")
	}
	_ = sub.Close()
	if _, err := sub.Subscribe(t.Context(), "quiz"); err == nil {
		t.Error("subscribed after Close")
	}
}

func consumerInfo(t testing.TB, broker *natstest.Broker, kind string, lane events.Lane) *jetstream.ConsumerInfo {
	t.Helper()
	consumer, err := broker.JS.Consumer(t.Context(), events.StreamTasks, nats.WorkConsumer(kind, lane))
	if err != nil {
		t.Fatal(fmt.Errorf("look up %s/%s: %w", kind, lane, err))
	}
	return consumer.CachedInfo()
}

// waitParked returns once n pulls wait on every lane of a kind.
func waitParked(t testing.TB, broker *natstest.Broker, kind string, n int) {
	t.Helper()
	until(t, "pulls are parked on every lane", func() bool {
		for _, lane := range events.Lanes() {
			if consumerInfo(t, broker, kind, lane).NumWaiting != n {
				return false
			}
		}
		return true
	})
}
