package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/postgres"
	"github.com/toolboxai/orchestrator/nats"
)

type auditCommand struct {
	List      auditListCommand      `cmd:"" help:"List what was done, newest first."`
	Verify    auditVerifyCommand    `cmd:"" help:"Prove that nobody changed, removed or inserted anything, in Postgres and on the broker; exit with 1 when somebody did."`
	Unchained auditUnchainedCommand `cmd:"" help:"List what releases before the chain put on record, oldest first."`
}

type auditListCommand struct {
	remote
	Actor  string        `help:"Only what this user did."`
	Action string        `help:"Only actions that begin with this, such as user."`
	Target string        `help:"Only what was done to this."`
	Since  time.Duration `help:"Only what was done since so long ago, such as 24h."`
	Limit  int           `help:"How many." default:"20"`
	Before uint64        `help:"Where the page before ended."`
}

func (c *auditListCommand) Run(ctx context.Context) error {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Before > 0 {
		q.Set("before", strconv.FormatUint(c.Before, 10))
	}
	for name, value := range map[string]string{"actor": c.Actor, "action": c.Action, "target": c.Target} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if c.Since > 0 {
		q.Set("from", time.Now().Add(-c.Since).UTC().Format(time.RFC3339Nano))
	}
	var page struct {
		Entries []audit.Entry `json:"entries"`
		Next    uint64        `json:"next,omitempty"`
	}
	if err := c.call(ctx, "GET", "/admin/audit?"+q.Encode(), nil, nil, &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tWHO\tWHAT\tON\tOUTCOME")
	for _, e := range page.Entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.At.Local().Format(time.DateTime), e.Actor, e.Action, e.Target, e.Outcome)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Next > 0 {
		fmt.Printf("more with --before %d\n", page.Next)
	}
	return nil
}

// auditVerifyCommand reads Postgres and the broker itself: whoever has changed either may have the API at hand, too.
type auditVerifyCommand struct {
	Tenant string        `help:"Only this tenant."`
	Head   *audit.Anchor `help:"What an earlier verify printed as the head of this tenant's chain, n:hash: it must still be there."`
	JSON   bool          `help:"Print JSON." name:"json"`
}

// verdict is what was found in a tenant's chain.
type verdict struct {
	Tenant     string         `json:"tenant_id"`
	OK         bool           `json:"ok"`
	Archive    audit.Report   `json:"archive"`
	Stream     audit.Report   `json:"stream"`
	Difference *audit.Finding `json:"difference,omitempty"` // between the two
}

// Validate is called by kong.
func (c *auditVerifyCommand) Validate() error {
	if c.Head != nil && c.Tenant == "" {
		return errors.New("--head is of one chain: say whose with --tenant")
	}
	return nil
}

func (c *auditVerifyCommand) Run(ctx context.Context) error {
	s, err := openAudit(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	archive, stream := postgres.NewAuditLog(s.db), s.auditStream()
	tenants := []string{c.Tenant}
	if c.Tenant == "" {
		if tenants, err = chains(ctx, archive, stream); err != nil {
			return err
		}
	}
	verdicts := make([]verdict, 0, len(tenants))
	wrong := 0
	for _, tenant := range tenants {
		v, err := verifyChain(ctx, archive, stream, tenant, c.Head)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, v)
		if !v.OK {
			wrong++
		}
		if !c.JSON {
			v.print()
		}
	}
	if c.JSON {
		if err := printJSON(map[string]any{"ok": wrong == 0, "chains": verdicts}); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return errNotCompleted
	}
	return nil
}

// openAudit connects to Postgres and the broker.
func openAudit(ctx context.Context) (*system, error) {
	cfg, logger, err := environment()
	if err != nil {
		return nil, err
	}
	if err := need("audit", map[string]string{"DATABASE_URL": cfg.DatabaseURL, "NATS_URL": cfg.NATSURL}); err != nil {
		return nil, &usageError{err}
	}
	return open(ctx, cfg, logger, "audit", nil, true)
}

// chains returns who has a chain.
func chains(ctx context.Context, archive *postgres.AuditLog, stream *nats.Audit) ([]string, error) {
	archived, err := archive.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := stream.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(archived, kept)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// verifyChain verifies both copies of a chain and compares them. The archive comes first: what it has, the stream has had before.
func verifyChain(ctx context.Context, archive *postgres.AuditLog, stream *nats.Audit, tenant string, head *audit.Anchor) (v verdict, err error) {
	v.Tenant = tenant
	place, err := archive.Place(ctx)
	if err != nil {
		return v, err
	}
	from, err := archive.Purged(ctx, tenant)
	if err != nil {
		return v, err
	}
	claim := audit.Claim{Tenant: tenant, From: &from}
	if head != nil {
		claim.Known = []audit.Anchor{*head}
	}
	if v.Archive, err = audit.Verify(archive.Rows(ctx, tenant), claim); err != nil {
		return v, err
	}
	claim = audit.Claim{Tenant: tenant}
	if v.Archive.Finding == nil && v.Archive.Entries > 0 {
		claim.Known = []audit.Anchor{v.Archive.Head}
	}
	if v.Stream, err = audit.Verify(stream.Rows(ctx, tenant), claim); err != nil {
		return v, err
	}
	if v.Stream.First == 0 { // nothing of the chain is young enough to be there
		v.Stream.Finding = nil
	}
	v.Difference, err = audit.Compare(archive.Rows(ctx, tenant), stream.Rows(ctx, tenant), from, place.Seq)
	v.OK = v.Archive.Finding == nil && v.Stream.Finding == nil && v.Difference == nil
	return v, err
}

func (v verdict) print() {
	if v.OK {
		fmt.Printf("%s: %d entries from %d on are as they were; head %s\n", v.Tenant, v.Archive.Entries, v.Archive.First, v.Archive.Head)
		return
	}
	for where, finding := range map[string]*audit.Finding{"in Postgres": v.Archive.Finding, "on the broker": v.Stream.Finding, "between the two": v.Difference} {
		if finding != nil {
			fmt.Printf("%s: %s %s\n", v.Tenant, where, finding)
		}
	}
}

type auditUnchainedCommand struct {
	Tenant string `required:"" help:"Whose."`
	After  uint64 `help:"Where the page before ended."`
}

func (c *auditUnchainedCommand) Run(ctx context.Context) error {
	s, err := openAudit(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	entries, err := s.auditStream().Unchained(ctx, c.Tenant, c.After)
	if err != nil {
		return err
	}
	return printJSON(entries)
}
