package httpapi

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// attributes are what info asks for of one channel. What was not asked for, or does not apply to the channel, is nil.
type attributes struct {
	UserCount         *int `json:"user_count,omitempty"`
	SubscriptionCount *int `json:"subscription_count,omitempty"`
}

// parseInfo returns the attributes that info, a list with commas, names. Invalid for one that may not stand here.
func parseInfo(field, info string, allowed ...string) (map[string]bool, error) {
	asked := map[string]bool{}
	if info == "" {
		return asked, nil
	}
	for name := range strings.SplitSeq(info, ",") {
		if !slices.Contains(allowed, name) {
			return nil, fault.InvalidField(field, "%.40q is none of %s", name, strings.Join(allowed, ", "))
		}
		asked[name] = true
	}
	return asked, nil
}

func attributesOf(channel string, state channels.State, asked map[string]bool) attributes {
	var a attributes
	if asked["user_count"] && strings.HasPrefix(channel, presencePrefix) {
		a.UserCount = &state.Users
	}
	if asked["subscription_count"] {
		a.SubscriptionCount = &state.Subscriptions
	}
	return a
}

// infos returns what info, which stands in a field of the body, asks for of the channels that are about to be triggered on. It comes before
// the trigger so that a Hub that cannot tell does not make the caller repeat what was sent.
func (h *Handler) infos(ctx context.Context, field, info string, names []string) (map[string]attributes, error) {
	asked, err := parseInfo(field, info, "user_count", "subscription_count")
	if err != nil || len(asked) == 0 {
		return nil, err
	}
	var mu sync.Mutex
	infos := map[string]attributes{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(statesAtOnce)
	for _, name := range names {
		g.Go(func() error {
			var state channels.State
			if !strings.HasPrefix(name, userPrefix) { // nobody subscribes to those
				var err error
				if state, err = h.cfg.Hub.State(ctx, name); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			infos[name] = attributesOf(name, state, asked)
			return nil
		})
	}
	return infos, g.Wait()
}

func (h *Handler) channels(ctx context.Context, r request) (any, error) {
	prefix := r.params["filter_by_prefix"]
	asked, err := parseInfo("info", r.params["info"], "user_count", "subscription_count")
	if err != nil {
		return nil, err
	}
	if asked["user_count"] && !strings.HasPrefix(prefix, presencePrefix) {
		return nil, fault.New(fault.Invalid, "user_count may only be requested for presence channels: give a filter_by_prefix that begins with %s", presencePrefix)
	}
	states, err := h.cfg.Hub.Channels(ctx, prefix)
	if err != nil {
		return nil, err
	}
	found := map[string]attributes{}
	for name, state := range maps.All(states) {
		if state.Occupied() && strings.HasPrefix(name, prefix) && checkChannel("channel", name) == nil {
			found[name] = attributesOf(name, state, asked)
		}
	}
	return map[string]any{"channels": found}, nil
}

func (h *Handler) channel(ctx context.Context, r request) (any, error) {
	if err := checkChannel("channel", r.name); err != nil {
		return nil, err
	}
	asked, err := parseInfo("info", r.params["info"], "user_count", "subscription_count", "cache")
	if err != nil {
		return nil, err
	}
	if asked["user_count"] && !strings.HasPrefix(r.name, presencePrefix) {
		return nil, fault.InvalidField("info", "may have user_count for presence channels only")
	}
	if asked["cache"] && !isCache(r.name) {
		return nil, fault.InvalidField("info", "may have cache for cache channels only")
	}
	state, err := h.cfg.Hub.State(ctx, r.name)
	if err != nil {
		return nil, err
	}
	type cached struct {
		Data string `json:"data"`
		TTL  int    `json:"ttl"` // seconds
	}
	answer := map[string]any{"occupied": state.Occupied()}
	if asked["user_count"] {
		answer["user_count"] = state.Users
	}
	if asked["subscription_count"] {
		answer["subscription_count"] = state.Subscriptions
	}
	if asked["cache"] {
		answer["cache"] = nil
		if c := state.Cache; c != nil {
			answer["cache"] = cached{Data: c.Data, TTL: int(math.Ceil(c.TTL.Seconds()))}
		}
	}
	return answer, nil
}

func (h *Handler) users(ctx context.Context, r request) (any, error) {
	if err := checkChannel("channel", r.name); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(r.name, presencePrefix) {
		return nil, fault.InvalidField("channel", "must be a presence channel: others have no users")
	}
	ids, err := h.cfg.Hub.Users(ctx, r.name)
	if err != nil {
		return nil, err
	}
	type user struct {
		ID string `json:"id"`
	}
	users := make([]user, 0, len(ids))
	for _, id := range ids {
		users = append(users, user{id})
	}
	return map[string]any{"users": users}, nil
}

func (h *Handler) terminate(ctx context.Context, r request) (any, error) {
	if err := checkUser("user_id", r.name); err != nil {
		return nil, err
	}
	return struct{}{}, h.cfg.Hub.Terminate(ctx, r.name)
}
