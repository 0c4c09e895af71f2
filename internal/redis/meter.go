package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// keyspace begins every key. The hash tag keeps them in one slot of a cluster.
const keyspace = "{llm}:"

// MeterConfig says how a Meter counts. Zero fields take the defaults.
type MeterConfig struct {
	ReservationTTL time.Duration // of a reservation that nobody settles; llm.DefaultReservationTTL
}

// Meter is the llm.Meter that processes share. All times are the server's: a process whose clock is wrong waits wrongly but
// counts rightly. Windows are sliding, in 60 parts, and not a token bucket, which would let twice the limit pass in its first
// minute.
type Meter struct {
	client  *Client
	ttl     time.Duration
	scripts scripts
}

var _ llm.Meter = (*Meter)(nil)

// NewMeter returns a meter on c, which it does not close.
func NewMeter(c *Client, cfg MeterConfig) (*Meter, error) {
	if cfg.ReservationTTL == 0 {
		cfg.ReservationTTL = llm.DefaultReservationTTL
	}
	if c == nil || cfg.ReservationTTL < time.Millisecond {
		return nil, fault.New(fault.Invalid, "a meter needs a client and reservations of at least a millisecond")
	}
	return &Meter{client: c, ttl: cfg.ReservationTTL, scripts: newScripts()}, nil
}

func countKey(key string) string { return keyspace + "count:" + key }
func openKey(key string) string  { return keyspace + "open:" + key }
func pauseKey(key string) string { return keyspace + "pause:" + key }
func doneKey(id string) string   { return keyspace + "done:" + id }

// Reserve implements llm.Meter.
func (m *Meter) Reserve(ctx context.Context, claims []llm.Claim) (llm.Reservation, error) {
	if err := llm.CheckClaims(claims); err != nil {
		return llm.Reservation{}, err
	}
	id := uuid.NewString()
	keys := make([]string, 0, 3*len(claims))
	args := make([]any, 0, 3+4*len(claims))
	args = append(args, id, m.ttl.Milliseconds(), llm.HeldGuess.Milliseconds())
	for _, c := range claims {
		keys = append(keys, countKey(c.Key), openKey(c.Key), pauseKey(c.Key))
		args = append(args, width(c), c.Limit, c.Amount, until(c))
	}
	reply, err := m.scripts.reserve.Run(ctx, m.client.rdb, keys, args...).Int64Slice()
	switch {
	case err != nil:
		return llm.Reservation{}, m.client.fault(ctx, "reserve in redis", err)
	case len(reply) == 2+len(claims) && reply[0] == 0:
		return llm.Reservation{ID: id, At: time.UnixMilli(reply[1]), Claims: slices.Clone(claims), Used: reply[2:]}, nil
	case len(reply) == 6 && reply[0] >= 1 && int(reply[0]) <= len(claims):
		refused := &llm.RefusedError{
			Claim: claims[reply[0]-1], Until: localTime(reply[1], reply[2]), Paused: reply[3] == 1, Held: reply[4] == 1, Used: reply[5],
		}
		if c := refused.Claim; c.Window == 0 && !refused.Paused && !refused.Held {
			refused.Until = c.Until
		}
		return llm.Reservation{}, refused
	}
	return llm.Reservation{}, fault.New(fault.Unavailable, "reserve in redis: an answer of %d numbers makes no sense", len(reply))
}

// Settle implements llm.Meter.
func (m *Meter) Settle(ctx context.Context, r llm.Reservation, actual []int64) error {
	if err := llm.CheckActual(r, actual); err != nil {
		return err
	}
	keys := append(make([]string, 0, 1+2*len(actual)), doneKey(r.ID))
	args := append(make([]any, 0, 3+4*len(actual)), r.ID, r.At.UnixMilli(), llm.ChargeMemory.Milliseconds())
	for i, c := range r.Claims {
		keys = append(keys, countKey(c.Key), openKey(c.Key))
		args = append(args, width(c), c.Amount, actual[i], until(c))
	}
	err := m.scripts.settle.Run(ctx, m.client.rdb, keys, args...).Err()
	return m.client.fault(ctx, "settle in redis", err)
}

// Charge implements llm.Meter.
func (m *Meter) Charge(ctx context.Context, id string, charges []llm.Charge) error {
	keys := append(make([]string, 0, 1+len(charges)), doneKey(id))
	args := append(make([]any, 0, 1+4*len(charges)), llm.ChargeMemory.Milliseconds())
	for _, c := range charges {
		keys = append(keys, countKey(c.Key))
		args = append(args, width(c.Claim), c.Amount, max(time.Since(c.At).Milliseconds(), 0), until(c.Claim))
	}
	err := m.scripts.charge.Run(ctx, m.client.rdb, keys, args...).Err()
	return m.client.fault(ctx, "charge in redis", err)
}

// Raise implements llm.Meter.
func (m *Meter) Raise(ctx context.Context, key string, until time.Time, used int64) error {
	if used < 0 || used > llm.Unlimited {
		return fault.New(fault.Invalid, "%d is out of range for %s", used, key)
	}
	err := m.scripts.raise.Run(ctx, m.client.rdb, []string{countKey(key)}, until.UnixMilli(), used).Err()
	return m.client.fault(ctx, "raise a count in redis", err)
}

// Used implements llm.Meter.
func (m *Meter) Used(ctx context.Context, claims []llm.Claim) ([]int64, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	keys, args := make([]string, 0, 2*len(claims)), make([]any, 0, len(claims))
	for _, c := range claims {
		keys = append(keys, countKey(c.Key), openKey(c.Key))
		args = append(args, width(c))
	}
	used, err := m.scripts.used.Run(ctx, m.client.rdb, keys, args...).Int64Slice()
	if err != nil {
		return nil, m.client.fault(ctx, "read counts from redis", err)
	}
	if len(used) != len(claims) {
		return nil, fault.New(fault.Unavailable, "read counts from redis: %d for %d claims", len(used), len(claims))
	}
	return used, nil
}

// Pause implements llm.Meter.
func (m *Meter) Pause(ctx context.Context, key string, until time.Time) error {
	wish := time.Until(until).Milliseconds()
	if wish <= 0 {
		return nil
	}
	_, err := m.pause(ctx, key, wish)
	return err
}

// PausedUntil implements llm.Meter.
func (m *Meter) PausedUntil(ctx context.Context, key string) (time.Time, error) {
	return m.pause(ctx, key, -1)
}

func (m *Meter) pause(ctx context.Context, key string, wish int64) (time.Time, error) {
	reply, err := m.scripts.pause.Run(ctx, m.client.rdb, []string{pauseKey(key)}, wish).Int64Slice()
	if err != nil || len(reply) != 2 {
		if err == nil {
			err = fmt.Errorf("an answer of %d numbers", len(reply))
		}
		return time.Time{}, m.client.fault(ctx, "pause in redis", err)
	}
	if reply[1] == 0 {
		return time.Time{}, nil
	}
	return localTime(reply[0], reply[1]), nil
}

// localTime turns a moment of the server's clock into one of ours.
func localTime(serverNow, moment int64) time.Time {
	return time.Now().Add(time.Duration(moment-serverNow) * time.Millisecond)
}

// width returns the length of a window's slots in milliseconds, 0 for a period.
func width(c llm.Claim) int64 {
	if c.Window == 0 {
		return 0
	}
	return llm.SlotWidth(c.Window)
}

func until(c llm.Claim) int64 {
	if c.Until.IsZero() {
		return 0
	}
	return c.Until.UnixMilli()
}
