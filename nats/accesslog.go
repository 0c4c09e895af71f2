package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// StreamAccess holds who looked at students' data, on access.<tenant>, until it is archived and for accessMaxAge at the most. The
// broker lets nobody delete from it.
const (
	StreamAccess = "ACCESS"
	allAccess    = "access.*"
)

// accessPatience bounds RecordAccess: it stands between a reader and what they read.
const accessPatience = 2 * time.Second

// AccessLog is where accesses are put on record. It is safe for concurrent use and has nothing to close.
type AccessLog struct {
	nc     *natsgo.Conn
	logger *slog.Logger
}

var (
	_ audit.AccessRecorder       = (*AccessLog)(nil)
	_ audit.Source[audit.Access] = (*AccessLog)(nil)
)

// NewAccessLog returns the access log on the broker that js speaks to. It sends nothing yet. The logger may be nil.
func NewAccessLog(js jetstream.JetStream, logger *slog.Logger) *AccessLog {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &AccessLog{nc: js.Conn(), logger: logger}
}

// RecordAccess implements audit.AccessRecorder. Where the answer is lost it is sent once more; the broker stores it once.
func (l *AccessLog) RecordAccess(ctx context.Context, a audit.Access) error {
	a = audit.CompleteAccess(ctx, a)
	if err := events.CheckToken("tenant_id", a.Tenant); err != nil {
		return fault.InvalidField("tenant_id", "%v", err)
	}
	if a.At.IsZero() {
		a.At = time.Now()
	}
	a.At = a.At.UTC().Truncate(time.Microsecond)
	if a.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("new access id: %w", err)
		}
		a.ID = id.String()
	}
	if err := a.Check(); err != nil {
		return err
	}
	data, err := json.Marshal(a)
	if err != nil {
		return fault.New(fault.Invalid, "the access has no JSON: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, accessPatience)
	defer cancel()
	first, stop := context.WithTimeout(bounded, accessPatience/2)
	defer stop()
	msg := &natsgo.Msg{Subject: "access." + a.Tenant, Data: data, Header: natsgo.Header{natsgo.MsgIdHdr: {a.ID}}}
	if _, err = store(first, l.nc, msg); err != nil && !isRefusal(err) && bounded.Err() == nil {
		_, err = store(bounded, l.nc, msg)
	}
	return broken(ctx, "put an access on record", err)
}

// State implements audit.Source.
func (l *AccessLog) State(ctx context.Context) (audit.Place, error) {
	return placeOf(ctx, l.nc, StreamAccess)
}

// Read implements audit.Source.
func (l *AccessLog) Read(ctx context.Context, after uint64, limit int) (found []audit.Access, last uint64, err error) {
	last, err = readPlaces(ctx, l.nc, StreamAccess, allAccess, after, limit, func(m stored) {
		var a audit.Access
		err := json.Unmarshal(m.Data, &a)
		if err == nil {
			a.Tenant = strings.TrimPrefix(m.Subject, "access.")
			err = a.Check()
		}
		if err != nil {
			l.logger.ErrorContext(ctx, "access cannot be read and is passed over", "seq", m.Seq, "subject", m.Subject, "error", err)
			return
		}
		found = append(found, a)
	})
	return found, last, err
}
