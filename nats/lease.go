package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Lease is a right that one of several processes has at a time, such as to act as the dispatcher. It is one document in
// BucketLeases that the broker drops when it was not written for the bucket's age, the TTL:
//
//	          taken: it was not there, or given up
//	waiting ──────────────────────────────────────► held ─── renewed after 3/10 of the TTL, in the place of the
//	   ▲                                             │       revision that was written before
//	   └─────────────────────────────────────────────┘
//	   another one has it, or 9/10 of the TTL passed since the last renewal that succeeded was sent
//
// Who holds it stops by its own clock before the broker can give it to another, also while the broker is away; where nobody gives
// it up, the next one has it within the TTL and a tenth. What is done under a lease must be harmless all the same when it is done
// twice: a process can be stopped between looking and doing.
//
// It is safe for concurrent use.
type Lease struct {
	nc     *natsgo.Conn
	name   string
	holder string
	id     string // tells two holders of the same name apart
	logger *slog.Logger

	until    atomic.Pointer[time.Time] // when the lease ends by our own clock; nil: not held
	careless bool                      // holds on without a renewal; set by negative controls only

	revision uint64 // of the last document that is ours; Run's
}

// LeaseConfig sets what a lease tells.
type LeaseConfig struct{ Logger *slog.Logger }

// LeaseHolder is who has a lease.
type LeaseHolder struct {
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
}

type leaseDocument struct {
	LeaseHolder
	ID    string `json:"id"`
	Freed bool   `json:"freed,omitempty"` // given up
}

// NewLease returns a lease that is not held. name says what for, and is a key; holder is shown to who asks. It sends nothing yet.
func NewLease(js jetstream.JetStream, name, holder string, cfg LeaseConfig) (*Lease, error) {
	if err := checkKey(name); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	if holder == "" {
		return nil, errors.New("lease: the holder has no name")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lease{nc: js.Conn(), name: name, holder: holder, id: uuid.NewString(), logger: cfg.Logger.With("lease", name)}, nil
}

// Held reports whether this process has the lease right now. It does not wait.
func (l *Lease) Held() bool {
	until := l.until.Load()
	if until == nil {
		return false
	}
	if l.careless {
		return true
	}
	// Both clocks count: the monotonic one stands still while a machine is suspended, the other one may be set back.
	now := time.Now()
	return now.Before(*until) && now.Round(0).Before(until.Round(0))
}

// Holder returns who has the lease, or NotFound when nobody has.
func (l *Lease) Holder(ctx context.Context) (LeaseHolder, error) {
	doc, _, err := l.read(ctx)
	if err != nil {
		return LeaseHolder{}, broken(ctx, "look up who holds "+l.name, err)
	}
	if doc.free() {
		return LeaseHolder{}, fault.New(fault.NotFound, "nobody holds %s", l.name)
	}
	return doc.LeaseHolder, nil
}

// Run takes the lease as soon as it is free and keeps it, until ctx ends; then it gives it up and returns nil. It returns an
// error when the bucket does not exist or does not age, and when the connection is closed for good. It is called once.
func (l *Lease) Run(ctx context.Context) error {
	ttl, err := l.ttl(ctx)
	if err != nil {
		return err
	}
	defer l.giveUp()
	since := time.Now().UTC()
	for had := false; ctx.Err() == nil; {
		sent := time.Now()
		err := l.renew(ctx, since, ttl/5)
		wait := ttl / 10
		switch {
		case err == nil:
			until := sent.Add(ttl - ttl/10)
			l.until.Store(&until)
			wait = ttl * 3 / 10
		case errors.Is(err, errLeased) && !l.careless:
			l.until.Store(nil)
		case l.nc.IsClosed():
			return fmt.Errorf("keep lease %s: %w", l.name, natsgo.ErrConnectionClosed)
		}
		switch has := l.Held(); {
		case has && !had:
			l.logger.InfoContext(ctx, "lease taken", "holder", l.holder)
			had = true
		case had && !has:
			l.logger.WarnContext(ctx, "lease lost", "holder", l.holder, "error", err)
			had = false
		}
		select {
		case <-time.After(wait - rand.N(wait/5)):
		case <-ctx.Done():
		}
		if !had {
			since = time.Now().UTC()
		}
	}
	return nil
}

// ttl asks how long the bucket keeps what nobody renews.
func (l *Lease) ttl(ctx context.Context) (time.Duration, error) {
	for {
		var info struct {
			answer
			Config struct {
				MaxAge time.Duration `json:"max_age"`
			} `json:"config"`
		}
		err := ask(ctx, l.nc, streamInfo+kvStream(BucketLeases), nil, &info)
		switch {
		case err == nil && info.Config.MaxAge <= 0:
			return 0, fmt.Errorf("lease %s: what is in bucket %s does not age", l.name, BucketLeases)
		case err == nil:
			return info.Config.MaxAge, nil
		case ctx.Err() != nil:
			return 0, nil //nolint:nilerr // being stopped is how Run ends
		case isNoStream(err), l.nc.IsClosed():
			return 0, fmt.Errorf("lease %s: %w", l.name, err)
		}
		select {
		case <-time.After(comeBack / 10):
		case <-ctx.Done():
		}
	}
}

// errLeased says that another process has the lease.
var errLeased = errors.New("another process holds the lease")

// renew takes or renews the lease, within patience. After an unknown outcome it finds out at the next call what became of it.
func (l *Lease) renew(ctx context.Context, since time.Time, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if l.revision == 0 {
		doc, revision, err := l.read(ctx)
		if err != nil {
			return err
		}
		if !doc.free() && doc.ID != l.id {
			return errLeased
		}
		l.revision = revision
	}
	revision, err := l.write(ctx, leaseDocument{LeaseHolder: LeaseHolder{l.holder, since}, ID: l.id}, l.revision)
	l.revision = revision // 0 after any error: look first
	return err
}

// giveUp lets the next one in at once.
func (l *Lease) giveUp() {
	if l.until.Swap(nil) == nil || l.revision == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := l.write(ctx, leaseDocument{ID: l.id, Freed: true}, l.revision); err != nil {
		l.logger.WarnContext(ctx, "lease not given up, it runs out", "error", err)
		return
	}
	l.logger.InfoContext(ctx, "lease given up", "holder", l.holder)
}

func (d leaseDocument) free() bool { return d.ID == "" || d.Freed }

// read returns the lease's document and its revision; zero ones where there is none.
func (l *Lease) read(ctx context.Context) (leaseDocument, uint64, error) {
	m, err := leaderMessage(ctx, l.nc, kvStream(BucketLeases), getRequest{LastFor: kvSubject(BucketLeases, l.name)})
	if errors.Is(err, errNoMessage) {
		return leaseDocument{}, 0, nil
	}
	if err != nil {
		return leaseDocument{}, 0, err
	}
	var doc leaseDocument
	if isGone(m) {
		return doc, m.Seq, nil
	}
	return doc, m.Seq, json.Unmarshal(m.Data, &doc)
}

// write replaces a revision of the lease's document.
func (l *Lease) write(ctx context.Context, doc leaseDocument, replaces uint64) (uint64, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return 0, err
	}
	header := natsgo.Header{natsgo.ExpectedLastSubjSeqHdr: {strconv.FormatUint(replaces, 10)}}
	return store(ctx, l.nc, &natsgo.Msg{Subject: kvSubject(BucketLeases, l.name), Header: header, Data: data})
}
