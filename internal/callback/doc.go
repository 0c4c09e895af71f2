// Package callback tells others by HTTP what happens to tasks: the callback_url of a task, and the endpoints of a tenant.
//
//	log events ──batches──► Planner ──► deliveries in the database ──► Runner ──POST──► receiver
//	                        once per event and target               N processes share them
//
// A delivery is one message to one target. It is planned exactly once per event and target: its id follows from both, so an event that
// the feed delivers again plans nothing new. It is delivered at least once: the same message may come again, always under the same
// webhook-id, by which receivers drop what they have.
//
//	           2xx
//	pending ─────────► delivered
//	  │ ▲ └─┐ any other answer or none: again, later, for a day
//	  │ └───┘
//	  ▼ a day is over, 410 Gone, or the endpoint was disabled
//	 dead ──replay──► pending
//
// The order of deliveries to one target is not promised: several are under way at once, and one that failed comes again behind
// others. data.seq says where in the log the event stands.
//
// A message is signed as Standard Webhooks says (https://www.standardwebhooks.com): webhook-id, webhook-timestamp, and webhook-signature,
// which holds one signature for each secret that is good, two while a secret rotates. It is thin: it says which task is in which
// state, and holds no input, result or error, nothing that a wrong receiver could not be told. Who wants more asks the API.
//
// # Where requests may go
//
// Anybody who may submit a task names a URL that our servers call, from inside our network. CheckURL refuses what is no plain https URL
// with a public host. That is not enough, because a name can come to mean another address: so each connection resolves the name itself,
// holds each address against the rules, dials that very address, and looks at it once more before the socket connects. Redirects are
// not followed, no proxy is used, and nothing of an answer but its status is kept. Allow lists the exceptions that an operator makes.
//
// # Sharing the work
//
// A Runner takes deliveries that are due for a time, the lease; what a process does not finish in that time is due again. Of one target
// at most PerTarget are under way at once over all processes, and only one at a time when the last ten tries failed. Free places go to the
// tenants with the fewest deliveries under way, so that nobody waits behind another tenant's slow receivers. Clocks of processes must
// agree to within a few seconds.
package callback
