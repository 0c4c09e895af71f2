package ask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/toolboxai/orchestrator/internal/task"
)

// Case is one input of a kind's evaluation set.
type Case struct {
	Name     string          `json:"name"`                // unique in the set, lower case with dashes: "ten-objectives"
	About    string          `json:"about"`               // one sentence: what the case is there for
	Input    json.RawMessage `json:"input"`               // valid by the kind's input schema
	MinScore float64         `json:"min_score,omitempty"` // the least quality_score that passes, 0 to 1
}

// Evaluated is an agent whose kind has an evaluation set. Agents of NewAgent have.
type Evaluated interface {
	// Evals returns the cases of the set, in their order; there is at least one. The slice is shared: do not change it.
	Evals() []Case
}

const (
	maxCases    = 64
	maxEvals    = 1 << 20 // bytes of a set
	maxCaseText = 300     // bytes of Case.About
)

var caseName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// readEvals reads and checks evals.json, whose form is {"cases": […]}. Errors name the case.
func readEvals(files fs.FS, kind task.Kind) ([]Case, error) {
	data, err := fs.ReadFile(files, "evals.json")
	if err != nil {
		return nil, err
	}
	if len(data) > maxEvals {
		return nil, fmt.Errorf("evals.json has %d bytes, at most %d are allowed", len(data), maxEvals)
	}
	if err := task.CheckJSON("evals.json", data); err != nil {
		return nil, err
	}
	var set struct {
		Cases []Case `json:"cases"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&set); err != nil {
		return nil, fmt.Errorf("evals.json: %w", err)
	}
	if n := len(set.Cases); n == 0 || n > maxCases {
		return nil, fmt.Errorf("evals.json has %d cases, must have 1 to %d", n, maxCases)
	}
	catalog, err := task.NewCatalog([]task.Kind{kind})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, c := range set.Cases {
		err := c.check()
		if err == nil && seen[c.Name] {
			err = errors.New("the name is taken")
		}
		if err == nil {
			err = catalog.CheckInput(kind.Name, c.Input)
		}
		if err != nil {
			return nil, fmt.Errorf("evals.json: cases[%d] (%s): %w", i, c.Name, err)
		}
		seen[c.Name] = true
	}
	return set.Cases, nil
}

func (c Case) check() error {
	switch {
	case !caseName.MatchString(c.Name) || len(c.Name) > 40:
		return errors.New("name must be lower case words with dashes, at most 40 bytes")
	case c.About == "" || len(c.About) > maxCaseText:
		return fmt.Errorf("about must have 1 to %d bytes", maxCaseText)
	case c.MinScore < 0 || c.MinScore > 1:
		return errors.New("min_score must be 0 to 1")
	}
	return nil
}
