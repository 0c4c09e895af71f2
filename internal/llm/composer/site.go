package composer

import (
	"math"
	"math/rand/v2"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

type (
	vector    = terrain.Vector
	operation = terrain.Operation
	prop      = terrain.Prop
)

// limits is what a place may hold.
type limits struct {
	Size          vector `json:"size"`
	MaxOperations int    `json:"max_operations"`
	MaxProps      int    `json:"max_props"`
	VoxelBudget   int    `json:"voxel_budget"`
}

// site is a place while it is being built. Whatever is added to it is cut to its bounds, and left out when the limits are
// reached.
type site struct {
	limits
	level  float64 // y of the ground that is walked on
	detail int     // steps of a hill, pieces of a ring
	seed   *rand.Rand
	ops    []operation
	built  *terrain.Site // the operations carried out, from settle on
	props  []prop
	voxels float64
	spots  []spot // for features, in a shuffled order
	taken  int    // how many spots are used
}

// spot is a round area for one feature.
type spot struct{ x, z, r float64 }

const (
	minExtent = 1.0 // studs; less is left out
	cell      = terrain.Cell
)

func newSite(l limits, detail int, seed *rand.Rand) *site {
	s := &site{limits: l, detail: detail, seed: seed}
	s.level = math.Max(8, math.Round(l.Size.Y*0.12/4)*4)
	step := l.Size.X / 4
	for row := range 4 {
		for col := range 4 {
			if row == 3 && (col == 1 || col == 2) {
				continue // kept free for arrivals
			}
			s.spots = append(s.spots, spot{(float64(col) - 1.5) * step, (float64(row) - 1.5) * l.Size.Z / 4, step / 2 * 0.85})
		}
	}
	seed.Shuffle(len(s.spots), func(i, j int) { s.spots[i], s.spots[j] = s.spots[j], s.spots[i] })
	return s
}

// nextSpot returns the next free spot. When all are taken, it comes back to them with half the room.
func (s *site) nextSpot() spot {
	at := s.spots[s.taken%len(s.spots)]
	if round := s.taken / len(s.spots); round > 0 {
		at.r /= 2
		at.x += at.r * float64(1-2*(round%2))
	}
	s.taken++
	return at
}

// backSpot is the free spot that is farthest from the arrival.
func (s *site) backSpot() spot {
	for i := s.taken + 1; i < len(s.spots); i++ {
		if s.spots[i].z < s.spots[s.taken].z {
			s.spots[i], s.spots[s.taken] = s.spots[s.taken], s.spots[i]
		}
	}
	return s.nextSpot()
}

func (s *site) free() []spot { return s.spots[min(s.taken, len(s.spots)):] }

// arrival is where players appear.
func (s *site) arrival() spot { return spot{0, s.Size.Z * 3 / 8, s.Size.X / 12} }

// cut returns the middle and length of what is left of a stretch within from and to.
func cut(center, length, from, to float64) (float64, float64) {
	a, b := math.Max(center-length/2, from), math.Min(center+length/2, to)
	return tidy((a + b) / 2), math.Floor((b-a)*100) / 100
}

func tidy(f float64) float64 { return math.Round(f*100) / 100 }

// add takes an operation on, unless the limits are reached. area is the ground of its shape, in square studs, with a voxel's width
// around it: a voxel is written also where a shape covers it in part.
func (s *site) add(o operation, area, low, high float64) {
	voxels := area / (cell * cell) * (math.Ceil(high/cell) - math.Floor(low/cell))
	if len(s.ops) >= s.MaxOperations || s.voxels+voxels > float64(s.VoxelBudget)*0.97 {
		return
	}
	s.ops = append(s.ops, o)
	s.voxels += voxels
}

// reach is how far a stretch goes on the grid of voxels that it touches.
func reach(center, length float64) float64 {
	return cell * (math.Ceil((center+length/2)/cell) - math.Floor((center-length/2)/cell))
}

// box fills a block, or with another op the same extent otherwise. y is its lower side.
func (s *site) box(op string, x, y, z, width, height, depth float64, material, label string) {
	x, width = cut(x, width, -s.Size.X/2, s.Size.X/2)
	cy, height := cut(y+height/2, height, 0, s.Size.Y)
	z, depth = cut(z, depth, -s.Size.Z/2, s.Size.Z/2)
	if math.Min(width, math.Min(height, depth)) < minExtent {
		return
	}
	s.add(operation{Op: op, Material: material, Position: vector{X: x, Y: cy, Z: z}, Size: &vector{X: width, Y: height, Z: depth}, Label: label},
		reach(x, width)*reach(z, depth), cy-height/2, cy+height/2)
}

func (s *site) block(x, y, z, width, height, depth float64, material, label string) {
	s.box("fill_block", x, y, z, width, height, depth, material, label)
}

// wedge fills a slope. A quarter turn swaps the sides of its size, so its footprint is given as it lies.
func (s *site) wedge(x, y, z, width, height, depth float64, turn int, material, label string) {
	before := len(s.ops)
	s.box("fill_wedge", x, y, z, width, height, depth, material, label)
	if len(s.ops) > before {
		o := &s.ops[before]
		o.Turn = float64(turn)
		if turn%180 == 90 {
			o.Size.X, o.Size.Z = o.Size.Z, o.Size.X
		}
	}
}

// replace changes one material into another within a block.
func (s *site) replace(x, y, z, width, height, depth float64, from, to, label string) {
	before := len(s.ops)
	s.box("replace_material", x, y, z, width, height, depth, to, label)
	if len(s.ops) > before {
		s.ops[before].SourceMaterial = from
	}
}

// cylinder fills an upright cylinder that stands on y.
func (s *site) cylinder(x, y, z, radius, height float64, material, label string) {
	radius = s.roundRoom(x, z, radius)
	cy, height := cut(y+height/2, height, 0, s.Size.Y)
	if math.Min(radius, height) < minExtent {
		return
	}
	o := operation{Op: "fill_cylinder", Material: material, Position: vector{X: tidy(x), Y: cy, Z: tidy(z)}, Radius: radius, Height: height, Label: label}
	s.add(o, math.Pi*(radius+cell/2)*(radius+cell/2), cy-height/2, cy+height/2)
}

// ball fills a ball around its center.
func (s *site) ball(x, y, z, radius float64, material, label string) {
	radius = math.Floor(math.Min(s.roundRoom(x, z, radius), math.Min(y, s.Size.Y-y))*100) / 100
	if radius < minExtent {
		return
	}
	o := operation{Op: "fill_ball", Material: material, Position: vector{X: tidy(x), Y: tidy(y), Z: tidy(z)}, Radius: radius, Label: label}
	s.add(o, math.Pi*(radius+cell/2)*(radius+cell/2), o.Position.Y-radius, o.Position.Y+radius)
}

// roundRoom returns how far a circle may reach from a point, at most radius.
func (s *site) roundRoom(x, z, radius float64) float64 {
	room := math.Min(s.Size.X/2-math.Abs(x), s.Size.Z/2-math.Abs(z))
	return math.Floor(math.Min(radius, room-0.05)*100) / 100
}

// stand puts a prop on the ground; y is its foot.
func (s *site) stand(kind, name string, x, y, z, width, height, depth float64, text string) {
	if len(s.props) >= s.MaxProps {
		return
	}
	x = math.Max(-(s.Size.X-width)/2, math.Min((s.Size.X-width)/2, x))
	z = math.Max(-(s.Size.Z-depth)/2, math.Min((s.Size.Z-depth)/2, z))
	height = math.Min(height, s.Size.Y-y)
	if height < minExtent {
		return
	}
	s.props = append(s.props, prop{
		Kind: kind, Name: clip(name, 60), Position: vector{X: tidy(x), Y: tidy(y), Z: tidy(z)},
		Size: vector{X: width, Y: tidy(height), Z: depth}, Text: clip(text, 120),
	})
}
