package terrain_test

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

// item is an instance of a model file, as the documentation of rbx-dom describes the format.
type item struct {
	Class      string `xml:"class,attr"`
	Referent   string `xml:"referent,attr"`
	Properties struct {
		All []property `xml:",any"`
	} `xml:"Properties"`
	Items []item `xml:"Item"`
}

type property struct {
	XMLName xml.Name
	Name    string  `xml:"name,attr"`
	Text    string  `xml:",chardata"`
	X       float64 `xml:"X"`
	Y       float64 `xml:"Y"`
	Z       float64 `xml:"Z"`
	R00     string  `xml:"R00"`
	R22     string  `xml:"R22"`
}

func (i item) get(name string) property {
	for _, p := range i.Properties.All {
		if p.Name == name {
			return p
		}
	}
	return property{}
}

func open(t *testing.T, data []byte) (root item, all []item) {
	t.Helper()
	var file struct {
		XMLName xml.Name `xml:"roblox"`
		Version string   `xml:"version,attr"`
		Items   []item   `xml:"Item"`
	}
	if err := xml.Unmarshal(data, &file); err != nil {
		t.Fatalf("%v in\n%.2000s", err, data)
	}
	if file.Version != "4" || len(file.Items) != 1 {
		t.Fatalf("version %q with %d items", file.Version, len(file.Items))
	}
	seen := map[string]bool{}
	var walk func(i item)
	walk = func(i item) {
		if i.Referent == "" || i.Referent == "null" || seen[i.Referent] {
			t.Errorf("referent %q is empty or stands twice", i.Referent)
		}
		seen[i.Referent] = true
		all = append(all, i)
		for _, child := range i.Items {
			walk(child)
		}
	}
	walk(file.Items[0])
	return file.Items[0], all
}

func TestModel_HoldsTheScriptAndEveryPart(t *testing.T) {
	t.Parallel()
	var props []terrain.Prop
	for n, kind := range terrain.Kinds() {
		p := prop(kind, float64(n)*10-50.25, 8, 3.5, 9)
		p.Name, p.Text = "A <"+kind+"> & \"more\" ]]>", "5 < 6 & 7 > 3\nnext"
		props = append(props, p)
	}
	const script = "-- ]]> ends no CDATA\nif 1 < 2 and \"&amp;\" ~= \"é\" then\n\tprint('x')\nend\n"
	data, err := terrain.Model("Tïtle & more\x00\x1b", script, props)
	if err != nil {
		t.Fatal(err)
	}
	root, all := open(t, data)
	if root.Class != "Folder" || root.get("Name").Text != "Tïtle & more" || root.Items[0].Class != "Script" || root.Items[0].get("Source").Text != script {
		t.Errorf("%s %q holds a %s with the source %q", root.Class, root.get("Name").Text, root.Items[0].Class, root.Items[0].get("Source").Text)
	}
	var got []item
	texts := 0
	for _, i := range all {
		switch i.Class {
		case "Part", "SpawnLocation":
			got = append(got, i)
		case "TextLabel":
			texts++
			if i.get("Text").Text != props[7].Text {
				t.Errorf("the sign says %q", i.get("Text").Text)
			}
		}
	}
	if texts != 2 {
		t.Errorf("%d texts on the sign, want 2", texts)
	}
	if len(root.Items) != len(props)+1 {
		t.Errorf("%d models for %d props", len(root.Items)-1, len(props))
	}
	n := 0
	for i, p := range props {
		if m := root.Items[i+1]; m.Class != "Model" || m.get("Name").Text != p.Name {
			t.Errorf("prop %d is the %s %q", i, m.Class, m.get("Name").Text)
		}
		for _, want := range p.Parts() {
			if n >= len(got) {
				t.Fatalf("%d parts", len(got))
			}
			if diff := differs(got[n], want); diff != "" {
				t.Errorf("%s: part %d: %s", p.Kind, n, diff)
			}
			n++
		}
	}
	if n != len(got) {
		t.Errorf("%d parts, want %d", len(got), n)
	}
	// The control: a part that is moved, larger or of another color is seen.
	for _, change := range []func(p *terrain.Part){
		func(p *terrain.Part) { p.Position.X++ }, func(p *terrain.Part) { p.Size.Z++ }, func(p *terrain.Part) { p.Color[2]++ },
		func(p *terrain.Part) { p.Material = "Neon" }, func(p *terrain.Part) { p.Shape = terrain.Ball }, func(p *terrain.Part) { p.Name = "x" },
	} {
		other := props[0].Parts()[0]
		change(&other)
		if differs(got[0], other) == "" {
			t.Errorf("no difference is seen to %+v", other)
		}
	}
}

