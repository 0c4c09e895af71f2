package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/limit"
)

// limitspace begins every key of a Limiter. The hash tag keeps them in one slot of a cluster.
const limitspace = "{limit}:"

// joined is how long a process counts that gives no sign.
const joined = 3 * limit.JoinEvery

// Limiter is the limit.Limiter that processes share: one script in one round trip decides over all asks, by the server's clock.
// A process whose clock is wrong counts rightly.
//
// A bucket is a string "level at", a sliding limit a list of moments, in µs. They expire when they are as good as new. Their keys
// hold the limit's name and a digest; no user's id, no address.
type Limiter struct {
	client             *Client
	take, charge, join *redis.Script
}

var _ limit.Shared = (*Limiter)(nil)

// NewLimiter returns a limiter on c, which it does not close. Give it a client of its own: behind the scripts of a Meter it would
// wait for connections.
func NewLimiter(c *Client) (*Limiter, error) {
	if c == nil {
		return nil, fault.New(fault.Invalid, "a limiter needs a client")
	}
	return &Limiter{
		client: c, take: redis.NewScript(limiting + takeScript), charge: redis.NewScript(limiting + chargeLimitScript), join: redis.NewScript(joinScript),
	}, nil
}

// Take implements limit.Limiter.
func (l *Limiter) Take(ctx context.Context, asks ...limit.Ask) (limit.Verdict, error) {
	if err := limit.CheckAsks(asks); err != nil {
		return limit.Verdict{}, err
	}
	keys, args := make([]string, 0, len(asks)), make([]any, 0, 6*len(asks))
	for _, a := range asks {
		fits, takes := a.Price()
		keys = append(keys, limitspace+a.Bucket())
		args = append(shapeArgs(args, a.Limit), fits, takes)
	}
	reply, err := l.take.Run(ctx, l.client.rdb, keys, args...).Int64Slice()
	if err != nil {
		return limit.Verdict{}, l.client.fault(ctx, "take from limits in redis", err)
	}
	if len(reply) != 5 || reply[1] < 1 || int(reply[1]) > len(asks) {
		return limit.Verdict{}, fault.New(fault.Unavailable, "take from limits in redis: an answer of %d numbers makes no sense", len(reply))
	}
	return limit.Verdict{
		Allowed: reply[0] == 1, Limit: asks[reply[1]-1].Limit, Remaining: int(reply[2]),
		Reset: time.Duration(reply[3]) * time.Microsecond, RetryAfter: time.Duration(reply[4]) * time.Microsecond,
	}, nil
}

// Charge implements limit.Shared.
func (l *Limiter) Charge(ctx context.Context, debts ...limit.Debt) error {
	if len(debts) == 0 {
		return nil
	}
	if len(debts) > limit.MaxDebts {
		return fault.New(fault.Invalid, "%d debts at once, at most %d are taken", len(debts), limit.MaxDebts)
	}
	keys, args := make([]string, 0, len(debts)), make([]any, 0, 5*len(debts))
	for _, d := range debts {
		if err := d.Limit.Check(); err != nil {
			return err
		}
		keys = append(keys, limitspace+d.Bucket)
		args = append(shapeArgs(args, d.Limit), max(min(d.Requests, d.Limit.Capacity()), 0))
	}
	return l.client.fault(ctx, "charge limits in redis", l.charge.Run(ctx, l.client.rdb, keys, args...).Err())
}

// shapeArgs appends what the scripts call kind, rate, per and capacity.
func shapeArgs(args []any, l limit.Limit) []any {
	kind := "bucket"
	if l.Sliding {
		kind = "log"
	}
	return append(args, kind, l.Rate, l.Per.Microseconds(), l.Capacity())
}

// Join implements limit.Shared.
func (l *Limiter) Join(ctx context.Context, process string) (limit.Census, error) {
	reply, err := l.join.Run(ctx, l.client.rdb, []string{limitspace + "processes", limitspace + "memory"}, process, joined.Microseconds()).Slice()
	if err != nil {
		return limit.Census{}, l.client.fault(ctx, "join the limits in redis", err)
	}
	if len(reply) == 2 {
		n, okN := reply[0].(int64)
		memory, okMemory := reply[1].(string)
		if okN && okMemory {
			return limit.Census{Processes: int(n), Memory: memory}, nil
		}
	}
	return limit.Census{}, fault.New(fault.Unavailable, "join the limits in redis: an answer of %d values makes no sense", len(reply))
}

// Leave implements limit.Shared.
func (l *Limiter) Leave(ctx context.Context, process string) error {
	return l.client.fault(ctx, "leave the limits in redis", l.client.rdb.ZRem(ctx, limitspace+"processes", process).Err())
}
