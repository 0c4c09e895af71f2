// Package nats is the platform on JetStream: the log, the work queue, and everything that reads them.
//
//	api, workers ───── Log.Append ─────► EVENTS, the truth ──► Feed: recorder, notifier, callbacks
//	     ▲                                 │    │ └──────────► Watch: dispatcher
//	     └─ Log.Follow ◄── live.events.> ◄─┘    │ History, Last: everybody
//	api, dispatcher ── Queue.Dispatch ─► TASKS, what is next ──► Subscriber: workers
//
// Its parts:
//
//   - Provision makes streams and consumers; it is an explicit step and never done by a process that only uses them.
//   - Log implements task.Log and task.ProgressBoard, Queue implements task.Queue. The package imports task to say so and
//     for its StaleError; nothing but cmd imports this package.
//   - Log.Text splices what PROGRESS has of a text with what is live: each reader gets every word once, or sees by an offset that
//     some are missing.
//   - Durability says what an acknowledgement survives on this broker. Where every write is synced, appends and dispatches that
//     come together share an atomic batch, and so its syncs: see Log.GroupCommit.
//   - Subscriber is a watermill message.Subscriber for work that takes long: a bound for the whole process, lanes served by
//     urgency, heartbeats from receipt, and a hand-back of what a stopping process cannot finish.
//   - Feed hands the log to one reader in ordered batches, and to one of several replicas at a time.
//   - Documents keeps what operators edit and replicas share, with a revision for each write: PolicyStore, Gate and Lease stand on
//     such buckets. Blobs keeps what is too large for an event, Audit the chains of what was done, AccessLog who looked at what.
//   - RegisterWorker and Fleet let whoever asks know who is alive; ServeDispatcher and DispatcherClient let them ask the one
//     dispatcher that acts. Both are services of the broker, and show in its usual tools.
//   - ChannelBus joins the processes that serve channels into one: what one publishes all receive, and values are kept for a while.
//   - Newsfeed is one live view of the log for all readers of a process, by tenant or by task, over one subscription.
//   - StartEmbedded runs a broker inside the process; Connect reaches that one or a remote one.
//
// The broker's own guarantees carry the design. Every append names the sequence that it follows, so a second writer is
// refused (see Log.Append). A dispatch's subject is unique and holds one message at most, so a repeated dispatch is none (see
// Queue.Dispatch). Deliveries may come twice, whatever a consumer does; the fence on the log is what makes that harmless.
//
// Trouble with the broker comes back as a fault of kind Unavailable or Timeout: the call may be repeated as it is. Trouble
// with the caller's context comes back as that context's error.
//
// The configuration files beside the code are what production and docker-compose run the broker with: nats.conf is one
// node, cluster.conf one of three, compose.conf one without TLS; roles.conf holds a user for each role. It must be
// nats-server 2.14 or newer: feeds reset their consumers.
package nats
