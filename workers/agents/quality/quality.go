// Package quality says what a result is worth, and whether a class may see it. A score is computed from named parts, never
// asserted by a model.
package quality

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Part is one aspect of a result.
type Part struct {
	Name   string  // snake_case: "objective_coverage"
	Score  float64 // 0 to 1
	Weight float64 // relative to the other parts
}

// Parts are the aspects of one result. As JSON they are one object, from name to score, in their order.
type Parts []Part

// Score returns the weighted mean of the parts, from 0 to 1 with two digits; 0 for no parts.
func (p Parts) Score() float64 {
	sum, weight := 0.0, 0.0
	for _, part := range p {
		sum += part.Score * part.Weight
		weight += part.Weight
	}
	if weight == 0 {
		return 0
	}
	return Round(sum / weight)
}

// MarshalJSON implements json.Marshaler.
func (p Parts) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, part := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(part.Name)
		if err != nil {
			return nil, err
		}
		score, err := json.Marshal(Round(part.Score))
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(score)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Share returns which part of want is there, from 0 to 1.
func Share(have, want int) float64 { return min(float64(have)/float64(max(want, 1)), 1) }

// Round keeps two digits.
func Round(f float64) float64 { return math.Round(f*100) / 100 }

// Safe returns what in a text that a model wrote must not come before a class, as details of the given field.
func Safe(field, text string) []fault.Detail {
	return nil
}
