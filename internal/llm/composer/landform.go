package composer

import "math"

// ring calls put at n points on a circle.
func (s *site) ring(x, z, radius float64, n int, put func(x, z float64)) {
	for i := range n {
		angle := 2 * math.Pi * float64(i) / float64(n)
		put(x+radius*math.Cos(angle), z+radius*math.Sin(angle))
	}
}

// hill stacks cylinders that grow narrower.
func (s *site) hill(at spot, base, height float64, body, top, label string) {
	height = math.Min(height, s.Size.Y-base-1)
	steps := s.detail + 2
	step := height / float64(steps)
	for i := range steps {
		material := body
		if i == steps-1 {
			material = top
		}
		s.cylinder(at.x, base+step*float64(i), at.z, at.r*(1-0.85*float64(i)/float64(steps)), step, material, label)
		label = ""
	}
}

// dune is a low ridge with a slope on both sides, across x or, turned, across z.
func (s *site) dune(at spot, height float64, turned bool) {
	if turned {
		s.wedge(at.x-at.r*0.35, s.level, at.z, at.r*0.7, height, at.r*1.6, 90, "Sand", "dune")
		s.wedge(at.x+at.r*0.35, s.level, at.z, at.r*0.7, height, at.r*1.6, 270, "Sand", "")
		return
	}
	s.wedge(at.x, s.level, at.z-at.r*0.35, at.r*1.6, height, at.r*0.7, 0, "Sand", "dune")
	s.wedge(at.x, s.level, at.z+at.r*0.35, at.r*1.6, height, at.r*0.7, 180, "Sand", "")
}

// patches vary the surface with round areas of another material.
func (s *site) patches(n int, materials ...string) {
	for i := range n {
		radius := s.Size.X * (0.05 + 0.07*s.seed.Float64())
		x, z := (s.seed.Float64()-0.5)*(s.Size.X-2*radius), (s.seed.Float64()-0.5)*(s.Size.Z-2*radius)
		material := materials[i%len(materials)]
		s.cylinder(x, s.level-4, z, radius, 4, material, "patch of "+material)
	}
}

// peak is a mountain with snow above its snow line.
func (s *site) peak(at spot, share float64) {
	height := (s.Size.Y - s.level) * share
	s.hill(at, s.level, height, "Rock", "Snow", "mountain")
	line := s.level + height*0.6
	s.replace(at.x, line, at.z, at.r*1.2, height*0.4, at.r*1.2, "Rock", "Snow", "snow line")
}

// lake is a pool with a shore, as deep as the surface layer.
func (s *site) lake(at spot, shore, label string) {
	s.cylinder(at.x, s.level-4, at.z, at.r, 4, shore, "shore")
	s.cylinder(at.x, s.level-4, at.z, at.r*0.75, 4, "Water", label)
}

// stream winds through the place from side to side, with a bridge in the middle.
func (s *site) stream(bank string) {
	const parts = 9
	width, piece := s.Size.Z*0.08, s.Size.X/parts
	bend := s.Size.Z * 0.025
	for _, layer := range []struct {
		width           float64
		material, label string
	}{{width * 1.4, bank, "bank"}, {width, "Water", "river"}} {
		for i := range parts {
			x := (float64(i) - parts/2) * piece
			s.block(x, s.level-4, bend*math.Sin(2*math.Pi*float64(i-parts/2)/6), piece*1.2, 4, layer.width, layer.material, layer.label)
		}
	}
	s.stand("platform", "Bridge", 0, s.level, 0, 8, 1, width*1.6, "")
}
