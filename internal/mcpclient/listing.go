package mcpclient

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// listing is what is known of a server's tools. One task at a time has the turn: it reads and writes the rest, and asks the server.
type listing struct {
	turn   chan struct{}
	at     time.Time // of the last list; zero for none
	tools  []offer
	failed time.Time // when the server could not be asked, and why
	err    error
	pins   map[string][sha256.Size]byte // of each tool as it was first seen
}

func newListing() *listing {
	return &listing{turn: make(chan struct{}, 1), pins: map[string][sha256.Size]byte{}}
}

// offers returns the tools of a server, from its last list while that is fresh. Who waits while another task asks shares what comes of it,
// and waits for no longer than one call may take. Errors: those of exchange; Timeout; Canceled.
func (c *Client) offers(ctx context.Context, s Server) ([]offer, error) {
	l, began := c.lists[s.Name], time.Now()
	bounded, cancel := context.WithTimeout(ctx, c.limits.Call)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-bounded.Done():
		return nil, fault.New(fault.KindOf(bounded.Err()), "the server %s is still being asked for its tools: %w", s.Name, bounded.Err())
	}
	switch {
	case !l.at.IsZero() && time.Since(l.at) < c.limits.Fresh:
		return l.tools, nil
	case l.failed.After(began):
		return nil, l.err
	}
	found, err := c.list(bounded, s)
	if err != nil {
		if ctx.Err() == nil { // otherwise it says something of this task, and nothing of the server
			l.err, l.failed = err, time.Now()
		}
		return nil, err
	}
	l.tools, l.at = c.offered(ctx, s, l, found), time.Now()
	return l.tools, nil
}

// offered returns which of the tools that a server lists models may be offered.
func (c *Client) offered(ctx context.Context, s Server, l *listing, found []*mcp.Tool) []offer {
	var offers []offer
	seen := map[string]bool{}
	for _, t := range found {
		if t == nil || !c.unlisted && !slices.Contains(s.Tools, t.Name) {
			continue
		}
		o, err := offerOf(s, t)
		if err != nil {
			c.logger.WarnContext(ctx, "a tool of an MCP server is not offered", "server", s.Name, "tool", clipTo(t.Name, 64), "error", err)
			continue
		}
		if seen[o.Name] { // a list that has a name twice is refused as a whole
			c.logger.WarnContext(ctx, "a tool of an MCP server has the name of another one and is not offered", "server", s.Name, "tool", clipTo(t.Name, 64))
			continue
		}
		seen[o.Name] = true
		pin := sha256.Sum256([]byte(o.Description + "\x00" + string(o.Parameters)))
		if first, known := l.pins[o.name]; known && first != pin {
			c.logger.WarnContext(ctx, "a tool of an MCP server has changed since it was first seen and is not offered", "server", s.Name, "tool", o.name)
			continue
		}
		l.pins[o.name] = pin
		offers = append(offers, o)
	}
	return offers
}
