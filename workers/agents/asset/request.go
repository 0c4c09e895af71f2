package asset

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

// The actions.
const (
	Create  = "create"
	Update  = "update"
	Delete  = "delete" // archives: Open Cloud has nothing more final
	Analyze = "analyze"
)

// maxOther bounds what of a submission's further fields is kept, in bytes.
const maxOther = 8 << 10

// Input is a submission, as input.schema.json describes it.
type Input struct {
	AssetType string `json:"asset_type"`
	Action    string `json:"action"`
	Data      Data   `json:"asset_data"`
}

// Data is what is known about an asset. Fields that it does not name are in Other.
type Data struct {
	AssetID     json.RawMessage `json:"asset_id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Purpose     string          `json:"purpose"`
	Subject     string          `json:"subject"`
	GradeLevel  json.RawMessage `json:"grade_level"`
	Audience    string          `json:"audience"`
	Tags        []string        `json:"tags"`
	Format      string          `json:"format"`
	SizeBytes   float64         `json:"size_bytes"`
	Dimensions  Dimensions      `json:"dimensions"`
	Seconds     float64         `json:"duration_seconds"`
	Triangles   float64         `json:"triangles"`

	Other map[string]json.RawMessage `json:"-"`
}

// Dimensions are those of a picture or film, in pixels.
type Dimensions struct {
	Width  lesson.Int `json:"width"`
	Height lesson.Int `json:"height"`
}

// UnmarshalJSON reads the fields that are known, and keeps the rest in Other.
func (d *Data) UnmarshalJSON(raw []byte) error {
	type plain Data
	if err := json.Unmarshal(raw, (*plain)(d)); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &d.Other); err != nil {
		return err
	}
	for _, known := range []string{
		"asset_id", "name", "description", "purpose", "subject", "grade_level", "audience", "tags", "format", "size_bytes", "dimensions",
		"duration_seconds", "triangles",
	} {
		delete(d.Other, known)
	}
	return nil
}

// Request is an Input that is cleaned and complete: what the prompt and the composer get.
type Request struct {
	AssetType   string                     `json:"asset_type"` // as the Assets API spells it
	Action      string                     `json:"action"`
	AssetID     string                     `json:"asset_id,omitempty"`
	Name        string                     `json:"name,omitempty"`
	Description string                     `json:"description,omitempty"`
	Purpose     string                     `json:"purpose,omitempty"`
	Subject     string                     `json:"subject,omitempty"`
	Grade       string                     `json:"grade,omitempty"`
	Audience    string                     `json:"audience,omitempty"`
	Tags        []string                   `json:"tags"`
	Format      string                     `json:"format,omitempty"`
	SizeBytes   int64                      `json:"size_bytes,omitempty"`
	Width       int                        `json:"width,omitempty"`
	Height      int                        `json:"height,omitempty"`
	Seconds     float64                    `json:"duration_seconds,omitempty"`
	Triangles   int64                      `json:"triangles,omitempty"`
	Other       map[string]json.RawMessage `json:"other,omitempty"`
	Checks      []Check                    `json:"checks"`

	class class
}

// assetID is what Roblox numbers its assets with: 64 bits, none of them negative.
var assetID = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// request cleans the input. Errors: Invalid for a type that is unknown, an update or delete without a good asset_id, an update of nothing and
// a creation about which nothing is said.
func (in Input) request() (Request, error) {
	c, ok := classOf(in.AssetType)
	if !ok {
		return Request{}, fault.InvalidField("input.asset_type", "%q is unknown", in.AssetType)
	}
	d := in.Data
	req := Request{
		AssetType: c.name, Action: cmp.Or(in.Action, Analyze), Name: lesson.Clean(d.Name), Description: strings.TrimSpace(d.Description),
		Purpose: lesson.Clean(d.Purpose), Subject: lesson.Clean(d.Subject), Audience: lesson.Clean(d.Audience), Tags: cleanTags(d.Tags),
		Format: lesson.Clean(d.Format), SizeBytes: whole(d.SizeBytes), Width: int(d.Dimensions.Width), Height: int(d.Dimensions.Height),
		Seconds: d.Seconds, Triangles: whole(d.Triangles), Other: d.Other, class: c,
	}
	if len(d.GradeLevel) > 0 && string(d.GradeLevel) != "null" {
		grade, err := lesson.ParseGrade(d.GradeLevel)
		if err != nil {
			return Request{}, fault.InvalidField("input.asset_data.grade_level", "%v", err)
		}
		req.Grade = grade.String()
	}
	if err := req.readID(d.AssetID); err != nil {
		return Request{}, err
	}
	if err := req.saysEnough(); err != nil {
		return Request{}, err
	}
	if size := otherSize(d.Other); size > maxOther {
		return Request{}, fault.InvalidField("input.asset_data", "has %d bytes in fields that are not known, at most %d are kept", size, maxOther)
	}
	req.Checks = req.checks()
	return req, nil
}

// readID reads the id of the asset: a number, or its digits as text.
func (r *Request) readID(raw json.RawMessage) error {
	const field = "input.asset_data.asset_id"
	id := string(bytes.Trim(raw, `"`))
	switch {
	case id == "" || id == "null":
		if r.Action == Update || r.Action == Delete {
			return fault.InvalidField(field, "is missing: %s needs the id of the asset", r.Action)
		}
		return nil
	case !assetID.MatchString(id):
		return fault.InvalidField(field, "is no id of an asset: it must be a whole number above 0, with at most 19 digits")
	case r.Action == Create:
		return fault.InvalidField(field, "is given, but create makes a new asset: leave it out, or ask for update")
	}
	r.AssetID = id
	return nil
}

func (r *Request) saysEnough() error {
	switch r.Action {
	case Create:
		if r.Name+r.Description+r.Purpose+r.Subject == "" {
			return fault.InvalidField("input.asset_data.name", "is missing: say what the asset is, by a name, description, purpose or subject")
		}
	case Update:
		if r.Name+r.Description+r.Format == "" {
			return fault.InvalidField("input.asset_data", "says nothing to change: give a name, a description, or the format of a new file")
		}
	}
	return nil
}

// cleanTags makes tags of words: lower case, no doubles.
func cleanTags(tags []string) []string {
	out, seen := []string{}, map[string]bool{}
	for _, tag := range lesson.CleanAll(tags) {
		tag = strings.ToLower(strings.TrimLeft(tag, "# "))
		if tag != "" && !seen[tag] {
			seen[tag] = true
			out = append(out, tag)
		}
	}
	return out
}

func otherSize(other map[string]json.RawMessage) int {
	n := 0
	for name, value := range other {
		n += len(name) + len(value)
	}
	return n
}

// whole turns a number that the schema has checked into an integer.
func whole(f float64) int64 { return int64(math.Min(math.Max(f, 0), 1e15)) }

// megabytes shows a size to people.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
