package llm

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// priceFile lists what providers charged on the day it names. It is for orientation, not for billing.
//
//go:embed prices.json
var priceFile []byte

type priceTable struct {
	AsOf   string  `json:"as_of"`
	Unit   string  `json:"unit"`
	Models []price `json:"models"`
	// Embeddings are charged for what they read only.
	Embeddings []struct {
		Provider string  `json:"provider"`
		Model    string  `json:"model"`
		Input    float64 `json:"input"`
	} `json:"embeddings"`

	dated *regexp.Regexp // the end of the name of a model's dated version
}

// price is in US dollars per million tokens.
type price struct {
	Provider    string   `json:"provider"`
	Model       string   `json:"model"`
	Input       float64  `json:"input"`
	CachedInput *float64 `json:"cached_input"` // nil: not known, charged as Input here
	Output      float64  `json:"output"`
	UpTo        int      `json:"up_to"` // prompts beyond it cost more, and their price is not known here
}

func loadPrices() (*priceTable, error) {
	var t priceTable
	d := json.NewDecoder(bytes.NewReader(priceFile))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("read the price table: %w", err)
	}
	if _, err := time.Parse(time.DateOnly, t.AsOf); err != nil {
		return nil, fmt.Errorf("read the price table: as_of: %w", err)
	}
	t.dated = regexp.MustCompile(`-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$`)
	return &t, nil
}

// cost returns what n tokens cost, and whether the price is known. A dated version of a listed model costs the same.
func (t *priceTable) cost(provider, model string, n tokens) (usd float64, known bool) {
	base := t.dated.ReplaceAllString(model, "")
	for _, p := range t.Models {
		if p.Provider != provider || p.Model != model && p.Model != base || n.input > p.UpTo {
			continue
		}
		cached := p.Input
		if p.CachedInput != nil {
			cached = *p.CachedInput
		}
		fresh := float64(n.input - min(n.cached, n.input))
		return (fresh*p.Input + float64(min(n.cached, n.input))*cached + float64(n.output)*p.Output) / 1e6, true
	}
	return 0, false
}

// embedCost returns what embedding n tokens costs, and whether the price is known.
func (t *priceTable) embedCost(provider, model string, n int) (usd float64, known bool) {
	for _, p := range t.Embeddings {
		if p.Provider == provider && p.Model == model {
			return float64(n) * p.Input / 1e6, true
		}
	}
	return 0, false
}