// differs compares an item with a part. The numbers of materials and shapes are those of Roblox's reference.
func differs(i item, p terrain.Part) string {
	at, size := i.get("CFrame"), i.get("size")
	color := fmt.Sprint(0xff<<24 | uint32(p.Color[0])<<16 | uint32(p.Color[1])<<8 | uint32(p.Color[2]))
	material := map[string]string{
		"Plastic": "256", "Neon": "288", "Wood": "512", "WoodPlanks": "528", "Slate": "800", "Concrete": "816", "Brick": "848", "Metal": "1088", "Grass": "1280",
	}[p.Material]
	shape := map[string]string{terrain.Ball: "0", terrain.Block: "1", terrain.SpawnShape: ""}[p.Shape]
	switch {
	case i.get("Name").Text != p.Name:
		return "name " + i.get("Name").Text
	case !same(at, p.Position) || at.XMLName.Local != "CoordinateFrame" || at.R00 != "1" || at.R22 != "1":
		return fmt.Sprintf("CFrame %+v", at)
	case !same(size, p.Size) || size.XMLName.Local != "Vector3":
		return fmt.Sprintf("size %+v", size)
	case i.get("Color3uint8").Text != color || i.get("Material").Text != material || material == "" || i.get("shape").Text != shape:
		return fmt.Sprintf("color %s, material %s, shape %s", i.get("Color3uint8").Text, i.get("Material").Text, i.get("shape").Text)
	case i.get("Anchored").Text != "true":
		return "loose"
	}
	return ""
}

func same(got property, want terrain.Vector) bool {
	return math.Abs(got.X-want.X)+math.Abs(got.Y-want.Y)+math.Abs(got.Z-want.Z) < 1e-3
}

func TestModel_HasABound(t *testing.T) {
	t.Parallel()
	if _, err := terrain.Model("t", strings.Repeat("x", terrain.MaxModel), nil); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("error %v", err)
	}
}

func TestParts_StayInsideTheirProp(t *testing.T) {
	t.Parallel()
	for _, kind := range terrain.Kinds() {
		for _, size := range []terrain.Vector{{X: 1, Y: 1, Z: 1}, {X: 9, Y: 14, Z: 9}, {X: 40, Y: 3, Z: 2}, {X: 2, Y: 60, Z: 30}} {
			p := terrain.Prop{Kind: kind, Size: size, Text: "x"}
			outer := p.Box()
			for _, part := range p.Parts() {
				b := terrain.Around(part.Position, part.Size)
				const slack = 1e-9
				if b.Min.X < outer.Min.X-slack || b.Min.Y < outer.Min.Y-slack || b.Min.Z < outer.Min.Z-slack ||
					b.Max.X > outer.Max.X+slack || b.Max.Y > outer.Max.Y+slack || b.Max.Z > outer.Max.Z+slack {
					t.Errorf("%s of %v: %s reaches from %v to %v", kind, size, part.Name, b.Min, b.Max)
				}
				if min(part.Size.X, part.Size.Y, part.Size.Z) < terrain.MinSide {
					t.Errorf("%s of %v: %s is %v", kind, size, part.Name, part.Size)
				}
			}
		}
	}
	if parts := (terrain.Prop{Kind: "dragon"}).Parts(); parts != nil {
		t.Errorf("a dragon has %d parts", len(parts))
	}
}
