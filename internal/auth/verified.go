package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// generation is how many tokens one generation of verified remembers.
const generation = 4096

// verified remembers which tokens proved whom, so that a client's next requests cost a hash instead of a verification. It
// holds hashes only, at most two generations of them: when the newer one is full, the older one is forgotten. What it knows
// stays true until the token expires, because claims and secret never change. It is safe for concurrent use.
type verified struct {
	mu         sync.RWMutex
	newer      map[[sha256.Size]byte]Principal
	older      map[[sha256.Size]byte]Principal
	generation int
}

func newVerified(generation int) *verified {
	return &verified{newer: map[[sha256.Size]byte]Principal{}, generation: generation}
}

// get returns whom the token with the given hash proves at now.
func (v *verified) get(hash [sha256.Size]byte, now time.Time) (Principal, bool) {
	v.mu.RLock()
	p, ok := v.newer[hash]
	if !ok {
		p, ok = v.older[hash]
	}
	v.mu.RUnlock()
	return p, ok && now.Before(p.Expires.Add(leeway))
}

func (v *verified) put(hash [sha256.Size]byte, p Principal) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.newer) >= v.generation {
		v.newer, v.older = make(map[[sha256.Size]byte]Principal, v.generation), v.newer
	}
	v.newer[hash] = p
}
