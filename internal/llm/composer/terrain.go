package composer

import (
	"fmt"
	"math"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

type terrainRequest struct {
	Subject     string   `json:"subject"`
	TerrainType string   `json:"terrain_type"`
	Complexity  string   `json:"complexity"`
	Biome       string   `json:"biome"`
	Size        string   `json:"size"`
	Features    []string `json:"features"`
}

type terrainInput struct {
	Request request[terrainRequest] `json:"request"`
	Limits  limits                  `json:"limits"`
}

// minPlace is the least side of a place, in studs, that there is room to build on.
const minPlace = 40

// maxPlace is the greatest side: more than the largest size has, and little enough to be carried out in memory.
const maxPlace = 1000

func (in terrainInput) check() error {
	if size := in.Limits.Size; min(size.X, size.Y, size.Z) < minPlace {
		return fault.InvalidField("input.limits.size", "is %v×%v×%v studs, too small to build on", size.X, size.Y, size.Z)
	} else if max(size.X, size.Y, size.Z) > maxPlace {
		return fault.InvalidField("input.limits.size", "is %v×%v×%v studs, at most %d each way are built on", size.X, size.Y, size.Z, maxPlace)
	}
	return nil
}

type terrainPlan struct {
	Title string `json:"title"`
	Theme string `json:"theme"`
	Zones []zone `json:"zones"`
}

type zone struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Features    []int  `json:"features"`
}

type terrainAnswer struct {
	Operations       []operation `json:"operations"`
	Props            []prop      `json:"props"`
	Lighting         lighting    `json:"lighting"`
	PerformanceNotes []string    `json:"performance_notes"`
}

func (c *Composer) terrainOutline(in terrainInput) terrainPlan {
	r := in.Request.is
	plan := terrainPlan{
		Title: fmt.Sprintf("%s: %s place, %s", clip(r.Subject, 80), r.TerrainType, r.Biome),
		Theme: clip(fmt.Sprintf("%s place with the look of %s, made to explore %s. Starter terrain: change it in Studio as you like.%s",
			upper(r.TerrainType), biomeText(r.Biome), r.Subject, leftToBuild(r)), 600),
		Zones: []zone{
			{"Arrival", "Level ground at the south side with a spawn and a sign that names the topic.", []int{}},
			{"Landscape", "The whole place: " + biomeText(r.Biome) + ".", []int{}},
		},
	}
	for i, name := range r.Features {
		plan.Zones = append(plan.Zones, zone{clip(upper(name), 100), clip("Here stands "+featureFor(name).about+".", 400), []int{i + 1}})
	}
	if r.TerrainType == "educational" {
		plan.Zones = append(plan.Zones, zone{"Learning stations", "Signs on free ground that tell something about the subject.", []int{}})
	}
	return plan
}

