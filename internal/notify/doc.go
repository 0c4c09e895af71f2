// Package notify tells subscribers what happens: it turns the log's events into channel messages and sends them.
//
// Two things arrive and one leaves:
//
//	log events ──batches──► Route ──► shards by channel, in order, retried until accepted ──► Sender
//	progress ──► latest per task ──every 250 ms──► Route ──► the same shards, tried once ───┘
//	text ──► joined per task ──────────┘
//
// What the package guarantees to a subscriber of one channel:
//
//   - Messages that come from the log arrive at least once, and each for the first time in the order of the log. After a
//     failed send or a restart some come again; whoever drops what has a seq that it has seen sees each once, in order.
//     Only a message that is refused for good, or older than Config.MaxAge, is left out; Stats counts those.
//   - The messages of an event that ends a task are never given up for lack of a working Sender. One that is refused for
//     good is sent again as a bare reference, and only when that is refused too is it lost, which Stats counts.
//   - Volatile progress (messages without seq) is the latest there is, at most four times a second for a task, and never
//     comes behind the end of its task. It may be lost.
//   - What a model writes (task.text) comes in the order in which it was written, at most four times a second for a task, and never
//     behind the end of its task. It goes to private-task-<id> alone. Its offsets tell a subscriber what is new, what was taken back
//     and what is missing: while the Sender is slow, the middle of what waits is left out. events.Text says how to read it.
//
// One thing is out of its hands: a request that was given up after a timeout, and that the service carries out much later
// all the same. Log messages that come late in that way repeat a seq; a subscriber also ignores progress of a task whose
// end it has seen.
//
// A channel's messages are always sent by the same shard, one request of at most MaxBatch after the other. That is what
// keeps their order, and it bounds what a channel carries to MaxBatch messages per round trip. While the Sender fails the
// current batch waits, nothing further is taken from the log, and progress and text are overwritten in place: memory does not grow.
//
// A task goes through two states here: open, in which its progress is sent, and over, from before the first message of
// its end is sent until a later task.queued (a replay) has been sent.
//
// The package does not run on watermill's Router, as the consumers of single messages do: the Router acknowledges message
// by message, and here a batch is the unit that is sharded, sent in groups and acknowledged. A feed of batches says that
// directly. Messages are not encrypted by the client library: none of the channels is a private-encrypted one.
//
// Channel names are made here and nowhere else. Package pusher implements Sender; the log's adapter implements Feed,
// Progress and Lookup without importing this package.
package notify
