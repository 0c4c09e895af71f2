// Package telemetry shows the platform to monitoring: metrics in the Prometheus text format, and errors in Sentry's. A Redactor keeps
// secrets and e-mail addresses out of logs and error reports, as the last line of defence.
//
// What waits and runs is asked of the dispatcher when a scraper comes by, so the figures are those of that moment, and every
// process that answers shows the same ones. While no dispatcher answers, its figures are absent and toolboxai_dispatcher_up is 0: an
// autoscaler must not take "not known" for "nothing to do".
package telemetry

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Backlogs knows what waits and runs, by kind.
type Backlogs interface {
	Backlog(ctx context.Context) ([]task.Backlog, error)
}

// askTime bounds how long a scrape waits for the dispatcher.
const askTime = 2 * time.Second

// NewRegistry returns a registry with the process's own metrics and, where backlogs is not nil, those of each kind:
//
//	toolboxai_kind_load{kind}                 what to scale workers by
//	toolboxai_kind_tasks{kind,state}          state is pending, held, later or running
//	toolboxai_kind_oldest_age_seconds{kind}   of what is pending and not held
//	toolboxai_kind_slots{kind}                of the live workers that serve the kind
//	toolboxai_kind_workers{kind}
//	toolboxai_dispatcher_up                   whether a dispatcher answers
//	toolboxai_build_info{version}             1
func NewRegistry(version string, backlogs Backlogs) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "toolboxai_build_info", Help: "Always 1; the label says which program runs.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.MustRegister(build)
	if backlogs != nil {
		r.MustRegister(newBacklogCollector(backlogs))
	}
	return r
}

// Handler serves what r gathers.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * askTime})
}

// backlogCollector asks the dispatcher on each scrape.
type backlogCollector struct {
	backlogs                                Backlogs
	up, load, tasks, oldest, slots, workers *prometheus.Desc
}

func newBacklogCollector(b Backlogs) *backlogCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("toolboxai_"+name, help, labels, nil)
	}
	return &backlogCollector{
		backlogs: b,
		up:       desc("dispatcher_up", "Whether a dispatcher answers."),
		load:     desc("kind_load", "What to scale the kind's workers by.", "kind"),
		tasks:    desc("kind_tasks", "Tasks of the kind that have not ended.", "kind", "state"),
		oldest:   desc("kind_oldest_age_seconds", "How long the oldest task that may begin has waited.", "kind"),
		slots:    desc("kind_slots", "Slots of the live workers that serve the kind.", "kind"),
		workers:  desc("kind_workers", "Live workers that serve the kind.", "kind"),
	}
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.load, c.tasks, c.oldest, c.slots, c.workers} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *backlogCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	all, err := c.backlogs.Backlog(ctx)
	if err != nil {
		gauge(c.up, 0)
		return
	}
	gauge(c.up, 1)
	for _, b := range all {
		gauge(c.load, b.Load, b.Kind)
		gauge(c.tasks, float64(b.Pending), b.Kind, "pending")
		gauge(c.tasks, float64(b.Held), b.Kind, "held")
		gauge(c.tasks, float64(b.Later), b.Kind, "later")
		gauge(c.tasks, float64(b.Running), b.Kind, "running")
		gauge(c.oldest, b.OldestAge, b.Kind)
		gauge(c.slots, float64(b.Slots), b.Kind)
		gauge(c.workers, float64(b.Workers), b.Kind)
	}
}
