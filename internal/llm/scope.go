package llm

import (
	"context"
	"strings"
)

// generationSign stands before the generation in a scope. No tenant's name has it.
const generationSign = "@"

// Scope names what a tenant's caches hold of one generation: what AnswerStore, VectorStore and SemanticIndex know as the tenant. Once another
// generation counts, nothing of this one is found any more, by whichever process it was kept. generation may be empty.
func Scope(tenant, generation string) string {
	if generation == "" {
		return tenant
	}
	return tenant + generationSign + generation
}

// TenantOf returns whose a scope is.
func TenantOf(scope string) string {
	tenant, _, _ := strings.Cut(scope, generationSign)
	return tenant
}

// Generation returns the generation of what is cached for a tenant that counts at this moment, for all processes. Errors are faults;
// whoever asks goes on without a cache, because what is found could be of somebody who was erased.
type Generation func(ctx context.Context, tenant string) (string, error)

// scope returns the caches of a tenant as they are now; false where none may be used.
func (c *Cached) scope(ctx context.Context, tenant string) (scope string, known bool) {
	if c.storeAway.lasts() {
		return "", false
	}
	if c.generation == nil {
		return tenant, true
	}
	bounded, cancel := context.WithTimeout(ctx, StoreTime)
	defer cancel()
	generation, err := c.generation(bounded, tenant)
	c.storeAway.note(ctx, err)
	if err != nil {
		c.log.DebugContext(ctx, "nobody says which generation of the cache counts", "error", err)
		return "", false
	}
	return Scope(tenant, generation), true
}
