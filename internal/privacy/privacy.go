// Package privacy keeps what the platform knows of people in bounds: what models are told of them, what they can have handed over, and
// what is deleted, on request or with age.
//
//   - Pseudonyms stands between agents and a model. Names finds whom an input is about when it is submitted.
//   - Service exports what is kept of a user, and takes the request to erase it.
//   - Janitor carries erasures out and deletes what is older than its tenant wants it kept.
//
// An erasure goes through these states:
//
//	request ─► waiting ─► running ─► done
//	           account    tasks: cancelled, then deleted from the log, the queue, the object store and the archive
//	           emptied
//
// The account is emptied with the request itself: nobody signs in with it any more. What stays is its id, in the audit log (which is
// evidence) and in the ledger (which is accounting), and leads to nobody. Every step may be repeated, and a janitor that dies is
// followed by another.
package privacy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Erasure is the deletion of a user's data.
type Erasure struct {
	ID          string     `json:"id"`
	Tenant      string     `json:"tenant_id"`
	UserID      string     `json:"user_id"`
	RequestedBy string     `json:"requested_by"`
	RequestedAt time.Time  `json:"requested_at"`
	State       string     `json:"state"`        // waiting, running or done
	ErasedTasks int64      `json:"erased_tasks"` // so far
	Error       string     `json:"error,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}

// States of an erasure.
const (
	Waiting = "waiting"
	Running = "running"
	Done    = "done"
)

// Records is what the archive and the accounts hold of a user.
type Records interface {
	// Export calls emit with each piece of what is kept of a user, section by section. NotFound when the tenant has no such user.
	Export(ctx context.Context, tenant, userID string, emit func(section string, item json.RawMessage) error) error
	// RequestErasure empties the account and returns its erasure; the one that there is when it was requested before. NotFound; Conflict
	// for the last admin of a tenant.
	RequestErasure(ctx context.Context, tenant, userID, by string) (Erasure, error)
	// Erasure returns a user's erasure, or NotFound.
	Erasure(ctx context.Context, tenant, userID string) (Erasure, error)
}

// Config is what a Service needs. All but Logger are required.
type Config struct {
	Records Records
	Revoke  func(ctx context.Context, tenant, userID, why string) error // ends the user's sessions and keys everywhere
	Audit   audit.Recorder
	Logger  *slog.Logger
}

// Service answers requests about a user's data. It is safe for concurrent use.
type Service struct{ Config }

// NewService checks cfg and returns the service.
func NewService(cfg Config) (*Service, error) {
	if cfg.Records == nil || cfg.Revoke == nil || cfg.Audit == nil {
		return nil, errors.New("privacy: Config.Records, Revoke and Audit are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg}, nil
}

// Export writes one JSON object with what is kept of a user: a list for each section. When it fails in the middle, what was written is
// no JSON, so that nobody takes it for the whole. NotFound before anything is written.
func (s *Service) Export(ctx context.Context, by auth.Principal, userID string, w io.Writer) error {
	if err := s.Audit.Append(ctx, audit.Entry{Tenant: by.Tenant, Actor: by.UserID, Action: "data.exported", Target: userID, Outcome: "done"}); err != nil {
		return fmt.Errorf("put an export on record: %w", err)
	}
	section := ""
	write := func(text string) error {
		_, err := io.WriteString(w, text)
		return err
	}
	err := s.Records.Export(ctx, by.Tenant, userID, func(name string, item json.RawMessage) error {
		head := ",\n  "
		switch {
		case section == "":
			head = fmt.Sprintf("{\n%q: %q,\n%q: [\n  ", "exported_at", time.Now().UTC().Format(time.RFC3339), name)
		case section != name:
			head = fmt.Sprintf("\n],\n%q: [\n  ", name)
		}
		section = name
		return write(head + string(item))
	})
	if err != nil {
		return fmt.Errorf("export what is kept of user %s: %w", userID, err)
	}
	return write("\n]\n}\n")
}

// Erase empties a user's account at once and has everything else deleted by the janitor. Asking again changes nothing and returns how
// far that is. NotFound; Conflict for the last admin of a tenant; Forbidden for oneself as a platform admin and, for others than
// platform admins, for one.
func (s *Service) Erase(ctx context.Context, by auth.Principal, userID string) (Erasure, error) {
	e, err := s.Records.RequestErasure(ctx, by.Tenant, userID, by.UserID)
	outcome := "done"
	if err != nil {
		outcome = fault.KindOf(err).String()
	}
	if logged := s.Audit.Append(context.WithoutCancel(ctx), audit.Entry{Tenant: by.Tenant, Actor: by.UserID, Action: "user.erased", Target: userID, Outcome: outcome}); logged != nil {
		s.Logger.ErrorContext(ctx, "an erasure is not on record", "user_id", userID, "error", logged)
	}
	if err != nil {
		return Erasure{}, fmt.Errorf("erase user %s: %w", userID, err)
	}
	if err := s.Revoke(context.WithoutCancel(ctx), by.Tenant, userID, "erased"); err != nil {
		return e, fmt.Errorf("end the sessions of user %s: %w", userID, err)
	}
	return e, nil
}

// Erasure returns how far the erasure of a user is, or NotFound.
func (s *Service) Erasure(ctx context.Context, tenant, userID string) (Erasure, error) {
	return s.Records.Erasure(ctx, tenant, userID)
}
