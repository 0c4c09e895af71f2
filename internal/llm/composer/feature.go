package composer

import "slices"

// feature builds one requested thing on a spot.
type feature struct {
	names []string // stems that ask for it
	about string   // what is built, for the plan
	build func(s *site, at spot, name string)
}

// features returns what the composer can build, the more special before the more general.
func features() []feature {
	return []feature{
		{stems("volcano crater lava"), "a cone of basalt with lava in its crater", func(s *site, at spot, name string) {
			s.hill(at, s.level, (s.Size.Y-s.level)*0.45, "Basalt", "CrackedLava", name)
		}},
		{stems("waterfall cascade"), "a cliff with falling water and a pool", func(s *site, at spot, name string) {
			s.lake(at, "Rock", "pool")
			height := s.Size.Y * 0.25
			s.block(at.x, s.level, at.z-at.r*0.7, at.r*1.4, height, at.r*0.5, "Rock", name)
			s.block(at.x, s.level, at.z-at.r*0.42, at.r*0.4, height, 2, "Water", "falling water")
		}},
		{stems("oasis"), "a pool with green around it and palms", func(s *site, at spot, name string) {
			s.lake(at, "LeafyGrass", name)
			s.ring(at.x, at.z, at.r*0.87, 4, func(x, z float64) { s.stand("palm", "Palm", x, s.level, z, 6, 12, 6, "") })
		}},
		{stems("reef coral"), "humps of limestone in shallow water", func(s *site, at spot, name string) {
			s.cylinder(at.x, s.level-4, at.z, at.r, 4, "Water", "shallow water")
			s.ring(at.x, at.z, at.r*0.5, 5, func(x, z float64) { s.ball(x, s.level-2, z, max(at.r*0.2, 4), "Limestone", name) })
		}},
		{stems("ship shipwreck wreck boat galleon"), "a hull of planks with a mast", func(s *site, at spot, name string) {
			deck := max(at.r*0.25, 4)
			s.block(at.x, s.level, at.z, at.r, deck, at.r*0.45, "WoodPlanks", name)
			s.wedge(at.x+at.r*0.7, s.level, at.z, at.r*0.4, deck, at.r*0.45, 270, "WoodPlanks", "bow")
			s.cylinder(at.x, s.level+deck, at.z, 2, max(at.r*0.6, 8), "WoodPlanks", "mast")
		}},
		{stems("dam weir"), "a wall across a pool", func(s *site, at spot, name string) {
			s.lake(at, "Mud", "pool")
			s.block(at.x, s.level-4, at.z, at.r*0.3, 4+max(at.r*0.3, 6), at.r*1.6, "WoodPlanks", name)
		}},
		{stems("ramp slope incline"), "a slope that can be walked up", func(s *site, at spot, name string) {
			s.wedge(at.x, s.level, at.z, at.r*0.7, min(at.r*0.6, s.Size.Y*0.2), at.r*1.6, 0, "Concrete", name)
		}},
		{stems("river stream creek brook"), "a river from side to side with a bridge", func(s *site, at spot, name string) {
			if !slices.ContainsFunc(s.ops, func(o operation) bool { return o.Label == "river" }) {
				s.stream("Sand")
			}
			s.sign(at, name)
		}},
		{stems("glacier iceberg ice snow frozen arctic"), "a dome of ice and snow", func(s *site, at spot, name string) {
			s.hill(at, s.level, s.Size.Y*0.2, "Glacier", "Snow", name)
			s.cylinder(at.x, s.level-4, at.z, at.r, 4, "Ice", "frozen ground")
		}},
		{stems("mountain peak summit alps"), "a peak with snow on top", func(s *site, at spot, _ string) { s.peak(at, 0.5) }},
		{stems("hill mound knoll"), "a hill", func(s *site, at spot, name string) {
			s.hill(at, s.level, s.Size.Y*0.18, "Grass", "LeafyGrass", name)
		}},
		{stems("canyon valley gorge ravine"), "a path between two slopes of sandstone", func(s *site, at spot, name string) {
			height := s.Size.Y * 0.22
			s.block(at.x-at.r*0.7, s.level, at.z, at.r*0.5, height, at.r*1.8, "Sandstone", name)
			s.block(at.x+at.r*0.7, s.level, at.z, at.r*0.5, height, at.r*1.8, "Sandstone", "")
			s.block(at.x, s.level-4, at.z, at.r*0.8, 4, at.r*1.8, "Limestone", "path")
		}},
		{stems("cave cavern tunnel mine"), "a chamber of rock that can be walked into", func(s *site, at spot, name string) {
			height, wall := min(s.Size.Y*0.25, 20), at.r*0.3
			s.block(at.x-at.r*0.75, s.level, at.z, wall, height, at.r*1.6, "Rock", name)
			s.block(at.x+at.r*0.75, s.level, at.z, wall, height, at.r*1.6, "Rock", "")
			s.block(at.x, s.level, at.z-at.r*0.7, at.r*1.5, height, wall, "Rock", "back")
			s.block(at.x, s.level+height, at.z, at.r*1.8, 4, at.r*1.6, "Slate", "roof")
			s.stand("lamp", "Lamp", at.x, s.level, at.z, 2, 8, 2, "")
		}},
		{stems("pyramid temple ziggurat"), "a stepped pyramid of sandstone", func(s *site, at spot, name string) {
			step := max(s.Size.Y*0.06, 3)
			for i := range s.detail {
				side := at.r * 1.7 * (1 - float64(i)/float64(s.detail))
				s.block(at.x, s.level+step*float64(i), at.z, side, step, side, "Sandstone", name)
			}
		}},
		{stems("tower lookout lighthouse turret"), "a round tower with a platform", func(s *site, at spot, name string) {
			height := (s.Size.Y - s.level) * 0.5
			s.cylinder(at.x, s.level, at.z, max(at.r*0.3, 3), height, "Brick", name)
			s.stand("platform", name, at.x, s.level+height, at.z, max(at.r*0.8, 8), 1, max(at.r*0.8, 8), "")
		}},
		{stems("castle fort fortress ruin ruins palace wall"), "walls of cobblestone with towers at the corners", func(s *site, at spot, name string) {
			side, height := at.r*1.3, min(s.Size.Y*0.2, 24)
			s.block(at.x-side/2, s.level, at.z, 3, height, side, "Cobblestone", name)
			s.block(at.x+side/2, s.level, at.z, 3, height, side, "Cobblestone", "")
			s.block(at.x, s.level, at.z-side/2, side, height, 3, "Cobblestone", "")
			for _, corner := range [][2]float64{{-1, -1}, {-1, 1}, {1, -1}, {1, 1}} {
				s.cylinder(at.x+corner[0]*side/2, s.level, at.z+corner[1]*side/2, max(at.r*0.15, 3), height*1.4, "Cobblestone", "tower")
			}
		}},
		{stems("maze labyrinth hedge"), "rings of hedges with gaps", func(s *site, at spot, name string) {
			for i, size := range []float64{1.7, 1.0} {
				side, gap := at.r*size, float64(1-2*(i%2))*at.r*0.15
				s.block(at.x-side/2, s.level, at.z, 2, 8, side, "LeafyGrass", name)
				s.block(at.x+side/2, s.level, at.z, 2, 8, side, "LeafyGrass", "")
				s.block(at.x+gap, s.level, at.z-side/2, side*0.7, 8, 2, "LeafyGrass", "")
				s.block(at.x-gap, s.level, at.z+side/2, side*0.7, 8, 2, "LeafyGrass", "")
			}
		}},
		{stems("island islet atoll"), "an island with water around it", func(s *site, at spot, name string) {
			s.lake(at, "Sand", "water")
			s.cylinder(at.x, s.level-4, at.z, at.r*0.4, 5, "Grass", name)
			s.stand("palm", "Palm", at.x, s.level+1, at.z, 6, 12, 6, "")
		}},
		{stems("lake pond pool lagoon water"), "a pool with a shore", func(s *site, at spot, name string) { s.lake(at, "Sand", name) }},
		{stems("beach shore coast dune"), "a stretch of sand", func(s *site, at spot, name string) {
			s.cylinder(at.x, s.level-4, at.z, at.r, 4, "Sand", name)
			s.dune(spot{at.x, at.z - at.r*0.4, at.r * 0.6}, 3, false)
		}},
		{stems("swamp marsh wetland bog"), "mud with puddles and bushes", func(s *site, at spot, name string) {
			s.cylinder(at.x, s.level-4, at.z, at.r, 4, "Mud", name)
			s.ring(at.x, at.z, at.r*0.5, 3, func(x, z float64) { s.cylinder(x, s.level-4, z, at.r*0.2, 4, "Water", "puddle") })
			s.stand("bush", "Bush", at.x, s.level, at.z, 4, 4, 4, "")
		}},
		{stems("forest wood tree jungle grove orchard"), "a grove", func(s *site, at spot, name string) {
			s.cylinder(at.x, s.level-4, at.z, at.r, 4, "LeafyGrass", name)
			s.ring(at.x, at.z, at.r*0.6, 5, func(x, z float64) { s.stand("tree", "Tree", x, s.level, z, 8, 14, 8, "") })
		}},
		{stems("garden farm field crop meadow flower"), "beds in rows", func(s *site, at spot, name string) {
			for i := range 3 {
				s.block(at.x+(float64(i)-1)*at.r*0.55, s.level-4, at.z, at.r*0.4, 4, at.r*1.5, "Mud", name)
			}
			s.ring(at.x, at.z, at.r*0.6, 4, func(x, z float64) { s.stand("bush", "Plant", x, s.level, z, 3, 3, 3, "") })
		}},
		{stems("road street path trail track highway"), "a paved way", func(s *site, at spot, name string) {
			s.block(at.x, s.level-4, 0, max(s.Size.X*0.05, 6), 4, s.Size.Z*0.9, "Asphalt", name)
		}},
		{stems("bridge"), "a bridge over water", func(s *site, at spot, name string) {
			s.block(at.x, s.level-4, at.z, at.r*1.6, 4, at.r*0.7, "Water", "water under the bridge")
			s.stand("platform", name, at.x, s.level, at.z, 6, 1, at.r, "")
		}},
		{stems("building house school library museum shop town village city home hut"), "a house on paved ground", func(s *site, at spot, name string) {
			s.block(at.x, s.level-4, at.z, at.r*1.5, 4, at.r*1.5, "Pavement", "forecourt")
			s.stand("building", name, at.x, s.level, at.z, max(at.r, 10), 12, max(at.r, 10), "")
			s.sign(at, name)
		}},
		{stems("arena stadium amphitheater stage theater court playground park plaza market square campfire camp"), "an open square with benches", func(s *site, at spot, name string) {
			s.cylinder(at.x, s.level-4, at.z, at.r, 4, "Cobblestone", name)
			s.ring(at.x, at.z, at.r*0.7, 4, func(x, z float64) { s.stand("bench", "Bench", x, s.level, z, 6, 3, 3, "") })
			s.stand("lamp", "Lamp", at.x, s.level, at.z, 2, 12, 2, "")
		}},
		{stems("rock boulder stone cliff"), "boulders", func(s *site, at spot, name string) {
			s.ring(at.x, at.z, at.r*0.5, 4, func(x, z float64) { s.ball(x, s.level+2, z, at.r*0.25, "Rock", name) })
		}},
	}
}

// featureFor returns what can be built for the words of a request, or a marked building site.
func featureFor(text string) feature {
	words := stems(text)
	for _, f := range features() {
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(f.names, w) }) {
			return f
		}
	}
	return feature{about: "a marked building site, for the composer does not know this thing", build: func(s *site, at spot, name string) {
		s.block(at.x, s.level-4, at.z, at.r, 4, at.r, "WoodPlanks", "building site")
		s.stand("sign", "Building site", at.x, s.level, at.z, 8, 8, 1, "Build here: "+name)
	}}
}

// sign names what is on a spot, at its edge.
func (s *site) sign(at spot, text string) {
	s.stand("sign", "Sign", at.x, s.level, at.z+at.r*0.9, 8, 8, 1, text)
}
