package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/toolboxai/orchestrator/internal/task"
)

type incidentsCommand struct {
	List incidentListCommand `cmd:"" default:"withargs" help:"List what went wrong, one line for all dead letters that failed alike; the default."`
}

type incidentListCommand struct {
	remote
	Kind        []string      `help:"Only dead letters of this kind; repeatable."`
	Cause       []string      `help:"Only failed by this cause; repeatable."`
	Fingerprint string        `help:"Only with this fingerprint of the error."`
	Search      string        `help:"Only with these words in the error."`
	Since       time.Duration `help:"Only what failed within this long."`
	Order       string        `help:"last_seen or count." default:"last_seen" enum:"last_seen,count"`
	Limit       int           `help:"How many." default:"20"`
	Cursor      string        `help:"Where the page before ended."`
}

// incidentPage is a page of incidents.
type incidentPage struct {
	Incidents []task.Incident `json:"incidents"`
	Next      string          `json:"next,omitempty"`
}

func (c *incidentListCommand) Run(ctx context.Context) error {
	q := url.Values{"kind": c.Kind, "cause": c.Cause, "order": {c.Order}, "limit": {strconv.Itoa(c.Limit)}}
	setIf(q, "fingerprint", c.Fingerprint)
	setIf(q, "search", c.Search)
	setIf(q, "cursor", c.Cursor)
	if c.Since > 0 {
		q.Set("failed_after", time.Now().Add(-c.Since).UTC().Format(time.RFC3339))
	}
	var page incidentPage
	if err := c.call(ctx, "GET", "/admin/incidents?"+q.Encode(), nil, nil, &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	return page.print()
}

func (p incidentPage) print() error {
	if len(p.Incidents) == 0 {
		fmt.Println("no dead letters")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FINGERPRINT\tCAUSE\tCOUNT\tKINDS\tFIRST\tLAST\tWHAT")
	for _, i := range p.Incidents {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", i.Fingerprint, i.Cause, i.Count, strings.Join(i.Kinds, ","),
			moment(&i.FirstSeen), moment(&i.LastSeen), firstLine(i.Pattern))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if p.Next != "" {
		fmt.Printf("more with --cursor %s\n", p.Next)
	}
	fmt.Printf("one of them:     toolboxai deadletters show %s\nreplay them:     toolboxai campaigns plan replay --fingerprint %s\n",
		p.Incidents[0].Tasks[0], p.Incidents[0].Fingerprint)
	return nil
}
