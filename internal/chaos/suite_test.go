//go:build chaos && linux

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/chaos"
)

// suite is what all sites of one run share.
type suite struct {
	settings
	ctx      context.Context // ends when the suite has taken too long
	began    time.Time
	launcher *launcher
	binary   string // the product
	unfenced string // the worker of a negative control
	self     string

	mu      sync.Mutex
	figures []chaos.Figures
}

// newSuite builds what is to run. Its report is printed when all tests below t are over.
func newSuite(t *testing.T) *suite {
	t.Helper()
	set := readSettings(t)
	s := &suite{settings: set, began: time.Now(), binary: set.binary}
	t.Cleanup(func() { s.report(t) })
	s.launcher = newLauncher(t)
	var err error
	if s.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if s.binary == "" {
		s.binary = build(t, dir, "../../cmd/toolboxai")
	}
	s.unfenced = build(t, dir, "./unfencedtest")
	s.began = time.Now()
	limit := set.duration + set.duration/8 + patience // where the machine is slow, what heals takes its time
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("the suite took longer than %s", limit))
	t.Cleanup(cancel)
	s.say("suite", "seed %d, about %s; repeat with: make chaos ARGS=\"-seed %d -duration %s\"", s.seed, s.duration, s.seed, s.duration)
	return s
}

func build(t *testing.T, dir, source string) string {
	t.Helper()
	binary := filepath.Join(dir, filepath.Base(source))
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, out)
	}
	return binary
}

// random returns the dice of the given name: each has its own, so that what one rolls does not depend on when others do.
func (s *suite) random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // it cannot fail
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// say prints a line of progress.
func (s *suite) say(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("%7.1fs  %-18s %s\n", time.Since(s.began).Seconds(), who, fmt.Sprintf(format, args...))
}

func (s *suite) add(f chaos.Figures) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.figures = append(s.figures, f)
}

func (s *suite) report(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("\nseed %d, %s\n", s.seed, time.Since(s.began).Round(time.Second))
	if err := chaos.Print(os.Stdout, s.figures); err != nil {
		t.Error(err)
	}
	if s.json {
		if err := json.NewEncoder(os.Stdout).Encode(struct {
			Seed      uint64          `json:"seed"`
			Scenarios []chaos.Figures `json:"scenarios"`
		}{s.seed, s.figures}); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		fmt.Printf("failed; repeat with: make chaos ARGS=\"-seed %d -duration %s\"\n", s.seed, s.duration)
	}
}
