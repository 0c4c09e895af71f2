package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/toolboxai/orchestrator/internal/notify"
)

// Notifier is what there is to know of a notifier.
type Notifier struct {
	Stats  func() notify.Stats
	Active func() bool // whether this process is the one of its replicas that sends
	// Behind returns how many events of the log no replica has settled yet. Whichever is asked, it is the same.
	Behind func(ctx context.Context) (uint64, error)
}

// AddNotifier adds to r what a notifier does. Totals are those of this process; while it stands by they stay as they are.
//
//	toolboxai_notifier_active                     1 while this replica sends, else 0
//	toolboxai_notifier_lag_events                 events of the log that are not settled; absent while the broker does not answer
//	toolboxai_notifier_lag_seconds                age of the oldest event that is being sent; 0 while there is none
//	toolboxai_notifier_sent_total                 messages that were accepted
//	toolboxai_notifier_retries_total              requests and lookups that failed and were made again
//	toolboxai_notifier_reduced_total              messages that went out as a bare reference because they were refused
//	toolboxai_notifier_refused_total              messages that were refused for good, none of them the end of a task
//	toolboxai_notifier_lost_total                 ends of tasks that were refused for good: alert on any
//	toolboxai_notifier_stale_total                events that were passed over because they were too old
//	toolboxai_notifier_progress_coalesced_total   progress reports that a newer one replaced
//	toolboxai_notifier_progress_dropped_total     progress reports that were given up
func AddNotifier(r prometheus.Registerer, n Notifier) error {
	c := &notifierCollector{n: n}
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("toolboxai_notifier_"+name, help, nil, nil)
	}
	c.active, c.events = desc("active", "Whether this replica sends."), desc("lag_events", "Events of the log that are not settled.")
	c.lag = desc("lag_seconds", "Age of the oldest event that is being sent.")
	for _, total := range []struct {
		name, help string
		of         func(notify.Stats) uint64
	}{
		{"sent_total", "Messages that were accepted.", func(s notify.Stats) uint64 { return s.Sent }},
		{"retries_total", "Requests and lookups that were made again.", func(s notify.Stats) uint64 { return s.Retried }},
		{"reduced_total", "Messages that went out as a bare reference.", func(s notify.Stats) uint64 { return s.Reduced }},
		{"refused_total", "Messages that were refused for good.", func(s notify.Stats) uint64 { return s.Refused }},
		{"lost_total", "Ends of tasks that were refused for good.", func(s notify.Stats) uint64 { return s.Lost }},
		{"stale_total", "Events that were too old to be told.", func(s notify.Stats) uint64 { return s.Stale }},
		{"progress_coalesced_total", "Progress reports that a newer one replaced.", func(s notify.Stats) uint64 { return s.Coalesced }},
		{"progress_dropped_total", "Progress reports that were given up.", func(s notify.Stats) uint64 { return s.Dropped }},
	} {
		c.totals = append(c.totals, notifierTotal{desc(total.name, total.help), total.of})
	}
	return r.Register(c)
}

// notifierCollector asks a notifier on each scrape.
type notifierCollector struct {
	n                   Notifier
	active, events, lag *prometheus.Desc
	totals              []notifierTotal
}

type notifierTotal struct {
	desc *prometheus.Desc
	of   func(notify.Stats) uint64
}

// Describe implements prometheus.Collector.
func (c *notifierCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.active, c.events, c.lag} {
		out <- d
	}
	for _, t := range c.totals {
		out <- t.desc
	}
}

// Collect implements prometheus.Collector.
func (c *notifierCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	stats, active := c.n.Stats(), 0.0
	if c.n.Active() {
		active = 1
	}
	gauge(c.active, active)
	gauge(c.lag, stats.Lag.Seconds())
	for _, t := range c.totals {
		out <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(t.of(stats)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if behind, err := c.n.Behind(ctx); err == nil {
		gauge(c.events, float64(behind))
	}
}
