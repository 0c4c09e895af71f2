package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/webhook"
)

var app = channels.App{ID: "3", Key: "key", Secret: "secret"}

// receivers is an http.RoundTripper that stands for the servers of all URLs, by host. It can be used where no socket can: in a bubble of
// testing/synctest.
type receivers struct {
	mu    sync.Mutex
	plan  map[string][]outcome // of the next posts to a host; then all are taken
	posts map[string][]post
}

// outcome is what becomes of a post: a status, a connection that breaks (0), or silence.
type outcome int

const (
	broken outcome = 0
	silent outcome = -1
)

type post struct {
	at     time.Time
	status outcome
	events []webhook.Event // of a webhook that Verify accepts
	size   int
	err    error
}

func newReceivers() *receivers {
	return &receivers{plan: map[string][]outcome{}, posts: map[string][]post{}}
}

func (r *receivers) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	host := req.URL.Host
	p := post{at: time.Now(), status: http.StatusOK, size: len(body)}
	p.events, p.err = webhook.Verify(app, req.Header, body)
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		p.err = fmt.Errorf("%s %q", req.Method, req.Header)
	}
	r.mu.Lock()
	if plan := r.plan[host]; len(plan) > 0 {
		p.status = plan[0]
		r.plan[host] = plan[1:]
	}
	r.posts[host] = append(r.posts[host], p)
	r.mu.Unlock()
	switch p.status {
	case broken:
		return nil, errors.New("connection reset")
	case silent:
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	header := http.Header{"Location": {"http://elsewhere/"}}
	return &http.Response{StatusCode: int(p.status), Header: header, Body: io.NopCloser(bytes.NewReader(nil)), Request: req}, nil
}

// fail makes the next n posts to a host end so.
func (r *receivers) fail(host string, n int, o outcome) {
	for range n {
		r.plan[host] = append(r.plan[host], o)
	}
}

// to returns the posts to a host so far.
func (r *receivers) to(host string) []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.posts[host]
}

// taken returns the events that a host took, as name/channel/user_id/data, and fails the test for what is no webhook.
func (r *receivers) taken(t testing.TB, host string) []string {
	t.Helper()
	var all []string
	for _, p := range r.to(host) {
		if p.err != nil {
			t.Errorf("%s: %v", host, p.err)
		}
		if p.status != http.StatusOK {
			continue
		}
		for _, e := range p.events {
			all = append(all, e.Name+"/"+e.Channel+"/"+e.UserID+"/"+e.Data)
		}
	}
	return all
}

func line(o channels.Occurrence) string {
	return o.Kind + "/" + o.Channel + "/" + o.UserID + "/" + o.Data
}

// inBubble runs fn with a Sender that tells http://a/ and http://b/, stops it, and returns where it told.
func inBubble(t *testing.T, fn func(*webhook.Sender, *receivers)) *receivers {
	r := newReceivers()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, r, "http://a/", "http://b/")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		fn(s, r)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func newSender(t testing.TB, r http.RoundTripper, urls ...string) *webhook.Sender {
	t.Helper()
	s, err := webhook.New(webhook.Config{App: app, URLs: urls, Client: &http.Client{Transport: r}, Room: webhook.MinRoom})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pass lets time pass in a bubble, and then everything come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func occupied(channel string) channels.Occurrence {
	return channels.Occurrence{Kind: "channel_occupied", Channel: channel}
}

func vacated(channel string) channels.Occurrence {
	return channels.Occurrence{Kind: "channel_vacated", Channel: channel}
}

func added(user string) channels.Occurrence {
	return channels.Occurrence{Kind: "member_added", Channel: "presence-x", UserID: user}
}

func removed(user string) channels.Occurrence {
	return channels.Occurrence{Kind: "member_removed", Channel: "presence-x", UserID: user}
}

func said(data string) channels.Occurrence {
	return channels.Occurrence{Kind: "client_event", Channel: "private-x", Event: "client-e", Data: data, SocketID: "1.2"}
}
