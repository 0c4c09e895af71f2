//go:build chaos && linux

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/toolboxai/orchestrator/internal/porttest"
)

// link is a network between a role and something that it needs.
type link struct {
	name  string
	proxy *toxiproxy.Proxy
	addr  string
}

// links makes links that end with the test.
type links struct{ server *toxiproxy.ApiServer }

func newLinks() links {
	return links{toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())}
}

func (l links) open(t *testing.T, name, upstream string) *link {
	t.Helper()
	p := toxiproxy.NewProxy(l.server, name, fmt.Sprintf("127.0.0.1:%d", porttest.Free(t)), upstream) // it is let go while the link is down
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return &link{name: name, proxy: p, addr: p.Listen}
}

// down refuses and drops connections until the returned function is called.
func (l *link) down() (up func() error, err error) {
	l.proxy.Stop()
	return l.proxy.Start, nil
}

// toxic makes the link ill until the returned function is called. Connections that are open are ill, too.
func (l *link) toxic(kind string, attributes map[string]int) (cure func() error, err error) {
	spec, err := json.Marshal(map[string]any{"name": kind, "type": kind, "stream": "downstream", "attributes": attributes})
	if err != nil {
		return nil, err
	}
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(string(spec))); err != nil {
		return nil, fmt.Errorf("%s of %s: %w", kind, l.name, err)
	}
	return func() error { return l.proxy.Toxics.RemoveToxic(context.Background(), kind) }, nil
}

// overTCP returns database, behind a listener of its own when it is reached through a socket file: only TCP can be made ill.
func overTCP(t *testing.T, ln links, database string) (string, *link) {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	upstream := net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
	if strings.HasPrefix(cfg.Host, "/") {
		upstream = bridge(t, fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port))
	}
	l := ln.open(t, "postgres", upstream)
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: l.addr, Path: "/" + cfg.Database, RawQuery: "sslmode=disable",
	}
	return u.String(), l
}

// bridge serves a socket file on a port until the test ends.
func bridge(t *testing.T, path string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var open connections
	group.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", path)
			if err != nil {
				in.Close()
				continue
			}
			open.add(in, out)
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				group.Go(func() {
					_, _ = io.Copy(pair[0], pair[1]) // it ends with either side
					pair[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.close()
		group.Wait()
	})
	return l.Addr().String()
}

type connections struct {
	mu  sync.Mutex
	all []net.Conn
}

func (c *connections) add(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conns...)
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		conn.Close()
	}
}
