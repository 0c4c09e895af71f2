//go:build linux || darwin

package local_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/porttest"
	"github.com/toolboxai/orchestrator/internal/postgres/local"
)

// helperEnv makes the test binary run a server in the directory that it names, until it is killed.
const helperEnv = "TOOLBOXAI_TEST_LOCAL_POSTGRES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		os.Exit(serveUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

func serveUntilKilled(dir string) int {
	cfg := local.Config{Dir: dir, Throwaway: strings.HasSuffix(dir, "throwaway")}
	if strings.HasSuffix(dir, "forsaken") {
		cfg = local.Forsake(cfg)
	}
	_, err := local.Start(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // never comes
	return 0
}

// home returns a directory that every user can enter: as root, Postgres runs as another one.
func home(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pg-")
	if err == nil {
		tb.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

func start(tb testing.TB, cfg local.Config) *local.Server {
	tb.Helper()
	s, err := local.Start(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

func stop(tb testing.TB, s *local.Server) {
	tb.Helper()
	if err := s.Stop(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// ask runs sql and returns the first column of its first row, "" without one.
func ask(tb testing.TB, url, sql string) string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	var out string
	if err := conn.QueryRow(tb.Context(), sql).Scan(&out); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		tb.Fatal(err)
	}
	return out
}

// until waits for a condition.
func until(tb testing.TB, what string, condition func() bool) time.Duration {
	tb.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Since(began) > 30*time.Second {
			tb.Fatalf("not within 30 s: %s", what)
		}
		<-tick.C
	}
	return time.Since(began)
}

func postmaster(tb testing.TB, dir string) int {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(raw), "\n", 2)[0])
	if err != nil {
		tb.Fatal(err)
	}
	return pid
}

// ended reports whether a process is gone, or only waits for its parent to take note.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func TestStart_KeepsItsData(t *testing.T) {
	t.Parallel()
	cfg := local.Config{Dir: home(t)}
	s := start(t, cfg)
	ask(t, s.URL(), "CREATE TABLE kept AS SELECT 'here' AS it")
	if got := ask(t, s.URL(), "SELECT current_setting('fsync') || current_setting('listen_addresses')"); got != "on" {
		t.Errorf("fsync and addresses are %q, want on and none", got)
	}
	stop(t, s)
	stop(t, s)
	s = start(t, cfg)
	if got := ask(t, s.URL(), "SELECT it FROM kept"); got != "here" {
		t.Errorf("got %q", got)
	}
}

func TestStart_LetsOneProcessInADirectory(t *testing.T) {
	t.Parallel()
	cfg := local.Config{Dir: home(t), Throwaway: true}
	if local.InUse(cfg.Dir) {
		t.Error("an empty directory is in use")
	}
	s := start(t, cfg)
	if _, err := local.Start(t.Context(), cfg); !fault.Is(err, fault.Conflict) {
		t.Errorf("got %v, want Conflict", err)
	}
	if !local.InUse(cfg.Dir) {
		t.Error("the directory is not in use")
	}
	stop(t, s)
	if local.InUse(cfg.Dir) {
		t.Error("the directory is still in use")
	}
}

// killedParent starts a server below a process of its own, kills that process, and returns the server's number.
func killedParent(t *testing.T, dir string) (pid int) {
	t.Helper()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), helperEnv+"="+dir)
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
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the parent says %q", line)
	}
	pid = postmaster(t, dir)
	if ended(pid) {
		t.Fatal("the server does not run")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	return pid
}

func TestStart_LeavesNothingBehindAParentThatWasKilled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"durable", "throwaway"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(home(t), name)
			pid := killedParent(t, dir)
			s := start(t, local.Config{Dir: dir, Throwaway: name == "throwaway"}) // at once
			if !ended(pid) {
				t.Error("two servers run on the same data")
			}
			ask(t, s.URL(), "CREATE TABLE kept AS SELECT 'here' AS it")
			stop(t, s)
			pid = killedParent(t, dir)
			t.Logf("gone %v after its parent", until(t, "the server ends", func() bool { return ended(pid) }))
			s = start(t, local.Config{Dir: dir})
			if got := ask(t, s.URL(), "SELECT it FROM kept"); got != "here" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// The control of the test above: without the signal the server lives on, until the next start takes its place.
