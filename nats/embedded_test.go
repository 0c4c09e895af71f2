package nats_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestEmbedded_ServesOthersAndKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broker, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(broker.MonitorURL() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("monitoring answers %s", resp.Status)
	}
	open := func() *natstest.Broker {
		nc, js, err := nats.Connect(nats.ConnectConfig{URL: broker.URL(), Name: t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		until(t, "the connection is made", nc.IsConnected)
		return &natstest.Broker{Conn: nc, JS: js}
	}
	client := open()
	if _, err := nats.Provision(t.Context(), client.JS, nats.Topology{}); err != nil {
		t.Fatal(err)
	}
	want := history(t, newLog(client), 3)
	client.Conn.Close()
	broker.Shutdown()
	broker.Shutdown()
	if broker, err = nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir, MonitorPort: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Shutdown)
	got, err := newLog(open()).History(t.Context(), "school", want[0].Task, 0, 0)
	if err != nil || len(got) != 3 {
		t.Errorf("after the restart: %d events, %v", len(got), err)
	}
	if broker.MonitorURL() != "" {
		t.Errorf("monitoring was not asked for and is at %s", broker.MonitorURL())
	}
}

func TestEmbedded_ListensNowhereWhenToldSo(t *testing.T) {
	t.Parallel()
	if url := natstest.Start(t).Embedded.URL(); url != "" {
		t.Errorf("it listens on %s", url)
	}
}

func TestEmbedded_SaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	broker, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: t.TempDir(), MonitorPort: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Shutdown)
	port, err := strconv.Atoi(broker.URL()[strings.LastIndex(broker.URL(), ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  nats.EmbeddedConfig
		says string
	}{
		"no store":     {nats.EmbeddedConfig{}, "StoreDir"},
		"port taken":   {nats.EmbeddedConfig{StoreDir: t.TempDir(), Port: port, MonitorPort: -1}, "in use"},
		"not a folder": {nats.EmbeddedConfig{StoreDir: file, Port: -1, MonitorPort: -1}, "not a directory"},
	} {
		e, err := nats.StartEmbedded(c.cfg)
		if err == nil {
			e.Shutdown()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want something about %q", name, err, c.says)
		}
	}
}

func TestConnect_NeedsABroker(t *testing.T) {
	t.Parallel()
	if _, _, err := nats.Connect(nats.ConnectConfig{}); err == nil {
		t.Error("connected to nothing")
	}
	if _, _, err := nats.Connect(nats.ConnectConfig{URL: "nats://127.0.0.1:1", Creds: filepath.Join(t.TempDir(), "missing")}); err == nil {
		t.Error("accepted credentials that are not there")
	}
	nc, _, err := nats.Connect(nats.ConnectConfig{URL: "nats://127.0.0.1:1"})
	if err != nil {
		t.Fatalf("a broker that is not there yet: %v", err)
	}
	nc.Close()
}

func TestConnect_SaysTheSameTroubleOnce(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	logs := &logBook{}
	nc, js, err := nats.Connect(nats.ConnectConfig{Embedded: broker.Embedded, Logger: logs.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	log := nats.NewLog(js, nats.LogConfig{})
	h := history(t, newLog(broker), 1)
	ch := follow(t, log, h[0].Task, 0) // and nobody reads: the connection drops what does not fit
	for i := range 200 {
		h = append(h, appendStarted(t, newLog(broker), h[len(h)-1], i+1))
	}
	until(t, "the slow reader is noticed", func() bool { return logs.count("broker reports trouble") > 0 })
	for range h {
		next(t, ch)
	}
	if n := logs.count("broker reports trouble"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	until(t, "the return is logged", func() bool { return logs.count("broker connection is back") == 1 })
}
