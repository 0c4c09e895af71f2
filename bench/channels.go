package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/nats"
)

const (
	// childEnv says to a copy of this program that it is the server of channels, and where the broker is.
	childEnv      = "BENCH_CHANNELS_BROKER"
	idleConns     = 10_000
	fanSubs       = 5_000
	fanEvents     = 20
	eventData     = `{"seq":12345,"state":"running","progress":42}`
	childPatience = 30 * time.Second
)

// channels measures the server of channels in a process of its own: what an idle connection costs, and how soon an event is with its
// subscribers, beside a server that writes the same frame to as many WebSockets and does nothing else.
func (b *bench) channels(ctx context.Context) error {
	child, err := startChild(ctx, b.broker.URL())
	if err != nil {
		return err
	}
	defer child.stop()
	if err := b.idle(child); err != nil {
		return err
	}
	ours := func(q float64) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) {
			return child.fan("/app/key?protocol=7", true, "/trigger", b.n(fanSubs), q)
		}
	}
	bare := func(q float64) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) {
			return child.fan("/bare", false, "/broadcast", b.n(fanSubs), q)
		}
	}
	name := fmt.Sprintf("(h) one event to %d subscribers of a channel, %%s : the same frame to as many bare WebSockets", b.n(fanSubs))
	if err := b.compare(ctx, fmt.Sprintf(name, "p50"), "ms", "", ours(0.5), bare(0.5)); err != nil {
		return err
	}
	return b.compare(ctx, fmt.Sprintf(name, "p99"), "ms", "", ours(0.99), bare(0.99))
}

func (b *bench) idle(child *childServer) error {
	n := b.n(idleConns)
	before, err := child.memory()
	if err != nil {
		return err
	}
	goroutines, err := child.count("/goroutines")
	if err != nil {
		return err
	}
	conns, err := child.connect("/app/key?protocol=7", func(i int) string { return fmt.Sprint("channel-", i) }, n)
	if err != nil {
		return err
	}
	after, err := child.memory()
	closeAll(conns)
	if err != nil {
		return err
	}
	var left int
	for deadline := time.Now().Add(childPatience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if left, err = child.count("/goroutines"); err != nil || left <= goroutines+8 {
			break
		}
	}
	if err != nil || left > goroutines+8 {
		return errors.Join(err, fmt.Errorf("%d goroutines are left of %d connections, there were %d before", left, n, goroutines))
	}
	b.rows = append(b.rows, row{
		Name: fmt.Sprintf("(h) memory of one of %d idle connections with a channel of its own", n), Unit: "KiB of RSS",
		Ours: float64(after-before) / float64(n) / 1024, Aim: "≤ 20",
	})
	return nil
}

// childServer is this program as the server.
type childServer struct {
	cmd     *exec.Cmd
	address string
}

func startChild(ctx context.Context, broker string) (*childServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"="+broker), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("the server of channels did not start: %w", err), cmd.Wait())
	}
	return &childServer{cmd, strings.TrimSpace(address)}, nil
}

func (c *childServer) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
}

func (c *childServer) post(path string) (string, error) {
	res, err := http.Post("http://"+c.address+path, "text/plain", nil) //nolint:noctx // bounded by the run
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, res.StatusCode, body)
	}
	return string(body), err
}

func (c *childServer) count(path string) (int, error) {
	text, err := c.post(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(text))
}

// memory returns the server's resident memory in bytes, once it has let go of what it can.
func (c *childServer) memory() (int, error) {
	if _, err := c.post("/collect"); err != nil {
		return 0, err
	}
	return resident(c.cmd.Process.Pid)
}

func resident(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib * 1024, nil
		}
	}
	return 0, errors.New("no VmRSS")
}

// connect opens n WebSockets, and subscribes each where channel says to what.
func (c *childServer) connect(path string, channel func(int) string, n int) (conns []*subscriber, err error) {
	for i := range n {
		s, err := dialSubscriber(c.address, path)
		if err == nil && channel != nil {
			err = s.subscribe(channel(i))
		}
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, s)
	}
	return conns, nil
}

func closeAll(conns []*subscriber) {
	for _, s := range conns {
		_ = s.conn.Close()
	}
}

