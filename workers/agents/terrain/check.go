package terrain

import (
	"fmt"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// safe holds a text that people will see against the rules for a class.
func (r *rules) safe(field, text string) { r.details = append(r.details, quality.Safe(field, text)...) }

func checkOutline(req Request, o *Outline) []fault.Detail {
	var r rules
	if o.Title = lesson.Clean(o.Title); o.Title == "" {
		r.broken("answer.title", "is blank")
	}
	if o.Theme = lesson.Clean(o.Theme); o.Theme == "" {
		r.broken("answer.theme", "is blank")
	}
	r.safe("answer.title", o.Title)
	r.safe("answer.theme", o.Theme)
	placed := make([]bool, len(req.Features))
	for i := range o.Zones {
		z := &o.Zones[i]
		z.Name, z.Description = lesson.Clean(z.Name), lesson.Clean(z.Description)
		for j, n := range z.Features {
			if n < 1 || int(n) > len(placed) {
				r.broken(fmt.Sprintf("answer.zones[%d].features[%d]", i, j), "is %d, but %d features are requested", n, len(placed))
				continue
			}
			placed[n-1] = true
		}
	}
	for i, ok := range placed {
		if !ok {
			r.broken("answer.zones", "have no place for feature %d (%q)", i+1, req.Features[i])
		}
	}
	return r.details
}

// checkDraft carries out the operations once each of them is sound for itself.
func checkDraft(req Request, l terrain.Limits, o Outline, d *Draft) []fault.Detail {
	var r rules
	if n := len(d.Operations); n > l.MaxOperations {
		r.broken("answer.operations", "has %d operations, at most %d are allowed", n, l.MaxOperations)
	}
	for i := range d.Operations {
		o, at := &d.Operations[i], fmt.Sprintf("answer.operations[%d]", i)
		o.Label = lesson.Clean(o.Label)
		r.safe(at+".label", o.Label)
		r.checkOperation(at, l, *o)
	}
	r.checkProps(l, d.Props)
	d.PerformanceNotes = lesson.CleanAll(d.PerformanceNotes)
	for i, note := range d.PerformanceNotes {
		r.safe(fmt.Sprintf("answer.performance_notes[%d]", i), note)
	}
	if len(r.details) == 0 {
		r.checkPlace(l, assemble(req, l, o, *d))
	}
	return r.details
}

// maxScript is how many characters of Luau output.schema.json has room for.
const maxScript = 120_000

// checkPlace judges what the operations and props come to.
func (r *rules) checkPlace(l terrain.Limits, place Result) {
	if n := place.site.Voxels; n > l.VoxelBudget {
		most := ""
		if place.site.Stopped {
			most = "more than "
		}
		r.broken("answer.operations", "write %s%d voxels in all, at most %d are allowed", most, n, l.VoxelBudget)
		return
	}
	for _, f := range place.site.Standing(place.Props) {
		if f.Severe {
			r.broken(fmt.Sprintf("answer.props[%d].position", f.Index), "%s", f.Reason)
		}
	}
	if size, err := place.bytes(); err != nil || size > maxPlace || len([]rune(place.Luau)) > maxScript {
		r.broken("answer", "makes a result of %d bytes with a script of %d characters; at most %d and %d are allowed: use fewer or shorter texts and props",
			size, len([]rune(place.Luau)), maxPlace, maxScript)
	}
}

// checkOperation holds an operation against what its shape needs and against the bounds.
func (r *rules) checkOperation(at string, l terrain.Limits, o terrain.Operation) {
	before := len(r.details)
	sized := o.Op == terrain.FillBlock || o.Op == terrain.FillWedge || o.Op == terrain.ReplaceMaterial
	if sized && o.Size == nil {
		r.broken(at+".size", "is required for %s", o.Op)
	}
	if (o.Op == terrain.FillBall || o.Op == terrain.FillCylinder) && o.Radius <= 0 {
		r.broken(at+".radius", "is required for %s", o.Op)
	}
	if o.Op == terrain.FillCylinder && o.Height <= 0 {
		r.broken(at+".height", "is required for fill_cylinder")
	}
	if o.Op == terrain.ReplaceMaterial && o.SourceMaterial == "" {
		r.broken(at+".source_material", "is required for replace_material")
	}
	if len(r.details) == before {
		r.inside(at, l, o.Box())
	}
}

// inside allows for the rounding of a model's arithmetic.
const tolerance = 0.01

func (r *rules) inside(at string, l terrain.Limits, b terrain.Box) {
	for _, axis := range []struct {
		name                 string
		from, to, least, top float64
	}{
		{"x", b.Min.X, b.Max.X, -l.Size.X / 2, l.Size.X / 2},
		{"y", b.Min.Y, b.Max.Y, 0, l.Size.Y},
		{"z", b.Min.Z, b.Max.Z, -l.Size.Z / 2, l.Size.Z / 2},
	} {
		if axis.from < axis.least-tolerance || axis.to > axis.top+tolerance {
			r.broken(at, "reaches from %s %.1f to %.1f, outside the bounds %.0f to %.0f", axis.name, axis.from, axis.to, axis.least, axis.top)
		}
	}
}

func (r *rules) checkProps(l terrain.Limits, props []terrain.Prop) {
	if n := len(props); n > l.MaxProps {
		r.broken("answer.props", "has %d props, at most %d are allowed", n, l.MaxProps)
	}
	spawn := false
	for i := range props {
		p, at := &props[i], fmt.Sprintf("answer.props[%d]", i)
		if p.Name = lesson.Clean(p.Name); p.Name == "" {
			r.broken(at+".name", "is blank")
		}
		p.Text = lesson.Clean(p.Text)
		if p.Kind == "sign" && p.Text == "" {
			r.broken(at+".text", "is required for a sign")
		}
		spawn = spawn || p.Kind == "spawn"
		r.safe(at+".name", p.Name)
		r.safe(at+".text", p.Text)
		r.inside(at, l, p.Box())
	}
	if !spawn {
		r.broken("answer.props", "have no spawn: players need a place to appear")
	}
}
