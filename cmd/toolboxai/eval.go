package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
	"github.com/toolboxai/orchestrator/workers/agents/eval"
)

type evalCommand struct {
	Kind          string        `arg:"" help:"The kind, by name or alias, or all."`
	Model         []string      `help:"Rate this model, or offline for the composer; repeatable, to compare. Default: the model that a worker takes from the environment." placeholder:"PROVIDER/NAME"`
	PromptVersion []int         `help:"Use this version of the kind's prompts; repeatable, to compare. Default: the current one." placeholder:"N"`
	Cases         []string      `help:"Only these cases; repeatable, or comma-separated." placeholder:"NAME"`
	Repeat        int           `help:"Run each case so often." default:"1"`
	Concurrency   int           `help:"Cases at once." default:"4"`
	CaseTimeout   time.Duration `help:"End a case after this time, retries included." default:"10m"`
	MaxUSD        float64       `name:"max-usd" help:"Ask nothing more once so many dollars are spent, over everything that is compared. Needs models whose price is known." placeholder:"USD"`
	MinScore      float64       `help:"Exit with 1 when the mean score of a kind is less, 0 to 1." placeholder:"SCORE"`
	MinPassed     float64       `help:"Exit with 1 when a smaller share of a kind's cases passed, 0 to 1." default:"1"`
	JSON          bool          `help:"Print JSON."`
}

// evaluation is what the command prints as JSON.
type evaluation struct {
	Reports     []eval.Report     `json:"reports"`
	Comparisons []eval.Comparison `json:"comparisons,omitempty"` // of each later report on a kind with the first one
}

// Help is printed below the flags' summary.
func (evalCommand) Help() string {
	return `Runs each case of a kind's evaluation set as a worker would, without caches, and prints for each whether the first answers fitted the schemas and the rules,
the score, tokens, cost and time. It needs no platform, only a model: with no key set that is the offline composer.

Exit codes: 0 when everything passed, 1 when a case failed or a kind is below --min-score or --min-passed, 2 for wrong flags.`
}

func (c *evalCommand) Run(ctx context.Context) error {
	cfg, err := loadConfig(os.Environ())
	if err != nil {
		return &usageError{err}
	}
	chosen, err := c.kinds()
	if err != nil {
		return &usageError{err}
	}
	if c.MinScore < 0 || c.MinScore > 1 || c.MinPassed < 0 || c.MinPassed > 1 || c.MaxUSD < 0 {
		return &usageError{fmt.Errorf("--min-score and --min-passed must be 0 to 1, --max-usd not less than 0")}
	}
	models, err := c.models(ctx, cfg)
	if err != nil {
		return &usageError{err}
	}
	versions := c.PromptVersion
	if len(versions) == 0 {
		versions = []int{0}
	}
	if err := c.check(chosen, models, versions); err != nil {
		return err
	}
	var done evaluation
	purse := eval.NewPurse(c.MaxUSD)
	for _, kind := range chosen {
		var first *eval.Report
		for _, client := range models {
			for _, version := range versions {
				report, err := eval.Run(ctx, c.of(kind, client, version, purse))
				if fault.Is(err, fault.Invalid) {
					return &usageError{err}
				}
				if err != nil {
					return err
				}
				done.Reports = append(done.Reports, report)
				if first == nil {
					first = &report
					continue
				}
				done.Comparisons = append(done.Comparisons, eval.Compare(*first, report))
			}
		}
	}
	if err := purse.Check(); err != nil {
		fmt.Fprintln(os.Stderr, "toolboxai: stopped early:", err)
	}
	if err := c.print(os.Stdout, done, len(chosen)); err != nil {
		return err
	}
	return c.judge(done.Reports)
}

// check refuses what could not be run to its end before a model is asked and paid.
func (c *evalCommand) check(kinds []string, models []llm.Client, versions []int) error {
	for _, kind := range kinds {
		for _, version := range versions {
			if err := eval.Check(c.of(kind, models[0], version, eval.NewPurse(0))); fault.Is(err, fault.Invalid) {
				return &usageError{err}
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// everyAgent returns the agents of all kinds, internal ones too. A chat of theirs can start nothing.
func everyAgent(client llm.Client) ([]workers.Agent, error) { return allAgents(client, nil) }

func (c *evalCommand) of(kind string, client llm.Client, version int, purse *eval.Purse) eval.Config {
	return eval.Config{
		Open: everyAgent, Kind: kind, Client: client, Version: version, Cases: c.Cases, Repeat: c.Repeat, Concurrency: c.Concurrency,
		Timeout: c.CaseTimeout, Purse: purse, Done: func(o eval.Outcome) { fmt.Fprintf(os.Stderr, "%s/%s\n", kind, o.Line()) },
	}
}

// kinds returns the names of the kinds to evaluate.
func (c *evalCommand) kinds() ([]string, error) {
	all, err := kinds()
	if err != nil {
		return nil, err
	}
	if c.Kind == "all" {
		return names(all), nil
	}
	catalog, err := task.NewCatalog(all)
	if err != nil {
		return nil, err
	}
	kind, err := catalog.Resolve(c.Kind)
	if inner, no := catalog.Internal(c.Kind); no == nil {
		kind, err = inner, nil
	}
	return []string{kind.Name}, err
}

func (c *evalCommand) print(out io.Writer, done evaluation, kinds int) error {
	if c.JSON {
		return printJSON(done)
	}
	for _, r := range done.Reports {
		if err := r.WriteTable(out); err != nil {
			return err
		}
	}
	for _, p := range done.Comparisons {
		if err := p.WriteTable(out); err != nil {
			return err
		}
	}
	if kinds > 1 {
		return eval.WriteSummary(out, done.Reports)
	}
	return nil
}

// judge says which reports are not good enough.
func (c *evalCommand) judge(reports []eval.Report) error {
	bad := slices.DeleteFunc(slices.Clone(reports), func(r eval.Report) bool {
		unscored := r.Total.Score == nil && r.Total.Completed > 0 // chats
		return r.Total.PassedShare() >= c.MinPassed && (c.MinScore == 0 || unscored || r.Total.Score != nil && *r.Total.Score >= c.MinScore)
	})
	for _, r := range bad {
		fmt.Fprintf(os.Stderr, "toolboxai: %s is below what is wanted: %s\n", r.Kind, r.Verdict())
	}
	if len(bad) > 0 {
		return errNotCompleted
	}
	return nil
}
