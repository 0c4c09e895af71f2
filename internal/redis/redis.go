// Package redis is what the platform keeps in Redis: the counts that all processes share. A Meter counts requests, tokens and
// money of models, a Limiter requests to the API.
//
// Nothing in it is the truth. What it holds is rebuilt from elsewhere (money from the ledger, by Meter.Raise) or matters for a
// minute only, so that Redis may lose it or be away. Calls fail fast: a connection that does not answer within Config.Timeout
// is an error, nothing is retried here. Who asks goes on without it: llm.FallbackMeter, which after the first failure asks no
// more than a probe, and limit.Fallback, behind its breaker.
//
// The keys of a Meter share one hash tag, {llm}, those of a Limiter another, {limit}, and so each one slot of a Redis Cluster: a
// script may touch several of them at once. Their load is one script before and one after each call to a model, and one for each
// request, which one node takes easily.
package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// DefaultTimeout bounds each step of a call: to connect, to write, to read.
const DefaultTimeout = 100 * time.Millisecond

// Config says where Redis is. Zero fields take the defaults.
type Config struct {
	URL      string        // REDIS_URL: redis://[user:password@]host:port[/db], or rediss:// for TLS; required
	Timeout  time.Duration // of each step of a call; DefaultTimeout
	PoolSize int           // connections at most; 16
}

// Client holds the connections to Redis. It is safe for concurrent use; whoever opened it closes it.
type Client struct {
	rdb  *redis.Client
	addr string
}

// Open returns a client. It does no I/O, so that a process starts while Redis is away. Errors are Invalid and name REDIS_URL,
// not its value. It silences go-redis' own logger, which is the whole process' one.
func Open(cfg Config) (*Client, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.PoolSize == 0 {
		cfg.PoolSize = 16
	}
	if cfg.Timeout < 0 || cfg.PoolSize < 0 {
		return nil, fault.New(fault.Invalid, "a redis client with a timeout of %s and %d connections makes no sense", cfg.Timeout, cfg.PoolSize)
	}
	opts, err := redis.ParseURL(cfg.URL)
	if err != nil || opts.Network != "tcp" || strings.Contains(cfg.URL, "?") {
		return nil, fault.InvalidField("REDIS_URL", "is no URL of the form redis://user:password@host:port/0")
	}
	opts.MaxRetries = -1
	opts.DialerRetries = 1
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout
	opts.PoolTimeout, opts.PoolSize = cfg.Timeout, cfg.PoolSize
	opts.ContextTimeoutEnabled = true
	opts.DisableIdentity = true
	opts.Protocol = 2
	logging.Disable() // it prints each failed attempt to connect; whoever asked gets the error
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Client{rdb: redis.NewClient(opts), addr: opts.Addr}, nil
}

// Address returns host:port.
func (c *Client) Address() string { return c.addr }

// Ping asks for a sign of life. Errors are Unavailable, Timeout and Canceled.
func (c *Client) Ping(ctx context.Context) error {
	return c.fault(ctx, "ping redis", c.rdb.Ping(ctx).Err())
}

// Close ends all connections; calls under way fail.
func (c *Client) Close() error { return c.rdb.Close() }

// fault classifies an error of go-redis.
func (c *Client) fault(ctx context.Context, doing string, err error) error {
	var timeout net.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Timeout, "%s: %w", doing, ended(ctx))
	case ctx.Err() != nil:
		return fault.New(fault.Canceled, "%s: %w", doing, ended(ctx))
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault.New(fault.Unavailable, "%s: no answer in time: %w", doing, err)
	}
	return fault.New(fault.Unavailable, "%s: %w", doing, err)
}

// ended returns an error with both ctx's error and its cause in the chain.
func ended(ctx context.Context) error {
	if err, cause := ctx.Err(), context.Cause(ctx); !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return context.Cause(ctx)
}
