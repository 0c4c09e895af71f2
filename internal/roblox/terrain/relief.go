package terrain

import (
	"cmp"
	"math"
	"slices"
)

// ground is the surface of a site as it is drawn: only of columns that lie wholly inside the place, for those on its edge are cut.
type ground struct {
	surfaces []Surface
	nx       int
	i, k     [2]int // first and last column
	x, z     float64
	low, top float64
}

func (s *Site) ground() ground {
	inner := func(n int, side float64) [2]int {
		outer := n - int(math.Floor(side/2/Cell))*2
		return [2]int{outer / 2, n - 1 - outer/2}
	}
	g := ground{surfaces: s.Surfaces(), nx: s.nx, i: inner(s.nx, s.Size.X), k: inner(s.nz, s.Size.Z), low: math.Inf(1), top: math.Inf(-1)}
	g.x, g.z = s.corner(0, 0)
	for _, at := range g.surfaces {
		g.low, g.top = min(g.low, at.Height), max(g.top, at.Height)
	}
	return g
}

// near calls visit with the four columns around a point and the weight of each.
func (g ground) near(x, z float64, visit func(at Surface, weight float64)) {
	fx, fz := (x-g.x)/Cell-0.5, (z-g.z)/Cell-0.5
	i, k := math.Floor(fx), math.Floor(fz)
	for _, d := range [4][2]float64{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		weight := (1 - math.Abs(fx-i-d[0])) * (1 - math.Abs(fz-k-d[1]))
		ci := min(max(int(i+d[0]), g.i[0]), g.i[1])
		ck := min(max(int(k+d[1]), g.k[0]), g.k[1])
		visit(g.surfaces[ck*g.nx+ci], weight)
	}
}

// slope returns how the ground rises along x and z at a point, and its height.
func (g ground) slope(x, z float64) (slopeX, slopeZ, height float64) {
	var near [4]float64
	n := 0
	g.near(x, z, func(at Surface, weight float64) {
		near[n] = at.Height
		height += at.Height * weight
		n++
	})
	fx, fz := (x-g.x)/Cell-0.5, (z-g.z)/Cell-0.5
	fx, fz = fx-math.Floor(fx), fz-math.Floor(fz)
	slopeX = ((near[1]-near[0])*(1-fz) + (near[3]-near[2])*fz) / Cell
	slopeZ = ((near[2]-near[0])*(1-fx) + (near[3]-near[1])*fx) / Cell
	return slopeX, slopeZ, height
}

// seen returns what has the most weight around a point: its material, how deep it lies under water, and whether anything is there.
func (g ground) seen(x, z float64) (material string, depth float64) {
	var near [4]Surface
	var weights [4]float64
	n := 0
	g.near(x, z, func(at Surface, weight float64) { near[n], weights[n] = at, weight; n++ })
	best := 0.0
	for i := range near {
		sum, deep := 0.0, 0.0
		for j := range near {
			if near[j].Material == near[i].Material && (near[j].Water > 0) == (near[i].Water > 0) {
				sum += weights[j]
				deep += weights[j] * near[j].Water
			}
		}
		if sum > best {
			best, material, depth = sum, near[i].Material, deep/sum
		}
	}
	return material, depth
}

// from returns the color that is seen from above. The slope is that between the four columns around the point.
func (g ground) from(x, z float64) rgb {
	material, depth := g.seen(x, z)
	slopeX, slopeZ, height := g.slope(x, z)
	light := (0.52*slopeX + 0.46*slopeZ + 0.72) / math.Sqrt(slopeX*slopeX+slopeZ*slopeZ+1)
	rise := (height - g.low) / max(g.top-g.low, 24)
	shade := 0.5 + 0.56*max(light, -0.1) + 0.14*rise
	if depth > 0 {
		color := colorOf(material).lit(steps(min(shade, 1), 4))
		return color.mix(blue.mix(rgb{22, 70, 130}, steps(min(depth/60, 1), 4)), 0.6+0.3*steps(min(depth/40, 1), 5))
	}
	if material == "" {
		return empty
	}
	return colorOf(material).lit(steps(min(shade, 1.2), 16))
}

// materials returns at most n materials that are seen from above, the most frequent first.
func (g ground) materials(n int) []string {
	count := map[string]int{}
	for _, at := range g.surfaces {
		if at.Water > 0 {
			count[Water]++
		} else if at.Material != "" {
			count[at.Material]++
		}
	}
	var out []string
	for _, m := range Materials() {
		if count[m] > 0 {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	return out[:min(n, len(out))]
}
