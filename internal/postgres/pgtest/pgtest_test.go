package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

// helperEnv makes the test binary start a cluster and wait to be killed.
const helperEnv = "TOOLBOXAI_TEST_PGTEST"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		cluster, err := pgtest.StartCluster(context.Background())
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(cluster.URL())
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // never comes
		_ = cluster.Stop(context.Background())
	}
	os.Exit(m.Run())
}

func ask(tb testing.TB, url, sql string) (string, error) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.Background())
	var out string
	err = conn.QueryRow(tb.Context(), sql).Scan(&out)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return out, err
}

func TestNew_GivesEachTestItsOwn(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			url := pgtest.New(t)
			if _, err := ask(t, url, fmt.Sprintf("INSERT INTO tasks (tenant, id, seq, kind, user_id, state, dead_letter, labels, created_at, doc) "+
				"VALUES ('t', '%d', 1, '', '', '', false, '{}', now(), '{}')", i)); err != nil {
				t.Error(err)
			}
			if got, err := ask(t, url, "SELECT string_agg(id, ' ') FROM tasks"); err != nil || got != fmt.Sprint(i) {
				t.Errorf("database %d holds %q (%v)", i, got, err)
			}
		})
	}
	wg.Wait()
	if _, err := ask(t, pgtest.Empty(t), "SELECT count(*)::text FROM tasks"); err == nil {
		t.Error("an empty database has a schema")
	}
}

func TestNew_DropsItsDatabase(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("uses one", func(t *testing.T) {
		url = pgtest.New(t)
		if _, err := ask(t, url, "SELECT 'up'"); err != nil {
			t.Error(err)
		}
	})
	if _, err := ask(t, url, "SELECT 'up'"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v, want that the database does not exist", err)
	}
}

// dirOf returns the directory of a cluster.
func dirOf(t *testing.T, url string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(cfg.Host)
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}

func TestCluster_IsGoneWithItsProcess(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), helperEnv+"=1")
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	url, _ := bufio.NewReader(stdout).ReadString('\n')
	url = strings.TrimSpace(url)
	if _, err := ask(t, url, "SELECT 'up'"); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	dir := dirOf(t, url)
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !gone(dir) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is left behind", dir)
		}
	}
	if _, err := ask(t, url, "SELECT 'up'"); err == nil {
		t.Error("the server still answers")
	}
}

func TestCluster_StopRemovesEverythingAndStartSweeps(t *testing.T) {
	t.Parallel()
	first, err := pgtest.StartCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := dirOf(t, first.URL())
	leftover := filepath.Join(filepath.Dir(dir), "toolboxai-pgtest-leftover")
	if err := os.MkdirAll(leftover, 0o755); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	for _, old := range []string{leftover, dir} {
		if err := os.Chtimes(old, long, long); err != nil {
			t.Fatal(err)
		}
	}
	second, err := pgtest.StartCluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !gone(leftover) {
		t.Error("a leftover was not swept")
	}
	if _, err := ask(t, first.URL(), "SELECT 'up'"); err != nil {
		t.Errorf("a cluster in use was swept: %v", err)
	}
	for _, c := range []*pgtest.Cluster{first, second} {
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if dir := dirOf(t, c.URL()); !gone(dir) {
			t.Errorf("%s is left behind", dir)
		}
	}
}
