package terrain

import (
	"image/color"
	"math"
)

type rgb [3]float64

func (c rgb) mix(other rgb, share float64) rgb {
	for i := range c {
		c[i] += (other[i] - c[i]) * share
	}
	return c
}

func (c rgb) lit(by float64) rgb {
	if by > 1 {
		return c.mix(rgb{255, 255, 255}, by-1)
	}
	return rgb{}.mix(c, by)
}

func (c rgb) color() color.RGBA {
	part := func(f float64) uint8 { return uint8(math.Round(min(max(f, 0), 255))) }
	return color.RGBA{part(c[0]), part(c[1]), part(c[2]), 255}
}

// steps rounds a share to one of n even steps, so that a picture has few colors.
func steps(share float64, n int) float64 { return math.Round(share*float64(n)) / float64(n) }

var (
	ink   = rgb{38, 44, 56}
	paper = rgb{246, 244, 238}
	empty = rgb{226, 223, 214}
	blue  = rgb{45, 122, 186}
	sky   = rgb{214, 231, 244}
)

// colorOf is how a material looks from afar.
func colorOf(material string) rgb {
	switch material {
	case "Asphalt":
		return rgb{88, 90, 96}
	case "Basalt":
		return rgb{64, 60, 66}
	case "Brick":
		return rgb{164, 86, 66}
	case "Cobblestone":
		return rgb{138, 134, 126}
	case "Concrete":
		return rgb{172, 170, 164}
	case "CrackedLava":
		return rgb{226, 92, 34}
	case "Glacier":
		return rgb{148, 196, 220}
	case "Grass":
		return rgb{112, 160, 72}
	case "Ground":
		return rgb{138, 106, 74}
	case "Ice":
		return rgb{186, 220, 234}
	case "LeafyGrass":
		return rgb{84, 134, 62}
	case "Limestone":
		return rgb{214, 196, 160}
	case "Mud":
		return rgb{112, 84, 62}
	case "Pavement":
		return rgb{196, 188, 172}
	case "Rock":
		return rgb{128, 122, 118}
	case "Salt":
		return rgb{236, 226, 222}
	case "Sand":
		return rgb{226, 204, 148}
	case "Sandstone":
		return rgb{196, 148, 96}
	case "Slate":
		return rgb{98, 108, 116}
	case "Snow":
		return rgb{242, 246, 250}
	case Water:
		return blue
	case "WoodPlanks":
		return rgb{168, 124, 80}
	}
	return empty
}
