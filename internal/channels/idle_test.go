package channels_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkServer_Idle reports what an idle connection with one channel costs in resident memory, the client's socket in this process
// included. Run it with -benchtime 5000x.
func BenchmarkServer_Idle(b *testing.B) {
	h := start(b)
	address := strings.TrimPrefix(h.url, "ws://")
	conns := make([]net.Conn, 0, b.N)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	before := resident(b)
	for i := range b.N {
		conns = append(conns, rawSubscriber(b, address, fmt.Sprint("channel-", i)))
	}
	eventually(b, func() bool { all, _ := h.Channels(b.Context(), ""); return len(all) == b.N })
	b.ReportMetric(float64(resident(b)-before)/float64(b.N)/1024, "KiB/conn")
}

// BenchmarkServer_FanOut is one event for 1,000 subscribers, from Trigger until all of them have it.
func BenchmarkServer_FanOut(b *testing.B) {
	const subscribers = 1000
	h := start(b)
	frame := int64(len(`{"event":"x","channel":"news","data":"1"}`) + 2)
	var got atomic.Int64
	all := make(chan struct{}, 1)
	for range subscribers {
		conn := rawSubscriber(b, strings.TrimPrefix(h.url, "ws://"), "news")
		defer conn.Close()
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if got.Add(int64(n)) == subscribers*frame {
					all <- struct{}{}
				}
			}
		}()
	}
	b.ResetTimer()
	for range b.N {
		got.Store(0)
		trigger(b, h, "news", "x", "1")
		<-all
	}
}

// rawSubscriber connects and subscribes with as little memory as can be.
func rawSubscriber(t testing.TB, address, channel string) net.Conn {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "GET /app/key%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", query)
	r := bufio.NewReaderSize(conn, 512)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(err, answer)
	}
	message := fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, channel)
	if _, err := conn.Write(append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the greeting and the answer
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		n := int64(head[1])
		if n == 126 {
			_, _ = io.ReadFull(r, head)
			n = int64(head[0])<<8 | int64(head[1])
		}
		_, _ = io.CopyN(io.Discard, r, n)
	}
	return conn
}

func resident(t testing.TB) int {
	runtime.GC()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc")
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
