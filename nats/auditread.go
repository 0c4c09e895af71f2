package nats

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// State implements audit.Source.
func (a *Audit) State(ctx context.Context) (audit.Place, error) {
	return placeOf(ctx, a.nc, StreamAudit)
}

// placeOf returns where a stream ends, and when it was made.
func placeOf(ctx context.Context, nc *natsgo.Conn, stream string) (audit.Place, error) {
	var info struct {
		answer
		Created time.Time `json:"created"`
		State   struct {
			LastSeq uint64 `json:"last_seq"`
		} `json:"state"`
	}
	if err := ask(ctx, nc, streamInfo+stream, nil, &info); err != nil {
		return audit.Place{}, broken(ctx, "look up stream "+stream, err)
	}
	return audit.Place{Epoch: info.Created.UTC().Truncate(time.Microsecond), Seq: info.State.LastSeq}, nil
}

// Read implements audit.Source: the entries of all tenants.
func (a *Audit) Read(ctx context.Context, after uint64, limit int) (rows []audit.Row, last uint64, err error) {
	last, err = readPlaces(ctx, a.nc, StreamAudit, allAudit, after, limit, func(m stored) {
		row, err := auditRow(m)
		if err == nil {
			var e audit.Entry
			if e, err = row.Entry(); err == nil {
				err = e.Check()
			}
		}
		if err != nil { // a chain that lacks it is broken, and Verify says where
			a.cfg.Logger.ErrorContext(ctx, "audit entry cannot be read and is passed over", "seq", m.Seq, "subject", m.Subject, "error", err)
			return
		}
		rows = append(rows, row)
	})
	return rows, last, err
}

// readPlaces reads a stream's messages below a subject and returns the place of the last one, 0 when there is none.
func readPlaces(ctx context.Context, nc *natsgo.Conn, stream, subject string, after uint64, limit int, add func(stored)) (last uint64, err error) {
	err = readSubject(ctx, nc, stream, subject, after, limit, func(m stored) {
		last = m.Seq
		add(m)
	})
	if err != nil && !errors.Is(err, errNoMessage) {
		return 0, broken(ctx, "read stream "+stream, err)
	}
	return last, nil
}

// Since implements audit.Stream. Unavailable while the stream cannot be read.
func (a *Audit) Since(ctx context.Context, tenant string, place audit.Place) ([]audit.Entry, error) {
	if err := events.CheckToken("tenant_id", tenant); err != nil {
		return nil, fault.InvalidField("tenant_id", "%v", err)
	}
	var found []audit.Entry
	_, err := readPlaces(ctx, a.nc, StreamAudit, auditSubject(tenant), place.Seq, audit.MaxFresh, func(m stored) {
		row, err := auditRow(m)
		if err != nil {
			return // Read says so
		}
		if e, err := row.Entry(); err == nil {
			found = append(found, e)
		}
	})
	return found, err
}

// Rows returns a tenant's chain as the stream has it, in the order of the stream. What is no entry has number 0.
func (a *Audit) Rows(ctx context.Context, tenant string) iter.Seq2[audit.Row, error] {
	return func(yield func(audit.Row, error) bool) {
		for after := uint64(0); ; {
			var page []stored
			last, err := readPlaces(ctx, a.nc, StreamAudit, auditSubject(tenant), after, directBatch, func(m stored) { page = append(page, m) })
			if err != nil {
				yield(audit.Row{}, err)
				return
			}
			for _, m := range page {
				row, err := auditRow(m)
				if err != nil {
					row = audit.Row{Tenant: tenant, Data: m.Data, Place: m.Seq}
				}
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < directBatch {
				return
			}
			after = last
		}
	}
}

// Tenants returns the tenants that have a chain on the stream, in order.
func (a *Audit) Tenants(ctx context.Context) ([]string, error) {
	var tenants []string
	for {
		var page struct {
			answer
			Total int `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		if err := ask(ctx, a.nc, streamInfo+StreamAudit, map[string]any{"subjects_filter": allAudit, "offset": len(tenants)}, &page); err != nil {
			return nil, broken(ctx, "look up stream "+StreamAudit, err)
		}
		for subject := range page.State.Subjects {
			tenants = append(tenants, strings.TrimPrefix(subject, "audit."))
		}
		if len(page.State.Subjects) == 0 || len(tenants) >= page.Total {
			slices.Sort(tenants)
			return slices.Compact(tenants), nil
		}
	}
}

// Unchained returns what releases before the chain put on record for a tenant, oldest first, at most audit.MaxFresh entries: N is
// their place in the stream, and they have no hash.
func (a *Audit) Unchained(ctx context.Context, tenant string, after uint64) ([]audit.Entry, error) {
	if err := events.CheckToken("tenant_id", tenant); err != nil {
		return nil, fault.InvalidField("tenant_id", "%v", err)
	}
	var found []audit.Entry
	_, err := readPlaces(ctx, a.nc, StreamAudit, auditSubject(tenant)+".*", after, audit.MaxFresh, func(m stored) {
		var e audit.Entry
		if err := json.Unmarshal(m.Data, &e); err != nil {
			a.cfg.Logger.WarnContext(ctx, "audit entry passed over", "seq", m.Seq, "error", err)
			return
		}
		e.N = m.Seq
		found = append(found, e)
	})
	return found, err
}
