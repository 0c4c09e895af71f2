package porttest_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/toolboxai/orchestrator/internal/porttest"
)

func TestFree_GivesEachPortToOneTestOnly(t *testing.T) {
	t.Parallel()
	given := map[int]bool{}
	for range 200 {
		port := porttest.Free(t)
		if given[port] {
			t.Fatalf("port %d is given twice", port)
		}
		given[port] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil { // a server that is down: its port stays its own
			t.Fatal(err)
		}
	}
}

func TestFree_GivesBackWithTheTest(t *testing.T) {
	t.Parallel()
	var ports []int
	claimed := func() (n int) {
		for _, port := range ports {
			if c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
				n++
			} else {
				_ = c.Close()
			}
		}
		return n
	}
	t.Run("Inner", func(t *testing.T) {
		for range 8 {
			ports = append(ports, porttest.Free(t))
		}
		if n := claimed(); n != 8 {
			t.Errorf("%d of 8 are claimed", n)
		}
	})
	if n := claimed(); n > 4 { // another process may have one of them by now
		t.Errorf("%d of 8 are claimed after their test", n)
	}
}
