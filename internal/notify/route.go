package notify

import "github.com/toolboxai/orchestrator/events"

// Route returns what is to be told about e, to whom, private channels first. It has no side effects.
//
// t is what is known of e's task; its zero value stands for "nothing", and then the user's channel gets no message and the
// kind is "unknown". A task.queued event brings its own. Every event of a task goes to the task's, the user's and the
// tenant's channel, but for task.text: what a model writes goes to the task's alone. The public channels get no more than task id, kind, state, progress and time:
//
//	dashboard-updates    every event that moves a task to another state, and task.discarded
//	content-generation   those and progress, of every kind: a subscriber picks by kind, so a new kind needs no change here
//	agent-status         the events of attempts: task.started, .retrying, .waiting, .completed, .failed, .cancelled
//
// The log says nothing yet about agents that start, idle or stop, so no agent.* event is sent.
//
// A private task is told of on its own channel and its user's, and nowhere else. Where nobody knows any more whose a task was, its tenant's
// channel hears what public ones do.
//
// A payload above MaxData loses its data and gets data_ref, the task's path in the API. An event of an unknown type is told
// to nobody, nor is one whose task or tenant is no subject token, which no log holds.
func Route(e events.Event, t Snapshot) []Message {
	s, ok := tell(e)
	if !ok || events.CheckToken("task", e.Task) != nil || events.CheckToken("tenant", e.Tenant) != nil {
		return nil
	}
	if own, ok := snapshotOf(e); ok {
		t = own
	}
	kind := t.Kind
	if events.CheckToken("kind", kind) != nil {
		kind = unknownKind
	}
	private, public := s.payloads(e, kind)
	var lastPrivate, lastPublic []byte
	if e.Type.Terminal() {
		lastPrivate, lastPublic = s.references(e)
	}

	if e.Type == events.TypeText {
		return []Message{{Channel: TaskChannel(e.Task), Event: s.name, Data: private}}
	}
	msgs := make([]Message, 0, 6)
	org, open := OrgChannel(e.Tenant), publicChannels(e.Type)
	switch {
	case t.Private:
		org, open = "", nil
	case t == Snapshot{}: // nobody knows whose it was, and whether it is for them alone
		open, org = append([]string{org}, open...), ""
	}
	for _, c := range [...]string{TaskChannel(e.Task), UserChannel(t.UserID), org} {
		if c != "" {
			msgs = append(msgs, Message{Channel: c, Event: s.name, Data: private, Fallback: lastPrivate})
		}
	}
	for _, c := range open {
		if c != "" {
			msgs = append(msgs, Message{Channel: c, Event: s.name, Data: public, Fallback: lastPublic})
		}
	}
	return msgs
}

func publicChannels(t events.Type) []string {
	switch t {
	case events.TypeStep, events.TypeProgress:
		return []string{ChannelContent}
	case events.TypeStarted, events.TypeRetrying, events.TypeWaiting, events.TypeCompleted, events.TypeFailed, events.TypeCancelled:
		return []string{ChannelDashboard, ChannelContent, ChannelAgents}
	}
	return []string{ChannelDashboard, ChannelContent}
}

// snapshotOf reads what a task.queued event says of its task. It is false for other events and unreadable ones.
func snapshotOf(e events.Event) (Snapshot, bool) {
	q, err := events.DataAs[events.Queued](e)
	if err != nil {
		return Snapshot{}, false
	}
	return Snapshot{Kind: q.Kind, UserID: q.UserID, Private: q.Private}, true
}
