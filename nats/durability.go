package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/events"
)

// Level says what an acknowledged append survives. A higher one survives more.
type Level int

// The levels, from the weakest.
const (
	LevelMemory     Level = iota + 1 // nothing: the log is gone when the broker stops
	LevelPageCache                   // a crash of the broker (kill -9), not of its machine
	LevelFsync                       // a loss of power, not of the disk
	LevelReplicated                  // the loss of a node with its disk
)

var levels = []string{LevelMemory: "memory", LevelPageCache: "page-cache", LevelFsync: "fsync", LevelReplicated: "replicated"}

// String returns the level's name.
func (l Level) String() string {
	if l < LevelMemory || l > LevelReplicated {
		return fmt.Sprintf("level %d", int(l))
	}
	return levels[l]
}

// ParseLevel returns the level of that name: memory, page-cache, fsync or replicated.
func ParseLevel(name string) (Level, error) {
	for l := LevelMemory; l <= LevelReplicated; l++ {
		if levels[l] == name {
			return l, nil
		}
	}
	return 0, fmt.Errorf("%q is none of %s", name, strings.Join(levels[LevelMemory:], ", "))
}

// DurabilityConfig says how it can be known whether a broker writes each message through to disk: it does not tell its clients.
type DurabilityConfig struct {
	SyncAlways bool   // what the operator says (sync_interval: always), or Embedded.SyncAlways
	MonitorURL string // where the broker's monitoring answers, such as http://127.0.0.1:8222: asked, instead of believing SyncAlways
}

// Durability returns what an acknowledged append survives on this broker, also in one sentence. It asks the broker about the
// stream EVENTS and, where cfg has one, its monitoring about syncing; an error says which of them did not answer.
func Durability(ctx context.Context, js jetstream.JetStream, cfg DurabilityConfig) (Level, string, error) {
	stream, err := js.Stream(ctx, events.StreamEvents)
	if err != nil {
		return 0, "", broken(ctx, "look up stream "+events.StreamEvents, err)
	}
	synced, says := cfg.SyncAlways, "its operator"
	if cfg.MonitorURL != "" {
		says = "its monitoring"
		if synced, err = syncsAlways(ctx, cfg.MonitorURL); err != nil {
			return 0, "", err
		}
	}
	s := stream.CachedInfo().Config
	synced = synced && s.PersistMode != jetstream.AsyncPersistMode
	switch {
	case s.Storage == jetstream.MemoryStorage:
		return LevelMemory, "the log is kept in memory: it is lost when the broker stops", nil
	case s.Replicas > 1 && synced:
		return LevelReplicated, fmt.Sprintf("the log has %d replicas: an acknowledged event is on the disks of most of them (%s says that they sync always)", s.Replicas, says), nil
	case s.Replicas > 1:
		return LevelReplicated, fmt.Sprintf("the log has %d replicas: an acknowledged event is on most of them, and survives any but a loss of power to most at once", s.Replicas), nil
	case synced:
		return LevelFsync, "the log has one replica that is written through to disk before it acknowledges (" + says + " says so): what is acknowledged survives a loss of power, not the loss of the disk", nil
	}
	return LevelPageCache, "the log has one replica that is written to disk every 2 minutes: a loss of power may take acknowledged events", nil
}

// maxMonitoring bounds an answer of the broker's monitoring.
const maxMonitoring = 1 << 20

// syncsAlways asks a broker's monitoring whether it writes each message through to disk.
func syncsAlways(ctx context.Context, monitorURL string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(monitorURL, "/")+"/jsz", nil)
	if err != nil {
		return false, fmt.Errorf("ask the broker's monitoring how it syncs: %w", err)
	}
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := once.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask the broker's monitoring how it syncs: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("ask the broker's monitoring how it syncs: it answered %s", res.Status)
	}
	var jsz struct {
		Config *struct {
			SyncAlways bool `json:"sync_always"`
		} `json:"config"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, maxMonitoring)).Decode(&jsz); err != nil {
		return false, fmt.Errorf("ask the broker's monitoring how it syncs: %w", err)
	}
	if jsz.Config == nil {
		return false, fmt.Errorf("ask the broker's monitoring how it syncs: %s is no broker's with JetStream", monitorURL)
	}
	return jsz.Config.SyncAlways, nil
}
