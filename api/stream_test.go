package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
)

const inMemory = "http://x"

// bubble runs a test of streams on a fake clock.
func bubble(t *testing.T, test func(t *testing.T, k *kit, client *http.Client), change ...func(*api.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, change...)
		client, stop := k.run()
		defer func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}()
		test(t, k, client)
	})
}

// jittered reports whether clients are told to come back after 1 to 3 seconds.
func jittered(retry string) bool {
	ms, err := strconv.Atoi(retry)
	return err == nil && ms >= 1000 && ms < 3000
}

func TestStream_TellsALife(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		s := k.openStream(t, client, inMemory, id, "")
		defer s.close()
		h := s.answer.Header
		if s.answer.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || !strings.Contains(h.Get("Cache-Control"), "no-transform") {
			t.Errorf("got %d %v", s.answer.StatusCode, h)
		}
		var frames []frame
		read := func(n int) {
			for range n {
				f, err := s.next()
				if err != nil {
					t.Fatal(err)
				}
				frames = append(frames, f)
			}
		}
		read(2)
		k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		read(1)
		k.report(id, 50)
		read(1)
		k.complete(id, 1)
		frames = append(frames, s.rest(t)...)
		var told []string
		for _, f := range frames {
			if jittered(f.retry) {
				f.retry = "soon"
			}
			told = append(told, fmt.Sprint(f.id, " ", f.event, f.retry))
		}
		if want := []string{" soon", "1 task.queued", "2 task.started", " task.progress", "3 task.completed", " end"}; !slices.Equal(told, want) {
			t.Fatalf("got %q, want %q", told, want)
		}
		var e api.Event
		if err := json.Unmarshal([]byte(frames[4].data), &e); err != nil || e.Seq != 3 || e.TaskID != id || e.Type != "task.completed" || !strings.Contains(string(e.Data), "questions") {
			t.Errorf("%v: got %+v", err, e)
		}
		if frames[5].data != `{"state":"completed","seq":3}` {
			t.Errorf("got %s", frames[5].data)
		}
	})
}

// Who comes in the middle reads what was written so far, and then each word once.
func TestStream_ShowsWhatAModelWrites(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		started := k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		say := func(p events.Text) {
			p.Attempt, p.Step, p.Run = 1, "draft", events.TextRun(started.Seq, 0)
			if err := k.memory.Report(t.Context(), tasktest.Event(t, started.Tenant, id, p)); err != nil {
				t.Fatal(err)
			}
		}
		say(events.Text{Text: "The fall"})
		s := k.openStream(t, client, inMemory, id, "")
		defer s.close()
		var shown events.Transcript
		read := func(until string) {
			t.Helper()
			for shown.String() != until {
				f, err := s.next()
				if err != nil {
					t.Fatal(err)
				}
				var e api.Event
				var p events.Text
				if f.event != "task.text" {
					continue
				}
				if err := errors.Join(json.Unmarshal([]byte(f.data), &e), json.Unmarshal(e.Data, &p)); err != nil || f.id != "" || e.Seq != 0 {
					t.Fatalf("%v: %+v", err, f)
				}
				shown.Apply(p)
			}
		}
		read("The fall")
		say(events.Text{Text: "The fall of Rome"})
		read("The fall of Rome")
		k.complete(id, 1)
		if frames := s.rest(t); len(frames) == 0 || frames[len(frames)-1].event != "end" {
			t.Errorf("the stream goes on with %+v", frames)
		}
	})
}

func TestStream_OfAFinishedTaskEndsAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		for i := range 250 { // more than one page
			k.next(id, events.Step{Attempt: 1, Name: fmt.Sprint(i), InputHash: "h", Output: []byte(`{}`)})
		}
		k.complete(id, 1)
		s := k.openStream(t, client, inMemory, id, "")
		if frames := s.rest(t); len(frames) != 255 || frames[253].event != "task.completed" || frames[254].event != "end" {
			t.Errorf("%d frames, the last %+v", len(frames), frames[len(frames)-1])
		}
		s = k.openStream(t, client, inMemory, id, "251")
		if frames := s.rest(t); len(frames) != 4 || frames[1].id != "252" {
			t.Errorf("resumed: %+v", frames)
		}
		// Browsers connect again after the end, and stop for good at a 204.
		s = k.openStream(t, client, inMemory, id, "253")
		if s.answer.StatusCode != http.StatusNoContent {
			t.Errorf("resumed behind the end: %d", s.answer.StatusCode)
		}
		s.close()
		got := k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events?after=253", header: http.Header{"Accept": {"text/event-stream"}}})
		if got.status != 200 || !strings.HasSuffix(string(got.raw), "event: end\ndata: {\"state\":\"completed\",\"seq\":253}\n\n") {
			t.Errorf("asked behind the end: %d %s", got.status, got.raw)
		}
	})
}

