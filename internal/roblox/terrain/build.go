package terrain

import (
	"math"
	"slices"
)

// voxel is one cell. Occupancy 255 is a full one; material is an index of the site's materials plus 1; owner is the operation that
// filled it and painter the one that replaced its material after that, each plus 1.
type voxel struct{ material, occupancy, owner, painter uint8 }

// Effect is what one operation did.
type Effect struct {
	Covered int // voxels in its reach, as the budget counts them: those that a fill covers, all of a replacement's region
	Changed int // voxels whose material or occupancy it changed
	Visible int // voxels that are its own in the end and touch air, water or the outside of the place
}

// Site is a place whose operations are carried out. It is not changed by its methods, which are safe for concurrent use.
type Site struct {
	Limits
	Effects []Effect // of each operation that was carried out
	Voxels  int      // sum of what the operations covered
	Stopped bool     // Voxels is so far over the budget that the operations behind it were left out

	nx, ny, nz int
	voxels     []voxel // by column, upwards in each
	tops       []int   // of each column, how many cells there are up to its highest that is not air
	materials  []string
	water      uint8
}

// maxOperations is how many operations an owner's number has room for.
const maxOperations = math.MaxUint8

// Build carries out operations that each have what their shape needs. What reaches outside the place is cut off. It stops behind the
// operation that takes the sum of voxels to twice the budget, and after 255 operations, so that its work has a bound.
func Build(l Limits, operations []Operation) *Site {
	s := &Site{Limits: l, materials: Materials(), ny: int(math.Ceil(l.Size.Y / Cell))}
	s.water = s.number(Water)
	s.nx, s.nz = 2*int(math.Ceil(l.Size.X/2/Cell)), 2*int(math.Ceil(l.Size.Z/2/Cell))
	s.voxels = make([]voxel, s.nx*s.ny*s.nz)
	for i, o := range operations[:min(len(operations), maxOperations)] {
		var e Effect
		if o.Op == ReplaceMaterial {
			e = s.replace(o, uint8(i+1))
		} else {
			e = s.fill(o, uint8(i+1))
		}
		s.Effects = append(s.Effects, e)
		if s.Voxels += e.Covered; s.Voxels > 2*l.VoxelBudget {
			s.Stopped = true
			break
		}
	}
	s.look()
	return s
}

// column returns the cells above one cell of the ground.
func (s *Site) column(i, k int) []voxel {
	at := (k*s.nx + i) * s.ny
	return s.voxels[at : at+s.ny : at+s.ny]
}

// corner returns the least x and z of a column.
func (s *Site) corner(i, k int) (x, z float64) {
	return float64(i-s.nx/2) * Cell, float64(k-s.nz/2) * Cell
}

// cells is a range of cells; the second of each pair is exclusive.
type cells struct{ i, j, k [2]int }

// reach returns the cells that a box touches.
func (s *Site) reach(b Box) cells {
	between := func(from, to float64, shift, n int) [2]int {
		return [2]int{
			min(max(int(math.Floor(from/Cell))+shift, 0), n),
			min(max(int(math.Ceil(to/Cell))+shift, 0), n),
		}
	}
	return cells{between(b.Min.X, b.Max.X, s.nx/2, s.nx), between(b.Min.Y, b.Max.Y, 0, s.ny), between(b.Min.Z, b.Max.Z, s.nz/2, s.nz)}
}

func (s *Site) number(material string) uint8 { return uint8(slices.Index(s.materials, material) + 1) }

func (s *Site) fill(o Operation, owner uint8) (e Effect) {
	material, in := s.number(o.Material), s.reach(o.Box())
	var spans []span
	for k := in.k[0]; k < in.k[1]; k++ {
		for i := in.i[0]; i < in.i[1]; i++ {
			x, z := s.corner(i, k)
			if spans = o.spans(spans[:0], x, z); len(spans) == 0 {
				continue
			}
			column := s.column(i, k)
			for j := in.j[0]; j < in.j[1]; j++ {
				c := cover(spans, float64(j)*Cell)
				if c < MinCover {
					continue
				}
				e.Covered++
				if column[j].fill(material, uint8(math.Round(c*255)), owner) {
					e.Changed++
				}
			}
		}
	}
	return e
}

// fill reports whether the voxel changed.
func (v *voxel) fill(material, cover, owner uint8) bool {
	before := *v
	if v.material == 0 || cover >= 128 || cover >= v.occupancy {
		v.material = material
	}
	v.occupancy = max(v.occupancy, cover)
	if v.material == before.material && v.occupancy == before.occupancy {
		return false
	}
	v.owner, v.painter = owner, 0
	return true
}

func (s *Site) replace(o Operation, painter uint8) (e Effect) {
	from, to, in := s.number(o.SourceMaterial), s.number(o.Material), s.reach(o.Box())
	e.Covered = (in.i[1] - in.i[0]) * (in.j[1] - in.j[0]) * (in.k[1] - in.k[0])
	for k := in.k[0]; k < in.k[1]; k++ {
		for i := in.i[0]; i < in.i[1]; i++ {
			column := s.column(i, k)[in.j[0]:in.j[1]]
			for j := range column {
				if v := &column[j]; v.material == from && from != to {
					v.material, v.painter = to, painter
					e.Changed++
				}
			}
		}
	}
	return e
}

// look finds the tops, and counts what can be seen of each operation.
func (s *Site) look() {
	s.tops = make([]int, s.nx*s.nz)
	for k := range s.nz {
		for i := range s.nx {
			for j, v := range s.column(i, k) {
				if v.material == 0 {
					continue
				}
				s.tops[k*s.nx+i] = j + 1
				if !s.exposed(i, j, k) {
					continue
				}
				s.Effects[v.owner-1].Visible++
				if v.painter > 0 {
					s.Effects[v.painter-1].Visible++
				}
			}
		}
	}
}

// exposed reports whether a neighbour of the cell lets it be seen. Nothing is seen from below.
func (s *Site) exposed(i, j, k int) bool {
	for _, step := range [5][3]int{{0, 1, 0}, {1, 0, 0}, {-1, 0, 0}, {0, 0, 1}, {0, 0, -1}} {
		if !s.solid(i+step[0], j+step[1], k+step[2]) {
			return true
		}
	}
	return false
}

// solid reports whether the cell is there and is filled to the full with something that can't be seen through.
func (s *Site) solid(i, j, k int) bool {
	if i < 0 || j < 0 || k < 0 || i >= s.nx || j >= s.ny || k >= s.nz {
		return false
	}
	v := s.column(i, k)[j]
	return s.isSolid(v) && v.occupancy == 255
}
