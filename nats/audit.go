package nats

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// StreamAudit holds the chain of each tenant on audit.<tenant>. The broker lets nobody delete from it.
//
// Releases before the chain wrote to audit.<tenant>.<topic>. What they left stays where it is, in no chain and in no archive, until it is
// as old as the stream keeps anything: see Unchained.
const (
	StreamAudit  = "AUDIT"
	allAudit     = "audit.*"
	allUnchained = "audit.*.*"
)

// Headers of an entry: the hash of the one before it, and its own, in hexadecimal. The body is the bytes that are hashed.
const (
	headerAuditPrev = "Audit-Prev"
	headerAuditHash = "Audit-Hash"
)

// AuditConfig is what an Audit needs. Zero fields take the defaults.
type AuditConfig struct {
	// Archive knows the heads of chains that the stream has nothing of any more, because it is too long ago or the stream was lost. With
	// nil such a chain begins at 1: right only where there is no archive.
	Archive interface {
		Head(ctx context.Context, tenant string) (audit.Anchor, error)
	}
	Logger *slog.Logger
}

// Audit is where what was done is put on record, and read before it is archived: the stream AUDIT. It is safe for concurrent use and
// has nothing to close.
type Audit struct {
	nc       *natsgo.Conn
	cfg      AuditConfig
	lanes    [64]chan struct{} // one append at a time for a tenant, by hash: a process does not race with itself
	unfenced bool              // entries follow anything; set by negative controls only
}

var (
	_ audit.Recorder          = (*Audit)(nil)
	_ audit.Stream            = (*Audit)(nil)
	_ audit.Source[audit.Row] = (*Audit)(nil)
)

// NewAudit returns the audit on the broker that js speaks to. It sends nothing yet.
func NewAudit(js jetstream.JetStream, cfg AuditConfig) *Audit {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Audit{nc: js.Conn(), cfg: cfg}
	for i := range a.lanes {
		a.lanes[i] = make(chan struct{}, 1)
	}
	return a
}

// Bounds of an append whose place others take, or whose answer is lost.
const (
	auditPatience   = 5 * time.Second
	maxAuditBackoff = 200 * time.Millisecond
)

// Append implements audit.Recorder. The broker compares the last entry of the chain with the one that e was sealed behind and stores
// e in one step, so a chain has neither gaps nor forks whoever appends. Where the answer is lost, the entry's place is read until it
// is known what became of it: e is on record once, or the error is Timeout or Unavailable and it may be on record. It takes up to 5
// seconds.
func (a *Audit) Append(ctx context.Context, e audit.Entry) error {
	e = audit.Complete(ctx, e)
	if err := events.CheckToken("tenant_id", e.Tenant); err != nil {
		return fault.InvalidField("tenant_id", "%v", err)
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("new audit id: %w", err)
		}
		e.ID = id.String()
	}
	if err := e.Check(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	lane := a.lanes[laneOf(e.Tenant)%uint32(len(a.lanes))]
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
	case <-bounded.Done():
		return broken(ctx, "put "+e.Action+" on record", bounded.Err())
	}
	err := a.append(bounded, e)
	if known := (*fault.Error)(nil); errors.As(err, &known) { // the archive's
		return fmt.Errorf("put %s on record: %w", e.Action, err)
	}
	return broken(ctx, "put "+e.Action+" on record", err)
}

func laneOf(tenant string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(tenant))
	return h.Sum32()
}

// append seals e behind the chain's head until it has a place. Its error is not classified, unless it is the archive's.
func (a *Audit) append(ctx context.Context, e audit.Entry) error {
	pause := 2 * time.Millisecond
	for {
		head, after, err := a.head(ctx, e.Tenant)
		var done bool
		if err == nil {
			var row audit.Row
			if row, err = audit.Seal(head, e); err != nil {
				return err
			}
			done, err = a.place(ctx, row, after)
		}
		if done || permanent(err) {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
		pause = min(2*pause, maxAuditBackoff)
	}
}

// permanent reports whether trying again is of no use, or up to the caller: while the archive is away, no chain begins.
func permanent(err error) bool {
	known := (*fault.Error)(nil)
	return errors.As(err, &known) || errors.Is(err, natsgo.ErrMaxPayload) || errors.Is(err, natsgo.ErrConnectionClosed) || errors.Is(err, events.ErrMalformed)
}

// head returns the last entry of a tenant's chain and its place in the stream, 0 when the stream has none.
func (a *Audit) head(ctx context.Context, tenant string) (audit.Anchor, uint64, error) {
	last, err := leaderMessage(ctx, a.nc, StreamAudit, getRequest{LastFor: auditSubject(tenant)})
	if errors.Is(err, errNoMessage) {
		if a.cfg.Archive == nil {
			return audit.Anchor{}, 0, nil
		}
		head, err := a.cfg.Archive.Head(ctx, tenant)
		return head, 0, err
	}
	if err != nil {
		return audit.Anchor{}, 0, err
	}
	row, err := auditRow(last)
	return row.Anchor(), last.Seq, err
}

// place stores row behind the message at after. It reports false when another entry has that place; with an error, when it is not known
// yet whether row has it.
func (a *Audit) place(ctx context.Context, row audit.Row, after uint64) (bool, error) {
	msg := &natsgo.Msg{Subject: auditSubject(row.Tenant), Data: row.Data, Header: natsgo.Header{
		headerAuditPrev: {row.Prev.String()}, headerAuditHash: {row.Hash.String()},
	}}
	if !a.unfenced {
		msg.Header[natsgo.ExpectedLastSubjSeqHdr] = []string{strconv.FormatUint(after, 10)}
	}
	unsure := false
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, maxAuditBackoff) {
		_, err := store(ctx, a.nc, msg)
		if err == nil || permanent(err) {
			return err == nil, err
		}
		if isConflict(err) && !unsure {
			return false, nil
		}
		unsure = unsure || !isRefusal(err)
		next, found := leaderMessage(ctx, a.nc, StreamAudit, getRequest{Seq: after + 1, NextFor: msg.Subject})
		if found == nil || errors.Is(found, events.ErrMalformed) {
			return lastValue(next.Header, headerAuditHash) == row.Hash.String(), nil
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return false, errors.Join(err, ctx.Err())
		}
	}
}

func auditSubject(tenant string) string { return "audit." + tenant }

// auditRow reads an entry from a message of the chain.
func auditRow(m stored) (audit.Row, error) {
	tenant, _ := strings.CutPrefix(m.Subject, "audit.")
	row := audit.Row{Tenant: tenant, Data: m.Data, Place: m.Seq}
	var err error
	if row.Prev, err = audit.ParseSum(lastValue(m.Header, headerAuditPrev)); err == nil {
		row.Hash, err = audit.ParseSum(lastValue(m.Header, headerAuditHash))
	}
	if err != nil {
		return row, fmt.Errorf("message %d of %s: %w: %w", m.Seq, StreamAudit, events.ErrMalformed, err)
	}
	e, err := row.Entry()
	if err != nil || e.N == 0 {
		return row, fmt.Errorf("message %d of %s: %w: no entry", m.Seq, StreamAudit, events.ErrMalformed)
	}
	row.N = e.N
	return row, nil
}