func TestStream_AReplayIsNoEnd(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.deadLettersOf(1)[0]
		k.want(k.admin("POST", deadLetters+"/"+id+"/replay", ""), http.StatusAccepted, "")
		s := k.openStream(t, client, inMemory, id, "")
		synctest.Wait()
		k.next(id, events.Started{Attempt: 1, Dispatch: 2, Worker: "w1"})
		k.complete(id, 1)
		var told []string
		for _, f := range s.rest(t) {
			told = append(told, f.event)
		}
		if want := []string{"", "task.queued", "task.started", "task.failed", "task.queued", "task.started", "task.completed", "end"}; !slices.Equal(told, want) {
			t.Errorf("got %q, want %q", told, want)
		}
	})
}

func TestStream_SaysHowItEnded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		for want, end := range map[string]func(id string){
			"cancelled": func(id string) { k.next(id, events.Cancelled{By: "ada"}) },
			"failed":    func(id string) { k.next(id, events.Failed{Attempts: 1, Cause: events.CauseInput, Error: "no"}) },
		} {
			id := k.submit().ID
			s := k.openStream(t, client, inMemory, id, "")
			synctest.Wait()
			end(id)
			frames := s.rest(t)
			if last := frames[len(frames)-1]; last.event != "end" || !strings.Contains(last.data, want) {
				t.Errorf("%s: got %+v", want, last)
			}
		}
	})
}

func TestStream_ShowsSignsOfLife(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		s := k.openStream(t, client, inMemory, id, "")
		defer s.close()
		began := time.Now()
		for i, want := range []frame{{retry: "soon"}, {id: "1", event: "task.queued"}, {comment: "heartbeat"}, {comment: "heartbeat"}} {
			f, err := s.next()
			f.data = ""
			if jittered(f.retry) {
				f.retry = "soon"
			}
			if err != nil || f != want {
				t.Fatalf("frame %d: %+v, %v, want %+v", i, f, err, want)
			}
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("two heartbeats took %v, want 30 s", took)
		}
		// Far beyond the server's limits for reading a request and writing an answer it is still there.
		for range 40 {
			if f, err := s.next(); err != nil || f.comment != "heartbeat" {
				t.Fatalf("after %v: %+v, %v", time.Since(began), f, err)
			}
		}
		k.next(id, events.Cancelled{By: "ada"})
		if rest := s.rest(t); len(rest) != 2 {
			t.Errorf("got %+v", rest)
		}
	})
}

func TestStream_LetsGoOfAClientThatStoppedReading(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		s := k.openStream(t, client, inMemory, id, "")
		defer s.close()
		second := func() int {
			r := k.openStream(t, client, inMemory, id, "")
			defer r.close()
			return r.answer.StatusCode
		}
		if got := second(); got != http.StatusServiceUnavailable {
			t.Fatalf("a second stream: %d, want 503", got)
		}
		// Nobody reads the events, and a pipe buffers nothing.
		<-time.After(9 * time.Second) // of the bubble's clock
		if got := second(); got != http.StatusServiceUnavailable {
			t.Errorf("after 9 s: %d, want 503", got)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if got := second(); got != http.StatusOK {
			t.Errorf("after 11 s: %d, want 200: the slot of a client that stopped reading is free", got)
		}
	}, func(c *api.Config) { c.MaxStreams = 1 })
}

func TestStream_FreesEverythingOfAClientThatLeft(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		for range 5 {
			s := k.openStream(t, client, inMemory, id, "")
			if s.answer.StatusCode != http.StatusOK {
				t.Fatalf("got %d: the stream before it is not let go", s.answer.StatusCode)
			}
			s.close()
			synctest.Wait()
		}
		full := k.openStream(t, client, inMemory, id, "")
		defer full.close()
		got := k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events", header: http.Header{"Accept": {"text/event-stream"}}})
		k.want(got, http.StatusServiceUnavailable, "unavailable")
		if got.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		// A page of the history is no stream.
		k.want(k.do(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events"}), http.StatusOK, "")
	}, func(c *api.Config) { c.MaxStreams = 1 })
}

