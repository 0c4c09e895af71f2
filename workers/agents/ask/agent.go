package ask

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/task"
	"github.com/toolboxai/orchestrator/workers"
)

// Work does one task of a kind. Its author asks the model.
type Work[In, Out any] func(ctx context.Context, run *workers.Run, author *Author, in In) (Out, error)

// NewAgent returns the agent of a kind whose folder, files, holds input.schema.json, output.schema.json, example.json and
// the folder prompts of the given version. kind says the rest.
func NewAgent[In, Out any](client llm.Client, files fs.FS, version int, kind task.Kind, work Work[In, Out]) (workers.Agent, error) {
	author, err := NewAuthor(Config{Client: client, Kind: kind.Name, Version: version, Files: files})
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		into *[]byte
	}{
		{"input.schema.json", (*[]byte)(&kind.InputSchema)},
		{"output.schema.json", (*[]byte)(&kind.OutputSchema)},
		{"example.json", (*[]byte)(&kind.Example)},
	} {
		if *part.into, err = fs.ReadFile(files, part.name); err != nil {
			return nil, fmt.Errorf("kind %s: %w", kind.Name, err)
		}
	}
	return workers.New(kind, func(ctx context.Context, run *workers.Run, in In) (Out, error) {
		return work(ctx, run, author, in)
	}), nil
}
