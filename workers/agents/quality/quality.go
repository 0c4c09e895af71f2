// Package quality says what a result is worth, and whether a class may see it. A score is computed from named parts, never
// asserted by a model: see Parts. Read rates how hard a text is to read, Safe finds what no class is to see. What they find wrong goes back
// to the model word for word, so each detail says what to do.
package quality

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
)

// Part is one aspect of a result.
type Part struct {
	Name   string  // snake_case: "objective_coverage"
	Score  float64 // 0 to 1
	Weight float64 // relative to the other parts; without meaning for a Factor
	Factor bool    // the whole is multiplied by it: a form to fill in is worth little, however well it covers its subject
}

// Parts are the aspects of one result. As JSON they are one object, from name to score, in their order.
type Parts []Part

// Score returns the weighted mean of the parts times their factors, from 0 to 1 with two digits; 0 for no parts.
func (p Parts) Score() float64 {
	sum, weight, factor := 0.0, 0.0, 1.0
	for _, part := range p {
		if part.Factor {
			factor *= part.Score
			continue
		}
		sum += part.Score * part.Weight
		weight += part.Weight
	}
	if weight == 0 {
		return 0
	}
	return Round(sum / weight * factor)
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

// UnmarshalJSON implements json.Unmarshaler. Weights are not on the wire.
func (p *Parts) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	*p = Parts{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		part := Part{}
		part.Name, _ = name.(string)
		if err := d.Decode(&part.Score); err != nil {
			return err
		}
		*p = append(*p, part)
	}
	return nil
}

// Of returns the score of a part, and false when there is none of that name.
func (p Parts) Of(name string) (float64, bool) {
	for _, part := range p {
		if part.Name == name {
			return part.Score, true
		}
	}
	return 0, false
}

// toFillIn matches what is left for a teacher to write: words in square brackets that are no link.
var toFillIn = regexp.MustCompile(`\[[^\[\]\n]{4,}\]([^(]|$)`)

// Completeness returns the share of texts that leave nothing to fill in.
func Completeness(texts []string) float64 {
	whole := 0
	for _, text := range texts {
		if !toFillIn.MatchString(text) {
			whole++
		}
	}
	return Share(whole, len(texts))
}

// Share returns which part of want is there, from 0 to 1.
func Share(have, want int) float64 { return min(float64(have)/float64(max(want, 1)), 1) }

// Round keeps two digits.
func Round(f float64) float64 { return math.Round(f*100) / 100 }
