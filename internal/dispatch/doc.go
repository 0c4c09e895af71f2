// Package dispatch decides whose task is next, and why not this one.
//
// A Board folds the log into every task that has not ended: what it is, where it stands, and who comes before it. A Dispatcher keeps a
// Board and does what it asks for. Every replica folds, the one that holds the lease acts. Nothing is known only here: kill the
// dispatcher, and the next one knows the same from the log and from a list of the queue. Acting twice is harmless, since the
// queue holds one of each dispatch and the log fences every append.
//
//	             not before, refused, paused
//	task.queued ──────────► held ──┐
//	    │    ▲                     │ its time comes
//	    │    └──────┐              ▼   room in its tenant's share
//	    │           │  ┌───── lane rest ◄────────► front: its own lane
//	    │ Direct    │  │              its turn           │ its turn
//	    │           │  └─────────────────┐ ┌─────────────┘
//	    │           │                    ▼ ▼                     due
//	    └───────────┼──────────────► sent (queue) ◄┄┄┄┄┄┄┄ retrying
//	                │                     │ task.started  ▲
//	                │ resumed             ▼               │ task.retrying
//	             waiting ◄──────────── running ───────────┘      an end, from anywhere: off the board
//	                     task.waiting
//
// Who is next. Lanes go first: high, normal, low, and rest, which holds what a tenant has above its share (policy.Fairness). Every
// eighth release begins with the lane whose head has waited longest, so that none starves; lane rest has that turn only for tenants
// of whom nothing else can be next, as the others' tasks in it move up while their front is served. Within a lane tenants share
// by start-time fair queueing over estimated slot seconds, corrected when an attempt ends. Within a tenant time decides.
//
// How much. The queue is kept just ahead of the free slots, which are counted from the log, as what workers say of themselves is
// older. A slot that several kinds could use is counted once, and none stays idle that a task could use. Limits count what is in the
// queue, runs or waits for its next attempt. A queue of alike tasks whose limit is reached waits at that limit, so that an event costs
// O(log n), whatever waits.
//
// What is not to be held goes straight from the API to the queue (events.Queued.Direct): the Gate says so. The dispatcher also
// ends waits, fails what has expired, and looks for dispatches that show no sign of life: what the queue does not have it is given
// again. That closes the gap between a submission's two writes, and rebuilds a queue that was lost.
package dispatch
