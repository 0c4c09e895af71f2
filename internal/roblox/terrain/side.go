package terrain

import (
	"fmt"
	"math"
	"slices"
)

// Side draws the place from its front, looking north (towards the least z), without perspective: what is farther away is paler, water
// lets shine through what is behind it.
func (s *Site) Side(props []Prop) Picture {
	scale := (mapSide + legend) / s.Size.X
	width, height := int(s.Size.X*scale), int(s.Size.Y*scale)
	c := newCanvas(width+2*margin, height+2*margin+28)
	for y := range height {
		for x := range width {
			c.dot(margin+x, margin+y, s.ahead((float64(x)+0.5)/scale-s.Size.X/2, s.Size.Y-(float64(y)+0.5)/scale))
		}
	}
	ordered := slices.Clone(props)
	slices.SortStableFunc(ordered, func(a, b Prop) int { return int(math.Copysign(1, a.Position.Z-b.Position.Z)) })
	for _, p := range ordered {
		if s.hidden(p) {
			continue
		}
		for _, part := range p.Parts() {
			c.part(part, scale, s.Size, s.haze(p.Position.Z))
		}
	}
	c.frame(margin, margin, margin+width, margin+height)
	c.scaleBar(margin, margin+height+10, scale, s.Size.X)
	c.halo(margin+width-190, margin+height+23, fmt.Sprintf("from the front, %3.0f high", s.Size.Y))
	return c.encode()
}

// haze is how pale something at z looks.
func (s *Site) haze(z float64) float64 { return 0.45 * steps((s.Size.Z/2-z)/s.Size.Z, 10) }

// ahead returns the color that is seen at a point of the front.
func (s *Site) ahead(x, y float64) rgb {
	wet, behind := 0.0, sky.mix(rgb{255, 255, 255}, steps(1-y/s.Size.Y, 6)*0.8)
	at, above := s.sample(x, y), s.sample(x, y+2)
	for k := s.nz - 1; k >= 0; k-- {
		_, z := s.corner(0, k)
		if z+Cell/2 > s.Size.Z/2 || z+Cell/2 < -s.Size.Z/2 {
			continue
		}
		solid, liquid, material := s.density(at, k)
		if solid >= 0.5 {
			shade := 0.86
			if open, _, _ := s.density(above, k); open < 0.5 {
				shade = 1.08
			}
			behind = colorOf(s.materials[material-1]).lit(shade).mix(sky, s.haze(z))
			break
		}
		if solid+liquid >= 0.5 {
			wet += Cell
		}
	}
	if wet > 0 {
		return behind.mix(blue.mix(sky, 0.1), 0.5+0.35*steps(min(wet/120, 1), 5))
	}
	return behind
}

// sample is a point of the front: the cells around it in every slice, and the weight of each of them.
type sample struct {
	i, j    [2]int
	weights [2][2]float64
}

func (s *Site) sample(x, y float64) (out sample) {
	fx, fy := x/Cell+float64(s.nx/2)-0.5, y/Cell-0.5
	i, j := math.Floor(fx), math.Floor(fy)
	first := s.nx/2 - int(s.Size.X/2/Cell)
	for n := range 2 {
		out.i[n] = min(max(int(i)+n, first), s.nx-1-first)
		out.j[n] = max(int(j)+n, 0)
	}
	right, up := fx-i, fy-j
	out.weights = [2][2]float64{{(1 - right) * (1 - up), (1 - right) * up}, {right * (1 - up), right * up}}
	return out
}

// density returns how much of a point of one slice is solid and how much water, smoothed between the middles of its cells, and the
// material that is nearest.
func (s *Site) density(at sample, k int) (solid, liquid float64, material uint8) {
	best := 0.0
	for n, i := range at.i {
		top := s.tops[k*s.nx+i]
		if at.j[0] >= top {
			continue
		}
		column := s.column(i, k)
		for m, j := range at.j {
			if j >= top || column[j].material == 0 {
				continue
			}
			full := at.weights[n][m] * float64(column[j].occupancy) / 255
			if !s.isSolid(column[j]) {
				liquid += full
			} else if solid += full; full > best {
				best, material = full, column[j].material
			}
		}
	}
	return solid, liquid, material
}

// hidden reports whether something solid stands between the front and the middle of a prop.
func (s *Site) hidden(p Prop) bool {
	for z := p.Position.Z + Cell; z < s.Size.Z/2; z += Cell {
		if m := s.Material(p.Position.X, p.Position.Y+p.Size.Y*0.7, z); m != "" && m != Water {
			return true
		}
	}
	return false
}

func (c canvas) part(p Part, scale float64, size Vector, haze float64) {
	color := rgb{float64(p.Color[0]), float64(p.Color[1]), float64(p.Color[2])}
	if p.Shape == SpawnShape {
		color = rgb{206, 52, 52}
	}
	color = color.mix(sky, haze)
	x, y := margin+(p.Position.X+size.X/2)*scale, margin+(size.Y-p.Position.Y)*scale
	w, h := max(p.Size.X*scale/2, 0.6), max(p.Size.Y*scale/2, 0.6)
	if p.Shape == Ball {
		c.disc(x, y, w, color)
		c.disc(x-w*0.25, y-w*0.25, w*0.4, color.lit(1.12))
		return
	}
	c.rect(x-w, y-h, x+w, y+h, color)
}
