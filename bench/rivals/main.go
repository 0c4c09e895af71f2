package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
)

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "rivals:", err)
		os.Exit(1)
	}
}

func command() error {
	rounds := flag.Int("rounds", 3, "rounds; the median of each figure counts")
	tasks := flag.Int("tasks", 5000, "no-op tasks a round")
	dir := flag.String("dir", "", "where the servers keep their data, on a real disk (default: a new directory in /var/tmp)")
	asJSON := flag.Bool("json", false, "print JSON")
	only := flag.String("only", "", "contenders whose name holds this")
	broker := flag.String("broker", "", "internal: serve a broker with its data in this directory")
	sync := flag.Bool("sync", false, "internal: with -broker, sync every write")
	subject := flag.String("subject", "", "internal: measure this contender and print JSON")
	url := flag.String("url", "", "internal: its server's address")
	pid := flag.Int("pid", 0, "internal: its server's process id")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *broker != "" {
		return serveBroker(ctx, *broker, *sync)
	}
	if *subject != "" {
		c, err := contenderNamed(*subject)
		if err != nil {
			return err
		}
		f, err := run(ctx, c, *url, *pid, *tasks)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(f)
	}
	results, err := compare(ctx, *dir, *only, *rounds, *tasks)
	if err != nil {
		return err
	}
	return show(results, *rounds, *tasks, *asJSON)
}

// result is a contender's medians.
type result struct {
	Name    string `json:"name"`
	Durable string `json:"durable"`
	figures
}

// compare measures the contenders in turn, round after round.
func compare(ctx context.Context, dir, only string, rounds, tasks int) ([]result, error) {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("/var/tmp", "toolboxai-rivals-"); err != nil { // not os.TempDir, which is often kept in memory
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres does not run as root
		return nil, err
	}
	seen := map[string][]figures{}
	for round := range rounds {
		for _, c := range contenders() {
			if !strings.Contains(c.name, only) {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, c.name)
			f, err := measure(ctx, c, filepath.Join(dir, strconv.Itoa(round)+"-"+strings.Map(letters, c.name)), tasks)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			seen[c.name] = append(seen[c.name], f)
		}
	}
	var results []result
	for _, c := range contenders() {
		if len(seen[c.name]) > 0 {
			results = append(results, result{c.name, c.durable, medians(seen[c.name])})
		}
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("no contender's name holds %q", only)
	}
	return results, nil
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// measure runs one contender in a fresh process with a fresh server.
func measure(ctx context.Context, c contender, dir string, tasks int) (f figures, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return f, err
	}
	s, err := c.server(ctx, dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "-subject", c.name, "-url", s.url, "-pid", strconv.Itoa(s.pid), "-tasks", strconv.Itoa(tasks))
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return f, err
	}
	return f, json.Unmarshal(out.Bytes(), &f)
}

func medians(all []figures) figures {
	of := func(get func(figures) float64) float64 {
		var v []float64
		for _, f := range all {
			v = append(v, get(f))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return figures{
		of(func(f figures) float64 { return f.NoopPerSecond }), of(func(f figures) float64 { return f.WorkPerSecond }),
		of(func(f figures) float64 { return f.StartP50MS }), of(func(f figures) float64 { return f.StartP99MS }),
		of(func(f figures) float64 { return f.CPUMicros }), of(func(f figures) float64 { return f.ServerMicros }),
		of(func(f figures) float64 { return f.RSSMiB }), of(func(f figures) float64 { return f.ServerRSSMiB }),
	}
}

func show(results []result, rounds, tasks int, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"cpus": runtime.NumCPU(), "go": runtime.Version(), "rounds": rounds, "tasks": tasks, "results": results})
	}
	fmt.Printf("%d CPUs, %s, median of %d rounds, %d no-op tasks a round, %d at once\n\n", runtime.NumCPU(), runtime.Version(), rounds, tasks, concurrency)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tDURABLE\tNO-OP 1/s\t50 ms 1/s\tSTART p50 ms\tp99 ms\tCPU µs/task\tSERVER µs/task\tMiB\tSERVER MiB")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.0f\n", r.Name, r.Durable, r.NoopPerSecond, r.WorkPerSecond,
			r.StartP50MS, r.StartP99MS, r.CPUMicros, r.ServerMicros, r.RSSMiB, r.ServerRSSMiB)
	}
	return w.Flush()
}
