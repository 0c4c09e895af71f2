package terrain_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

func block(material string, x, y, z, w, h, d float64) terrain.Operation {
	return terrain.Operation{Op: terrain.FillBlock, Material: material, Position: terrain.Vector{X: x, Y: y, Z: z}, Size: &terrain.Vector{X: w, Y: h, Z: d}}
}

func round(op, material string, x, y, z, radius, height float64) terrain.Operation {
	return terrain.Operation{Op: op, Material: material, Position: terrain.Vector{X: x, Y: y, Z: z}, Radius: radius, Height: height}
}

func wedge(turn float64, w, h, d float64) terrain.Operation {
	return terrain.Operation{Op: terrain.FillWedge, Material: "Rock", Position: terrain.Vector{Y: h / 2}, Size: &terrain.Vector{X: w, Y: h, Z: d}, Turn: turn}
}

func replace(from, to string, x, y, z, w, h, d float64) terrain.Operation {
	o := block(to, x, y, z, w, h, d)
	o.Op, o.SourceMaterial = terrain.ReplaceMaterial, from
	return o
}

func TestBuild_CountsVoxels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size string
		ops  []terrain.Operation
		want []terrain.Effect
	}{
		"one voxel":               {"medium", []terrain.Operation{block("Rock", 2, 2, 2, 4, 4, 4)}, []terrain.Effect{{1, 1, 1}}},
		"half of two":             {"medium", []terrain.Operation{block("Rock", 4, 2, 2, 4, 4, 4)}, []terrain.Effect{{2, 2, 2}}},
		"a sliver is nothing":     {"medium", []terrain.Operation{block("Rock", 2, 0.2, 2, 4, 0.4, 4)}, []terrain.Effect{{}}},
		"a thin floor":            {"medium", []terrain.Operation{block("Rock", 0, 0.5, 0, 8, 1, 8)}, []terrain.Effect{{4, 4, 4}}},
		"the large place filled":  {"large", []terrain.Operation{block("Rock", 0, 100, 0, 400, 200, 400)}, []terrain.Effect{{500000, 500000, 100*100 + 49*396}}},
		"a ball off the corner":   {"medium", []terrain.Operation{round(terrain.FillBall, "Rock", 0, 4, 0, 1, 0)}, []terrain.Effect{{}}},
		"a ball in a voxel":       {"medium", []terrain.Operation{round(terrain.FillBall, "Rock", 2, 2, 2, 2, 0)}, []terrain.Effect{{1, 1, 1}}},
		"replaced":                {"medium", []terrain.Operation{block("Rock", 4, 2, 4, 8, 4, 8), replace("Rock", "Snow", 2, 2, 2, 4, 4, 4)}, []terrain.Effect{{4, 4, 4}, {1, 1, 1}}},
		"replaced on the grid":    {"medium", []terrain.Operation{block("Rock", 4, 2, 4, 8, 4, 8), replace("Rock", "Snow", 3, 3, 3, 2.5, 2, 2.5)}, []terrain.Effect{{4, 4, 4}, {4, 4, 4}}},
		"replaced what is not":    {"medium", []terrain.Operation{block("Rock", 2, 2, 2, 4, 4, 4), replace("Sand", "Snow", 2, 2, 2, 4, 4, 4)}, []terrain.Effect{{1, 1, 1}, {1, 0, 0}}},
		"hidden":                  {"medium", []terrain.Operation{block("Rock", 2, 2, 2, 4, 4, 4), block("Sand", 2, 4, 2, 8, 8, 8)}, []terrain.Effect{{1, 1, 0}, {18, 18, 18}}},
		"the same again":          {"medium", []terrain.Operation{block("Rock", 2, 2, 2, 4, 4, 4), block("Rock", 2, 2, 2, 4, 4, 4)}, []terrain.Effect{{1, 1, 1}, {1, 0, 0}}},
		"outside":                 {"medium", []terrain.Operation{block("Rock", 500, 2, 2, 4, 4, 4)}, []terrain.Effect{{}}},
		"water does not hide":     {"medium", []terrain.Operation{block("Rock", 2, 2, 2, 4, 4, 4), block("Water", 2, 6, 2, 4, 4, 4)}, []terrain.Effect{{1, 1, 1}, {1, 1, 1}}},
		"buried under full sides": {"medium", []terrain.Operation{block("Rock", 0, 2, 0, 200, 4, 200), block("Sand", 0, 6, 0, 200, 4, 200)}, []terrain.Effect{{2500, 2500, 196}, {2500, 2500, 2500}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := terrain.Build(terrain.LimitsOf(c.size), c.ops)
			sum := 0
			for i, e := range s.Effects {
				sum += e.Covered
				if e != c.want[i] {
					t.Errorf("operation %d: %+v, want %+v", i+1, e, c.want[i])
				}
			}
			if sum != s.Voxels || s.Stopped {
				t.Errorf("%d voxels, want %d", s.Voxels, sum)
			}
		})
	}
}

