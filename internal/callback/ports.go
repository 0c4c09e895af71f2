package callback

import (
	"context"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Feed delivers the log.
type Feed interface {
	// Consume calls handle with the events of all tenants in log order, with Seq set, until ctx ends or the feed breaks. There are never
	// two calls at once, and the next batch comes only after nil was returned for the one before. A batch whose handling failed is
	// delivered again, also after a restart.
	Consume(ctx context.Context, handle func(ctx context.Context, batch []events.Event) error) error
}

// Lookup reads a task's history.
type Lookup interface {
	// History returns the first limit events after the given sequence, oldest first. NotFound for a task without history.
	History(ctx context.Context, tenant, task string, after uint64, limit int) ([]events.Event, error)
}

// Endpoints keeps what admins registered. All errors are faults.
type Endpoints interface {
	// CreateEndpoint keeps e. Conflict when the tenant has atMost already.
	CreateEndpoint(ctx context.Context, e Endpoint, atMost int) error
	// Endpoint returns one; NotFound.
	Endpoint(ctx context.Context, tenant, id string) (Endpoint, error)
	// ListEndpoints returns all of a tenant, oldest first.
	ListEndpoints(ctx context.Context, tenant string) ([]Endpoint, error)
	// UpdateEndpoint puts e in the place of the version before it. The pending deliveries of one that is disabled die. Conflict when
	// that is not the version there is; NotFound.
	UpdateEndpoint(ctx context.Context, e Endpoint) error
	// DeleteEndpoint removes one with its deliveries; NotFound.
	DeleteEndpoint(ctx context.Context, tenant, id string) error

	// TaskSecrets returns the secrets for the callback_url of a tenant's tasks: those it has, or else first, which it has from then on.
	TaskSecrets(ctx context.Context, tenant string, first Secrets) (Secrets, error)
	// SetTaskSecrets puts next in the place of the secrets whose current one is given; Conflict when that is another.
	SetTaskSecrets(ctx context.Context, tenant string, current []byte, next Secrets) error
}

// DeliveryLog keeps deliveries, for those who look at them.
type DeliveryLog interface {
	// ListDeliveries returns a page, the newest first. Invalid for field "cursor".
	ListDeliveries(ctx context.Context, f DeliveryFilter) (DeliveryPage, error)
	// Delivery returns one; NotFound.
	Delivery(ctx context.Context, tenant, id string) (Delivery, error)
	// AddDelivery keeps one that nobody planned.
	AddDelivery(ctx context.Context, d Delivery) error
	// Replay makes dead deliveries pending again: the one with an id, or all of an endpoint, the oldest first, at most limit. Deliveries
	// of an endpoint that is disabled stay dead. It returns how many there were.
	Replay(ctx context.Context, which Replay) (int, error)
}

// DeliveryFilter says which deliveries to list.
type DeliveryFilter struct {
	Tenant     string
	EndpointID string        // empty: all, also those to callback_urls
	TaskID     string        // empty: of all tasks
	State      DeliveryState // empty: any
	Cursor     string        // of the page before; empty for the first
	Limit      int           // 1 to MaxPage; 50 when 0
}

// MaxPage is the largest page of deliveries.
const MaxPage = 200

// DeliveryPage is a page of the delivery log.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"` // cursor of the next page; empty on the last
}

// Replay says which dead deliveries are to be tried again. One of ID and EndpointID is set.
type Replay struct {
	Tenant, ID, EndpointID string
	At, ExpiresAt          time.Time
	Limit                  int
}

// Queue is how processes share deliveries. All errors are faults; after Unavailable and Timeout a call may be repeated. Times are those
// of the caller's clock.
type Queue interface {
	// Subscribers returns the active endpoints of tenants, without their secrets.
	Subscribers(ctx context.Context, tenants []string) ([]Endpoint, error)
	// Plan keeps deliveries, all or none, and returns how many of them were not there before.
	Plan(ctx context.Context, deliveries []Delivery) (int, error)
	// Claim takes deliveries that are due, for the time of a lease.
	Claim(ctx context.Context, c Claim) ([]Job, error)
	// Finish writes what came of a try. A failure is passed over when the delivery was taken by another try since.
	Finish(ctx context.Context, o Outcome) error
	// Bury makes dead at most limit pending deliveries that expired before a moment without a try, and returns how many.
	Bury(ctx context.Context, before time.Time, limit int) (int, error)
	// Purge removes at most limit deliveries that were planned before a moment, and returns how many.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
	// Backlog counts what there is.
	Backlog(ctx context.Context) (Backlog, error)
}

// Claim says what a Runner takes.
type Claim struct {
	Now       time.Time
	Lease     time.Duration // what is not finished by then is due again
	Limit     int           // deliveries
	PerTarget int           // under way at once over all processes
	PerTenant int           // the same, of all targets of a tenant; two who claim at once may exceed it together
	Broken    int           // tries in a row that failed, from which on a target is tried once at a time
}

// Job is a delivery that was claimed, with what it takes to try it.
type Job struct {
	Delivery
	To      string  // where it goes now
	State   State   // of its endpoint; Active for a callback_url
	Secrets Secrets // of its endpoint, or of the tenant's tasks; without Current when these have none yet
}

// A Verdict says what came of a try.
type Verdict string

const (
	Accepted Verdict = "accepted" // delivered
	Failed   Verdict = "failed"   // try again at NextAt
	GaveUp   Verdict = "gave_up"  // dead
	Gone     Verdict = "gone"     // dead, and its endpoint is disabled
	LetGo    Verdict = "let_go"   // nothing is known: somebody else tries at once
)

// Outcome is the end of a try.
type Outcome struct {
	Tenant, ID, Target, EndpointID string
	To                             string // where the request went
	Attempt                        int
	Verdict                        Verdict
	Status                         int
	Error                          string
	At, NextAt                     time.Time
	Claim                          Claim // that it was made with
}

// Backlog counts deliveries of all tenants.
type Backlog struct {
	Pending int64
	Dead    int64
	Oldest  time.Time // when the delivery that waits longest beyond its time was due; zero: none waits
}
