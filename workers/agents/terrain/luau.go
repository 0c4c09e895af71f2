package terrain

import (
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
	"github.com/toolboxai/orchestrator/internal/roblox/luau/vet"
	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

// prelude holds the functions that the generated script calls.
//
//go:embed prelude.luau
var prelude string

// pauseEvery is after how many operations the script lets the server breathe.
const pauseEvery = 10

// luauOf writes the script that builds a place with the given props. Texts go in as quoted literals and comments only, without what would
// mislead a reader, and materials and kinds come from the schema's lists.
func luauOf(r Result, props []terrain.Prop) string {
	var b strings.Builder
	fmt.Fprintf(&b, "--!strict\n%s\n", luau.Comment(vet.Visible(r.Title)))
	b.WriteString("-- Builds the place once when the server starts. Put it into ServerScriptService as a Script.\n\n")
	b.WriteString(prelude)
	fmt.Fprintf(&b, `
Lighting.ClockTime = %s
Lighting.Brightness = %s
Lighting.FogEnd = %s
Lighting.Ambient = Color3.fromRGB(%s, %s, %s)

`, num(r.Lighting.ClockTime), num(r.Lighting.Brightness), num(r.Lighting.FogEnd),
		num(r.Lighting.Ambient.R), num(r.Lighting.Ambient.G), num(r.Lighting.Ambient.B))
	for i, o := range r.Operations {
		b.WriteString(call(o))
		if o.Label != "" {
			b.WriteString(" " + luau.Comment(vet.Visible(o.Label)))
		}
		b.WriteByte('\n')
		if (i+1)%pauseEvery == 0 {
			b.WriteString("task.wait()\n")
		}
	}
	b.WriteString("\nlocal place = Instance.new(\"Folder\")\nplace.Name = " + luau.Quote(vet.Visible(r.Title)) + "\n")
	for _, p := range props {
		fmt.Fprintf(&b, "prop(place, %s, %s, %s, %s, %s)\n", luau.Quote(p.Kind), luau.Quote(vet.Visible(p.Name)), place(p.Position), vector(p.Size), luau.Quote(vet.Visible(p.Text)))
	}
	b.WriteString("place.Parent = Workspace\n")
	return b.String()
}

func call(o terrain.Operation) string {
	material := "Enum.Material." + o.Material
	switch o.Op {
	case terrain.FillBlock:
		return fmt.Sprintf("block(%s, %s, %s)", place(o.Position), vector(*o.Size), material)
	case terrain.FillBall:
		return fmt.Sprintf("ball(%s, %s, %s)", place(o.Position), num(o.Radius), material)
	case terrain.FillCylinder:
		return fmt.Sprintf("cylinder(%s, %s, %s, %s)", place(o.Position), num(o.Height), num(o.Radius), material)
	case terrain.FillWedge:
		return fmt.Sprintf("wedge(%s, %s, %s, %s)", place(o.Position), vector(*o.Size), num(o.Turn), material)
	default:
		return fmt.Sprintf("replace(%s, %s, Enum.Material.%s, %s)", place(o.Position), vector(*o.Size), o.SourceMaterial, material)
	}
}

func place(v terrain.Vector) string {
	return fmt.Sprintf("at(%s, %s, %s)", num(v.X), num(v.Y), num(v.Z))
}
func vector(v terrain.Vector) string {
	return fmt.Sprintf("Vector3.new(%s, %s, %s)", num(v.X), num(v.Y), num(v.Z))
}

// num writes a number with at most two digits behind the point.
func num(f float64) string {
	return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64)
}