// leftToBuild names the features that only have a marked site.
func leftToBuild(r terrainRequest) string {
	var names []string
	for _, name := range r.Features {
		if featureFor(name).names == nil {
			names = append(names, clip(name, 40))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " Marked by signs, for you to build: " + strings.Join(names, ", ") + "."
}

func biomeText(biome string) string {
	switch biome {
	case "ocean":
		return "a warm sea with islands and a reef"
	case "forest":
		return "wooded hills with a river"
	case "desert":
		return "dunes, a table mountain and an oasis"
	case "mountain":
		return "snow-capped peaks above a river"
	case "classroom":
		return "a schoolyard with a stage"
	}
	return "meadows with a hill and a lake"
}

func (c *Composer) terrainDraft(in terrainInput) terrainAnswer {
	r := in.Request.is
	detail := map[string]int{"simple": 3, "complex": 6}[r.Complexity]
	if detail == 0 {
		detail = 4
	}
	if len(r.Features) > 8 {
		detail = 3 // the operations have to do for all of them
	}
	s := newSite(in.Limits, detail, seeded(in.Request.text))
	s.lay(r.Biome)
	for _, name := range r.Features {
		at := s.nextSpot()
		if r.Biome == "ocean" {
			s.island(at)
		}
		featureFor(name).build(s, at, clip(name, 60))
	}
	s.style(r)
	s.arrive(r)
	c.stations(s, r)
	s.plant(r)
	s.settle()
	return terrainAnswer{
		Operations: s.ops, Props: s.props, Lighting: lightOf(r.Biome, r.TerrainType, s.Size.X),
		PerformanceNotes: []string{"Hills are stacks of cylinders: smooth them with the terrain editor's Smooth tool."},
	}
}

// style adds what makes the type of the place.
func (s *site) style(r terrainRequest) {
	switch r.TerrainType {
	case "urban":
		if r.Biome != "ocean" {
			s.block(0, s.level-4, 0, s.Size.X, 4, max(s.Size.Z*0.05, 6), "Asphalt", "street")
			s.block(0, s.level-4, 0, max(s.Size.X*0.05, 6), 4, s.Size.Z*0.7, "Asphalt", "street")
		}
		for i := range s.detail {
			at := s.nextSpot()
			s.footing(r, at, "Concrete")
			s.stand("building", fmt.Sprintf("Building %d", i+1), at.x, s.level, at.z, max(at.r*0.9, 8), min(12+6*float64(i), s.Size.Y*0.4), max(at.r*0.9, 8), "")
			s.stand("lamp", "Street lamp", at.x+at.r*0.6, s.level, at.z+at.r*0.4, 2, 12, 2, "")
		}
	case "fantasy":
		for range s.detail {
			at := s.nextSpot()
			y := s.level + (s.Size.Y-s.level)*(0.5+0.3*s.seed.Float64())
			s.ball(at.x, y-at.r*0.3, at.z, at.r*0.4, "Rock", "floating rock")
			s.cylinder(at.x, y, at.z, at.r*0.45, max(at.r*0.15, 2), "Grass", "floating island")
			s.stand("tree", "Silver tree", at.x, y+max(at.r*0.15, 2), at.z, 6, 10, 6, "")
		}
	case "landscape":
		body, top := soilOf(r.Biome)
		if r.Biome != "ocean" {
			s.hill(s.nextSpot(), s.level, s.Size.Y*0.12, body, top, "gentle hill")
		}
		for range s.detail {
			at := s.nextSpot()
			s.footing(r, at, top)
			s.stand("rock", "Boulder", at.x, s.level, at.z, 5, 4, 5, "")
		}
	}
}

// footing gives a spot dry ground of a material.
func (s *site) footing(r terrainRequest, at spot, material string) {
	if r.Biome == "ocean" {
		s.island(at)
	}
	s.cylinder(at.x, s.level-4, at.z, at.r*0.8, 4, material, "")
}

// arrive makes the place where players appear.
func (s *site) arrive(r terrainRequest) {
	at := s.arrival()
	s.block(at.x, s.level-4, at.z, at.r*2, 4, at.r*1.4, "Pavement", "arrival")
	s.stand("spawn", "Spawn", at.x, s.level, at.z, 10, 1, 10, "")
	s.stand("sign", "Welcome", at.x+at.r*0.9, s.level, at.z-at.r*0.5, 10, 9, 1, "Welcome! Today's topic: "+r.Subject)
}

// stations puts up signs with facts about the subject, or signs to be written on.
func (c *Composer) stations(s *site, r terrainRequest) {
	if r.TerrainType != "educational" {
		return
	}
	var texts []string
	if known := c.bank.subject(r.Subject); known != nil {
		want := known.wanted(r.Biome + " " + strings.Join(r.Features, " "))
		for _, i := range ranked(len(known.Facts), s.seed, func(i int) int { return known.Facts[i].relevance(want) }) {
			sentence, _ := known.Facts[i].statement()
			texts = append(texts, sentence)
		}
	}
	for i := range min(s.detail, 4) {
		text := fmt.Sprintf("Station %d: write a fact or a question about %s here.", i+1, r.Subject)
		if i < len(texts) {
			text = texts[i]
		}
		at := s.nextSpot()
		if r.Biome == "ocean" {
			s.island(at)
		}
		s.stand("sign", fmt.Sprintf("Station %d", i+1), at.x, s.level, at.z, 10, 9, 1, text)
	}
}

// plant sets trees on ground that nothing else takes up.
func (s *site) plant(r terrainRequest) {
	kind, name, width, height := plantOf(r.Biome)
	at := s.arrival()
	for _, side := range []float64{-1, 1} {
		x := side * s.Size.X * 0.18
		if r.Biome == "ocean" {
			x = side * at.r * 0.8
		}
		s.stand(kind, name, at.x+x, s.level, at.z+at.r*0.5, width, height, width, "")
	}
	if r.Biome == "ocean" {
		return // all other dry ground is islands, which have their palms
	}
	for _, free := range s.free() {
		turn, n := 2*math.Pi*s.seed.Float64(), s.detail
		if r.Biome == "forest" {
			n *= 2
		}
		for i := range n { // a sunflower's spiral keeps them apart
			angle, reach := turn+2.4*float64(i), free.r*0.9*math.Sqrt((float64(i)+0.5)/float64(n))
			grown := tidy(0.8 + 0.4*s.seed.Float64())
			s.stand(kind, name, free.x+reach*math.Cos(angle), s.level, free.z+reach*math.Sin(angle), width*grown, height*grown, width*grown, "")
		}
	}
}
