package redis

import (
	"context"
	"slices"
	"strings"

	"github.com/toolboxai/orchestrator/internal/llm"
)

// Forget deletes the answers of a tenant, of all generations, and what leads to them. Its tally stays. It looks at all keys, a page at a
// time: it is for what happens seldom.
func (a *Answers) Forget(ctx context.Context, tenant string) error {
	for cursor := uint64(0); ; {
		keys, next, err := a.client.rdb.Scan(ctx, cursor, cachePrefix+"*", scanned).Result()
		if err != nil {
			return a.fault(ctx, "look for answers in redis", err)
		}
		keys = slices.DeleteFunc(keys, func(key string) bool {
			scope, what, _ := strings.Cut(strings.TrimPrefix(key, cachePrefix), "}:")
			return llm.TenantOf(scope) != tenant || !strings.HasPrefix(what, "answer:") && what != "vectors"
		})
		if len(keys) > 0 {
			pipe := a.client.rdb.Pipeline()
			for _, key := range keys { // which may be on several nodes
				pipe.Unlink(ctx, key)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return a.fault(ctx, "delete answers in redis", err)
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// scanned is about how many keys one step of Forget looks at.
const scanned = 500
