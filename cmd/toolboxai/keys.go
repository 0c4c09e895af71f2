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

	"github.com/toolboxai/orchestrator/internal/apikey"
)

type keysCommand struct {
	Create keyCreateCommand `cmd:"" help:"Make an API key, which acts for a user within its scopes."`
	List   keyListCommand   `cmd:"" help:"List API keys, newest first: one's own, or as an admin the tenant's."`
	Rotate keyRotateCommand `cmd:"" help:"Give an API key a new text; the old one is good for a while."`
	Revoke keyRevokeCommand `cmd:"" help:"Revoke an API key; it is refused within a second."`
}

type keyCreateCommand struct {
	remote
	Name      string        `arg:"" help:"What it is for."`
	Scope     []string      `help:"What it may: tasks:read, tasks:write, content:read, analytics:read, roblox:deploy, admin. May be repeated." required:""`
	IP        []string      `help:"Address or network from which it is taken; everywhere without one." name:"ip"`
	Origin    []string      `help:"Origin of web pages that may use it."`
	PerMinute int           `help:"Requests a minute; 0 takes the default."`
	Expires   time.Duration `help:"After how long it ends, such as 2160h; never when 0."`
	User      string        `help:"Id of the user it acts for; oneself without it."`
}

func (c *keyCreateCommand) Run(ctx context.Context) error {
	body := map[string]any{"name": c.Name, "scopes": c.Scope, "per_minute": c.PerMinute}
	if len(c.IP) > 0 {
		body["ips"] = c.IP
	}
	if len(c.Origin) > 0 {
		body["origins"] = c.Origin
	}
	if c.Expires > 0 {
		body["expires_at"] = time.Now().Add(c.Expires).UTC()
	}
	if c.User != "" {
		body["user_id"] = c.User
	}
	return c.issue(ctx, "/api-keys", body)
}

// issue asks for a key with a new text and prints it, this once.
func (r remote) issue(ctx context.Context, path string, body any) error {
	var made struct {
		Key  apikey.Key `json:"key"`
		Text string     `json:"text"`
	}
	if err := r.call(ctx, "POST", path, nil, body, &made); err != nil {
		return err
	}
	if r.JSON {
		return printJSON(made)
	}
	fmt.Printf("key %s (%s) acts for user %s; shown this once:\n%s\n", made.Key.ID, firstLine(made.Key.Name), made.Key.UserID, made.Text)
	if made.Key.PreviousUntil != nil {
		fmt.Printf("the text before it is good until %s\n", moment(made.Key.PreviousUntil))
	}
	return nil
}

type keyListCommand struct {
	remote
	User   string `help:"Only keys that act for this user."`
	Limit  int    `help:"How many." default:"50"`
	Cursor string `help:"Where the page before ended."`
}

func (c *keyListCommand) Run(ctx context.Context) error {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"user": c.User, "cursor": c.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var page struct {
		Keys []apikey.Key `json:"keys"`
		Next string       `json:"next,omitempty"`
	}
	if err := c.call(ctx, "GET", "/api-keys?"+q.Encode(), nil, nil, &page); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tNAME\tUSER\tSCOPES\tSTATE\tLAST USED")
	for _, k := range page.Keys {
		scopes := make([]string, len(k.Scopes))
		for i, s := range k.Scopes {
			scopes[i] = string(s)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, firstLine(k.Name), k.UserID, strings.Join(scopes, ","), keyState(k, time.Now()), moment(k.LastUsedAt))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Printf("more with --cursor %s\n", page.Next)
	}
	return nil
}

// keyState says whether a key is good, in a few words.
func keyState(k apikey.Key, now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked " + moment(k.RevokedAt)
	case k.ExpiresAt != nil && !now.Before(*k.ExpiresAt):
		return "expired " + moment(k.ExpiresAt)
	case k.ExpiresAt != nil:
		return "until " + moment(k.ExpiresAt)
	}
	return "good"
}

type keyRotateCommand struct {
	remote
	ID      string        `arg:"" help:"The key's id: the first part of its text."`
	Overlap time.Duration `help:"How long the old text stays good; at most 168h." default:"24h"`
}

func (c *keyRotateCommand) Run(ctx context.Context) error {
	return c.issue(ctx, "/api-keys/"+url.PathEscape(c.ID)+"/rotate", map[string]int{"overlap_seconds": int(c.Overlap.Seconds())})
}

type keyRevokeCommand struct {
	remote
	ID string `arg:"" help:"The key's id: the first part of its text."`
}

func (c *keyRevokeCommand) Run(ctx context.Context) error {
	if err := c.call(ctx, "DELETE", "/api-keys/"+url.PathEscape(c.ID), nil, nil, nil); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(map[string]any{"id": c.ID, "revoked": true})
	}
	fmt.Printf("key %s is refused from now on\n", c.ID)
	return nil
}
