package asset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// What a plan is worth as it stands.
const (
	Ready      = "ready"      // all that is known fits
	Incomplete = "incomplete" // something is not known or doubtful
	Blocked    = "blocked"    // Roblox would refuse it
)

// Result is a plan, as output.schema.json describes it.
type Result struct {
	AssetType string                     `json:"asset_type"`
	Action    string                     `json:"action"`
	AssetID   string                     `json:"asset_id,omitempty"`
	Verdict   string                     `json:"verdict"`
	Summary   string                     `json:"summary"`
	Metadata  *Metadata                  `json:"metadata,omitempty"` // absent for delete
	Call      *Call                      `json:"request,omitempty"`  // absent for analyze and for what is blocked
	Sent      bool                       `json:"sent"`               // always false: this kind plans
	Checks    []Check                    `json:"checks"`
	Risks     []Risk                     `json:"risks"`
	Steps     []string                   `json:"steps_for_people"`
	Other     map[string]json.RawMessage `json:"asset_data_other,omitempty"` // fields of asset_data that are not known, as they came
	Score     float64                    `json:"quality_score"`
	Parts     quality.Parts              `json:"quality"`
}

// Metadata is what would stand on Roblox. For an update, an empty text stays as it is there. The API has no tags: they are for Studio and search
// in the school's own library.
type Metadata struct {
	DisplayName string   `json:"display_name"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
}

// Call is a request to https://apis.roblox.com. The sender adds its key, the file, and the creator in the place of the placeholder.
type Call struct {
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	Query       map[string]string `json:"query,omitempty"`
	ContentType string            `json:"content_type"`
	Body        map[string]any    `json:"body,omitempty"` // of the form's part "request"
	File        *File             `json:"file,omitempty"`
}

// File is the part of the form that holds the content.
type File struct {
	Field       string `json:"field"`
	ContentType string `json:"content_type"`
}

// creatorPlaceholder stands where the sender writes {"userId": …} or {"groupId": …}.
const creatorPlaceholder = "{{creator}}"

func assemble(req Request, v Advice) Result {
	out := Result{
		AssetType: req.AssetType, Action: req.Action, AssetID: req.AssetID, Verdict: verdict(req.Checks), Summary: v.Summary,
		Checks: req.Checks, Risks: append(computedRisks(req), v.Risks...), Steps: append(fixedSteps(req), v.Steps...), Other: req.Other,
	}
	if req.Action != Delete {
		out.Metadata = &Metadata{v.DisplayName, v.Description, append(req.Tags, v.Tags...)}
		out.Metadata.Tags = cleanTags(out.Metadata.Tags)
	}
	if out.Verdict != Blocked {
		out.Call = call(req, out.Metadata)
	}
	out.Parts = parts(req, out)
	out.Score = out.Parts.Score()
	return out
}

func verdict(checks []Check) string {
	best := Ready
	for _, c := range checks {
		switch c.Status {
		case Fail:
			return Blocked
		case Warn, Unknown:
			best = Incomplete
		}
	}
	return best
}

// call is made of the request alone. The metadata's texts are the only thing in it that a model may have written.
func call(req Request, m *Metadata) *Call {
	switch req.Action {
	case Create:
		c := &Call{Method: "POST", Path: "/assets/v1/assets", ContentType: "multipart/form-data", Body: map[string]any{
			"assetType": req.AssetType, "displayName": m.DisplayName, "description": m.Description,
			"creationContext": map[string]any{"creator": creatorPlaceholder},
		}}
		c.attach(req)
		return c
	case Update:
		c := &Call{
			Method: "PATCH", Path: "/assets/v1/assets/" + req.AssetID, ContentType: "multipart/form-data",
			Body: map[string]any{"assetType": req.AssetType, "assetId": req.AssetID},
		}
		var fields []string
		for _, f := range [][2]string{{"displayName", m.DisplayName}, {"description", m.Description}} {
			if f[1] != "" {
				c.Body[f[0]] = f[1]
				fields = append(fields, f[0])
			}
		}
		if len(fields) > 0 {
			c.Query = map[string]string{"updateMask": strings.Join(fields, ",")}
		}
		c.attach(req)
		return c
	case Delete:
		return &Call{Method: "POST", Path: "/assets/v1/assets/" + req.AssetID + ":archive", ContentType: "application/json"}
	}
	return nil
}

// attach adds the file, where its format is known.
func (c *Call) attach(req Request) {
	if f, ok := req.class.format(req.Format); ok {
		c.File = &File{Field: "fileContent", ContentType: f.contentType}
	}
}

// computedRisks follow from the checks and the action.
func computedRisks(req Request) []Risk {
	out := []Risk{}
	for _, c := range req.Checks {
		switch c.Status {
		case Fail:
			out = append(out, Risk{"high", c.Detail, "Mend this first: the plan is blocked until then."})
		case Warn:
			out = append(out, Risk{"medium", c.Detail, "Look at this before anything is sent."})
		}
	}
	switch {
	case req.Action == Delete:
		out = append(out, Risk{"high", "Places that use the asset lose it at once.", "Search the places of the school for its id before it is archived."})
	case req.AssetType == "Audio" && req.Action != Update:
		out = append(out, Risk{"medium", "Sound that somebody else owns is removed, and the account may be warned.", "Upload only what the school made or has a licence for."})
	}
	return out
}

// fixedSteps are what people do in any case.
func fixedSteps(req Request) []string {
	switch req.Action {
	case Create:
		steps := []string{
			"Choose whose the asset is to be: a user's or a group's. The creator in the request is a placeholder until then.",
			"Send the request with a key of Open Cloud that may read and write assets, or upload the file in the Creator Hub under Creations, Development Items.",
			"Wait for moderation before the asset is used in a lesson.",
		}
		if req.class.note != "" {
			steps = append(steps, req.class.note)
		}
		return steps
	case Update:
		return []string{
			fmt.Sprintf("Open asset %s in the Creator Hub and compare what stands there with the plan.", req.AssetID),
			"Send the request with a key of Open Cloud that may read and write assets, or change the asset by hand.",
		}
	case Delete:
		return []string{
			fmt.Sprintf("Open asset %s in the Creator Hub and make sure that it is the one that is meant.", req.AssetID),
			"Search the places of the school for its id, and take it out where it is used.",
			fmt.Sprintf("Archive it there, or send the request. To take it back, send POST /assets/v1/assets/%s:restore.", req.AssetID),
		}
	}
	return []string{"Fill in what the checks do not know, and ask again."}
}

// parts scores the plan: how much of what is known fits, how much is known, and how well the asset is described.
func parts(req Request, out Result) quality.Parts {
	count := func(states ...string) int {
		n := 0
		for _, c := range req.Checks {
			if slices.Contains(states, c.Status) {
				n++
			}
		}
		return n
	}
	known := count(Pass, Fail, Warn)
	p := quality.Parts{
		{Name: "limits", Score: quality.Share(count(Pass), known), Weight: 4},
		{Name: "known_facts", Score: quality.Share(known, len(req.Checks)), Weight: 2},
		{Name: "advice", Score: quality.Share(len(out.Risks)+len(out.Steps), 5), Weight: 1},
	}
	if known == 0 {
		p[0].Score = 0
	}
	if m := out.Metadata; m != nil && req.Action != Update {
		described := quality.Share(utf8.RuneCountInString(m.Description), 80)
		p = append(p, quality.Part{Name: "metadata", Score: (described + quality.Share(len(m.Tags), 3)) / 2, Weight: 2})
	}
	return p
}
