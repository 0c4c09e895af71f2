package terrain

import "math"

// Cell is the side of a voxel, in studs.
const Cell = 4

// MinCover is the least part of a voxel that a fill must cover to write it.
const MinCover = 1.0 / 8

// span is a stretch of a shape from lo to hi in one column of cells, over a share of the column's ground.
type span struct{ lo, hi, share float64 }

// spans appends what the operation covers in the column of cells whose corner with the least x and z is given.
func (o Operation) spans(into []span, x, z float64) []span {
	b := o.Box()
	if o.Op == FillBlock {
		return append(into, span{b.Min.Y, b.Max.Y, overlap(x, x+Cell, b.Min.X, b.Max.X) * overlap(z, z+Cell, b.Min.Z, b.Max.Z) / (Cell * Cell)})
	}
	for i := range 4 {
		for k := range 4 {
			px, pz := x+float64(i)+0.5, z+float64(k)+0.5
			if lo, hi := o.stretch(b, px, pz); hi > lo {
				into = append(into, span{lo, hi, 1.0 / 16})
			}
		}
	}
	return into
}

// stretch returns from where to where a round or sloping shape reaches above a point of the ground.
func (o Operation) stretch(b Box, x, z float64) (lo, hi float64) {
	if x < b.Min.X || x > b.Max.X || z < b.Min.Z || z > b.Max.Z {
		return 0, 0
	}
	dx, dz := x-o.Position.X, z-o.Position.Z
	room := o.Radius*o.Radius - dx*dx - dz*dz
	switch o.Op {
	case FillBall:
		half := math.Sqrt(max(room, 0))
		return o.Position.Y - half, o.Position.Y + half
	case FillCylinder:
		if room < 0 {
			return 0, 0
		}
		return b.Min.Y, b.Max.Y
	}
	sin, cos := math.Sincos(o.Turn * math.Pi / 180)
	rise := (dx*sin+dz*cos)/o.Size.Z + 0.5
	return b.Min.Y, b.Min.Y + o.Size.Y*min(max(rise, 0), 1)
}

// cover returns which part of the cell that begins at height y the spans take up.
func cover(spans []span, y float64) float64 {
	sum := 0.0
	for _, s := range spans {
		sum += s.share * overlap(y, y+Cell, s.lo, s.hi)
	}
	return sum / Cell
}

func overlap(a, b, c, d float64) float64 { return max(min(b, d)-max(a, c), 0) }
