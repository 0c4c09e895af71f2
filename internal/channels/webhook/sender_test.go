package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/webhook"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestSender_TellsASecondTogether(t *testing.T) {
	t.Parallel()
	r := inBubble(t, func(s *webhook.Sender, r *receivers) {
		for i := range 3 {
			s.Occurred(said(fmt.Sprint(i)))
			pass(400 * time.Millisecond)
		}
		if n := len(r.to("a")); n != 1 {
			t.Errorf("%d webhooks after 1.2 s", n)
		}
		s.Occurred(said("3"))
		pass(2 * time.Second)
	})
	for _, host := range []string{"a", "b"} {
		if got := r.taken(t, host); len(got) != 4 || len(r.to(host)) != 2 || len(r.to(host)[0].events) != 3 {
			t.Errorf("%s: %v in %d webhooks", host, got, len(r.to(host)))
		}
	}
}

func TestSender_KeepsWebhooksSmall(t *testing.T) {
	t.Parallel()
	var want []string
	r := inBubble(t, func(s *webhook.Sender, r *receivers) {
		for i := range 450 {
			want = append(want, line(said(fmt.Sprint(i))))
			s.Occurred(said(fmt.Sprint(i)))
		}
		synctest.Wait()
		if len(r.to("a")) < 2 {
			t.Error("what is full waits for its second")
		}
		pass(time.Second)
		for i := range 14 { // each takes six times as much in JSON
			data := fmt.Sprint(i) + strings.Repeat("\x01", 10<<10)
			want = append(want, line(said(data)))
			s.Occurred(said(data))
		}
		pass(time.Second)
	})
	if diff := cmp.Diff(want, r.taken(t, "a")); diff != "" {
		t.Error(diff)
	}
	for _, p := range r.to("a") {
		if len(p.events) > 200 || p.size > webhook.MaxBody*2/3 {
			t.Errorf("%d events, %d bytes", len(p.events), p.size)
		}
	}
}

func TestSender_HoldsRemovalsBack(t *testing.T) {
	t.Parallel()
	type step struct {
		at time.Duration
		o  channels.Occurrence
	}
	const s = time.Second
	for name, c := range map[string]struct {
		steps []step
		want  []channels.Occurrence
	}{
		"a removal alone":               {[]step{{0, vacated("c")}, {0, removed("u")}}, []channels.Occurrence{vacated("c"), removed("u")}},
		"a page loaded again":           {[]step{{0, removed("u")}, {0, vacated("c")}, {2999 * time.Millisecond, occupied("c")}, {2999 * time.Millisecond, added("u")}}, nil},
		"somebody else":                 {[]step{{0, removed("u")}, {1 * s, added("v")}, {1 * s, occupied("presence-x")}}, []channels.Occurrence{added("v"), occupied("presence-x"), removed("u")}},
		"too late":                      {[]step{{0, removed("u")}, {3 * s, added("u")}}, []channels.Occurrence{removed("u"), added("u")}},
		"first there":                   {[]step{{0, added("u")}, {0, removed("u")}}, []channels.Occurrence{added("u"), removed("u")}},
		"told twice":                    {[]step{{0, vacated("c")}, {2 * s, vacated("c")}}, []channels.Occurrence{vacated("c")}},
		"away, back, away for good":     {[]step{{0, removed("u")}, {1 * s, added("u")}, {2 * s, removed("u")}}, []channels.Occurrence{removed("u")}},
		"others do not wait":            {[]step{{0, vacated("c")}, {1 * s, said("1")}, {2 * s, said("2")}}, []channels.Occurrence{said("1"), said("2"), vacated("c")}},
		"a channel is not its presence": {[]step{{0, removed("")}, {1 * s, occupied("presence-x")}}, []channels.Occurrence{occupied("presence-x"), removed("")}},
	} {
		var want []string
		for _, o := range c.want {
			want = append(want, line(o))
		}
		r := inBubble(t, func(s *webhook.Sender, _ *receivers) {
			began := time.Now()
			for _, step := range c.steps {
				pass(step.at - time.Since(began))
				s.Occurred(step.o)
			}
			pass(5 * time.Second)
		})
		if got := r.taken(t, "a"); !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", name, got, want)
		}
		for _, p := range r.to("a") {
			if slices.ContainsFunc(p.events, func(e webhook.Event) bool { return e.Name == "channel_vacated" }) && name == "a removal alone" {
				if waited := p.at.Sub(r.to("a")[0].at); waited > 4*time.Second {
					t.Errorf("told after %v", waited)
				}
			}
		}
	}
}

// What was away for 3 s was away, also when Run is late to say so.
func TestSender_HoldsRemovalsBackAndNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReceivers()
		s := newSender(t, r, "http://a/")
		s.Occurred(removed("u"))
		pass(3 * time.Second)
		s.Occurred(added("u"))
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := r.taken(t, "a"); !slices.Equal(got, []string{line(removed("u")), line(added("u"))}) {
			t.Errorf("told %q", got)
		}
	})
}

