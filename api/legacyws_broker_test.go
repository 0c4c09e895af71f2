package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

// Over a real log, each of many WebSockets hears everything once and in order, and the broker knows of none of them.
func TestSocket_CostsTheBrokerNothing(t *testing.T) {
	t.Parallel()
	const sockets, tasks = 60, 100
	broker := natstest.Start(t)
	feed := nats.NewNewsfeed(broker.Conn, nats.NewsfeedConfig{})
	log := nats.NewLog(broker.JS, nats.LogConfig{})
	k := newKit(t, func(c *api.Config) { c.News = feed })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- feed.Run(ctx) }()
	go func() { ended <- k.server.Run(ctx, listener) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}}
	defer func() {
		stop()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	}()
	w := &wsKit{kit: k, t: t, client: &http.Client{Transport: transport}}
	lines := make([]*line, sockets)
	for i := range lines {
		lines[i] = w.opened("/ws/content", auth.Teacher, fmt.Sprint("user-", i))
		defer lines[i].close()
		lines[i].say(`{"type":"subscribe","scope":"org","after":0}`)
		lines[i].expect("subscribed org 0")
	}
	if n := broker.Conn.NumSubscriptions(); n > 8 {
		t.Errorf("%d WebSockets made %d subscriptions", sockets, n)
	}
	for range tasks {
		e, err := events.New("school", uuid.NewString(), "/test", events.Queued{Kind: "quiz", Input: []byte(`{}`), Priority: events.Normal, Dispatch: 1, UserID: "ada"})
		if err == nil {
			_, err = log.Append(t.Context(), e, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	for _, l := range lines {
		group.Go(func() {
			for seq := range tasks {
				m, err := l.next()
				if want := fmt.Sprint("event org task.queued ", seq+1); err != nil || m.String() != want {
					t.Errorf("got %v %v, want %s", m, err, want)
					return
				}
			}
		})
	}
	group.Wait()
}
