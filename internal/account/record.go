package account

import (
	"cmp"
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/mail"
)

// unknown is who failed to prove who they are.
const unknown = "unknown"

// note puts on record what happened to an account through its owner, or what failed: see record.
func (s *Service) note(ctx context.Context, u User, action, detail string) {
	s.noteSession(ctx, u, "", action, detail)
}

func (s *Service) noteSession(ctx context.Context, u User, sessionID, action, detail string) {
	e := audit.Entry{Tenant: u.Tenant, Actor: u.ID, Action: action, Target: u.ID, SessionID: sessionID}
	if strings.HasSuffix(action, ".failed") { // an outcome says why not, and who it was is what was not proved
		e.Actor, e.Outcome, detail = cmp.Or(audit.FromOf(ctx).Actor, unknown), detail, ""
	}
	s.record(ctx, e, "by", detail)
}

// record puts e on record with details, pairs of names and values of which the empty ones are left out. What happened stays so when that
// fails; the log then says so. It does not end with ctx: who hangs up leaves no gap.
func (s *Service) record(ctx context.Context, e audit.Entry, details ...string) {
	e.Outcome = cmp.Or(e.Outcome, audit.Done)
	said := map[string]string{}
	for i := 0; i+1 < len(details); i += 2 {
		if details[i+1] != "" {
			said[details[i]] = details[i+1]
		}
	}
	if len(said) > 0 {
		e.Detail, _ = json.Marshal(said) // strings always can be
	}
	if err := s.cfg.Audit.Append(context.WithoutCancel(ctx), e); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "it is not on record", "action", e.Action, "tenant", e.Tenant, "target", e.Target, "outcome", e.Outcome, "error", err)
	}
}

// fromClient says in ctx from where somebody asks, for the record, where the edge has not.
func fromClient(ctx context.Context, c Client) context.Context {
	from := audit.FromOf(ctx)
	if from.IP != "" {
		return ctx
	}
	from.IP = ipText(c)
	return audit.WithFrom(ctx, from)
}

// send mails, if there is somebody to mail to.
func (s *Service) send(ctx context.Context, to, subject, text string) {
	if to == "" {
		return
	}
	if err := s.cfg.Mail.Send(context.WithoutCancel(ctx), mail.Message{To: to, Subject: subject, Text: text}); err != nil {
		s.cfg.Logger.WarnContext(ctx, "a mail was not sent", "subject", subject, "error", err)
	}
}

const (
	// answerStep is longer than what is done for an answer usually takes: see evenly.
	answerStep = 250 * time.Millisecond
	// timerGrain is by how much a timer may be late. It waits in whole milliseconds from when it was set, so the rest that is left over
	// would tell how long the work before it took.
	timerGrain = 2 * time.Millisecond
)

// evenly waits until the next multiple of answerStep since began, so that the time of an answer does not tell what was done for it:
// a count in the database and an entry on record for a user whom there is, neither for one whom there is not. The last of it is waited for
// awake, which a timer is too coarse for.
func (s *Service) evenly(ctx context.Context, began time.Time) {
	until := began.Add((time.Since(began)/s.answerStep + 1) * s.answerStep)
	timer := time.NewTimer(time.Until(until) - timerGrain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	for time.Now().Before(until) && ctx.Err() == nil {
		runtime.Gosched()
	}
}
