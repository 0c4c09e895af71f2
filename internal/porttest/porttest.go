// Package porttest gives tests ports for servers that cannot be told "any": processes of their own, and servers that are
// killed and come back where they were.
//
// A port that a test finds by listening on port 0 is anybody's as soon as it is let go, and again whenever the server is down: the
// kernel gives it to the next listener on port 0 and to connections that go out. The ports of this package are below those that
// Linux (32768 on) and macOS (49152 on) give away by default, and each belongs to one test of this machine until that ends.
package porttest

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

const (
	first = 20_000
	count = 12_000
)

// Free returns a TCP port of 127.0.0.1 on which nobody listens, and which no other test gets, of this process or another, until t
// ends. A UDP socket on the same number says that it is taken.
func Free(t testing.TB) int {
	t.Helper()
	var listen net.ListenConfig
	for i, offset := 0, rand.IntN(count); i < count; i++ {
		port := first + (offset+i)%count
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		claim, err := listen.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			continue
		}
		l, err := listen.Listen(context.Background(), "tcp", address)
		if err != nil {
			_ = claim.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatalf("porttest: none of %d ports from %d on is free", count, first)
	return 0
}
