package terrain

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// MaxPicture is the largest picture, in bytes.
const MaxPicture = 24 << 10

// Picture is a PNG.
type Picture struct {
	Width, Height int
	PNG           []byte
}

// canvas is a picture that is being drawn, in pixels from its upper left corner.
type canvas struct{ *image.RGBA }

func newCanvas(width, height int) canvas {
	c := canvas{image.NewRGBA(image.Rect(0, 0, width, height))}
	c.rect(0, 0, float64(width), float64(height), paper)
	return c
}

func (c canvas) dot(x, y int, to rgb) {
	if image.Pt(x, y).In(c.Rect) {
		c.SetRGBA(x, y, to.color())
	}
}

// fill colors each pixel of a box whose middle is inside.
func (c canvas) fill(x0, y0, x1, y1 float64, to rgb, inside func(x, y float64) bool) {
	for y := int(math.Floor(y0)); y <= int(math.Ceil(y1)); y++ {
		for x := int(math.Floor(x0)); x <= int(math.Ceil(x1)); x++ {
			if inside(float64(x)+0.5, float64(y)+0.5) {
				c.dot(x, y, to)
			}
		}
	}
}

func (c canvas) rect(x0, y0, x1, y1 float64, to rgb) {
	c.fill(x0, y0, x1, y1, to, func(x, y float64) bool { return x >= x0 && x < x1 && y >= y0 && y < y1 })
}

func (c canvas) disc(cx, cy, r float64, to rgb) {
	c.fill(cx-r, cy-r, cx+r, cy+r, to, func(x, y float64) bool { return math.Hypot(x-cx, y-cy) <= r })
}

// triangle stands on its base and is as wide as 2r.
func (c canvas) triangle(cx, cy, r float64, to rgb) {
	c.fill(cx-r, cy-r, cx+r, cy+r, to, func(x, y float64) bool {
		return y >= cy-r && y <= cy+r*0.8 && math.Abs(x-cx) <= (y-cy+r)/1.8
	})
}

func (c canvas) diamond(cx, cy, r float64, to rgb) {
	c.fill(cx-r, cy-r, cx+r, cy+r, to, func(x, y float64) bool { return math.Abs(x-cx)+math.Abs(y-cy) <= r })
}

// line is straight and of the given width.
func (c canvas) line(x0, y0, x1, y1, width float64, to rgb) {
	length := max(math.Hypot(x1-x0, y1-y0), 1e-9)
	ux, uy := (x1-x0)/length, (y1-y0)/length
	c.fill(min(x0, x1)-width, min(y0, y1)-width, max(x0, x1)+width, max(y0, y1)+width, to, func(x, y float64) bool {
		along, aside := (x-x0)*ux+(y-y0)*uy, (x-x0)*uy-(y-y0)*ux
		return along >= 0 && along <= length && math.Abs(aside) <= width/2
	})
}

// text writes ASCII with its base line at y.
func (c canvas) text(x, y int, s string, to rgb) {
	d := font.Drawer{Dst: c, Src: image.NewUniform(to.color()), Face: basicfont.Face7x13, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

// halo writes text that can be read on any ground.
func (c canvas) halo(x, y int, s string) {
	for _, step := range [][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
		c.text(x+step[0], y+step[1], s, rgb{255, 255, 255})
	}
	c.text(x, y, s, ink)
}

// encode returns the canvas as a PNG with a palette. Colors are rounded as far as a palette needs it, and further until the file
// is no larger than MaxPicture; a picture of few bits always is.
func (c canvas) encode() Picture {
	out := Picture{Width: c.Rect.Dx(), Height: c.Rect.Dy()}
	for bits := 0; bits < 8; bits++ {
		p, ok := c.paletted(uint8(0xff << bits))
		if !ok {
			continue
		}
		var b bytes.Buffer
		if err := png.Encode(&b, p); err != nil {
			panic(err) // a buffer takes whatever it is given, and the picture has a size
		}
		if out.PNG = b.Bytes(); len(out.PNG) <= MaxPicture {
			break
		}
	}
	return out
}

func (c canvas) paletted(mask uint8) (*image.Paletted, bool) {
	p := image.NewPaletted(c.Rect, nil)
	index := map[color.RGBA]uint8{}
	for at := 0; at < len(c.Pix); at += 4 {
		of := color.RGBA{c.Pix[at] & mask, c.Pix[at+1] & mask, c.Pix[at+2] & mask, 255}
		n, ok := index[of]
		if !ok {
			if len(p.Palette) == 256 {
				return nil, false
			}
			n = uint8(len(p.Palette))
			index[of] = n
			p.Palette = append(p.Palette, of)
		}
		p.Pix[at/4] = n
	}
	return p, true
}
