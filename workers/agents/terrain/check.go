package terrain

import (
	"fmt"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/workers/agents/lesson"
)

type rules struct{ details []fault.Detail }

func (r *rules) broken(field, format string, args ...any) {
	r.details = append(r.details, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
}

func checkOutline(req Request, o *Outline) []fault.Detail {
	var r rules
	if o.Title = lesson.Clean(o.Title); o.Title == "" {
		r.broken("answer.title", "is blank")
	}
	if o.Theme = lesson.Clean(o.Theme); o.Theme == "" {
		r.broken("answer.theme", "is blank")
	}
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

func checkDraft(l Limits, d *Draft) []fault.Detail {
	var r rules
	if n := len(d.Operations); n > l.MaxOperations {
		r.broken("answer.operations", "has %d operations, at most %d are allowed", n, l.MaxOperations)
	}
	voxels := 0.0
	for i := range d.Operations {
		o := &d.Operations[i]
		o.Label = lesson.Clean(o.Label)
		if r.checkOperation(fmt.Sprintf("answer.operations[%d]", i), l, *o) {
			voxels += o.voxels()
		}
	}
	if voxels > float64(l.VoxelBudget) {
		r.broken("answer.operations", "write about %.0f voxels in all, at most %d are allowed", voxels, l.VoxelBudget)
	}
	r.checkProps(l, d.Props)
	d.PerformanceNotes = lesson.CleanAll(d.PerformanceNotes)
	return r.details
}

// checkOperation reports whether the operation has all that its shape needs.
func (r *rules) checkOperation(at string, l Limits, o Operation) bool {
	before := len(r.details)
	sized := o.Op == FillBlock || o.Op == FillWedge || o.Op == ReplaceMaterial
	if sized && o.Size == nil {
		r.broken(at+".size", "is required for %s", o.Op)
	}
	if (o.Op == FillBall || o.Op == FillCylinder) && o.Radius <= 0 {
		r.broken(at+".radius", "is required for %s", o.Op)
	}
	if o.Op == FillCylinder && o.Height <= 0 {
		r.broken(at+".height", "is required for fill_cylinder")
	}
	if o.Op == ReplaceMaterial && o.SourceMaterial == "" {
		r.broken(at+".source_material", "is required for replace_material")
	}
	if len(r.details) > before {
		return false
	}
	r.inside(at, l, around(o.Position, o.extent()))
	return true
}

// inside allows for the rounding of a model's arithmetic.
const tolerance = 0.01

func (r *rules) inside(at string, l Limits, b box) {
	for _, axis := range []struct {
		name                 string
		from, to, least, top float64
	}{
		{"x", b.min.X, b.max.X, -l.Size.X / 2, l.Size.X / 2},
		{"y", b.min.Y, b.max.Y, 0, l.Size.Y},
		{"z", b.min.Z, b.max.Z, -l.Size.Z / 2, l.Size.Z / 2},
	} {
		if axis.from < axis.least-tolerance || axis.to > axis.top+tolerance {
			r.broken(at, "reaches from %s %.1f to %.1f, outside the bounds %.0f to %.0f", axis.name, axis.from, axis.to, axis.least, axis.top)
		}
	}
}

func (r *rules) checkProps(l Limits, props []Prop) {
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
		center := Vector{p.Position.X, p.Position.Y + p.Size.Y/2, p.Position.Z}
		r.inside(at, l, around(center, p.Size))
	}
	if !spawn {
		r.broken("answer.props", "have no spawn: players need a place to appear")
	}
}
