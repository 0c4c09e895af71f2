package composer

import (
	"math"
	"slices"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

// settle carries the operations out and sees to it that every prop stands on something: plants inside of a hill are lifted onto it, what else stands in the ground is
// moved aside, and what finds no place is left out.
func (s *site) settle() {
	s.built = terrain.Build(terrain.Limits{Size: s.Size, VoxelBudget: s.VoxelBudget}, s.ops)
	kept := s.props[:0]
	for _, p := range s.props {
		if s.settled(&p) {
			kept = append(kept, p)
		}
	}
	s.props = kept
	for s.leaveOut() { // what is left out may have carried something
	}
}

// leaveOut takes away the props that must not stay as they stand, and reports whether there were any. Each round has fewer props.
func (s *site) leaveOut() bool {
	before, bad := len(s.props), map[int]bool{}
	for _, f := range s.built.Standing(s.props) {
		bad[f.Index] = f.Severe && f.Kind != terrain.Spawn
	}
	at := -1
	s.props = slices.DeleteFunc(s.props, func(prop) bool { at++; return bad[at] })
	return len(s.props) < before
}

// settled reports whether the prop has a place to stand.
func (s *site) settled(p *prop) bool {
	if p.Kind == "platform" && s.built.Material(p.Position.X, p.Position.Y+1, p.Position.Z) != "" {
		top, _ := s.highest(p.Position.X, p.Position.Z)
		p.Position.Y = tidy(top)
		return top+p.Size.Y <= s.Size.Y
	}
	if p.Kind == "spawn" || p.Kind == "platform" {
		return true
	}
	plant := slices.Contains([]string{"tree", "pine", "palm", "cactus", "bush", "rock"}, p.Kind)
	carried := s.carries(p.Position.X, p.Position.Y, p.Position.Z)
	if plant && !carried {
		return false
	}
	if carried && s.clear(*p, p.Position.X, p.Position.Z) {
		return true
	}
	if plant {
		top, material := s.highest(p.Position.X, p.Position.Z)
		p.Position.Y = tidy(top)
		return slices.Contains([]string{"Grass", "LeafyGrass", "Ground", "Sand"}, material) && top+p.Size.Y <= s.Size.Y
	}
	for _, reach := range []float64{6, 12, 24} {
		for _, side := range [][2]float64{{0, -1}, {0, 1}, {1, 0}, {-1, 0}} {
			x, z := tidy(p.Position.X+side[0]*reach), tidy(p.Position.Z+side[1]*reach)
			if math.Abs(x)+p.Size.X/2 > s.Size.X/2 || math.Abs(z)+p.Size.Z/2 > s.Size.Z/2 {
				continue
			}
			if s.clear(*p, x, z) && s.carries(x, p.Position.Y, z) {
				p.Position.X, p.Position.Z = x, z
				return true
			}
		}
	}
	return false
}

// carries reports whether a point is on top of something solid.
func (s *site) carries(x, y, z float64) bool {
	under := s.built.Material(x, y-1, z)
	return under != "" && under != terrain.Water
}

// clear reports whether a prop would stand free at a point of the ground, and half a voxel around it.
func (s *site) clear(p prop, x, z float64) bool {
	for _, d := range around() {
		for _, y := range []float64{1, p.Size.Y / 2} {
			if s.built.Material(x+d[0], p.Position.Y+y, z+d[1]) != "" {
				return false
			}
		}
	}
	return true
}

// around is a point and what may share a voxel with it.
func around() [][2]float64 {
	return [][2]float64{{0, 0}, {cell, 0}, {-cell, 0}, {0, cell}, {0, -cell}, {cell, cell}, {cell, -cell}, {-cell, cell}, {-cell, -cell}}
}

// highest returns the highest solid surface around a point of the ground, and what it is made of: Water where that stands above it.
func (s *site) highest(x, z float64) (top float64, material string) {
	for _, d := range around() {
		y, ok := s.built.Floor(x+d[0], s.Size.Y, z+d[1])
		if !ok || y <= top {
			continue
		}
		if top, material = y, s.built.Material(x+d[0], y-1, z+d[1]); s.built.Material(x+d[0], y+1, z+d[1]) == terrain.Water {
			material = terrain.Water
		}
	}
	return top, material
}
