// Command bench measures what the platform costs beside the bare parts that it is made of, in one run on one broker.
//
// Every figure is a ratio of two measurements taken in turn, several rounds each; the median of the rounds' ratios counts.
// Absolute rates are printed too, and say as much about the machine as about the program.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"text/tabwriter"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/toolboxai/orchestrator/nats"
)

// row is one line of the result.
type row struct {
	Name     string    `json:"name"`
	Unit     string    `json:"unit"`
	Ours     float64   `json:"ours"`     // median
	Baseline float64   `json:"baseline"` // median; 0 without one
	Ratio    float64   `json:"ratio"`    // median of the rounds' ratios; 0 without a baseline
	Ratios   []float64 `json:"ratios,omitempty"`
	Aim      string    `json:"aim"`
}

type bench struct {
	rounds int
	scale  float64
	js     jetstream.JetStream
	conn   *natsgo.Conn
	broker *nats.Embedded
	logger *slog.Logger
	rows   []row
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds := flag.Int("rounds", 3, "rounds of each measurement")
	scale := flag.Float64("scale", 1, "size of the workloads")
	asJSON := flag.Bool("json", false, "print JSON")
	only := flag.String("only", "", "one of submit, lives, http, latency, recorder, roles, durable, channels, luau")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the run to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if broker := os.Getenv(childEnv); broker != "" {
		return serveChannels(ctx, broker)
	}

	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	dir, err := os.MkdirTemp("", "toolboxai-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{rounds: *rounds, scale: *scale, logger: slog.New(slog.DiscardHandler)}
	b.broker, err = nats.StartEmbedded(nats.EmbeddedConfig{StoreDir: dir, MonitorPort: -1, Logger: b.logger})
	if err != nil {
		return err
	}
	defer b.broker.Shutdown()
	b.conn, b.js, err = nats.Connect(nats.ConnectConfig{URL: b.broker.URL(), Name: "bench", Logger: b.logger})
	if err != nil {
		return err
	}
	defer b.conn.Close()
	if _, err := nats.Provision(ctx, b.js, nats.Topology{Kinds: []string{"noop", "raw", "content", "quiz", "terrain", "script", "roblox_asset", "roblox_analytics"}}); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"submit", b.submit}, {"lives", b.lives}, {"http", b.http}, {"latency", b.latency}, {"recorder", b.recorder}, {"roles", b.roles}, {"durable", b.durable}, {"channels", b.channels}, {"luau", b.luau},
	} {
		if *only != "" && *only != part.name {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", part.name)
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.print(*asJSON)
}

func (b *bench) n(base int) int { return max(int(float64(base)*b.scale), 1) }

// compare runs ours and baseline in turn and adds the row. Both return a rate (or any figure where they can be divided).
func (b *bench) compare(ctx context.Context, name, unit, aim string, ours, baseline func(context.Context) (float64, error)) error {
	var o, l, ratios []float64
	for range b.rounds {
		base, err := baseline(ctx)
		if err != nil {
			return fmt.Errorf("%s, baseline: %w", name, err)
		}
		own, err := ours(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		o, l, ratios = append(o, own), append(l, base), append(ratios, own/base)
	}
	b.rows = append(b.rows, row{name, unit, median(o), median(l), median(ratios), ratios, aim})
	return nil
}

func (b *bench) add(name, unit, aim string, value float64) {
	b.rows = append(b.rows, row{Name: name, Unit: unit, Ours: value, Aim: aim})
}

func (b *bench) print(asJSON bool) error {
	if len(b.rows) == 0 {
		return errors.New("nothing was measured; see -help")
	}
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"cpus": runtime.NumCPU(), "go": runtime.Version(), "rounds": b.rounds, "rows": b.rows})
	}
	fmt.Printf("%d CPUs, %s, median of %d rounds\n\n", runtime.NumCPU(), runtime.Version(), b.rounds)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tOURS\tBASELINE\tUNIT\tRATIO\tAIM")
	for _, r := range b.rows {
		baseline, ratio := "", ""
		if r.Baseline != 0 {
			baseline, ratio = fmt.Sprintf("%.4g", r.Baseline), fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\t%s\t%s\n", r.Name, r.Ours, baseline, r.Unit, ratio, r.Aim)
	}
	return w.Flush()
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return s[len(s)/2]
}
