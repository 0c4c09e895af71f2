package telemetry

import "github.com/prometheus/client_golang/prometheus"

// otherEvent counts what webhooks tell of that we do not know.
const otherEvent = "other"

// CountChannelEvents adds to r what the server of channels told by webhooks, and returns what counts one event. It is safe for concurrent use.
//
//	toolboxai_channel_events_total{event}   channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss,
//	                                        subscription_count, or other
func CountChannelEvents(r prometheus.Registerer) (count func(event string), err error) {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "toolboxai_channel_events_total", Help: "What webhooks of the server of channels told of.",
	}, []string{"event"})
	if err := r.Register(total); err != nil {
		return nil, err
	}
	known := map[string]prometheus.Counter{}
	for _, event := range []string{
		"channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss", "subscription_count", otherEvent,
	} {
		known[event] = total.WithLabelValues(event)
	}
	return func(event string) {
		c, ok := known[event]
		if !ok {
			c = known[otherEvent]
		}
		c.Inc()
	}, nil
}
