package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
)

// target is one URL and the webhooks that wait for it.
type target struct {
	url    string
	host   string // for logs: a URL may hold a secret
	app    channels.App
	client *http.Client
	logger *slog.Logger
	room   int
	stats  *counters
	wake   chan struct{}

	mu    sync.Mutex
	queue []hook
	size  int // bytes of queue

	failures int // since the last success; run's alone
}

// put adds a webhook. When there is no room the oldest go: what is newest is worth most to a receiver that was away.
func (t *target) put(h hook) {
	t.mu.Lock()
	gone := 0
	for len(t.queue) > 0 && t.size+len(h.body) > t.room {
		gone += t.queue[0].events
		t.shift()
	}
	t.queue = append(t.queue, h)
	t.size += len(h.body)
	t.mu.Unlock()
	t.stats.dropped.Add(uint64(gone))
	signal(t.wake)
}

func (t *target) shift() hook {
	h := t.queue[0]
	t.queue[0] = hook{}
	t.queue = t.queue[1:]
	t.size -= len(h.body)
	return h
}

func (t *target) next() (hook, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.queue = nil
		return hook{}, false
	}
	return t.shift(), true
}

// run posts the webhooks one after the other until stop is closed and there are none left. ctx bounds the posts.
func (t *target) run(ctx context.Context, stop <-chan struct{}) {
	for {
		if h, ok := t.next(); ok {
			t.deliver(ctx, stop, h)
			continue
		}
		select {
		case <-t.wake:
		case <-stop:
			if h, ok := t.next(); ok {
				t.deliver(ctx, stop, h)
				continue
			}
			return
		}
	}
}

// deliver posts h until it is taken, too old, or there is no more waiting.
func (t *target) deliver(ctx context.Context, stop <-chan struct{}, h hook) {
	for {
		if t.failures > 0 {
			wait := backoff(t.failures)
			if time.Since(h.made)+wait > retryFor {
				t.stats.expired.Add(uint64(h.events))
				return
			}
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-stop:
				timer.Stop()
				t.stats.dropped.Add(uint64(h.events))
				return
			}
		}
		err := t.post(ctx, h)
		if err == nil {
			if t.failures > 0 {
				t.logger.InfoContext(ctx, "webhooks are taken again", "host", t.host, "failures", t.failures)
			}
			t.failures = 0
			t.stats.sent.Add(uint64(h.events))
			return
		}
		if t.failures == 0 {
			t.logger.WarnContext(ctx, "webhooks are not taken, trying again", "host", t.host, "error", err)
		}
		t.failures++
		t.stats.failures.Add(1)
	}
}

func (t *target) post(ctx context.Context, h hook) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(h.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Pusher-Key", t.app.Key)
	r.Header.Set("X-Pusher-Signature", h.signature)
	answer, err := t.client.Do(r)
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		return outer.Err // without the URL
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("answered with status %d", answer.StatusCode)
	}
	return nil
}

// backoff returns a random time below firstWait·2^(failures-1), or lastWait.
func backoff(failures int) time.Duration {
	return rand.N(min(lastWait, firstWait<<min(failures-1, 10)))
}
