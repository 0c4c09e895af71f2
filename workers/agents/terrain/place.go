package terrain

import "math"

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
	FillWedge       = "fill_wedge"       // position, size, turn
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

// Lighting is the light of the place.
type Lighting struct {
	ClockTime  float64 `json:"clock_time"` // hours
	Brightness float64 `json:"brightness"`
	FogEnd     float64 `json:"fog_end"` // studs
	Ambient    Color   `json:"ambient"`
}

// Color has parts from 0 to 255.
type Color struct {
	R float64 `json:"r"`
	G float64 `json:"g"`
	B float64 `json:"b"`
}

// Limits is what a place of one size may hold.
type Limits struct {
	Size          Vector   `json:"size"` // x from -X/2 to X/2, y from 0 to Y, z from -Z/2 to Z/2
	MaxOperations int      `json:"max_operations"`
	MaxProps      int      `json:"max_props"`
	VoxelBudget   int      `json:"voxel_budget"` // sum over all operations
	Materials     []string `json:"materials"`
}

// materials returns the 22 materials that terrain can be filled with; the 23rd, Air, empties it. They are listed on the page
// "Environmental terrain" of Roblox's creator documentation, under "Terrain materials".
func materials() []string {
	return []string{
		"Asphalt", "Basalt", "Brick", "Cobblestone", "Concrete", "CrackedLava", "Glacier", "Grass", "Ground", "Ice", "LeafyGrass",
		"Limestone", "Mud", "Pavement", "Rock", "Salt", "Sand", "Sandstone", "Slate", "Snow", "Water", "WoodPlanks",
	}
}

// limitsOf returns the limits of a size. The voxel budget lets a place be filled twice over, within what a server can build
// in a few seconds.
func limitsOf(size string) Limits {
	l := Limits{MaxOperations: 200, MaxProps: 150, Materials: materials()}
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

// box is the space that something takes up.
type box struct{ min, max Vector }

func around(center, size Vector) box {
	return box{
		min: Vector{center.X - size.X/2, center.Y - size.Y/2, center.Z - size.Z/2},
		max: Vector{center.X + size.X/2, center.Y + size.Y/2, center.Z + size.Z/2},
	}
}

// extent returns the size of the box around the operation's shape, for an operation that has what its shape needs.
func (o Operation) extent() Vector {
	switch o.Op {
	case FillBall:
		return Vector{2 * o.Radius, 2 * o.Radius, 2 * o.Radius}
	case FillCylinder:
		return Vector{2 * o.Radius, o.Height, 2 * o.Radius}
	case FillWedge:
		if o.Turn == 90 || o.Turn == 270 {
			return Vector{o.Size.Z, o.Size.Y, o.Size.X}
		}
	}
	return *o.Size
}

// voxelVolume is the volume of one voxel of 4×4×4 studs.
const voxelVolume = 64

// voxels estimates how many voxels the operation writes.
func (o Operation) voxels() float64 {
	size := o.extent()
	volume := size.X * size.Y * size.Z
	switch o.Op {
	case FillBall:
		volume *= math.Pi / 6
	case FillCylinder:
		volume *= math.Pi / 4
	case FillWedge:
		volume /= 2
	}
	return volume / voxelVolume
}
