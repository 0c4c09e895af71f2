package terrain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The measures of a picture, in pixels.
const (
	margin   = 14
	mapSide  = 384 // of the longer side of the ground
	legend   = 142 // width of the column beside it
	lineStep = 17
)

// Top draws the place from above, north (the least z) up: the color of what is seen of each voxel, shaded by a light in the
// north-west, water more opaque where it is deeper, and a mark for each prop.
func (s *Site) Top(props []Prop) Picture {
	scale := mapSide / max(s.Size.X, s.Size.Z)
	width, height := int(s.Size.X*scale), int(s.Size.Z*scale)
	c := newCanvas(width+2*margin+legend, max(height, mapSide)+2*margin+28)
	ground := s.ground()
	for y := range height {
		for x := range width {
			c.dot(margin+x, margin+y, ground.from((float64(x)+0.5)/scale-s.Size.X/2, (float64(y)+0.5)/scale-s.Size.Z/2))
		}
	}
	r := min(max(scale*3, 3), 6)
	ordered := slices.Clone(props)
	slices.SortStableFunc(ordered, func(a, b Prop) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
	for _, p := range ordered {
		x, y := margin+(p.Position.X+s.Size.X/2)*scale, margin+(p.Position.Z+s.Size.Z/2)*scale
		c.glyph(p.Kind, x, y, p.Size.X*scale/2, p.Size.Z*scale/2, r)
	}
	c.frame(margin, margin, margin+width, margin+height)
	c.scaleBar(margin, margin+height+10, scale, s.Size.X)
	c.halo(margin+width-96, margin+height+23, fmt.Sprintf("%4.0f x %.0f", s.Size.X, s.Size.Z))
	c.legend(margin+width+12, ground, props)
	return c.encode()
}

// rank is the order in which marks are drawn, those that must be seen last.
func rank(kind string) int {
	return slices.Index([]string{"platform", "building", "", "sign", "spawn"}, kind)
}

func (c canvas) frame(x0, y0, x1, y1 int) {
	for x := x0 - 1; x <= x1; x++ {
		c.dot(x, y0-1, ink)
		c.dot(x, y1, ink)
	}
	for y := y0 - 1; y <= y1; y++ {
		c.dot(x0-1, y, ink)
		c.dot(x1, y, ink)
	}
}

// scaleBar shows a quarter of the width in two halves.
func (c canvas) scaleBar(x, y int, scale, width float64) {
	studs := math.Round(width / 4)
	length := studs * scale
	c.rect(float64(x), float64(y), float64(x)+length, float64(y)+6, ink)
	c.rect(float64(x)+length/2, float64(y)+1, float64(x)+length-1, float64(y)+5, rgb{255, 255, 255})
	c.text(x+int(length)+6, y+8, fmt.Sprintf("%.0f studs", studs), ink)
}

// legend names the materials that are seen, the most frequent first, and the marks.
func (c canvas) legend(x int, g ground, props []Prop) {
	fx, y := float64(x), margin+2
	c.triangle(fx+8, float64(y)+9, 9, ink)
	c.rect(fx+6.5, float64(y)+14, fx+9.5, float64(y)+26, ink)
	c.text(x+22, y+20, "North", ink)
	y += 48
	for _, m := range g.materials(8) {
		c.rect(fx-1, float64(y)-11, fx+17, float64(y)+3, ink)
		c.rect(fx, float64(y)-10, fx+16, float64(y)+2, colorOf(m))
		c.text(x+24, y, m, ink)
		y += lineStep
	}
	y += 10
	for _, kind := range Kinds() {
		n := 0
		for _, p := range props {
			if p.Kind == kind {
				n++
			}
		}
		if n == 0 {
			continue
		}
		c.glyph(kind, fx+8, float64(y)-4, 6, 5, 5)
		c.text(x+24, y, fmt.Sprintf("%s %d", kind, n), ink)
		y += lineStep
	}
}
