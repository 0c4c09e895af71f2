package dispatch

// graves remembers which tasks ended lately, so that an older event that comes again does not bring them back. It is bounded: of
// what is forgotten the history is read again.
type graves struct {
	by   map[taskKey]grave
	ring []taskKey
	next int
}

type taskKey struct{ tenant, id string }

type grave struct {
	seq  uint64 // events up to it are old
	lost bool   // the history cannot be told: only a new dispatch counts
}

const maxGraves = 16 << 10

func (g *graves) dig(k taskKey, what grave) {
	if g.by == nil {
		g.by = map[taskKey]grave{}
	}
	if _, there := g.by[k]; !there {
		if len(g.ring) < maxGraves {
			g.ring = append(g.ring, k)
		} else {
			delete(g.by, g.ring[g.next])
			g.ring[g.next] = k
			g.next = (g.next + 1) % maxGraves
		}
	}
	g.by[k] = what
}

func (g *graves) at(k taskKey) (grave, bool) {
	found, ok := g.by[k]
	return found, ok
}
