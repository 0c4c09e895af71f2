package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/notify"
	"github.com/toolboxai/orchestrator/internal/pusher"
	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
)

const appID, appKey, appSecret = "4711", "key-of-the-app", "secret-of-the-app"

func newServer(t *testing.T, now func() time.Time) *pushertest.Server {
	t.Helper()
	s, err := pushertest.New(pushertest.App{ID: appID, Key: appKey, Secret: appSecret, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func configFor(s *pushertest.Server) pusher.Config {
	return pusher.Config{AppID: appID, Key: appKey, Secret: appSecret, Host: s.Host(), Port: s.Port(), Plaintext: true}
}

func newClient(t *testing.T, cfg pusher.Config) *pusher.Client {
	t.Helper()
	c, err := pusher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func message(channel, data string) notify.Message {
	return notify.Message{Channel: channel, Event: "task.started", Data: []byte(data)}
}

func TestClient_SendsABatchInOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	c := newClient(t, configFor(s))
	var msgs []notify.Message
	for i := range notify.MaxBatch {
		msgs = append(msgs, message(fmt.Sprintf("private-task-%d", i%2), fmt.Sprintf(`{"n":%d,"text":"<ü & \"x\">"}`, i)))
	}
	if err := c.Send(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	var want []pushertest.Message
	for i := 1; i < notify.MaxBatch; i += 2 {
		want = append(want, pushertest.Message{Channel: "private-task-1", Event: "task.started", Data: fmt.Sprintf(`{"n":%d,"text":"<ü & \"x\">"}`, i)})
	}
	if diff := cmp.Diff(want, s.Messages("private-task-1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.Batches(); !slices.Equal(got, []int{notify.MaxBatch}) {
		t.Errorf("requests of %v messages, want one of %d", got, notify.MaxBatch)
	}
}

func TestClient_SendsNothingForNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	if err := newClient(t, configFor(s)).Send(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if s.Requests() != 0 {
		t.Errorf("%d requests", s.Requests())
	}
}

func TestClient_RefusesWhatTheServiceWould(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	c := newClient(t, configFor(s))
	good := message("private-task-1", `{}`)
	for name, x := range map[string]struct {
		msgs []notify.Message
		want fault.Kind
	}{
		"TooMany":          {slices.Repeat([]notify.Message{good}, notify.MaxBatch+1), fault.Invalid},
		"BadChannel":       {[]notify.Message{good, message("private-task:1", `{}`)}, fault.Invalid},
		"LongChannel":      {[]notify.Message{message(strings.Repeat("c", notify.MaxChannel+1), `{}`)}, fault.Invalid},
		"EncryptedChannel": {[]notify.Message{message("private-encrypted-1", `{}`)}, fault.Invalid},
		"NoEvent":          {[]notify.Message{{Channel: "c", Data: []byte(`{}`)}}, fault.Invalid},
		"LongData":         {[]notify.Message{good, message("c", strings.Repeat("x", notify.MaxData+1))}, fault.TooLarge},
	} {
		if err := c.Send(t.Context(), x.msgs); !fault.Is(err, x.want) {
			t.Errorf("%s: got %v, want %v", name, err, x.want)
		}
	}
	if s.Requests() != 0 {
		t.Errorf("%d requests were made all the same", s.Requests())
	}
	edge := []notify.Message{message(strings.Repeat("c", notify.MaxChannel), strings.Repeat("x", notify.MaxData))}
	if err := c.Send(t.Context(), edge); err != nil {
		t.Errorf("the largest message: %v", err)
	}
}

func TestClient_TurnsAnswersIntoFaults(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]fault.Kind{
		307: fault.Internal, 400: fault.Invalid, 401: fault.Unauthorized, 403: fault.Unauthorized, 404: fault.NotFound, 408: fault.Unavailable,
		413: fault.TooLarge, 418: fault.Internal, 429: fault.RateLimited, 500: fault.Unavailable, 502: fault.Unavailable, 503: fault.Unavailable,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			s.Misbehave(func(int) pushertest.Fault { return pushertest.Fault{Status: status, RetryAfter: "7"} })
			err := newClient(t, configFor(s)).Send(t.Context(), []notify.Message{message("c", `{}`)})
			if !fault.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			var wantAfter time.Duration
			if want == fault.RateLimited || want == fault.Unavailable {
				wantAfter = 7 * time.Second
			}
			if got := fault.RetryAfter(err); got != wantAfter {
				t.Errorf("RetryAfter is %v, want %v", got, wantAfter)
			}
			if s.Requests() != 1 {
				t.Errorf("%d requests", s.Requests())
			}
		})
	}
}

func TestClient_ReadsRetryAfterAsADate(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for header, want := range map[string][2]time.Duration{
		time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  {50 * time.Second, time.Minute},
		time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): {},
		"soon":                 {},
		"-5":                   {},
		"99999999999999":       {24 * time.Hour, 24 * time.Hour},
		"99999999999999999999": {},
	} {
		s.Misbehave(func(int) pushertest.Fault { return pushertest.Fault{Status: 429, RetryAfter: header} })
		err := newClient(t, configFor(s)).Send(t.Context(), []notify.Message{message("c", `{}`)})
		if got := fault.RetryAfter(err); got < want[0] || got > want[1] {
			t.Errorf("Retry-After %q is read as %v, want %v to %v", header, got, want[0], want[1])
		}
	}
}

func TestClient_IsRefusedWith(t *testing.T) {
	t.Parallel()
	t.Run("AWrongSecret", func(t *testing.T) {
		t.Parallel()
		cfg := configFor(newServer(t, nil))
		cfg.Secret = "another"
		if err := newClient(t, cfg).Send(t.Context(), []notify.Message{message("c", `{}`)}); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("AClockThatIsElevenMinutesOff", func(t *testing.T) {
		t.Parallel()
		cfg := configFor(newServer(t, func() time.Time { return time.Now().Add(11 * time.Minute) }))
		if err := newClient(t, cfg).Send(t.Context(), []notify.Message{message("c", `{}`)}); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("AnUnknownApp", func(t *testing.T) {
		t.Parallel()
		cfg := configFor(newServer(t, nil))
		cfg.AppID = "42"
		if err := newClient(t, cfg).Send(t.Context(), []notify.Message{message("c", `{}`)}); !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestClient_ReportsWhatFails(t *testing.T) {
	t.Parallel()
	t.Run("AServerThatHangs", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, nil)
		s.Misbehave(func(int) pushertest.Fault { return pushertest.Fault{Hang: true} })
		cfg := configFor(s)
		cfg.Timeout = 50 * time.Millisecond
		if err := newClient(t, cfg).Send(t.Context(), []notify.Message{message("c", `{}`)}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("AConnectionThatBreaks", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, nil)
		s.Misbehave(func(int) pushertest.Fault { return pushertest.Fault{Drop: true} })
		err := newClient(t, configFor(s)).Send(t.Context(), []notify.Message{message("c", `{}`)})
		if !fault.Is(err, fault.Unavailable) || !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
		for _, secret := range []string{appKey, "auth_signature", "http://"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q tells %q", err, secret)
			}
		}
	})
	t.Run("ACallThatIsCancelled", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		s.Misbehave(func(int) pushertest.Fault { cancel(); return pushertest.Fault{Hang: true} })
		cfg := configFor(s)
		cfg.Timeout = time.Hour
		if err := newClient(t, cfg).Send(ctx, []notify.Message{message("c", `{}`)}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body)}
}

// endless counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestClient_ReadsNoEndlessAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 500} {
		body := &endless{}
		c := newClient(t, pusher.Config{AppID: appID, Key: appKey, Secret: appSecret, HTTPClient: &http.Client{
			Transport: roundTripper(func(*http.Request) (*http.Response, error) { return answer(status, body), nil }),
		}})
		err := c.Send(t.Context(), []notify.Message{message("c", `{}`)})
		if (err == nil) != (status == 200) {
			t.Errorf("status %d: got %v", status, err)
		}
		if body.read > 1<<20 {
			t.Errorf("status %d: %d bytes were read", status, body.read)
		}
	}
}

func TestClient_CallsTheRightHost(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]pusher.Config{
		"https://api-us2.pusher.com":   {},
		"https://api-eu.pusher.com":    {Cluster: "eu"},
		"https://realtime.school:6001": {Host: "realtime.school", Port: 6001},
		"http://127.0.0.1":             {Host: "127.0.0.1", Plaintext: true},
		"https://[::1]":                {Host: "::1"},
		"https://[::1]:6001":           {Host: "::1", Port: 6001},
	} {
		var got string
		cfg.AppID, cfg.Key, cfg.Secret = appID, appKey, appSecret
		cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			got = r.URL.Scheme + "://" + r.URL.Host
			return answer(200, strings.NewReader("{}")), nil
		})}
		if err := newClient(t, cfg).Send(t.Context(), []notify.Message{message("c", `{}`)}); err != nil {
			t.Error(err)
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNew_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*pusher.Config){
		"AppID":     func(c *pusher.Config) { c.AppID = "a/b" },
		"Key":       func(c *pusher.Config) { c.Key = "a&b" },
		"Secret":    func(c *pusher.Config) { c.Secret = "" },
		"Cluster":   func(c *pusher.Config) { c.Cluster = "eu/" },
		"Host":      func(c *pusher.Config) { c.Host = "https://realtime.school" },
		"Host ":     func(c *pusher.Config) { c.Host = "realtime.school:6001" },
		"Port":      func(c *pusher.Config) { c.Port = 70000 },
		"Plaintext": func(c *pusher.Config) { c.Plaintext = true },
		"Timeout":   func(c *pusher.Config) { c.Timeout = -1 },
	} {
		cfg := pusher.Config{AppID: appID, Key: appKey, Secret: appSecret}
		change(&cfg)
		if _, err := pusher.New(cfg); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestClient_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	c := newClient(t, configFor(s))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if err := c.Send(t.Context(), []notify.Message{message(fmt.Sprintf("c-%d", i), `{}`)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range 8 {
		if got := len(s.Messages(fmt.Sprintf("c-%d", i))); got != 20 {
			t.Errorf("channel %d has %d messages, want 20", i, got)
		}
	}
}