// TestBuild_AgreesWithPoints holds the voxels of any shape against points that are tried one by one.
func TestBuild_AgreesWithPoints(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		num := func(name string, from, to float64) float64 {
			return math.Round(rapid.Float64Range(from, to).Draw(t, name)*100) / 100
		}
		o := terrain.Operation{
			Op:       rapid.SampledFrom([]string{terrain.FillBlock, terrain.FillBall, terrain.FillCylinder, terrain.FillWedge}).Draw(t, "op"),
			Material: "Rock", Position: terrain.Vector{X: num("x", -20, 20), Y: num("y", 14, 30), Z: num("z", -20, 20)},
			Size: &terrain.Vector{X: num("w", 6, 24), Y: num("h", 6, 24), Z: num("d", 6, 24)}, Radius: num("r", 4, 12), Height: num("height", 6, 24),
			Turn: float64(rapid.SampledFrom([]int{0, 90, 180, 270}).Draw(t, "turn")),
		}
		s := terrain.Build(terrain.LimitsOf("medium"), []terrain.Operation{o})
		volume := 0
		wrong := 0
		for x := -46.0; x < 48; x += 4 {
			for z := -46.0; z < 48; z += 4 {
				for y := 2.0; y < 60; y += 4 {
					cover := sampled(o, x, y, z)
					if cover > 0.5 {
						volume++
					}
					solid := s.Material(x, y-1.5, z) != ""
					if (cover > 0.3) && !solid || cover == 0 && solid {
						wrong++
					}
				}
			}
		}
		if wrong > 0 {
			t.Fatalf("%d of about %d voxels are wrong", wrong, volume)
		}
	})
}

// sampled returns which part of a voxel is inside of a shape, by 8×8×8 points.
func sampled(o terrain.Operation, x, y, z float64) float64 {
	n := 0
	for i := range 8 {
		for j := range 8 {
			for k := range 8 {
				if within(o, x-1.75+float64(i)/2, y-1.75+float64(j)/2, z-1.75+float64(k)/2) {
					n++
				}
			}
		}
	}
	return float64(n) / 512
}

func within(o terrain.Operation, x, y, z float64) bool {
	dx, dy, dz := x-o.Position.X, y-o.Position.Y, z-o.Position.Z
	switch o.Op {
	case terrain.FillBall:
		return dx*dx+dy*dy+dz*dz <= o.Radius*o.Radius
	case terrain.FillCylinder:
		return dx*dx+dz*dz <= o.Radius*o.Radius && math.Abs(dy) <= o.Height/2
	case terrain.FillWedge: // into the wedge's own frame
		sin, cos := math.Sincos(-o.Turn * math.Pi / 180)
		dx, dz = dx*cos+dz*sin, -dx*sin+dz*cos
		if dy > -o.Size.Y/2+o.Size.Y*(dz/o.Size.Z+0.5) {
			return false
		}
	}
	return math.Abs(dx) <= o.Size.X/2 && math.Abs(dy) <= o.Size.Y/2 && math.Abs(dz) <= o.Size.Z/2
}

func TestBuild_RisesAsAWedgePart(t *testing.T) {
	t.Parallel()
	for turn, high := range map[float64][2]float64{0: {0, 18}, 90: {18, 0}, 180: {0, -18}, 270: {-18, 0}} {
		s := terrain.Build(terrain.LimitsOf("medium"), []terrain.Operation{wedge(turn, 40, 20, 40)})
		up, _ := s.Floor(high[0], 100, high[1])
		down, _ := s.Floor(-high[0], 100, -high[1])
		if up < 17 || down > 3 {
			t.Errorf("turned by %v: %v at the high end, %v at the low one", turn, up, down)
		}
	}
}

func TestBuild_StopsFarOverTheBudget(t *testing.T) {
	t.Parallel()
	l := terrain.LimitsOf("small")
	var ops []terrain.Operation
	for range 300 {
		ops = append(ops, block("Rock", 0, 25, 0, 100, 50, 100))
	}
	if s := terrain.Build(l, ops); !s.Stopped || len(s.Effects) != 4 || s.Voxels != 4*26*13*26 {
		t.Errorf("stopped %v after %d operations and %d voxels", s.Stopped, len(s.Effects), s.Voxels)
	}
	for i := range ops {
		ops[i] = block("Rock", 2, 2, 2, 4, 4, 4)
	}
	if s := terrain.Build(l, ops); s.Stopped || len(s.Effects) != 255 {
		t.Errorf("%d operations were carried out", len(s.Effects))
	}
}

func BenchmarkBuild(b *testing.B) {
	l := terrain.LimitsOf("xlarge")
	for b.Loop() {
		terrain.Build(l, []terrain.Operation{block("Rock", 0, 25, 0, 800, 50, 800), round(terrain.FillBall, "Sand", 0, 150, 0, 150, 0)})
	}
}
