package composer

import (
	"cmp"
	"fmt"
	"strings"
)

type assetRequest struct {
	AssetType   string       `json:"asset_type"`
	Action      string       `json:"action"`
	AssetID     string       `json:"asset_id"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Purpose     string       `json:"purpose"`
	Subject     string       `json:"subject"`
	Grade       string       `json:"grade"`
	Tags        []string     `json:"tags"`
	Checks      []assetCheck `json:"checks"`
}

type assetCheck struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
}

type assetInput struct {
	Request assetRequest `json:"request"`
}

func (in assetInput) check() error { return nil }

type assetRisk struct {
	Level  string `json:"level"`
	About  string `json:"about"`
	Advice string `json:"advice"`
}

type assetAdvice struct {
	DisplayName string      `json:"display_name"`
	Description string      `json:"description"`
	Tags        []string    `json:"tags"`
	Summary     string      `json:"summary"`
	Risks       []assetRisk `json:"risks"`
	Steps       []string    `json:"steps"`
}

// assetPlan describes an asset with the words of the request, and says what the checks found.
func (c *Composer) assetPlan(in assetInput) assetAdvice {
	r := in.Request
	kind := strings.ToLower(cmp.Or(r.AssetType, "asset"))
	out := assetAdvice{Tags: []string{}, Summary: assetSummary(r, kind), Risks: assetRisks(kind), Steps: assetSteps(r)}
	if r.Action == "delete" {
		out.Risks = []assetRisk{{"medium", "Lessons that were prepared with the asset look different without it.", "Tell the teachers who use it before it is archived."}}
		return out
	}
	subject := r.repeatable("subject", r.Subject)
	out.DisplayName = clip(cmp.Or(r.about("name", "purpose", "description"), strings.TrimSpace(subject+" "+kind), kind), 50)
	out.Description = assetDescription(r, kind, subject)
	for _, tag := range []string{kind, strings.ToLower(subject), strings.ReplaceAll(r.Grade, " ", "-"), "classroom"} {
		if tag != "" {
			out.Tags = append(out.Tags, clip(tag, 40))
		}
	}
	return out
}

func assetDescription(r assetRequest, kind, subject string) string {
	var b strings.Builder
	what := r.about("description", "purpose", "name")
	if what == "" {
		fmt.Fprintf(&b, "A classroom %s. Say here what it shows and how a class uses it.", kind)
	} else {
		b.WriteString(upper(strings.TrimRight(clip(what, 800), ".")) + ".")
	}
	switch {
	case subject != "" && r.Grade != "":
		fmt.Fprintf(&b, " Made for %s lessons, %s.", subject, r.Grade)
	case subject != "":
		fmt.Fprintf(&b, " Made for %s lessons.", subject)
	case r.Grade != "":
		fmt.Fprintf(&b, " Made for %s.", r.Grade)
	}
	return b.String()
}

func assetSummary(r assetRequest, kind string) string {
	count := map[string]int{}
	for _, check := range r.Checks {
		count[check.Status]++
	}
	var b strings.Builder
	switch r.Action {
	case "create":
		if kind == "audio" {
			kind = "sound"
		}
		fmt.Fprintf(&b, "The plan is to upload a new %s.", kind)
	case "update":
		fmt.Fprintf(&b, "The plan is to change the %s %s.", kind, r.AssetID)
	case "delete":
		fmt.Fprintf(&b, "The plan is to archive the %s %s, which can be restored.", kind, r.AssetID)
	default:
		fmt.Fprintf(&b, "The %s was held against Roblox's limits.", kind)
	}
	switch {
	case count["fail"] > 0:
		fmt.Fprintf(&b, " It is blocked: %d of %s failed.", count["fail"], counted(len(r.Checks), "check"))
	case count["unknown"]+count["warn"] > 0:
		fmt.Fprintf(&b, " Nothing speaks against it so far, but %d of %d checks need a second look or facts that are missing.", count["unknown"]+count["warn"], len(r.Checks))
	case len(r.Checks) == 1:
		b.WriteString(" The one check passes.")
	default:
		fmt.Fprintf(&b, " All %d checks pass.", len(r.Checks))
	}
	return b.String()
}

func assetRisks(kind string) []assetRisk {
	out := []assetRisk{{"low", "Moderation looks at every asset, and may take a while.", "Plan the lesson so that it also works before the asset is there."}}
	switch kind {
	case "decal", "image", "video":
		out = append(out, assetRisk{"medium", "Pictures of pupils, and names on worksheets, are personal data.", "Use pictures on which nobody can be recognised."})
	case "model", "animation":
		out = append(out, assetRisk{"medium", "Models may hold scripts that nobody looked at.", "Search the model for scripts in Studio's Explorer, and take out what is not needed."})
	case "mesh":
		out = append(out, assetRisk{"low", "Fine meshes are slow on tablets.", "Look at the place on the weakest device of the class."})
	}
	return out
}

func assetSteps(r assetRequest) []string {
	steps := []string{}
	for _, check := range r.Checks {
		if check.Status == "unknown" && len(steps) < 4 {
			steps = append(steps, fmt.Sprintf("Look up the %s of the file, and compare it with the limit in the checks.", strings.ReplaceAll(check.Name, "_", " ")))
		}
	}
	if r.Action == "create" {
		steps = append(steps, "Put the asset into a test place in Studio, and look at it as a player before the class does.")
	}
	return steps
}

// repeatable returns a teacher's words where the checks found nothing in them that a public text must not hold.
func (r assetRequest) repeatable(field, text string) string {
	for _, check := range r.Checks {
		if check.Name == field+"_words" && check.Status == "pass" {
			return oneLine(text)
		}
	}
	return ""
}

// about returns the first of the texts that says what the asset is and may be repeated.
func (r assetRequest) about(fields ...string) string {
	for _, field := range fields {
		text := map[string]string{"name": r.Name, "description": r.Description, "purpose": r.Purpose}[field]
		if text = r.repeatable(field, text); text != "" {
			return text
		}
	}
	return ""
}
