package asset

import (
	"slices"
	"strings"
)

// Roblox's published limits, as they stood in June 2026.
const (
	maxName        = 50         // characters of a display name; longer ones are refused in the Creator Hub
	maxDescription = 1000       // characters; reference of the Assets API, schema Asset
	maxFile        = 20_000_000 // bytes: "up to 20 MB"; the smaller reading of it
	maxTriangles   = 20_000     // of one mesh
)

// Where the limits come from. Each check names one.
const (
	sourceUsage     = "https://create.roblox.com/docs/en-us/cloud/guides/usage-assets"
	sourceReference = "https://create.roblox.com/docs/en-us/reference/cloud/assets/v1"
	sourceModeling  = "https://create.roblox.com/docs/en-us/art/modeling/specifications"
	sourceRules     = "https://about.roblox.com/community-standards"
)

// class is a type of asset as the Assets API takes it.
type class struct {
	name     string
	formats  []format
	maxBytes int64
	seconds  float64 // of sound or film; 0: has no duration
	width    int     // pixels at most; 0: has no dimensions
	height   int
	below    bool // width and height must be less, not equal
	meshes   bool // has triangles
	replaced bool // its content can be updated
	note     string
}

// format is a file format by its extension, and the content type under which it is uploaded.
type format struct{ ext, contentType string }

// classes are the types and limits of sourceUsage; triangles are those of sourceModeling.
func classes() []class {
	images := []format{{"png", "image/png"}, {"jpeg", "image/jpeg"}, {"bmp", "image/bmp"}, {"tga", "image/tga"}}
	models := []format{{"rbxm", "model/x-rbxm"}, {"rbxmx", "model/x-rbxm"}}
	return []class{
		{name: "Animation", formats: models, maxBytes: maxFile, replaced: true, note: "A file that was edited outside of Studio may not upload or play."},
		{
			name: "Audio", maxBytes: maxFile, seconds: 7 * 60,
			formats: []format{{"mp3", "audio/mpeg"}, {"ogg", "audio/ogg"}, {"wav", "audio/wav"}, {"flac", "audio/flac"}},
			note:    "Uploads of sound count against a monthly allowance of the account.",
		},
		{name: "Decal", formats: images, maxBytes: maxFile, width: 8000, height: 8000, below: true},
		{name: "Image", formats: images, maxBytes: maxFile, width: 8000, height: 8000, below: true},
		{
			name: "Mesh", formats: []format{{"mesh", "model/x-file-mesh-data"}}, maxBytes: maxFile, meshes: true,
			note: "Open Cloud takes only meshes that were downloaded from Roblox. Bring other meshes in with the Importer in Studio, or upload them as a Model.",
		},
		{
			name: "Model", maxBytes: maxFile, meshes: true, replaced: true,
			formats: append([]format{{"fbx", "model/fbx"}, {"gltf", "model/gltf+json"}, {"glb", "model/gltf-binary"}}, models...),
			note:    "The Importer in Studio shows the model and its faults before it is uploaded.",
		},
		{
			name: "Video", formats: []format{{"mp4", "video/mp4"}, {"mov", "video/mov"}}, maxBytes: 3_750_000_000, seconds: 5 * 60, width: 4096, height: 2160,
			note: "Only accounts of people of 13 and older who have verified their identity may upload films.",
		},
	}
}

// aliases are other words for the types, in lower case.
func aliases() map[string]string {
	return map[string]string{
		"3d_model": "Model", "film": "Video", "mesh_part": "Mesh", "meshpart": "Mesh", "movie": "Video", "music": "Audio", "picture": "Image",
		"sound": "Audio", "sticker": "Decal", "texture": "Image",
	}
}

// classOf finds a type by its name, in any case, or by an alias.
func classOf(name string) (class, bool) {
	name = strings.ToLower(name)
	if other, ok := aliases()[name]; ok {
		name = strings.ToLower(other)
	}
	all := classes()
	i := slices.IndexFunc(all, func(c class) bool { return strings.ToLower(c.name) == name })
	if i < 0 {
		return class{}, false
	}
	return all[i], true
}

// format finds a format by its extension, with or without the dot, or by its content type.
func (c class) format(name string) (format, bool) {
	name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), ".")
	if name == "jpg" {
		name = "jpeg"
	}
	i := slices.IndexFunc(c.formats, func(f format) bool { return f.ext == name || f.contentType == name })
	if i < 0 {
		return format{}, false
	}
	return c.formats[i], true
}

// extensions lists the formats for people.
func (c class) extensions() string {
	out := make([]string, len(c.formats))
	for i, f := range c.formats {
		out[i] = "." + f.ext
	}
	return strings.Join(out, ", ")
}
