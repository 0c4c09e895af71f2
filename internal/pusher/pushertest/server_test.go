package pushertest_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pusherhttp "github.com/pusher/pusher-http-go/v5"
	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(t *testing.T) (*pushertest.Server, *pusherhttp.Client) {
	t.Helper()
	s, err := pushertest.New(pushertest.App{ID: "1", Key: "key", Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); s.Close() })
	return s, &pusherhttp.Client{
		AppID: "1", Key: "key", Secret: "secret", Host: fmt.Sprintf("%s:%d", s.Host(), s.Port()),
		HTTPClient: &http.Client{Transport: transport, Timeout: 10 * time.Second},
	}
}

func TestServer_TakesWhatTheLibrarySends(t *testing.T) {
	t.Parallel()
	s, lib := newServer(t)
	if err := lib.TriggerMulti([]string{"a", "b"}, "hello", "to both"); err != nil {
		t.Fatal(err)
	}
	if _, err := lib.TriggerBatch([]pusherhttp.Event{{Channel: "b", Name: "x", Data: "1"}, {Channel: "b", Name: "x", Data: "2"}}); err != nil {
		t.Fatal(err)
	}
	want := []pushertest.Message{{"b", "hello", "to both"}, {"b", "x", "1"}, {"b", "x", "2"}}
	if diff := cmp.Diff(want, s.Messages("b")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, s.Channels()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.Requests() != 2 || len(s.Batches()) != 2 {
		t.Errorf("%d requests, %d accepted", s.Requests(), len(s.Batches()))
	}
}

func TestServer_RefusesWhatTheServiceRefuses(t *testing.T) {
	t.Parallel()
	s, lib := newServer(t)
	lib.OverrideMaxMessagePayloadKB = 100
	batch := func(n int) []pusherhttp.Event {
		events := make([]pusherhttp.Event, n)
		for i := range events {
			events[i] = pusherhttp.Event{Channel: "c", Name: "x", Data: "1"}
		}
		return events
	}
	for name, x := range map[string]struct {
		send   func() error
		status string
	}{
		"ALongBatch":   {func() error { _, err := lib.TriggerBatch(batch(11)); return err }, "400"},
		"AnEmptyBatch": {func() error { _, err := lib.TriggerBatch(batch(0)); return err }, "400"},
		"LongData":     {func() error { return lib.Trigger("c", "x", strings.Repeat("x", 10*1024+1)) }, "413"},
		"LongDataInABatch": {func() error {
			_, err := lib.TriggerBatch([]pusherhttp.Event{{Channel: "c", Name: "x", Data: strings.Repeat("x", 10*1024+1)}})
			return err
		}, "413"},
		"ALongChannel": {func() error { return lib.Trigger(strings.Repeat("c", 165), "x", "1") }, "400"},
		"ALongEvent":   {func() error { return lib.Trigger("c", strings.Repeat("x", 201), "1") }, "400"},
	} {
		if err := x.send(); err == nil || !strings.Contains(err.Error(), x.status) {
			t.Errorf("%s: got %v, want %s", name, err, x.status)
		}
	}
	if got := s.Channels(); len(got) != 0 {
		t.Errorf("accepted on %v", got)
	}
}

func TestServer_ChecksTheSignature(t *testing.T) {
	t.Parallel()
	s, lib := newServer(t)
	var signed *http.Request // as the library signed it
	transport := lib.HTTPClient.Transport
	lib.HTTPClient.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		signed = r
		return nil, errors.New("not sent")
	})
	if err := lib.Trigger("c", "x", "1"); err == nil {
		t.Fatal("it was sent")
	}
	body, err := io.ReadAll(signed.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		change func(url.Values)
		body   string
		want   int
	}{
		"AsSigned":        {func(url.Values) {}, string(body), 200},
		"AnotherKey":      {func(q url.Values) { q.Set("auth_key", "k") }, string(body), 401},
		"AnotherVersion":  {func(q url.Values) { q.Set("auth_version", "2.0") }, string(body), 401},
		"AnOldSignature":  {func(q url.Values) { q.Set("auth_timestamp", fmt.Sprint(time.Now().Add(-11*time.Minute).Unix())) }, string(body), 401},
		"AnotherTime":     {func(q url.Values) { q.Set("auth_timestamp", fmt.Sprint(time.Now().Add(-time.Minute).Unix())) }, string(body), 401},
		"NoTime":          {func(q url.Values) { q.Del("auth_timestamp") }, string(body), 401},
		"AnotherBody":     {func(url.Values) {}, string(body) + " ", 401},
		"AnotherBodyHash": {func(q url.Values) { q.Set("body_md5", sum(string(body)+" ")) }, string(body) + " ", 401},
		"OneMoreField":    {func(q url.Values) { q.Set("info", "user_count") }, string(body), 401},
		"NoSignature":     {func(q url.Values) { q.Del("auth_signature") }, string(body), 401},
	} {
		u := *signed.URL
		q := u.Query()
		x.change(q)
		u.RawQuery = q.Encode()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String(), strings.NewReader(x.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != x.want {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, x.want)
		}
	}
	if got := len(s.Messages("c")); got != 1 {
		t.Errorf("%d messages were accepted, want 1", got)
	}
}

func sum(body string) string {
	s := md5.Sum([]byte(body))
	return hex.EncodeToString(s[:])
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestServer_Misbehaves(t *testing.T) {
	t.Parallel()
	s, lib := newServer(t)
	lib.HTTPClient.Timeout = 100 * time.Millisecond
	for i, f := range []pushertest.Fault{{Drop: true}, {Hang: true}, {Status: 503}, {Drop: true, Accepted: true}, {Hang: true, Accepted: true}, {Status: 429, Accepted: true}} {
		s.Misbehave(func(int) pushertest.Fault { return f })
		if err := lib.Trigger(fmt.Sprintf("c-%d", i), "x", "1"); err == nil {
			t.Errorf("%+v: no error", f)
		}
		if got := len(s.Messages(fmt.Sprintf("c-%d", i))) == 1; got != f.Accepted {
			t.Errorf("%+v: accepted is %v", f, got)
		}
	}
	s.Misbehave(nil)
	if err := lib.Trigger("c", "x", "1"); err != nil {
		t.Error(err)
	}
}

func TestServer_WaitsForMessages(t *testing.T) {
	t.Parallel()
	s, lib := newServer(t)
	got := make(chan error, 1)
	go func() {
		got <- s.Wait(t.Context(), func(s *pushertest.Server) bool { return len(s.Messages("c")) == 2 })
	}()
	for range 2 {
		if err := lib.Trigger("c", "x", "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, func(*pushertest.Server) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
