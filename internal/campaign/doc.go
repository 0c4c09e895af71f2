// Package campaign acts on many tasks at once after an incident: it replays dead letters that match a filter, optionally with
// edited inputs, or discards them, or cancels open tasks. It does so slowly, a few first, and can be stopped.
//
// Service is what edges call: Plan counts and shows what would be done and does nothing, Start makes a document, Stop ends it.
// Runner, which runs where the lease of the dispatcher is held, carries out what the documents ask for.
//
//	         runner takes it        the first Canary succeeded           nothing is left, all ended
//	planned ───────────────► canary ─────────────────────────► running ───────────────────────────► done
//	   │                       │ └─ one of them failed ──► failed  │
//	   └───────────────────────┴──────────── Stop ──────► stopped ◄┘
//
// A campaign replays each task at most once, whatever dies and however many runners there are. That is more than a matter of
// counting: a task that it replayed and that failed again is a dead letter that matches the filter again, and a campaign that
// took it for a new one would not end. Three things keep it from that. A replay carries the campaign's id on the log, and the
// task's whole history is read before each act: where the id stands in it, the task was served. The replay names the failure
// that it answers (ReplayRequest.Seq), so that between the reading and the act nobody else's replay fits in. And the ids of a
// page are saved before the first of them is touched, so that who takes over after a crash looks at the same ones again and
// counts them right.
//
// It keeps calm on its own: at most RatePerMinute acts, and at most MaxOpen of its replayed tasks open at a time.
package campaign