func TestStream_EndsWithTheToken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		s := k.openStream(t, client, inMemory, id, "") // its token lasts an hour
		defer s.close()
		began := time.Now()
		rest := s.rest(t)
		if took := time.Since(began); took < time.Hour-time.Second || took > time.Hour {
			t.Errorf("it lasted %v, want an hour", took)
		}
		if last := rest[len(rest)-1]; last.retry == "" || last.comment != "the token has expired" {
			t.Errorf("got %+v", last)
		}
	})
}

func TestStream_EndsWithTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		client, stop := k.run()
		s := k.openStream(t, client, inMemory, k.submit().ID, "")
		defer s.close()
		ended := make(chan []frame, 1)
		go func() { ended <- s.rest(t) }()
		synctest.Wait()
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the server waited %v for a stream", took)
		}
		rest := <-ended
		if last := rest[len(rest)-1]; !jittered(last.retry) || last.comment != "the server stops" {
			t.Errorf("got %+v", last)
		}
	})
}

func TestStream_TheLogGoesAway(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		s := k.openStream(t, client, inMemory, k.submit().ID, "")
		defer s.close()
		rest := s.rest(t)
		if last := rest[len(rest)-1]; last.retry == "" || last.comment != "try again" {
			t.Errorf("got %+v", last)
		}
	}, func(c *api.Config) { c.Tasks = shortFollow{c.Tasks} })
}

func TestStream_AnOutageIsNoStream(t *testing.T) {
	t.Parallel()
	k := newKit(t, func(c *api.Config) { c.Tasks = noFollow{c.Tasks} })
	id := k.submit().ID
	got := k.raw(ask{method: "GET", path: "/api/v1/tasks/" + id + "/events", header: http.Header{"Accept": {"text/event-stream"}}})
	k.want(got, http.StatusServiceUnavailable, "unavailable")
}

// Whoever may not read a task any more is told no more of it, however good their token is.
func TestStream_EndsWhenItIsShownNoMore(t *testing.T) {
	t.Parallel()
	was := auth.Principal{UserID: "bob", Tenant: "school", Role: auth.Teacher, KeyID: "k", Scopes: []auth.Scope{auth.TasksRead}}
	for name, c := range map[string]struct {
		key  bool
		hide func(k *kit, key *oneKey)
	}{
		"what is shared with a student": {false, func(k *kit, _ *oneKey) { k.school.share("eve") }},
		"the role of a key's user": {true, func(_ *kit, key *oneKey) {
			now := was
			now.Role = auth.Parent
			key.Store(&now)
		}},
		"the scopes of a key": {true, func(_ *kit, key *oneKey) {
			now := was
			now.Scopes = []auth.Scope{auth.ContentRead}
			key.Store(&now)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var key oneKey
			key.Store(&was)
			bubble(t, func(t *testing.T, k *kit, client *http.Client) {
				id, as := k.submit().ID, "tbai_stream"
				k.school.share("eve", id)
				if !c.key {
					as = token(t, auth.Student, "eve")
				}
				s := k.openStreamAs(t, client, inMemory, id, "", as)
				defer s.close()
				until := func(event string) {
					for f := (frame{}); f.event != event; {
						var err error
						if f, err = s.next(); err != nil {
							t.Fatal(err)
						}
					}
				}
				until("task.queued")
				<-time.After(6 * time.Second) // of the bubble
				k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
				until("task.started")
				c.hide(k, &key)
				<-time.After(6 * time.Second)
				k.complete(id, 1)
				for _, f := range s.rest(t) {
					if f.event == "task.completed" {
						t.Errorf("is told of %s", f.data)
					}
				}
			}, func(cfg *api.Config) { cfg.Authenticator = &key })
		})
	}
}

func TestStream_OfAFinishedTaskEndsWhenTheTokenIsRevoked(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *kit, client *http.Client) {
		id := k.submit().ID
		k.next(id, events.Started{Attempt: 1, Dispatch: 1, Worker: "w1"})
		for i := range 250 {
			k.next(id, events.Step{Attempt: 1, Name: fmt.Sprint(i), InputHash: "h", Output: []byte(`{}`)})
		}
		k.complete(id, 1)
		s := k.openStream(t, client, inMemory, id, "")
		defer s.close()
		if _, err := s.next(); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second) // of a client that reads slowly
		k.revoked.Add(auth.Revocation{Kind: auth.RevokedUser, ID: "ada", Before: time.Now()})
		frames := s.rest(t)
		if last := frames[len(frames)-1]; len(frames) > 100 || !strings.Contains(last.comment, "does so no longer") {
			t.Errorf("%d frames more, the last %+v", len(frames), last)
		}
	})
}