// Whatever goes wrong with a webhook, it is sent again until it is taken; those behind it wait, and other URLs do not.
func TestSender_SendsAgainInOrder(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]outcome{"an error": 500, "a refusal": 404, "a redirect": 307, "a broken connection": broken, "silence": silent} {
		var want []string
		r := inBubble(t, func(s *webhook.Sender, r *receivers) {
			r.fail("a", 6, o)
			for i := range 10 {
				want = append(want, line(said(fmt.Sprint(i))))
				s.Occurred(said(fmt.Sprint(i)))
				pass(1100 * time.Millisecond)
			}
			if !slices.Equal(r.taken(t, "b"), want) {
				t.Errorf("%s: another URL waits", name)
			}
			pass(3 * time.Minute)
			if got := s.Stats(); got.Sent != 20 || got.Failures != 6 || got.Dropped+got.Expired != 0 || got.Occurred != 10 {
				t.Errorf("%s: %+v", name, got)
			}
		})
		if diff := cmp.Diff(want, r.taken(t, "a")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(r.to("elsewhere")) != 0 {
			t.Errorf("%s: a redirect was followed", name)
		}
	}
}

// The waits are random, grow to a minute, and are not begun anew by the next webhook; what is 5 minutes old is given up.
func TestSender_GivesUpAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	var began time.Time
	r := inBubble(t, func(s *webhook.Sender, r *receivers) {
		r.fail("a", 1000, 503)
		began = time.Now()
		s.Occurred(said("0"))
		pass(6 * time.Minute)
		if got := s.Stats(); got.Expired != 1 || got.Sent != 1 {
			t.Errorf("%+v", got)
		}
		posts := len(r.to("a"))
		s.Occurred(said("1"))
		pass(32 * time.Second)
		if got := len(r.to("a")) - posts; got > 5 { // with waits begun anew there would be six
			t.Errorf("%d posts in 31 s to a URL that is known to fail", got)
		}
		r.mu.Lock()
		r.plan["a"] = nil
		r.mu.Unlock()
		pass(time.Minute)
		if got := s.Stats(); got.Sent != 3 {
			t.Errorf("after the URL is back: %+v", got)
		}
	})
	last := began.Add(time.Second)
	for i, p := range r.to("a") {
		if p.events[0].Data != "0" {
			break
		}
		if i > 0 && p.at.Sub(last) > min(time.Minute, time.Second<<(i-1)) || p.at.Sub(began) > 5*time.Minute+time.Second {
			t.Errorf("post %d came %v after the one before and %v after the beginning", i, p.at.Sub(last), p.at.Sub(began))
		}
		last = p.at
	}
}

func TestSender_NeverBlocksAndIsBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(s *webhook.Sender, r *receivers) {
		r.fail("a", 1000, silent)
		data := strings.Repeat("x", 10<<10)
		began := time.Now()
		for i := range 2000 { // 20 MB
			s.Occurred(said(data))
			s.Occurred(removed(fmt.Sprint(i)))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("Occurred took %v", waited)
		}
		before, each := s.Waiting()
		if before > webhook.MinRoom || slices.Max(each) > webhook.MinRoom {
			t.Errorf("%d and %v bytes wait", before, each)
		}
		if got := s.Stats(); got.Dropped == 0 || got.Occurred != 4000 {
			t.Errorf("%+v", got)
		}
		pass(10 * time.Minute)
		got := s.Stats()
		if before, each := s.Waiting(); before != 0 || slices.Max(each) != 0 {
			t.Errorf("%d and %v bytes wait at the end, %+v", before, each, got)
		}
	})
	s := newSender(t, newReceivers(), "http://a/") // and not run
	for range 10000 {
		s.Occurred(said("x"))
	}
	if before, _ := s.Waiting(); before > webhook.MinRoom || s.Stats().Dropped == 0 {
		t.Errorf("%d bytes wait, %+v", before, s.Stats())
	}
}

func TestSender_TellsWhatIsLeftAtTheEnd(t *testing.T) {
	t.Parallel()
	r := inBubble(t, func(s *webhook.Sender, _ *receivers) {
		s.Occurred(removed("u"))
		s.Occurred(said("1"))
	})
	if got := r.taken(t, "a"); !slices.Equal(got, []string{line(said("1")), line(removed("u"))}) {
		t.Errorf("told %q", got)
	}
}

func TestSender_EndsInTimeWhenAURLIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReceivers()
		r.fail("a", 1000, silent)
		r.fail("b", 1000, 500)
		s := newSender(t, r, "http://a/", "http://b/")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for i := range 400 {
			s.Occurred(said(fmt.Sprint(i)))
			if i == 200 {
				pass(2 * time.Second)
			}
		}
		stop()
		began := time.Now()
		if err := <-done; err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		s.Occurred(said("late"))
		if got := s.Stats(); got.Sent != 0 || got.Dropped != 801 {
			t.Errorf("%+v", got)
		}
	})
}

func TestNew_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for _, cfg := range []webhook.Config{
		{}, {App: channels.App{Key: "k"}}, {App: app, URLs: []string{"ftp://a/"}}, {App: app, URLs: []string{"http://"}}, {App: app, URLs: []string{"/a"}},
		{App: app, URLs: []string{"http://a/", "http://a/"}}, {App: app, URLs: make([]string, 33)}, {App: app, Room: 1},
	} {
		if _, err := webhook.New(cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	s := newSender(t, http.DefaultTransport) // nobody to tell
	s.Occurred(said("x"))
	if got := s.Stats(); got != (webhook.Stats{}) {
		t.Errorf("%+v", got)
	}
}

func TestOccurred_DropsWhatNoWebhookTellsOf(t *testing.T) {
	t.Parallel()
	s := newSender(t, newReceivers(), "http://a/")
	s.Occurred(channels.Occurrence{Kind: "weather", Channel: "c"})
	s.Occurred(said(strings.Repeat("x", 1<<20)))
	if got := s.Stats(); got.Dropped != 2 {
		t.Errorf("%+v", got)
	}
}
