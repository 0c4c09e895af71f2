package ask

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
)

// Work does one task of a kind. Its author asks the model, with the prompts of the version that the task began with.
type Work[In, Out any] func(ctx context.Context, run *workers.Run, author *Author, in In) (Out, error)

// NewAgent returns the agent of a kind whose folder, files, holds input.schema.json, output.schema.json, example.json, the
// evaluation set evals.json, see Case, and the folder prompts of the given version and of those before it. The files of a version that was released are neither changed nor
// removed while tasks may be under way that began with it: the agent works as each version that is there. kind says the rest.
func NewAgent[In, Out any](client llm.Client, files fs.FS, version int, kind task.Kind, work Work[In, Out]) (workers.Agent, error) {
	a := agent{authors: map[string]*Author{}}
	for v := version; v > 0; v-- {
		author, err := NewAuthor(Config{Client: client, Kind: kind.Name, Version: v, Files: files})
		if v < version && errors.Is(err, errNoPrompts) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.authors[author.version] = author
		a.versions = append(a.versions, author.version)
	}
	for _, part := range []struct {
		name string
		into *[]byte
	}{
		{"input.schema.json", (*[]byte)(&kind.InputSchema)},
		{"output.schema.json", (*[]byte)(&kind.OutputSchema)},
		{"example.json", (*[]byte)(&kind.Example)},
	} {
		var err error
		if *part.into, err = fs.ReadFile(files, part.name); err != nil {
			return nil, fmt.Errorf("kind %s: %w", kind.Name, err)
		}
	}
	var err error
	if a.evals, err = readEvals(files, kind); err != nil {
		return nil, fmt.Errorf("kind %s: %w", kind.Name, err)
	}
	a.Agent = workers.New(kind, func(ctx context.Context, run *workers.Run, in In) (Out, error) {
		author, ok := a.authors[run.Version()]
		if !ok {
			var none Out
			return none, fmt.Errorf("kind %s has no version %q", kind.Name, run.Version())
		}
		return work(ctx, run, author, in)
	})
	return a, nil
}

// agent is a workers.Versioned. Its versions are those that stand as prompt version in the provenance of a result.
type agent struct {
	workers.Agent
	versions []string
	authors  map[string]*Author
	evals    []Case
}

var (
	_ workers.Versioned = agent{}
	_ Evaluated         = agent{}
)

// Versions implements workers.Versioned.
func (a agent) Versions() []string { return a.versions }

// Evals implements Evaluated.
func (a agent) Evals() []Case { return a.evals }
