package terrain

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxModel is the largest model file, in bytes.
const MaxModel = 1 << 20

// Model returns a place as a model file (.rbxmx, version 4 of the XML format): a folder with the props as anchored parts, and the
// script that fills in the terrain when the server starts, for voxels have no form of their own in a model. A text keeps the
// characters that XML can hold. It fails with TooLarge above MaxModel.
func Model(title, script string, props []Prop) ([]byte, error) {
	m := model{}
	m.WriteString(`<roblox version="4"><Meta name="ExplicitAutoJoints">true</Meta>`)
	m.item("Folder", title, func() {
		m.item("Script", "Terrain", func() {}, func() {
			m.property("bool", "Disabled", "false")
			fmt.Fprintf(&m, `<ProtectedString name="Source"><![CDATA[%s]]></ProtectedString>`, strings.ReplaceAll(valid(script), "]]>", "]]]]><![CDATA[>"))
		})
		for _, p := range props {
			m.item("Model", p.Name, func() {
				for _, part := range p.Parts() {
					m.part(part)
				}
			}, func() {})
		}
	}, func() {})
	m.WriteString("</roblox>\n")
	if m.Len() > MaxModel {
		return nil, fault.New(fault.TooLarge, "the model has %d bytes, at most %d are allowed", m.Len(), MaxModel)
	}
	return m.Bytes(), nil
}

type model struct {
	bytes.Buffer
	items int
}

// item writes one instance with its name, then what properties and children write.
func (m *model) item(class, name string, children, properties func()) {
	m.items++
	fmt.Fprintf(m, `<Item class="%s" referent="RBX%d"><Properties>`, class, m.items)
	m.property("string", "Name", name)
	properties()
	m.WriteString("</Properties>")
	children()
	m.WriteString("</Item>")
}

func (m *model) property(kind, name, value string) {
	fmt.Fprintf(m, `<%s name="%s">`, kind, name)
	if err := xml.EscapeText(m, []byte(valid(value))); err != nil {
		panic(err) // a buffer takes whatever it is given
	}
	fmt.Fprintf(m, `</%s>`, kind)
}

func (m *model) vector(kind, name string, v Vector, more string) {
	fmt.Fprintf(m, `<%s name="%s"><X>%s</X><Y>%s</Y><Z>%s</Z>%s</%s>`, kind, name, decimal(v.X), decimal(v.Y), decimal(v.Z), more, kind)
}

const upright = "<R00>1</R00><R01>0</R01><R02>0</R02><R10>0</R10><R11>1</R11><R12>0</R12><R20>0</R20><R21>0</R21><R22>1</R22>"

func (m *model) part(p Part) {
	class := "Part"
	if p.Shape == SpawnShape {
		class = "SpawnLocation"
	}
	m.item(class, p.Name, func() {
		if p.Text != "" {
			for _, face := range []string{"5", "2"} { // NormalId.Front and Back
				m.item("SurfaceGui", "Text", func() {
					m.item("TextLabel", "Label", func() {}, func() {
						m.WriteString(`<UDim2 name="Size"><XS>1</XS><XO>0</XO><YS>1</YS><YO>0</YO></UDim2>`)
						m.property("float", "BackgroundTransparency", "1")
						m.property("bool", "TextScaled", "true")
						m.property("string", "Text", p.Text)
					})
				}, func() { m.property("token", "Face", face) })
			}
		}
		if p.Light > 0 {
			m.item("PointLight", "Light", func() {}, func() { m.property("float", "Range", decimal(p.Light)) })
		}
	}, func() {
		m.property("bool", "Anchored", "true")
		m.vector("CoordinateFrame", "CFrame", p.Position, upright)
		m.vector("Vector3", "size", p.Size, "")
		m.property("Color3uint8", "Color3uint8", strconv.FormatUint(0xff000000|uint64(p.Color[0])<<16|uint64(p.Color[1])<<8|uint64(p.Color[2]), 10))
		m.property("token", "Material", strconv.Itoa(materialNumber(p.Material)))
		switch p.Shape {
		case Ball:
			m.property("token", "shape", "0")
		case Block:
			m.property("token", "shape", "1")
		default:
			m.property("bool", "Neutral", "true")
		}
	})
}

// materialNumber is the value of an Enum.Material that parts use.
func materialNumber(name string) int {
	return map[string]int{
		"Plastic": 256, "Neon": 288, "Wood": 512, "WoodPlanks": 528, "Slate": 800, "Concrete": 816, "Brick": 848, "Metal": 1088, "Grass": 1280,
	}[name]
}

func decimal(f float64) string {
	return strconv.FormatFloat(math.Round(f*1e4)/1e4, 'f', -1, 64)
}

// valid leaves out what XML 1.0 cannot hold.
func valid(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n', r >= ' ' && r != utf8.RuneError && r != 0xfffe && r != 0xffff:
			return r
		}
		return -1
	}, s)
}
