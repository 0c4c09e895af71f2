package terrain

import (
	"fmt"
	"math"
)

// The kinds of findings.
const (
	Useless  = "useless"  // an operation that changes nothing, or of which nothing is seen in the end
	Floating = "floating" // a prop whose foot hangs in the air
	Buried   = "buried"   // a prop that stands in the ground
	Spawn    = "spawn"    // a place to appear at that is no good
)

// Finding is something about a place that its maker should know.
type Finding struct {
	Kind   string
	Index  int    // of the operation, or of the prop
	Reason string // "hangs 7 studs above the ground"
	Severe bool   // it must not stay so
}

// Tolerances, in studs. One voxel is about what the engine's smoothing leaves unsure.
const (
	near     = Cell     // how far a foot may be from the ground
	far      = 4 * Cell // from where on it is severe
	headroom = 6        // what an avatar needs above its feet
)

// Useless returns the operations that could be left out.
func (s *Site) Useless() []Finding {
	var out []Finding
	for i, e := range s.Effects {
		switch {
		case e.Changed == 0:
			out = append(out, Finding{Useless, i, "changes nothing", false})
		case e.Visible == 0:
			out = append(out, Finding{Useless, i, "is hidden by what comes later", false})
		}
	}
	return out
}

// Standing returns the props that do not stand on anything, or in the ground. Platforms may hang, and carry others; so do the floors
// and roofs of buildings.
func (s *Site) Standing(props []Prop) []Finding {
	var out []Finding
	for i, p := range props {
		if p.Kind == "spawn" {
			if reason := s.spawn(i, props); reason != "" {
				out = append(out, Finding{Spawn, i, reason, true})
			}
			continue
		}
		foot := p.Position
		deep := s.buried(foot.X, foot.Y+0.5, foot.Z)
		if gap := s.gap(i, props); deep > near {
			out = append(out, Finding{Buried, i, fmt.Sprintf("stands %.0f studs deep in the ground", deep), deep >= max(p.Size.Y, 2*near)})
		} else if gap > near && p.Kind != "platform" {
			reason := "hangs in the air above no ground at all"
			if !math.IsInf(gap, 1) {
				reason = fmt.Sprintf("hangs %.0f studs above the ground", gap)
			}
			out = append(out, Finding{Floating, i, reason, gap > far})
		}
	}
	return out
}

// gap returns how far the foot of a prop is above what carries it.
func (s *Site) gap(i int, props []Prop) float64 {
	foot, gap := props[i].Position, math.Inf(1)
	if floor, ok := s.Floor(foot.X, foot.Y+near, foot.Z); ok {
		gap = foot.Y - floor
	}
	for n, p := range props {
		b := p.Box()
		if n == i || (p.Kind != "platform" && p.Kind != "building") || foot.X < b.Min.X || foot.X > b.Max.X || foot.Z < b.Min.Z || foot.Z > b.Max.Z {
			continue
		}
		for _, y := range []float64{b.Min.Y, b.Max.Y} {
			if y <= foot.Y+near {
				gap = min(gap, foot.Y-y)
			}
		}
	}
	return gap
}

// spawn returns what is wrong with a place to appear at.
func (s *Site) spawn(i int, props []Prop) string {
	p := props[i]
	b, foot := p.Box(), p.Position
	for _, x := range []float64{b.Min.X + 0.5, foot.X, b.Max.X - 0.5} {
		for _, z := range []float64{b.Min.Z + 0.5, foot.Z, b.Max.Z - 0.5} {
			for y := foot.Y + 1; y <= b.Max.Y+headroom; y += Cell / 2 {
				switch material := s.Material(x, y, z); {
				case material == Water:
					return fmt.Sprintf("is under water at %.0f, %.0f, %.0f: players need dry ground", x, y, z)
				case material != "" && y > foot.Y+Cell/2:
					return fmt.Sprintf("is inside of %s at %.0f, %.0f, %.0f: players need free space above it", material, x, y, z)
				}
			}
		}
	}
	if gap := s.gap(i, props); gap > 2*near {
		return "has no ground beneath: players would fall"
	}
	return ""
}
