package composer

import (
	"math"
	"slices"
)

// settle sees to it that every prop stands on something: plants inside of a hill are lifted onto it, what else stands in the ground is
// moved aside, and what finds no place is left out.
func (s *site) settle() {
	kept := s.props[:0]
	for _, p := range s.props {
		if s.settled(&p) {
			kept = append(kept, p)
		}
	}
	s.props = kept
}

// settled reports whether the prop has a place to stand.
func (s *site) settled(p *prop) bool {
	if p.Kind == "platform" && s.within(p.Position.X, p.Position.Y+1, p.Position.Z) != "" {
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
	under := s.within(x, y-1, z)
	return under != "" && under != "Water"
}

// clear reports whether a prop would stand free at a point of the ground, and half a voxel around it.
func (s *site) clear(p prop, x, z float64) bool {
	for _, d := range around() {
		for _, y := range []float64{1, p.Size.Y / 2} {
			if s.within(x+d[0], p.Position.Y+y, z+d[1]) != "" {
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

// highest returns the highest surface around a point of the ground.
func (s *site) highest(x, z float64) (top float64, material string) {
	for _, d := range around() {
		if y, m := s.surface(x+d[0], z+d[1]); y > top {
			top, material = y, m
		}
	}
	return top, material
}

// within returns the material at a point, "" for air.
func (s *site) within(x, y, z float64) (material string) {
	for _, o := range s.ops {
		if low, high := o.stretch(x, z); o.Op != "replace_material" && y >= low && y < high {
			material = o.Material
		}
	}
	return material
}

// surface returns the height and the material of what is highest above a point of the ground.
func (s *site) surface(x, z float64) (top float64, material string) {
	for _, o := range s.ops {
		if low, high := o.stretch(x, z); o.Op != "replace_material" && high > low && high >= top {
			top, material = high, o.Material
		}
	}
	return top, material
}

// stretch returns from where to where the operation's shape reaches above a point of the ground.
func (o operation) stretch(x, z float64) (low, high float64) {
	dx, dz := x-o.Position.X, z-o.Position.Z
	room := o.Radius*o.Radius - dx*dx - dz*dz
	switch {
	case o.Op == "fill_ball" && room > 0:
		return o.Position.Y - math.Sqrt(room), o.Position.Y + math.Sqrt(room)
	case o.Op == "fill_cylinder" && room > 0:
		return o.Position.Y - o.Height/2, o.Position.Y + o.Height/2
	case o.Size == nil:
		return 0, 0
	}
	size := *o.Size
	if o.Turn%180 == 90 {
		size.X, size.Z = size.Z, size.X
	}
	if math.Abs(dx) > size.X/2 || math.Abs(dz) > size.Z/2 {
		return 0, 0
	}
	low, high = o.Position.Y-size.Y/2, o.Position.Y+size.Y/2
	if o.Op == "fill_wedge" {
		sin, cos := math.Sincos(float64(o.Turn) * math.Pi / 180)
		high = low + size.Y*math.Min(math.Max((dx*sin+dz*cos)/o.Size.Z+0.5, 0), 1)
	}
	return low, high
}
