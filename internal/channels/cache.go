package channels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	cacheTTL     = 30 * time.Minute
	cacheTimeout = 5 * time.Second
)

// cached is what the Bus keeps of a cache channel.
type cached struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Data string    `json:"data"`
	At   time.Time `json:"at"`
}

func cacheKey(channel string) string { return "cache." + channel }

func (s *Server) putCached(ctx context.Context, channel string, e event) error {
	value, err := json.Marshal(cached{ID: e.ID, Name: e.Name, Data: e.Data, At: time.Now()})
	if err != nil {
		return err
	}
	return s.cfg.Bus.Put(ctx, cacheKey(channel), value, cacheTTL)
}

// getCached returns the last message of a cache channel, nil when there is none.
func (s *Server) getCached(ctx context.Context, channel string) (*cached, error) {
	value, err := s.cfg.Bus.Get(ctx, cacheKey(channel))
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c cached
	if err := json.Unmarshal(value, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// replay sends a new subscriber the last message of its cache channel, or says that there is none.
func (s *Server) replay(sub *subscription) {
	ctx, cancel := context.WithTimeout(context.Background(), cacheTimeout)
	defer cancel()
	last, err := s.getCached(ctx, sub.channel)
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "last message of a cache channel cannot be had", "channel", sub.channel, "error", err)
	}
	missed := false
	s.hub.locked(sub.channel, false, func(ch *channel) {
		switch {
		case ch == nil || sub.gone || sub.fresh && !s.faults.eagerCache: // what came meanwhile is newer
		case last == nil:
			missed = true
			sub.conn.push(encode("pusher:cache_miss", sub.channel, "{}", ""))
		default:
			sub.fetched = last.ID
			sub.conn.push(encode(last.Name, sub.channel, last.Data, ""))
		}
	})
	if missed {
		s.cfg.Occurred(Occurrence{Kind: "cache_miss", Channel: sub.channel})
	}
}
