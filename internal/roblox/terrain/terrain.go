// Package terrain knows what a Roblox place is made of: operations on its voxels and props that stand on them. It voxelises the
// operations as the engine does, near enough to say how much they write, which of them are of no use, where the ground is and
// what stands on it; and it draws the place and writes it as a model file.
//
// # Voxels
//
// Terrain is a grid of cells of 4×4×4 studs, each with one material and an occupancy from 0 to 1. The engine's own code is not
// public, so Build uses these formulas:
//
//   - The cover of a cell by a shape is the part of its volume that lies inside. It is exact for a block. Under round shapes and
//     slopes a cell is cut into 4×4 upright columns, and the stretch of each that lies inside is exact at its middle.
//   - A fill writes the cells that it covers by at least MinCover; thinner slivers leave nothing to be seen.
//   - A written cell takes the greater of its occupancy and the cover. It takes the material as well when it was empty, when the cover
//     is at least a half, or when it is no less than the occupancy.
//   - A replacement writes every cell of its region, widened to the grid, that holds the source material.
//
// The engine keeps water beside solid matter in one cell since 2024; here a cell holds one of them. Surfaces are the occupied
// part of a cell from below, which is where the engine draws level ground; it rounds edges by up to half a cell.
package terrain

// Vector is a point or an extent, in studs.
type Vector struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
	Z float64 `json:"z"`
}

// The operations on terrain. They are carried out in order; later ones overwrite earlier ones.
const (
	FillBlock       = "fill_block"       // position, size
	FillBall        = "fill_ball"        // position, radius
	FillCylinder    = "fill_cylinder"    // position, radius, height; upright
	FillWedge       = "fill_wedge"       // position, size, turn; rises towards its back, positive z before the turn
	ReplaceMaterial = "replace_material" // position, size, source_material
)

// Operation is one change of the terrain. Position is the center of its shape.
type Operation struct {
	Op             string  `json:"op"`
	Material       string  `json:"material"` // what is filled in, or what takes the place of SourceMaterial
	SourceMaterial string  `json:"source_material,omitempty"`
	Position       Vector  `json:"position"`
	Size           *Vector `json:"size,omitempty"`
	Radius         float64 `json:"radius,omitempty"`
	Height         float64 `json:"height,omitempty"`
	Turn           float64 `json:"turn,omitempty"` // 0, 90, 180 or 270 degrees about the upright axis
	Label          string  `json:"label,omitempty"`
}

// Prop is a thing that stands on the terrain. Position is the middle of its foot.
type Prop struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Position Vector `json:"position"`
	Size     Vector `json:"size"`
	Text     string `json:"text,omitempty"` // what a sign says
}

// Limits is what a place of one size may hold.
type Limits struct {
	Size          Vector   `json:"size"` // x from -X/2 to X/2, y from 0 to Y, z from -Z/2 to Z/2
	MaxOperations int      `json:"max_operations"`
	MaxProps      int      `json:"max_props"`
	VoxelBudget   int      `json:"voxel_budget"` // sum over all operations
	Materials     []string `json:"materials"`
}

// Water is the material that is not solid.
const Water = "Water"

// Materials returns the 22 materials that terrain can be filled with; the 23rd, Air, empties it. They are listed on the page
// "Environmental terrain" of Roblox's creator documentation, under "Terrain materials".
func Materials() []string {
	return []string{
		"Asphalt", "Basalt", "Brick", "Cobblestone", "Concrete", "CrackedLava", "Glacier", "Grass", "Ground", "Ice", "LeafyGrass",
		"Limestone", "Mud", "Pavement", "Rock", "Salt", "Sand", "Sandstone", "Slate", "Snow", Water, "WoodPlanks",
	}
}

// LimitsOf returns the limits of a size: small, medium, large or xlarge; medium for any other. The voxel budget lets a place up to
// large be filled about twice over, within what a server can build in a few seconds.
func LimitsOf(size string) Limits {
	l := Limits{MaxOperations: 200, MaxProps: 150, Materials: Materials()}
	switch size {
	case "small":
		l.Size, l.VoxelBudget = Vector{100, 50, 100}, 16_000
	case "large":
		l.Size, l.VoxelBudget = Vector{400, 200, 400}, 1_000_000
	case "xlarge":
		l.Size, l.VoxelBudget = Vector{800, 300, 800}, 2_000_000
	default:
		l.Size, l.VoxelBudget = Vector{200, 100, 200}, 125_000
	}
	return l
}

// Box is the space that something takes up.
type Box struct{ Min, Max Vector }

// Around returns the box of a size around its center.
func Around(center, size Vector) Box {
	return Box{
		Min: Vector{center.X - size.X/2, center.Y - size.Y/2, center.Z - size.Z/2},
		Max: Vector{center.X + size.X/2, center.Y + size.Y/2, center.Z + size.Z/2},
	}
}

// Box returns the box around the operation's shape, for an operation that has what its shape needs.
func (o Operation) Box() Box {
	size := Vector{2 * o.Radius, 2 * o.Radius, 2 * o.Radius}
	switch {
	case o.Op == FillBall:
	case o.Op == FillCylinder:
		size.Y = o.Height
	case o.Op == FillWedge && (o.Turn == 90 || o.Turn == 270):
		size = Vector{o.Size.Z, o.Size.Y, o.Size.X}
	default:
		size = *o.Size
	}
	return Around(o.Position, size)
}

// Box returns the space that the prop takes up.
func (p Prop) Box() Box {
	return Around(Vector{p.Position.X, p.Position.Y + p.Size.Y/2, p.Position.Z}, p.Size)
}
