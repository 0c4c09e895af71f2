package nats_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task/tasktest"
	"github.com/toolboxai/orchestrator/nats"
)

// leader plays the leader of a replicated log: it answers so many appends with "another one is under way", and reads with last.
func leader(t *testing.T, last events.Event, busy int64) (*nats.Log, *atomic.Int64) {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := natsgo.Connect("", natsgo.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var appends atomic.Int64
	answer := func(subject string, with func() string) {
		if _, err := nc.Subscribe(subject, func(msg *natsgo.Msg) { _ = msg.Respond([]byte(with())) }); err != nil {
			t.Fatal(err)
		}
	}
	answer("events.*.*", func() string {
		if appends.Add(1) <= busy {
			return `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"EVENTS","seq":0}`
		}
		return fmt.Sprintf(`{"stream":"EVENTS","seq":%d}`, last.Seq+1)
	})
	var header strings.Builder
	header.WriteString("NATS/1.0\r\n")
	for key, value := range last.Attributes() {
		header.WriteString(key + ": " + value + "\r\n")
	}
	header.WriteString("\r\n")
	stored, err := json.Marshal(map[string]any{"message": map[string]any{"seq": last.Seq, "hdrs": []byte(header.String()), "data": []byte(last.Data)}})
	if err != nil {
		t.Fatal(err)
	}
	answer("$JS.API.STREAM.MSG.GET.EVENTS", func() string { return string(stored) })
	return nats.NewLog(mustJetStream(t, nc), nats.LogConfig{}), &appends
}

// A replicated log refuses, for a moment, whoever follows an append that it has just acknowledged. That writer is not late.
func TestLog_WaitsForAnAppendThatIsUnderWay(t *testing.T) {
	t.Parallel()
	last := tasktest.QueuedEvent(t, "school")
	last.Seq = 7
	log, appends := leader(t, last, 3)
	e := tasktest.Event(t, "school", last.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	if seq, err := log.Append(t.Context(), e, 7); err != nil || seq != 8 || appends.Load() != 4 {
		t.Errorf("got %d, %v after %d appends; want 8 after 4", seq, err, appends.Load())
	}
}

func TestLog_GivesUpOnAnAppendThatStaysUnderWay(t *testing.T) {
	t.Parallel()
	last := tasktest.QueuedEvent(t, "school")
	last.Seq = 7
	log, _ := leader(t, last, 1<<30)
	e := tasktest.Event(t, "school", last.Task, events.Started{Attempt: 1, Dispatch: 1, Worker: "w"})
	if _, err := log.Append(t.Context(), e, 7); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want Unavailable: nobody else has decided", err)
	}
}
