package terrain

import "math"

// at returns the column of cells above a point; nil outside of the place.
func (s *Site) at(x, z float64) []voxel {
	i, k := int(math.Floor(x/Cell))+s.nx/2, int(math.Floor(z/Cell))+s.nz/2
	if i < 0 || k < 0 || i >= s.nx || k >= s.nz {
		return nil
	}
	return s.column(i, k)
}

// top returns the height of a cell's surface.
func (v voxel) top(j int) float64 { return (float64(j) + float64(v.occupancy)/255) * Cell }

func (s *Site) isSolid(v voxel) bool { return v.material != 0 && v.material != s.water }

// Material returns what is at a point: "" for air.
func (s *Site) Material(x, y, z float64) string {
	column, j := s.at(x, z), int(math.Floor(y/Cell))
	if j < 0 || j >= len(column) || column[j].material == 0 || y > column[j].top(j) {
		return ""
	}
	return s.materials[column[j].material-1]
}

// Floor returns the height of the highest solid surface above a point of the ground that is not higher than y, and whether there
// is one. A surface is where something solid has none above it.
func (s *Site) Floor(x, y, z float64) (float64, bool) {
	column := s.at(x, z)
	for j := len(column) - 1; j >= 0; j-- {
		open := j+1 == len(column) || !s.isSolid(column[j+1])
		if top := column[j].top(j); open && s.isSolid(column[j]) && top <= y {
			return top, true
		}
	}
	return 0, false
}

// buried returns how deep a point lies in something solid: how far it is up to the next surface; 0 outside.
func (s *Site) buried(x, y, z float64) float64 {
	column, j := s.at(x, z), int(math.Floor(y/Cell))
	if j < 0 || j >= len(column) || !s.isSolid(column[j]) || column[j].top(j) <= y {
		return 0
	}
	for j+1 < len(column) && s.isSolid(column[j+1]) {
		j++
	}
	return column[j].top(j) - y
}

// Surface is what is seen of one column from above.
type Surface struct {
	Height   float64 // of the highest solid surface; 0 when there is none
	Material string  // of that surface; "" when there is none
	Water    float64 // studs of water above it
}

func (s *Site) surface(i, k int) (out Surface) {
	column, wet := s.column(i, k), 0.0
	for j := len(column) - 1; j >= 0; j-- {
		switch v := column[j]; {
		case s.isSolid(v):
			return Surface{v.top(j), s.materials[v.material-1], max(wet-v.top(j), 0)}
		case v.material != 0:
			wet = max(wet, v.top(j))
		}
	}
	return Surface{Water: wet}
}

// Surfaces returns what is seen from above: one entry for each column of voxels, row by row from the back (the least z), each
// from the least x on.
func (s *Site) Surfaces() []Surface {
	out := make([]Surface, 0, s.nx*s.nz)
	for k := range s.nz {
		for i := range s.nx {
			out = append(out, s.surface(i, k))
		}
	}
	return out
}
