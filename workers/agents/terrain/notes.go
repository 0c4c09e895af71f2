package terrain

import (
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/roblox/terrain"
)

// named is how many findings of a kind a note names.
const named = 3

// operations names operations that findings are about, "" for none.
func operations(d Draft, found []terrain.Finding) string {
	var names []string
	for _, f := range found {
		name := fmt.Sprint(f.Index + 1)
		if label := d.Operations[f.Index].Label; label != "" {
			name += " (" + short(label) + ")"
		}
		names = append(names, name)
	}
	return list("Operation", names)
}

// props names the props that findings of a kind are about, with the reasons.
func props(d Draft, kind string, found []terrain.Finding) string {
	var names []string
	for _, f := range found {
		if f.Kind == kind {
			names = append(names, fmt.Sprintf("%d (%s) %s", f.Index+1, short(d.Props[f.Index].Name), f.Reason))
		}
	}
	return list("Prop", names)
}

func list(of string, names []string) string {
	switch n := len(names); {
	case n == 0:
		return ""
	case n > 1:
		of += "s"
		if n > named {
			return fmt.Sprintf("%s %s and %d more", of, strings.Join(names[:named], ", "), n-named)
		}
	}
	return of + " " + strings.Join(names, ", ")
}

// short keeps a note within its length.
func short(name string) string {
	if r := []rune(name); len(r) > 24 {
		return string(r[:23]) + "…"
	}
	return name
}
