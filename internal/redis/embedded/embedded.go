// Package embedded is a Redis for one machine inside the process, so that development needs no server. It speaks Redis'
// protocol on a real port and keeps everything in memory: what it holds is gone with the process, which the platform bears.
//
// It is miniredis, whose keys would live forever by default. Their time to live follows the clock here, to the millisecond and
// at each command; a clock that is moved on by a ticker would let short locks end early.
package embedded

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// Config says where the server listens.
type Config struct {
	Host string // 127.0.0.1 when empty: it has no password
	Port int    // 0 takes a free one
}

// Server is a running Redis.
type Server struct {
	mini *miniredis.Miniredis
	addr string
	stop sync.Once
}

// StartEmbedded starts a server and returns once it takes connections. The caller ends it with Close.
func StartEmbedded(cfg Config) (*Server, error) {
	if cfg.Host == "" {
		cfg.Host = "127.0.0.1"
	}
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true)
	if err := mini.StartAddr(net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))); err != nil {
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	return &Server{mini: mini, addr: mini.Addr()}, nil
}

// URL returns a value for REDIS_URL.
func (s *Server) URL() string { return "redis://" + s.addr }

// Close ends all connections and returns when nothing of the server runs any more. Further calls do nothing.
func (s *Server) Close() { s.stop.Do(s.mini.Close) }
