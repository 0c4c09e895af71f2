package main

import (
	"context"
	"fmt"
	"time"
)

// concurrency is how many tasks a worker has in progress, and callers how many submit at a time.
const (
	concurrency = 64
	callers     = 64
)

// subject is a job system that works on tasks.
type subject interface {
	// submit puts one task on record and in the queue.
	submit(ctx context.Context, id string) error
	// settled returns when every task that was submitted is done and on record.
	settled(ctx context.Context, n int) error
	close() error
}

// contender is a row of the result.
type contender struct {
	name    string
	durable string
	server  func(ctx context.Context, dir string) (server, error)
	open    func(ctx context.Context, url string, work func(id string)) (subject, error)
}

func contenders() []contender {
	return []contender{
		{"ToolboxAI, JetStream", "process", startNATS(false), openOurs(false)},
		{"ToolboxAI, JetStream synced, group commit", "power", startNATS(true), openOurs(true)},
		{"River, Postgres", "power", startPostgres, openRiver(true)},
		{"River, Postgres, synchronous_commit=off", "process", startPostgres, openRiver(false)},
		{"asynq, Redis, append-only file each second", "process", startRedis, openAsynq},
	}
}

func contenderNamed(name string) (contender, error) {
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("there is no contender %q", name)
}

// figures are what one process measured.
type figures struct {
	NoopPerSecond float64 `json:"noop_per_second"`
	WorkPerSecond float64 `json:"work_per_second"` // of a task of workTime
	StartP50MS    float64 `json:"start_p50_ms"`
	StartP99MS    float64 `json:"start_p99_ms"`
	CPUMicros     float64 `json:"cpu_us_per_task"`        // no-op, in the process
	ServerMicros  float64 `json:"server_cpu_us_per_task"` // no-op, in its server
	RSSMiB        float64 `json:"rss_mib"`
	ServerRSSMiB  float64 `json:"server_rss_mib"`
}

// workTime is how long a task takes that does something: it waits, as for a model.
const workTime = 50 * time.Millisecond
