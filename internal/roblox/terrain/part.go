package terrain

// Part is one solid of a prop, anchored and unturned.
type Part struct {
	Name     string
	Shape    string // Block, Ball or, for a place to appear at, Spawn
	Size     Vector
	Position Vector // center
	Color    [3]uint8
	Material string  // of Enum.Material
	Text     string  // shown on the front and the back
	Light    float64 // range of a light in it, in studs; 0 for none
}

// The shapes of parts.
const (
	Block      = "Block"
	Ball       = "Ball"
	SpawnShape = "Spawn"
)

func colors() (brown, green, stone, pale, yellow, white [3]uint8) {
	return [3]uint8{112, 78, 48}, [3]uint8{66, 122, 58}, [3]uint8{128, 126, 120}, [3]uint8{214, 205, 184}, [3]uint8{255, 226, 140}, [3]uint8{245, 245, 245}
}

// Kinds returns the kinds of props.
func Kinds() []string {
	return []string{"tree", "pine", "palm", "cactus", "bush", "rock", "spawn", "sign", "lamp", "bench", "building", "platform"}
}

// Parts returns what the prop is made of, as the generated script makes it; nothing for a kind that is not of Kinds.
func (p Prop) Parts() []Part {
	brown, green, stone, pale, yellow, white := colors()
	w, h, d := p.Size.X, p.Size.Y, p.Size.Z
	side := min(w, d)
	block := func(name string, width, height, depth, y float64, color [3]uint8, material string) Part {
		return Part{Name: name, Shape: Block, Size: Vector{width, height, depth}, Position: p.above(0, y, 0), Color: color, Material: material}
	}
	ball := func(name string, size, y float64, color [3]uint8, material string) Part {
		return Part{Name: name, Shape: Ball, Size: Vector{size, size, size}, Position: p.above(0, y, 0), Color: color, Material: material}
	}
	switch p.Kind {
	case "tree":
		crown := min(w, d, h*0.7)
		trunk := h - crown*0.6
		return []Part{block("Trunk", crown*0.2, trunk, crown*0.2, trunk/2, brown, "Wood"), ball("Leaves", crown, h-crown/2, green, "Grass")}
	case "pine":
		out := []Part{block("Trunk", side*0.15, h*0.3, side*0.15, h*0.15, brown, "Wood")}
		for layer := 1.0; layer <= 3; layer++ {
			width := side * (1.15 - layer*0.28)
			out = append(out, block("Needles", width, h*0.2, width, h*(0.15+layer*0.24), green, "Grass"))
		}
		return out
	case "palm":
		return []Part{
			block("Trunk", side*0.12, h*0.9, side*0.12, h*0.45, brown, "Wood"),
			block("Leaf", w, h*0.06, d*0.25, h*0.92, green, "Grass"), block("Leaf", w*0.25, h*0.06, d, h*0.95, green, "Grass"),
		}
	case "cactus":
		return []Part{block("Stem", side*0.35, h, side*0.35, h/2, green, "Grass"), block("Arms", w, h*0.15, side*0.25, h*0.6, green, "Grass")}
	case "bush":
		size := min(w, h, d)
		return []Part{ball("Bush", size, size/2, green, "Grass")}
	case "rock":
		return []Part{block("Rock", w, h, d, h/2, stone, "Slate")}
	case "spawn":
		return []Part{{Name: "SpawnLocation", Shape: SpawnShape, Size: p.Size, Position: p.above(0, h/2, 0), Color: white, Material: "Plastic"}}
	case "sign":
		board := block("Board", w, h*0.5, 0.5, h*0.75, pale, "WoodPlanks")
		board.Text = p.Text
		return []Part{block("Post", 0.6, h*0.5, 0.6, h*0.25, brown, "Wood"), board}
	case "lamp":
		size := max(min(h*0.15, side), 1)
		bulb := ball("Bulb", size, h-size/2, yellow, "Neon")
		bulb.Light = 24
		return []Part{block("Pole", 0.6, h*0.85, 0.6, h*0.425, stone, "Metal"), bulb}
	case "bench":
		back := block("Back", w, h*0.5, d*0.2, 0, brown, "WoodPlanks")
		back.Position = p.above(0, h*0.75, d*0.4)
		return []Part{block("Seat", w, h*0.2, d, h*0.4, brown, "WoodPlanks"), block("Foot", w*0.8, h*0.3, d*0.5, h*0.15, stone, "Concrete"), back}
	case "building":
		return p.building()
	case "platform":
		return []Part{block("Platform", w, h, d, h/2, white, "Concrete")}
	}
	return nil
}

// building has a floor, a roof, walls on three sides and an open front.
func (p Prop) building() []Part {
	brown, _, stone, pale, _, _ := colors()
	w, h, d := p.Size.X, p.Size.Y, p.Size.Z
	wall := func(width, depth, x, z float64) Part {
		return Part{Name: "Wall", Shape: Block, Size: Vector{width, max(h-2, MinSide), depth}, Position: p.above(x, h/2, z), Color: pale, Material: "Brick"}
	}
	return []Part{
		{Name: "Floor", Shape: Block, Size: Vector{w, 1, d}, Position: p.above(0, 0.5, 0), Color: stone, Material: "Concrete"},
		{Name: "Roof", Shape: Block, Size: Vector{w, 1, d}, Position: p.above(0, h-0.5, 0), Color: brown, Material: "WoodPlanks"},
		wall(1, d, 0.5-w/2, 0), wall(1, d, w/2-0.5, 0), wall(max(w-2, MinSide), 1, 0, d/2-0.5),
	}
}

// MinSide is the least side of a part, in studs, that the engine keeps to the hundredth that a script writes.
const MinSide = 0.05

func (p Prop) above(x, y, z float64) Vector {
	return Vector{p.Position.X + x, p.Position.Y + y, p.Position.Z + z}
}
