package nats_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestDurability_SaysWhatAnAcknowledgementIsWorth(t *testing.T) {
	t.Parallel()
	memory := natstest.Start(t)
	synced := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1, SyncAlways: true}, nats.Topology{})
	cached := natstest.StartWith(t, nats.EmbeddedConfig{Port: -1}, nats.Topology{})
	word := func(b *natstest.Broker) nats.DurabilityConfig {
		return nats.DurabilityConfig{SyncAlways: b.Embedded.SyncAlways()}
	}
	monitor := func(b *natstest.Broker, word bool) nats.DurabilityConfig {
		return nats.DurabilityConfig{SyncAlways: word, MonitorURL: b.Embedded.MonitorURL() + "/"}
	}
	for _, c := range []struct {
		name   string
		broker *natstest.Broker
		cfg    nats.DurabilityConfig
		want   nats.Level
		says   string
	}{
		{"memory", memory, nats.DurabilityConfig{SyncAlways: true}, nats.LevelMemory, "in memory"},
		{"page cache", cached, word(cached), nats.LevelPageCache, "every 2 minutes"},
		{"synced", synced, word(synced), nats.LevelFsync, "its operator says so"},
		{"synced and nobody says so", synced, nats.DurabilityConfig{}, nats.LevelPageCache, "every 2 minutes"},
		{"synced, asked", synced, monitor(synced, false), nats.LevelFsync, "its monitoring says so"},
		{"not synced, whatever the operator says", cached, monitor(cached, true), nats.LevelPageCache, "every 2 minutes"},
	} {
		level, sentence, err := nats.Durability(t.Context(), c.broker.JS, c.cfg)
		if err != nil || level != c.want || !strings.Contains(sentence, c.says) {
			t.Errorf("%s: got %s, %q, %v", c.name, level, sentence, err)
		}
	}
}

// A stream that is written in the background is not synced, whatever the broker does for the others.
func TestDurability_KnowsAStreamThatIsWrittenInTheBackground(t *testing.T) {
	t.Parallel()
	embedded, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: t.TempDir(), Port: -1, MonitorPort: -1, SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Shutdown)
	nc, js, err := nats.Connect(nats.ConnectConfig{Embedded: embedded})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: events.StreamEvents, Subjects: []string{events.AllEvents}, PersistMode: jetstream.AsyncPersistMode,
	})
	if err != nil {
		t.Fatal(err)
	}
	level, _, err := nats.Durability(t.Context(), js, nats.DurabilityConfig{SyncAlways: true})
	if err != nil || level != nats.LevelPageCache {
		t.Errorf("got %s, %v", level, err)
	}
}

func TestDurability_ClaimsNothingThatItWasNotTold(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, url := range map[string]string{
		"nobody there": "http://127.0.0.1:1", "no address": "://", "refuses": answer(http.StatusUnauthorized, `{"config":{"sync_always":true}}`),
		"no JSON": answer(http.StatusOK, "hello"), "no JetStream": answer(http.StatusOK, `{"disabled":true}`),
	} {
		level, _, err := nats.Durability(t.Context(), broker.JS, nats.DurabilityConfig{SyncAlways: true, MonitorURL: url})
		if err == nil || level != 0 {
			t.Errorf("%s: got %s, %v", name, level, err)
		}
	}
	bare, js, err := nats.Connect(nats.ConnectConfig{URL: "nats://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bare.Close)
	if level, _, err := nats.Durability(t.Context(), js, nats.DurabilityConfig{SyncAlways: true}); err == nil {
		t.Errorf("no broker: got %s", level)
	}
}

func TestLevel_HasANameAndAnOrder(t *testing.T) {
	t.Parallel()
	last := nats.Level(0)
	for _, name := range []string{"memory", "page-cache", "fsync", "replicated"} {
		l, err := nats.ParseLevel(name)
		if err != nil || l.String() != name || l <= last {
			t.Errorf("%s: got %s after %s, %v", name, l, last, err)
		}
		last = l
	}
	for _, name := range []string{"", "Fsync", "level 0"} {
		if l, err := nats.ParseLevel(name); err == nil {
			t.Errorf("%q: got %s", name, l)
		}
	}
	if nats.Level(9).String() != "level 9" {
		t.Errorf("got %s", nats.Level(9))
	}
}
