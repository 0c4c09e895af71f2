package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestReadFrames_ParsesWhatTheStandardSays(t *testing.T) {
	t.Parallel()
	stream := "retry: 2000\n\n: a comment\n\nid: 7\nevent: task.started\ndata: {\"a\":1}\n\nevent: task.progress\ndata: one\ndata: two\n\nid: x\ndata: no id\n\ndata: cut off"
	var got []string
	err := readFrames(strings.NewReader(stream), func(f frame) error {
		got = append(got, fmt.Sprintf("%s|%s|%s", f.id, f.event, f.data))
		return nil
	})
	want := []string{`7|task.started|{"a":1}`, "|task.progress|one\ntwo", "||no id"}
	if !slices.Equal(got, want) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func FuzzReadFrames(f *testing.F) {
	f.Add("id: 7\nevent: a\ndata: b\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		n := 0
		_ = readFrames(strings.NewReader(stream), func(frame) error {
			n++
			return nil
		})
		if n > len(stream) {
			t.Errorf("%d frames from %d bytes", n, len(stream))
		}
	})
}

// The server breaks off after every second event; the client sees each one once, in order, to the end.
func TestFollow_OpensABrokenStreamAgainBehindTheLastEvent(t *testing.T) {
	t.Parallel()
	const last = 7
	opened := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		opened++
		after, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
		for id := after + 1; id <= min(after+2, last); id++ {
			fmt.Fprintf(w, "id: %d\nevent: task.step\ndata: {}\n\n", id)
		}
		if after+2 >= last {
			fmt.Fprint(w, "event: end\ndata: {}\n\n")
		}
	}))
	t.Cleanup(server.Close)
	var got []string
	err := remote{URL: server.URL}.follow(t.Context(), "t", func(f frame) error {
		got = append(got, f.id)
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"1", "2", "3", "4", "5", "6", "7"}) || opened != 4 {
		t.Errorf("got %v over %d streams, %v", got, opened, err)
	}
}

func TestFollow_GivesUpOnWhatIsRefused(t *testing.T) {
	t.Parallel()
	opened := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		opened++
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":"error","message":"there is no task","error":{"code":"not_found","details":[]}}`)
	}))
	t.Cleanup(server.Close)
	err := remote{URL: server.URL}.follow(t.Context(), "t", func(frame) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "there is no task") || opened != 1 {
		t.Errorf("got %v after %d tries", err, opened)
	}
	stop := errors.New("enough")
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "id: 1\ndata: {}\n\n") }))
	t.Cleanup(stream.Close)
	if err := (remote{URL: stream.URL}).follow(t.Context(), "t", func(frame) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a reader that has enough: %v", err)
	}
}

func TestFollow_EndsOnceWhenItsCallerDoes(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		stop()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	err := remote{URL: server.URL}.follow(ctx, "t", func(frame) error { return nil })
	if !errors.Is(err, context.Canceled) || strings.Count(err.Error(), context.Canceled.Error()) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestCall_SaysWhatToDoWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	err := remote{URL: "http://127.0.0.1:1"}.call(context.Background(), "GET", "/tasks", nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "toolboxai dev") {
		t.Errorf("got %v", err)
	}
}
