package terrain

// glyph draws the mark of a prop with its middle at x, y. w and h are half its extent in pixels; marks that are not drawn to scale
// are of radius r.
func (c canvas) glyph(kind string, x, y, w, h, r float64) {
	white, green, dark := rgb{250, 250, 248}, rgb{58, 128, 62}, rgb{28, 74, 40}
	switch kind {
	case "tree":
		c.disc(x, y, r+1, dark)
		c.disc(x, y, r, green)
		c.disc(x-r*0.3, y-r*0.3, r*0.35, rgb{120, 178, 96})
	case "pine":
		c.triangle(x, y, r+1.5, dark)
		c.triangle(x, y+0.3, r, rgb{44, 106, 72})
	case "palm":
		for _, d := range [][2]float64{{1, 0}, {0.5, 0.87}, {-0.5, 0.87}} {
			c.line(x-d[0]*(r+1.5), y-d[1]*(r+1.5), x+d[0]*(r+1.5), y+d[1]*(r+1.5), max(r*0.7, 2.5), dark)
		}
		c.disc(x, y, r*0.4, rgb{150, 196, 92})
	case "cactus":
		c.rect(x-r*0.35-1, y-r-1, x+r*0.35+1, y+r+1, dark)
		c.rect(x-r-1, y-r*0.35-1, x+r+1, y+r*0.35+1, dark)
		c.rect(x-r*0.35, y-r, x+r*0.35, y+r, rgb{96, 164, 84})
		c.rect(x-r, y-r*0.35, x+r, y+r*0.35, rgb{96, 164, 84})
	case "bush":
		c.disc(x, y, r*0.7+1, dark)
		c.disc(x, y, r*0.7, rgb{116, 168, 80})
	case "rock":
		c.diamond(x, y, r+1.5, ink)
		c.diamond(x, y, r, rgb{168, 166, 160})
	case "spawn":
		c.disc(x, y, r+3, white)
		c.disc(x, y, r+1.5, rgb{206, 52, 52})
		c.disc(x, y, r*0.55, white)
	case "sign":
		c.rect(x-r-0.5, y-r*0.8-0.5, x+r+0.5, y+r*0.8+0.5, ink)
		c.rect(x-r+1, y-r*0.8+1, x+r-1, y+r*0.8-1, rgb{255, 214, 84})
	case "lamp":
		c.disc(x, y, r*0.8+1, ink)
		c.disc(x, y, r*0.8, rgb{255, 240, 160})
	case "bench":
		c.rect(x-r-1, y-r*0.4-1, x+r+1, y+r*0.4+1, ink)
		c.rect(x-r, y-r*0.4, x+r, y+r*0.4, rgb{186, 128, 78})
	case "building":
		w, h = max(w, 4), max(h, 4)
		c.rect(x-w-1, y-h-1, x+w+1, y+h+1, ink)
		c.rect(x-w, y-h, x+w, y+h, rgb{196, 96, 78})
		c.line(x-w, y, x+w, y, 1.5, rgb{150, 66, 54})
	default:
		w, h = max(w, 3), max(h, 3)
		c.rect(x-w-1, y-h-1, x+w+1, y+h+1, ink)
		c.rect(x-w, y-h, x+w, y+h, white)
	}
}
