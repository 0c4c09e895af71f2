// Package eval runs the evaluation set of a kind against a model, and says how good what came of it is, what it cost and how long it took.
//
// Each case is a whole run of the kind's agent, as workers run it, with the same checks, repair and retries, and without caches. Of its answers it
// is on record whether the first one of each step fitted the step's schema and its rules. The score is the result's own quality_score,
// which agents compute. Compare puts two runs of a set side by side: of two models, or of two versions of the prompts.
package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/ask"
)

// Bounds of one Run.
const (
	MaxRepeat      = 100
	MaxConcurrency = 64
)

// Config says what to run. Zero fields take the defaults.
type Config struct {
	Open        func(llm.Client) ([]workers.Agent, error) // required: agents.All
	Kind        string                                    // required: a kind's name
	Client      llm.Client                                // required: the model
	Version     int                                       // of the kind's prompts; the current one
	Cases       []string                                  // names of cases; all
	Repeat      int                                       // how often each case is run; once
	Concurrency int                                       // cases at once; 4
	Timeout     time.Duration                             // of one case, retries included; 10 min
	Purse       *Purse                                    // what may be spent, shared by several runs; no limit
	Done        func(Outcome)                             // called when a case has ended, from one goroutine at a time; nobody
}

// Run runs the set and returns how it went, case by case in the set's order.
//
// Errors: Invalid for a kind, case or version that there is not, and for numbers out of bounds; the cause of ctx's end, with what was done until
// then. A case that fails is no error.
func Run(ctx context.Context, cfg Config) (Report, error) {
	r, err := newRun(&cfg)
	if err != nil {
		return Report{}, err
	}
	outcomes := make([]Outcome, 0, len(r.cases)*cfg.Repeat)
	for _, c := range r.cases {
		for round := range cfg.Repeat {
			outcomes = append(outcomes, Outcome{Case: c.Name, Round: round + 1, State: Skipped})
		}
	}
	var group sync.WaitGroup
	var telling sync.Mutex
	next := make(chan int)
	for range min(cfg.Concurrency, len(outcomes)) {
		group.Go(func() {
			for i := range next {
				if ctx.Err() != nil || cfg.Purse.Check() != nil {
					continue
				}
				outcomes[i] = r.play(ctx, r.cases[i/cfg.Repeat], outcomes[i])
				telling.Lock()
				cfg.Done(outcomes[i])
				telling.Unlock()
			}
		})
	}
	for i := range outcomes {
		next <- i
	}
	close(next)
	group.Wait()
	return r.report(outcomes), context.Cause(ctx)
}

// Check returns the error that Run would begin with: a fault of kind Invalid for a kind, version or case that there is not. It asks no model.
func Check(cfg Config) error {
	_, err := newRun(&cfg)
	return err
}

// run is one Run of a set.
type run struct {
	cfg     *Config
	agent   workers.Agent
	watch   *watch
	version string
	cases   []ask.Case
}

func newRun(cfg *Config) (*run, error) {
	if cfg.Open == nil || cfg.Client == nil {
		return nil, errors.New("eval: Open and Client are required")
	}
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, watch: newWatch(cfg.Client, cfg.Purse)}
	all, err := cfg.Open(r.watch)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(a workers.Agent) bool { return a.Kind().Name == cfg.Kind })
	if i < 0 {
		return nil, fault.New(fault.Invalid, "there is no kind %q", cfg.Kind)
	}
	r.agent = all[i]
	if err := r.pin(cfg.Version); err != nil {
		return nil, err
	}
	return r, r.choose(cfg.Cases)
}

func (c *Config) fill() error {
	if c.Repeat == 0 {
		c.Repeat = 1
	}
	if c.Concurrency == 0 {
		c.Concurrency = 4
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.Purse == nil {
		c.Purse = NewPurse(0)
	}
	if c.Done == nil {
		c.Done = func(Outcome) {}
	}
	switch {
	case c.Repeat < 1 || c.Repeat > MaxRepeat:
		return fault.InvalidField("repeat", "is %d, must be 1 to %d", c.Repeat, MaxRepeat)
	case c.Concurrency < 1 || c.Concurrency > MaxConcurrency:
		return fault.InvalidField("concurrency", "is %d, must be 1 to %d", c.Concurrency, MaxConcurrency)
	case c.Timeout < 0:
		return fault.InvalidField("timeout", "is negative")
	}
	return nil
}

// pinned is an agent that works as one of its versions.
type pinned struct {
	workers.Agent
	version string
}

func (p pinned) Versions() []string { return []string{p.version} }

func (r *run) pin(version int) error {
	v, ok := r.agent.(workers.Versioned)
	if !ok {
		return fault.New(fault.Invalid, "kind %s has no versions of prompts", r.cfg.Kind)
	}
	if r.version = v.Versions()[0]; version != 0 {
		r.version = fmt.Sprintf("%s/%d", r.cfg.Kind, version)
	}
	if !slices.Contains(v.Versions(), r.version) {
		return fault.New(fault.Invalid, "there is no %s, there are %s", r.version, strings.Join(v.Versions(), ", "))
	}
	r.agent = pinned{r.agent, r.version}
	return nil
}

// choose takes the named cases, all when none is named.
func (r *run) choose(names []string) error {
	set, ok := r.agent.(pinned).Agent.(ask.Evaluated)
	if !ok {
		return fault.New(fault.Invalid, "kind %s has no evaluation set", r.cfg.Kind)
	}
	r.cases = set.Evals()
	if len(names) == 0 {
		return nil
	}
	chosen := slices.DeleteFunc(slices.Clone(r.cases), func(c ask.Case) bool { return !slices.Contains(names, c.Name) })
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(c ask.Case) bool { return c.Name == name }) {
			return fault.New(fault.Invalid, "kind %s has no case %q, it has %s", r.cfg.Kind, name, strings.Join(namesOf(r.cases), ", "))
		}
	}
	r.cases = chosen
	return nil
}

func namesOf(cases []ask.Case) []string {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.Name
	}
	return names
}
