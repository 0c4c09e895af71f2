package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/toolboxai/orchestrator/events"
	"github.com/toolboxai/orchestrator/internal/pusher/pushertest"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/nats"
)

// roles measures CPU per task and peak memory of each role as a process of its own: 10,000 tasks are submitted over HTTP
// while no worker runs, the dispatcher holds them, then one worker does them all with the offline composer, the recorder copies them, and the notifier tells
// of them to a local stand-in of Pusher.
func (b *bench) roles(ctx context.Context) error {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		fmt.Fprintln(os.Stderr, "no /proc on this system: the roles are not measured")
		return nil
	}
	dir, err := os.MkdirTemp("", "toolboxai-roles-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "toolboxai")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/toolboxai")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	url, drop, err := database(ctx)
	if err != nil {
		return err
	}
	defer drop()
	if err := b.purge(ctx); err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	p := program{binary: binary, env: []string{
		"PATH=" + os.Getenv("PATH"), "NATS_URL=" + b.broker.URL(), "DATABASE_URL=" + url, "SKIP_AUTH=true", "RATE_LIMITS=off", "HOST=127.0.0.1", "PORT=" + strconv.Itoa(port),
		"LLM_PROVIDER=offline", "LOG_LEVEL=warn", "TASK_QUEUE_LIMIT=100000",
	}}
	if err := p.command(ctx, "migrate").Run(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	base := "http://127.0.0.1:" + strconv.Itoa(port)
	n := b.n(10_000)

	api, err := p.start(ctx, "api")
	if err != nil {
		return err
	}
	defer api.stop()
	dispatcher, err := p.start(ctx, "dispatcher")
	if err != nil {
		return err
	}
	defer dispatcher.stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	if err := awaitHealthy(ctx, client, base); err != nil {
		return err
	}
	body := []byte(`{"kind":"quiz","input":` + string(input) + `}`)
	if _, err := rate(ctx, n, func(ctx context.Context) error { return post(ctx, client, base+"/api/v1/tasks", body) }); err != nil {
		return err
	}
	if err := b.report(api, "api", n); err != nil {
		return err
	}
	worker, err := p.start(ctx, "worker")
	if err != nil {
		return err
	}
	defer worker.stop()
	if err := b.awaitDone(ctx); err != nil {
		return err
	}
	if err := errors.Join(b.report(worker, "worker", n), b.report(dispatcher, "dispatcher", n)); err != nil {
		return err
	}
	recorder, err := p.start(ctx, "recorder")
	if err != nil {
		return err
	}
	defer recorder.stop()
	if err := awaitListed(ctx, client, base); err != nil {
		return err
	}
	if err := b.report(recorder, "recorder", n); err != nil {
		return err
	}
	return b.notifier(ctx, p, n)
}

// awaitDone returns when the dispatcher knows of nothing that waits or runs.
func (b *bench) awaitDone(ctx context.Context) error {
	dispatcher := nats.NewDispatcherClient(b.conn)
	return poll(ctx, func() bool {
		all, err := dispatcher.Backlog(ctx)
		return err == nil && !slices.ContainsFunc(all, func(k task.Backlog) bool { return k.Pending+k.Running+k.Later > 0 })
	})
}

// notifier measures the notifier over what is on the log.
func (b *bench) notifier(ctx context.Context, p program, tasks int) error {
	app := pushertest.App{ID: "1", Key: "key", Secret: "secret"}
	stand, err := pushertest.New(app)
	if err != nil {
		return err
	}
	defer stand.Close()
	p.env = append(slices.Clone(p.env), "PUSHER_APP_ID="+app.ID, "PUSHER_KEY="+app.Key, "PUSHER_SECRET="+app.Secret,
		"PUSHER_HOST="+stand.Host(), "PUSHER_PORT="+strconv.Itoa(stand.Port()), "PUSHER_SSL=false")
	notifier, err := p.start(ctx, "notifier")
	if err != nil {
		return err
	}
	defer notifier.stop()
	if err := poll(ctx, func() bool {
		c, err := b.js.Consumer(ctx, events.StreamEvents, nats.Notifier)
		return err == nil && c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending == 0
	}); err != nil {
		return err
	}
	if stand.Requests() == 0 {
		return errors.New("the notifier sent nothing")
	}
	return b.report(notifier, "notifier", tasks)
}

// report adds what a role has used by now.
func (b *bench) report(p *running, name string, tasks int) error {
	cpu, peak, err := usage(p.cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	aim := ""
	if name == "api" || name == "worker" {
		aim = "< 100"
	}
	b.add(name+": peak memory with "+strconv.Itoa(tasks)+" tasks", "MiB", aim, peak)
	b.add(name+": CPU per task", "µs", "", float64(cpu.Microseconds())/float64(tasks))
	return nil
}

// program is the binary and the environment that its roles run in.
type program struct {
	binary string
	env    []string
}

func (p program) command(ctx context.Context, role string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary, role)
	cmd.Env = p.env
	cmd.Stderr = os.Stderr
	return cmd
}

type running struct{ cmd *exec.Cmd }

func (p program) start(ctx context.Context, role string) (*running, error) {
	cmd := p.command(ctx, role)
	return &running{cmd}, cmd.Start()
}

func (r *running) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	_ = r.cmd.Wait()
}

// usage returns the CPU time of a process and the peak of its resident memory in MiB.
func usage(pid int) (time.Duration, float64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, 0, errors.New("/proc stat is not as proc(5) says")
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	status, err3 := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, 0, err
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(peak)[0])
	const hertz = 100 // USER_HZ, which proc(5) counts in
	return time.Duration(user+system) * time.Second / hertz, float64(kib) / 1024, err
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// awaitHealthy returns when the API is ready.
func awaitHealthy(ctx context.Context, client *http.Client, base string) error {
	return poll(ctx, func() bool { return getJSON(ctx, client, base+"/health/ready", nil) == nil })
}

// awaitListed returns when the archive has caught up and no task is unfinished.
func awaitListed(ctx context.Context, client *http.Client, base string) error {
	return poll(ctx, func() bool {
		var open, any struct {
			Data struct {
				Tasks []task.Task `json:"tasks"`
				Stale bool        `json:"stale"`
			} `json:"data"`
		}
		err := errors.Join(
			getJSON(ctx, client, base+"/api/v1/tasks?state=queued&state=running&state=retrying&limit=1", &open),
			getJSON(ctx, client, base+"/api/v1/tasks?limit=1", &any))
		return err == nil && len(open.Data.Tasks) == 0 && len(any.Data.Tasks) == 1 && !any.Data.Stale
	})
}

func poll(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func getJSON(ctx context.Context, client *http.Client, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}
