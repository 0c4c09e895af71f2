package nats_test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
	"github.com/toolboxai/orchestrator/nats"
)

// Tests that kill a broker run it in a process of its own: this test binary again, told so by its environment.
const (
	envBrokerDir  = "NATS_TEST_BROKER_DIR"
	envBrokerPort = "NATS_TEST_BROKER_PORT"
	envBrokerSync = "NATS_TEST_BROKER_SYNC" // not empty: every write is synced
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envBrokerDir); dir != "" {
		os.Exit(runBroker(dir, os.Getenv(envBrokerPort)))
	}
	goleak.VerifyTestMain(m, pgtest.LeakOptions()...)
}

// runBroker serves until it is killed, or until its parent is gone and standard input ends.
func runBroker(dir, port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		return 1
	}
	broker, err := nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir, Port: n, MonitorPort: -1, SyncAlways: os.Getenv(envBrokerSync) != ""})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(broker.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	broker.Shutdown()
	return 0
}
