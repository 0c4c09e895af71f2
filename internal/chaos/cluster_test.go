//go:build chaos && linux

package chaos_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// cluster plays on three nodes with three replicas of every stream.
func (s *suite) cluster(t *testing.T) {
	site := newSite(t, s, "cluster", 3, fleet{{"api", 1, "api listens"}, {"worker", 2, "worker pulls"}, {"dispatcher", 1, ""}, {"recorder", 1, ""}, {"notifier", 1, ""}})
	site.startFleet(s.ctx)
	var faults []injection
	for _, stream := range []string{events.StreamEvents, events.StreamTasks} {
		faults = append(faults, injection{what: "kill the leader of", target: stream, broker: true, hold: [2]time.Duration{4 * time.Second, 7 * time.Second}, do: func(ctx context.Context) (func() error, error) {
			leader, err := site.leader(ctx, stream)
			if err != nil {
				return nil, err
			}
			s.say("cluster/leader", "%s leads %s", leader, stream)
			return site.kill(leader), nil
		}})
	}
	t.Run("leader", func(t *testing.T) {
		site.play(t, scenario{name: "leader", share: 0.25, rate: 5, faults: faults})
	})
}

// leader returns the node that leads a stream, as soon as all nodes are there to take over.
func (s *site) leader(ctx context.Context, stream string) (leader string, err error) {
	err = eventually(ctx, "the replicas of "+stream+" are current", func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		info, err := s.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		cluster := info.CachedInfo().Cluster
		if cluster == nil || cluster.Leader == "" {
			return errors.New("nobody leads")
		}
		for _, r := range cluster.Replicas {
			if !r.Current {
				return errors.New(r.Name + " is behind")
			}
		}
		leader = cluster.Leader
		return nil
	})
	return leader, err
}
