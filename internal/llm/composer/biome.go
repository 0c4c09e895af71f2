package composer

// lay fills in the ground of a biome and what makes it known at first sight.
func (s *site) lay(biome string) {
	w, d := s.Size.X, s.Size.Z
	switch biome {
	case "ocean":
		s.ocean()
	case "forest":
		s.ground("Ground", "LeafyGrass")
		s.patches(s.detail+2, "Grass", "Ground")
		s.hill(s.nextSpot(), s.level, s.Size.Y*0.2, "LeafyGrass", "Grass", "wooded hill")
		s.stream("Mud")
	case "desert":
		s.ground("Sandstone", "Sand")
		s.patches(s.detail, "Sandstone", "Salt")
		for i := range 2 {
			s.dune(s.nextSpot(), s.Size.Y*(0.05+0.06*s.seed.Float64()), i == 1)
		}
		at := s.nextSpot()
		s.hill(at, s.level, s.Size.Y*0.3, "Sandstone", "Sandstone", "table mountain")
		s.lake(s.nextSpot(), "Grass", "oasis")
	case "mountain":
		s.ground("Rock", "Grass")
		s.patches(s.detail, "Rock", "LeafyGrass")
		for range 3 {
			at := s.backSpot()
			at.r *= 1.15
			s.peak(at, 0.45+0.35*s.seed.Float64())
		}
		s.stream("Slate")
	case "classroom":
		s.ground("Concrete", "Grass")
		s.block(0, s.level-4, 0, w*0.6, 4, d*0.6, "Pavement", "schoolyard")
		s.block(0, s.level, -d*0.3, w*0.6, s.Size.Y*0.25, 4, "Brick", "wall behind the board")
		s.block(0, s.level, -d*0.24, w*0.2, 2, d*0.06, "WoodPlanks", "stage")
	default:
		s.ground("Ground", "Grass")
		s.patches(s.detail+2, "LeafyGrass")
		s.hill(s.nextSpot(), s.level, s.Size.Y*0.18, "Grass", "LeafyGrass", "hill")
		s.lake(s.nextSpot(), "Sand", "lake")
		s.block(0, s.level-4, d*0.2, w*0.05, 4, d*0.35, "Pavement", "path from the arrival")
	}
}

// ground fills in two layers up to the level.
func (s *site) ground(under, top string) {
	s.block(0, 0, 0, s.Size.X, s.level-4, s.Size.Z, under, "ground")
	s.block(0, s.level-4, 0, s.Size.X, 4, s.Size.Z, top, "surface")
}

// ocean is water over sand, with islands to stand on. The level is the top of the islands.
func (s *site) ocean() {
	sea := float64(int(s.Size.Y*0.3/4)) * 4
	s.block(0, 0, 0, s.Size.X, 4, s.Size.Z, "Sand", "sea floor")
	s.block(0, 4, 0, s.Size.X, sea-4, s.Size.Z, "Water", "sea")
	s.level = sea + 4
	arrival := s.arrival()
	s.island(spot{arrival.x, arrival.z, arrival.r * 1.3})
	reef := s.nextSpot()
	s.ring(reef.x, reef.z, reef.r*0.6, s.detail, func(x, z float64) {
		s.ball(x, 5, z, 4.5, []string{"Limestone", "Salt", "Sandstone"}[s.seed.IntN(3)], "reef")
	})
	s.island(s.nextSpot())
}

func (s *site) island(at spot) {
	s.cylinder(at.x, 0, at.z, at.r, s.level-4, "Sand", "island")
	s.cylinder(at.x, s.level-4, at.z, at.r*0.9, 4, "Sand", "")
	s.cylinder(at.x, s.level-4, at.z, at.r*0.6, 4, "Grass", "")
	s.stand("palm", "Palm", at.x-at.r*0.4, s.level, at.z-at.r*0.4, 8, 14, 8, "")
}

type color struct {
	R int `json:"r"`
	G int `json:"g"`
	B int `json:"b"`
}

type lighting struct {
	ClockTime  float64 `json:"clock_time"`
	Brightness float64 `json:"brightness"`
	FogEnd     float64 `json:"fog_end"`
	Ambient    color   `json:"ambient"`
}

func lightOf(biome, terrainType string, width float64) lighting {
	l := lighting{ClockTime: 14, Brightness: 2, FogEnd: 12 * width, Ambient: color{128, 128, 128}}
	switch biome {
	case "ocean":
		l.Ambient = color{110, 130, 150}
	case "forest":
		l.ClockTime, l.FogEnd, l.Ambient = 10, 6*width, color{100, 120, 100}
	case "desert":
		l.ClockTime, l.Brightness, l.Ambient = 15, 3, color{150, 135, 110}
	case "mountain":
		l.ClockTime, l.Ambient = 9, color{120, 125, 140}
	}
	if terrainType == "fantasy" {
		l.ClockTime, l.FogEnd, l.Ambient = 18, 5*width, color{130, 100, 150}
	}
	return l
}

// soilOf returns what the gentle hills of a biome are made of, and what lies on them.
func soilOf(biome string) (body, top string) {
	switch biome {
	case "desert":
		return "Sandstone", "Sand"
	case "mountain":
		return "Rock", "Grass"
	case "classroom":
		return "Grass", "Grass"
	}
	return "Grass", "LeafyGrass"
}

// plantOf returns what grows in a biome, and how large.
func plantOf(biome string) (kind, name string, width, height float64) {
	switch biome {
	case "ocean":
		return "palm", "Palm", 8, 14
	case "desert":
		return "cactus", "Cactus", 5, 9
	case "mountain":
		return "pine", "Pine", 8, 16
	case "classroom":
		return "bush", "Bush", 4, 4
	}
	return "tree", "Tree", 9, 14
}