func TestStart_TakesOverFromAnOrphan(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(home(t), "forsaken")
	pid := killedParent(t, dir)
	url := "postgres://toolboxai@/toolboxai?host=" + filepath.Join(dir, "run")
	ask(t, url, "CREATE TABLE kept AS SELECT 'here' AS it")
	if ended(pid) {
		t.Fatal("the server ended by itself: the other test shows nothing")
	}
	s := start(t, local.Config{Dir: dir})
	if !ended(pid) {
		t.Error("two servers run on the same data")
	}
	if got := ask(t, s.URL(), "SELECT it FROM kept"); got != "here" {
		t.Errorf("got %q", got)
	}
}

// asServer runs a program as the user who owns the cluster.
func asServer(t *testing.T, dir string, name string, args ...string) *exec.Cmd {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: st.Uid, Gid: st.Gid}
	}
	return cmd
}

// rawPostgres runs the server without any of our care.
func rawPostgres(t *testing.T, dir string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	out, err := exec.Command("sh", "-c", `readlink -f "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "postgres")
	cmd := asServer(t, dir, program, "-D", filepath.Join(dir, "data"), "-c", "listen_addresses=", "-k", filepath.Join(dir, "run"))
	var said bytes.Buffer
	cmd.Stderr = &said
	return cmd, &said
}

// The pid file of a crashed server names a number that another process of the same user has by now.
func TestStart_IsNotStoppedByAStalePidFile(t *testing.T) {
	t.Parallel()
	cfg := local.Config{Dir: home(t), Throwaway: true}
	stop(t, start(t, cfg))
	other := asServer(t, cfg.Dir, "sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	pidFile := filepath.Join(cfg.Dir, "data", "postmaster.pid")
	stale := fmt.Sprintf("%d\n%s\n%d\n5432\n\n\n\nready\n", other.Process.Pid, filepath.Dir(pidFile), time.Now().Unix())
	write := func() {
		if err := os.WriteFile(pidFile, []byte(stale), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write()
	raw, said := rawPostgres(t, cfg.Dir) // the control: Postgres by itself gives up
	if err := raw.Run(); err == nil || !strings.Contains(said.String(), "already exists") {
		t.Fatalf("Postgres started over a pid file: %v %s", err, said)
	}
	write()
	s := start(t, cfg)
	if ask(t, s.URL(), "SELECT 'up'") != "up" || ended(other.Process.Pid) {
		t.Error("the server does not answer, or somebody else's process was ended")
	}
	stop(t, s)
	if err := os.WriteFile(pidFile, []byte("garbage"), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}

func TestStart_NeverTouchesDataThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, content, says string }{
		"another version":  {"PG_VERSION", "9\n", "made by Postgres 9"},
		"no version":       {"PG_VERSION", "nine\n", "no Postgres data directory"},
		"not a cluster":    {"diary.txt", "dear diary", "not empty"},
		"a later version":  {"PG_VERSION", "99\n", "install Postgres 99"},
		"a fetchable one?": {"PG_VERSION", "13\n", "another data directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := home(t)
			data := filepath.Join(dir, "data")
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			if os.Geteuid() == 0 {
				if err := os.Chown(data, 65534, 65534); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(data, c.file)
			if err := os.WriteFile(file, []byte(c.content), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := local.Start(t.Context(), local.Config{Dir: dir})
			if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), data) {
				t.Errorf("got %v, want Conflict about %q", err, c.says)
			}
			if kept, err := os.ReadFile(file); err != nil || string(kept) != c.content {
				t.Errorf("the data holds %q (%v)", kept, err)
			}
			if local.InUse(dir) {
				t.Error("the directory stays locked")
			}
		})
	}
}

func TestStart_MakesAnUnfinishedClusterAnew(t *testing.T) {
	t.Parallel()
	dir := home(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.unfinished", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, local.Config{Dir: dir, Throwaway: true})
	if _, err := os.Stat(filepath.Join(dir, "data.unfinished")); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func TestStart_WorksBelowALongPath(t *testing.T) {
	t.Parallel()
	cfg := local.Config{Dir: filepath.Join(home(t), strings.Repeat("long/", 30)), Throwaway: true}
	s := start(t, cfg)
	conn, err := pgx.ParseConfig(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if len(conn.Host) > 60 || ask(t, s.URL(), "SELECT 'up'") != "up" {
		t.Errorf("the socket is in %s", conn.Host)
	}
	stop(t, s)
	if _, err := os.Stat(conn.Host); !os.IsNotExist(err) {
		t.Errorf("the socket's directory is left behind: %v", err)
	}
}

func TestStart_ListensOnTCPWhenAsked(t *testing.T) {
	t.Parallel()
	port, dir := porttest.Free(t), home(t)
	s := start(t, local.Config{Dir: dir, Throwaway: true, Port: port})
	if ask(t, s.URL(), "SELECT 'up'") != "up" {
		t.Error("the socket does not answer")
	}
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	url := func(password string) string {
		return fmt.Sprintf("postgres://toolboxai:%s@127.0.0.1:%d/toolboxai?sslmode=disable", password, port)
	}
	if ask(t, url(strings.TrimSpace(string(password))), "SELECT 'up'") != "up" {
		t.Error("the port does not answer")
	}
	for _, wrong := range []string{"", "wrong"} {
		if conn, err := pgx.Connect(t.Context(), url(wrong)); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("password %q was taken", wrong)
		}
	}
}

func TestStop_DoesNotWaitForever(t *testing.T) {
	t.Parallel()
	s := start(t, local.Config{Dir: home(t), Throwaway: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-s.Done():
	default:
		t.Error("the server still runs")
	}
}

func TestDone_TellsOfAServerThatEndsByItself(t *testing.T) {
	t.Parallel()
	cfg := local.Config{Dir: home(t), Throwaway: true}
	s := start(t, cfg)
	if err := syscall.Kill(postmaster(t, cfg.Dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	stop(t, s)
	if s = start(t, cfg); ask(t, s.URL(), "SELECT 'up'") != "up" {
		t.Error("the server does not answer")
	}
}

func TestStart_RefusesABadConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []local.Config{{}, {Dir: "x", Port: -1}, {Dir: "x", Port: 65536}} {
		if _, err := local.Start(t.Context(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestStart_NamesTheDirectoryThatKeepsItsUserOut(t *testing.T) {
	t.Parallel()
	dir := home(t)
	shut := filepath.Join(dir, "shut")
	inside := filepath.Join(shut, "a", "b")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	const stranger = 54321
	if got := local.ClosedTo(stranger, stranger, inside); got != "" {
		t.Fatalf("%s is closed", got)
	}
	if err := os.Chmod(shut, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := local.ClosedTo(stranger, stranger, inside); got != shut {
		t.Errorf("got %q, want %q", got, shut)
	}
	if got := local.ClosedTo(uint32(os.Getuid()), stranger, inside); got != "" {
		t.Errorf("%s is closed to its owner", got)
	}
	if os.Geteuid() == 0 { // others run the server as themselves
		if _, err := local.Start(t.Context(), local.Config{Dir: inside}); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), shut) {
			t.Errorf("got %v, want Forbidden that names %s", err, shut)
		}
	}
}

// A start with data is what a developer waits for each time.
func BenchmarkStart_WithData(b *testing.B) {
	cfg := local.Config{Dir: home(b)}
	s := start(b, cfg)
	stop(b, s)
	for b.Loop() {
		s := start(b, cfg)
		b.StopTimer()
		stop(b, s)
		b.StartTimer()
	}
}
