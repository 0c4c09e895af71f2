//go:build chaos && linux

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/toolboxai/orchestrator/internal/porttest"
)

// envNode holds the node that a process is to be.
const envNode = "TOOLBOXAI_CHAOS_NODE"

// node is one server of the broker.
type node struct {
	Name   string
	Dir    string
	Port   int
	Routes []int // ports on which the nodes of a cluster find each other, the own one first; none: it is alone
}

// runNode is a node as a process of its own. It ends when it is told to.
func runNode(spec string) int {
	var n node
	if err := json.Unmarshal([]byte(spec), &n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	opts := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, NoSigs: true, JetStream: true, StoreDir: n.Dir,
		DisableJetStreamBanner: true, JetStreamMaxMemory: -1, JetStreamMaxStore: -1,
	}
	if len(n.Routes) > 0 {
		opts.Cluster = server.ClusterOpts{Name: "chaos", Host: "127.0.0.1", Port: n.Routes[0]}
		for _, port := range n.Routes[1:] {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return 0
}

// newNodes describes n nodes that form a cluster when they are several.
func newNodes(t *testing.T, n int) []node {
	t.Helper()
	nodes := make([]node, n)
	routes := make([]int, n)
	for i := range nodes {
		nodes[i] = node{Name: fmt.Sprintf("broker-%d", i+1), Dir: t.TempDir(), Port: porttest.Free(t)}
		routes[i] = porttest.Free(t)
	}
	for i := range nodes {
		if n > 1 {
			nodes[i].Routes = append(append([]int{routes[i]}, routes[:i]...), routes[i+1:]...)
		}
	}
	return nodes
}

// brokerURL is where clients find any of the nodes.
func brokerURL(nodes []node) string {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.Port))
	}
	return strings.Join(urls, ",")
}

func (n node) environment() ([]string, error) {
	spec, err := json.Marshal(n)
	return append(bareEnvironment(), envNode+"="+string(spec)), err
}

// answers waits until somebody listens on the port.
func answers(ctx context.Context, port int) error {
	return eventually(ctx, fmt.Sprintf("port %d answers", port), func() error {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// patience bounds every wait for something that heals. The longest is that for a model whose circuit is open: a minute.
const patience = 75 * time.Second

// eventually repeats check until it returns nil, ctx ends or patience is over.
func eventually(ctx context.Context, what string, check func() error) error {
	limit := time.Now().Add(patience)
	for {
		err := check()
		switch {
		case err == nil:
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("%s: not after %s: %w", what, patience, err)
		case !pause(ctx, 50*time.Millisecond):
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}

// pause waits, and reports false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
