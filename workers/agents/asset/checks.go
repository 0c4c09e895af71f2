package asset

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/workers/agents/quality"
)

// The states of a check.
const (
	Pass    = "pass"
	Fail    = "fail"    // Roblox would refuse it
	Warn    = "warn"    // Roblox may refuse it
	Unknown = "unknown" // the submission does not say
)

// Check is one limit, and what the submission is against it.
type Check struct {
	Name   string `json:"name"` // snake_case
	Status string `json:"status"`
	Detail string `json:"detail"`
	Source string `json:"source"` // of the limit
}

// uploads reports whether the plan sends a file.
func (r *Request) uploads() bool {
	return r.Action == Create || r.Action == Update && r.Format != ""
}

// checks holds the request against the limits. It is computed from what is given alone.
func (r *Request) checks() []Check {
	var out []Check
	add := func(name, status, source, detail string, args ...any) {
		out = append(out, Check{name, status, fmt.Sprintf(detail, args...), source})
	}
	if r.Action == Delete {
		add("asset_id", Pass, sourceReference, "Asset %s is archived: it disappears from Roblox and from places that use it, and can be restored.", r.AssetID)
		return out
	}
	r.checkTexts(add)
	if r.uploads() || r.Action == Analyze {
		r.checkFile(add)
	}
	if r.Action == Update && r.Format != "" {
		if r.class.replaced {
			add("content_update", Pass, sourceUsage, "The content of this type can be updated; it becomes a new version.")
		} else {
			add("content_update", Fail, sourceUsage, "The content of type %s cannot be updated. Create a new asset instead.", r.AssetType)
		}
	}
	if r.AssetType == "Mesh" && r.Action == Create {
		add("origin", Warn, sourceUsage, "Open Cloud takes only meshes that were downloaded from Roblox before.")
	}
	return out
}

func (r *Request) checkTexts(add func(name, status, source, detail string, args ...any)) {
	for _, text := range []struct {
		name, value, source string
		most                int
	}{{"name", r.Name, sourceUsage, maxName}, {"description", r.Description, sourceReference, maxDescription}} {
		if text.value == "" {
			continue
		}
		if n := utf8.RuneCountInString(text.value); n > text.most {
			add(text.name+"_length", Warn, text.source, "The %s has %d characters, at most %d are taken. The plan has a shorter one.", text.name, n, text.most)
		} else {
			add(text.name+"_length", Pass, text.source, "The %s has %d of %d characters.", text.name, n, text.most)
		}
		r.checkWords(add, text.name, text.value, Fail)
	}
	r.checkWords(add, "purpose", r.Purpose, Warn) // these two stay here
	r.checkWords(add, "subject", r.Subject, Warn)
}

// checkWords looks for what moderation refuses. What has passed may be repeated by who describes the asset.
func (r *Request) checkWords(add func(name, status, source, detail string, args ...any), name, text, otherwise string) {
	if text == "" {
		return
	}
	if about := unsuitable(text); about != "" {
		add(name+"_words", otherwise, sourceRules, "The %s %s, which moderation is likely to refuse.", name, about)
		return
	}
	add(name+"_words", Pass, sourceRules, "The %s has nothing that these checks know moderation to refuse.", name)
}

func (r *Request) checkFile(add func(name, status, source, detail string, args ...any)) {
	c := r.class
	switch _, ok := c.format(r.Format); {
	case r.Format == "":
		add("format", Unknown, sourceUsage, "The format is not given. %s takes %s.", c.name, c.extensions())
	case ok:
		add("format", Pass, sourceUsage, "%s takes this format.", c.name)
	default:
		add("format", Fail, sourceUsage, "%s does not take the format %q, but %s.", c.name, r.Format, c.extensions())
	}
	switch {
	case r.SizeBytes == 0:
		add("file_size", Unknown, sourceUsage, "The size is not given. At most %s are taken.", megabytes(c.maxBytes))
	case r.SizeBytes > c.maxBytes:
		add("file_size", Fail, sourceUsage, "The file has %s, at most %s are taken.", megabytes(r.SizeBytes), megabytes(c.maxBytes))
	default:
		add("file_size", Pass, sourceUsage, "The file has %s of at most %s.", megabytes(r.SizeBytes), megabytes(c.maxBytes))
	}
	if c.width > 0 {
		r.checkDimensions(add)
	}
	if c.seconds > 0 {
		checkMost(add, "duration", sourceUsage, "seconds", r.Seconds, c.seconds)
	}
	if c.meshes {
		checkMost(add, "triangles", sourceModeling, "triangles in one mesh", float64(r.Triangles), maxTriangles)
	}
}

func checkMost(add func(name, status, source, detail string, args ...any), name, source, unit string, value, most float64) {
	switch {
	case value == 0:
		add(name, Unknown, source, "Not given. At most %.0f %s are taken.", most, unit)
	case value > most:
		add(name, Fail, source, "%.0f %s, at most %.0f are taken.", value, unit, most)
	default:
		add(name, Pass, source, "%.0f of at most %.0f %s.", value, most, unit)
	}
}

func (r *Request) checkDimensions(add func(name, status, source, detail string, args ...any)) {
	c, bound := r.class, "at most"
	fits := r.Width <= c.width && r.Height <= c.height
	if c.below {
		bound, fits = "less than", r.Width < c.width && r.Height < c.height
	}
	switch {
	case r.Width == 0 || r.Height == 0:
		add("dimensions", Unknown, sourceUsage, "Width and height are not given. They must be %s %d × %d pixels.", bound, c.width, c.height)
	case fits:
		add("dimensions", Pass, sourceUsage, "%d × %d pixels; they must be %s %d × %d.", r.Width, r.Height, bound, c.width, c.height)
	default:
		add("dimensions", Fail, sourceUsage, "%d × %d pixels, but they must be %s %d × %d.", r.Width, r.Height, bound, c.width, c.height)
	}
}

var (
	link    = regexp.MustCompile(`(?i)https?://|www\.|\b[a-z0-9-]+\.(?:com|net|org|gg|io|xyz|tk|ru)\b`)
	contact = regexp.MustCompile(`[\pL\pN._%+-]{1,64}@[\pL\pN-]{1,63}\.[\pL]{2,}|\+?\d[\d ()-]{8,}\d`)
	outside = regexp.MustCompile(`(?i)\b(?:discord|snapchat|whatsapp|telegram|tiktok|instagram|youtube)\b`)
	bait    = regexp.MustCompile(`(?i)\bfree\s+robux\b|\brobux\s+(?:generator|giveaway|hack)\b|\b(?:password|login)\b`)
)

// unsuitable says what in a text Roblox's moderation refuses as a rule; empty for nothing. The first finding is enough: one is too many.
func unsuitable(text string) string {
	switch {
	case link.MatchString(text):
		return "has a link"
	case contact.MatchString(text):
		return "has what looks like a telephone number or an e-mail address"
	case outside.MatchString(text):
		return "names a service outside of Roblox"
	case bait.MatchString(text):
		return "reads like a scam"
	}
	if details := quality.Safe("text", text); len(details) > 0 {
		return details[0].Reason
	}
	return ""
}
