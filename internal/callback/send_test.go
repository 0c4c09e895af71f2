package callback_test

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/callback"
)

// hostile answers, and what comes of one try.
func TestSend_BearsWhateverReceiversDo(t *testing.T) {
	t.Parallel()
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		state  callback.DeliveryState
		status int
		why    string
	}{
		"200":        {status(200), callback.Delivered, 200, ""},
		"204":        {status(204), callback.Delivered, 204, ""},
		"299":        {status(299), callback.Delivered, 299, ""},
		"400":        {status(400), callback.Pending, 400, "answered 400 Bad Request"},
		"404":        {status(404), callback.Pending, 404, "answered 404"},
		"500":        {status(500), callback.Pending, 500, "answered 500"},
		"503":        {status(503), callback.Pending, 503, "answered 503"},
		"999":        {status(999), callback.Pending, 999, "answered 999"},
		"no answer":  {raw(""), callback.Pending, 0, "closed without an answer"},
		"no HTTP":    {raw("SSH-2.0-OpenSSH_9.9\r\n"), callback.Pending, 0, "no HTTP"},
		"never":      {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, callback.Pending, 0, "no answer in time"},
		"many words": {raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"), callback.Pending, 0, "no HTTP"},
		"slow body": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, callback.Delivered, 200, ""},
		"body without end": {func(w http.ResponseWriter, r *http.Request) {
			for junk := bytes.Repeat([]byte("x"), 1<<16); r.Context().Err() == nil; {
				if _, err := w.Write(junk); err != nil {
					return
				}
			}
		}, callback.Delivered, 200, ""},
		"secrets in the answer": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the database password is hunter2", http.StatusInternalServerError)
		}, callback.Pending, 500, "answered 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, c.answer)
			k := newKit(t, r)
			timeout := patience // an answer that comes is not to be missed
			if slices.Contains([]string{"never", "slow body", "body without end"}, name) {
				timeout = 4 * time.Second
			}
			k.runner = k.newRunner(callback.RunnerConfig{Timeout: timeout})
			k.endpoint(r.url("/hook?token=t0ken"), "task.completed")
			k.finish("task-1", "")
			began := time.Now()
			k.round()
			if took := time.Since(began); took >= patience {
				t.Errorf("it took %s", took)
			}
			d := k.only()
			if d.State != c.state || d.LastStatus != c.status || !strings.Contains(d.LastError, c.why) || c.why == "" && d.LastError != "" {
				t.Errorf("got %+v", d)
			}
			for _, leak := range []string{"t0ken", "hunter2", "127.0.0.1", host} {
				if strings.Contains(d.LastError, leak) {
					t.Errorf("the log says %q", d.LastError)
				}
			}
		})
	}
}

func TestSend_FollowsNoRedirect(t *testing.T) {
	t.Parallel()
	inside := receive(t, nil)
	for _, to := range []string{"http://169.254.169.254/latest/meta-data/", inside.URL, inside.url("/"), "file:///etc/passwd", "//127.0.0.1/"} {
		for _, code := range []int{301, 302, 303, 307, 308} {
			r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(code)
			})
			k := newKit(t, r, inside)
			var d dialled
			k.runner.DialWith(d.dial)
			k.endpoint(r.url("/"), "task.completed")
			k.finish("task-1", "")
			k.round()
			if got := k.only(); got.State != callback.Pending || got.LastStatus != code || !strings.Contains(got.LastError, "redirects are not followed") {
				t.Errorf("%d to %s: %+v", code, to, got)
			}
			if got := d.all(); len(got) != 1 || got[0] != net.JoinHostPort("127.0.0.1", r.port()) {
				t.Errorf("%d to %s: dialled %v", code, to, got)
			}
		}
	}
	if n := len(inside.requests()); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestRetryAfter_IsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-1": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"Wed, 04 Mar 2026 05:07:07 GMT": time.Minute, "Wed, 04 Mar 2026 05:00:00 GMT": 0,
	} {
		if got := callback.RetryAfter(text, now); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestBackoff_GrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	for tries, ceiling := range map[int]time.Duration{0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 10: 5120 * time.Second, 11: 2 * time.Hour, 64: 2 * time.Hour, 100_000: 2 * time.Hour} {
		if got := callback.Backoff(tries, 0, 1); got != ceiling {
			t.Errorf("try %d: at most %s, want %s", tries, got, ceiling)
		}
		if got := callback.Backoff(tries, 0, 0); got != time.Second {
			t.Errorf("try %d: at least %s", tries, got)
		}
	}
	for asked, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, time.Hour: time.Hour, 100 * time.Hour: 6 * time.Hour} {
		if got := callback.Backoff(1, asked, 0); got != want {
			t.Errorf("asked for %s: got %s", asked, got)
		}
	}
}