// fan returns the quantile q of the times in milliseconds from a request to send one event until a subscriber has it.
func (c *childServer) fan(path string, protocol bool, send string, n int, q float64) (float64, error) {
	var channel func(int) string
	if protocol {
		channel = func(int) string { return "news" }
	}
	conns, err := c.connect(path, channel, n)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	took := make([]float64, 0, n*fanEvents)
	for range fanEvents {
		arrived := make([]time.Time, n)
		failed := make([]error, n)
		var all sync.WaitGroup
		for i, s := range conns {
			all.Go(func() { arrived[i], failed[i] = s.next() })
		}
		began := time.Now()
		if _, err := c.post(send); err != nil {
			return 0, err
		}
		all.Wait()
		if err := errors.Join(failed...); err != nil {
			return 0, err
		}
		for _, at := range arrived {
			took = append(took, float64(at.Sub(began).Microseconds())/1000)
		}
	}
	slices.Sort(took)
	return took[int(q*float64(len(took)-1))], nil
}

// subscriber is a client with as little as can be.
type subscriber struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialSubscriber(address, path string) (*subscriber, error) {
	conn, err := net.Dial("tcp", address) //nolint:noctx // bounded by the run
	if err != nil {
		return nil, err
	}
	s := &subscriber{conn, bufio.NewReaderSize(conn, 512)}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", path)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	res, err := http.ReadResponse(s.in, nil) //nolint:bodyclose // an answer of 101 has none
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.Join(fmt.Errorf("%s: %d", path, res.StatusCode), conn.Close())
	}
	return s, nil
}

func (s *subscriber) subscribe(channel string) error {
	message := fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q}}`, channel)
	if _, err := s.conn.Write(append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)); err != nil {
		return err
	}
	for range 2 { // the greeting and the answer
		if _, err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// next reads a frame and says when it was there.
func (s *subscriber) next() (time.Time, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(childPatience)); err != nil {
		return time.Time{}, err
	}
	head := make([]byte, 2, 4)
	if _, err := io.ReadFull(s.in, head); err != nil {
		return time.Time{}, err
	}
	n := int(head[1])
	if n == 126 {
		if _, err := io.ReadFull(s.in, head); err != nil {
			return time.Time{}, err
		}
		n = int(head[0])<<8 | int(head[1])
	}
	_, err := s.in.Discard(n)
	return time.Now(), err
}

// serveChannels is the child: the server of channels, and a bare one.
func serveChannels(ctx context.Context, broker string) error {
	conn, js, err := nats.Connect(nats.ConnectConfig{URL: broker, Name: "bench channels"})
	if err != nil {
		return err
	}
	defer conn.Close()
	bus, err := nats.NewChannelBus(js, "bench")
	if err != nil {
		return err
	}
	server, err := channels.New(channels.Config{App: channels.App{ID: "bench", Key: "key", Secret: "secret"}, Bus: bus})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	bare := &broadcast{}
	mux := http.NewServeMux()
	mux.Handle("/app/", server)
	mux.Handle("/bare", bare)
	mux.HandleFunc("/broadcast", bare.send)
	mux.HandleFunc("/trigger", func(w http.ResponseWriter, r *http.Request) {
		if err := server.Trigger(r.Context(), channels.Event{Channel: "news", Name: "task.progress", Data: eventData}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/goroutines", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, runtime.NumGoroutine()) })
	mux.HandleFunc("/collect", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	fmt.Println(listener.Addr())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: childPatience}
	go func() { <-ctx.Done(); _ = web.Close() }()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ran
}

// broadcast writes one frame to every WebSocket that is open.
type broadcast struct {
	mu    sync.Mutex
	conns map[*websocket.Conn]bool
}

// ServeHTTP takes a WebSocket and keeps it until it is closed.
func (b *broadcast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	b.mu.Lock()
	if b.conns == nil {
		b.conns = map[*websocket.Conn]bool{}
	}
	b.conns[c] = true
	b.mu.Unlock()
	_, _, _ = c.Read(context.Background())
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
}

func (b *broadcast) send(_ http.ResponseWriter, r *http.Request) {
	frame := []byte(`{"event":"task.progress","channel":"news","data":` + strconv.Quote(eventData) + `}`)
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		_ = c.Write(r.Context(), websocket.MessageText, frame)
	}
}
