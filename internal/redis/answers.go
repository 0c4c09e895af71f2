package redis

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// Answers keeps what models answered, for all processes. The keys of a scope share a hash tag, {cache:<scope>}: a tenant's cache is on one
// node of a cluster, and tenants are spread over all of them. Every key ends by itself.
type Answers struct {
	client  *Client
	lease   *redis.Script
	release *redis.Script
}

var (
	_ llm.AnswerStore = (*Answers)(nil)
	_ llm.VectorStore = (*Answers)(nil)
)

// NewAnswers returns a store on c, which it does not close.
func NewAnswers(c *Client) *Answers {
	return &Answers{
		client: c,
		lease: redis.NewScript(`local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`),
		release: redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`),
	}
}

// fault classifies an error of go-redis. A server that is full is RateLimited: it still answers who reads.
func (a *Answers) fault(ctx context.Context, doing string, err error) error {
	if redis.HasErrorPrefix(err, "OOM") {
		return fault.New(fault.RateLimited, "%s: it is full: %w", doing, err)
	}
	return a.client.fault(ctx, doing, err)
}

const cachePrefix = "{cache:"

func cacheKey(scope, what string) string { return cachePrefix + scope + "}:" + what }

// Answer implements llm.AnswerStore.
func (a *Answers) Answer(ctx context.Context, scope, key string) (llm.Answer, bool, error) {
	data, err := a.client.rdb.Get(ctx, cacheKey(scope, "answer:"+key)).Bytes()
	if errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "WRONGTYPE") {
		return llm.Answer{}, false, nil
	}
	if err != nil {
		return llm.Answer{}, false, a.fault(ctx, "read an answer from redis", err)
	}
	var kept llm.Answer
	if err := json.Unmarshal(data, &kept); err != nil {
		return llm.Answer{}, false, nil //nolint:nilerr // what cannot be read is no answer: the next one that is kept replaces it
	}
	return kept, true, nil
}

// Keep implements llm.AnswerStore.
func (a *Answers) Keep(ctx context.Context, scope, key string, answer llm.Answer, ttl time.Duration) error {
	data, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return a.fault(ctx, "keep an answer in redis", a.client.rdb.Set(ctx, cacheKey(scope, "answer:"+key), data, ttl).Err())
}

// Lease implements llm.AnswerStore.
func (a *Answers) Lease(ctx context.Context, scope, key, holder string, ttl time.Duration) (bool, error) {
	got, err := a.lease.Run(ctx, a.client.rdb, []string{cacheKey(scope, "lease:"+key)}, holder, ttl.Milliseconds()).Int()
	return got == 1, a.fault(ctx, "take a lease in redis", err)
}

// Release implements llm.AnswerStore.
func (a *Answers) Release(ctx context.Context, scope, key, holder string) error {
	err := a.release.Run(ctx, a.client.rdb, []string{cacheKey(scope, "lease:"+key)}, holder).Err()
	return a.fault(ctx, "give back a lease in redis", err)
}

// tallyTTL keeps the tally of a tenant that is gone from staying for ever.
const tallyTTL = 90 * 24 * time.Hour

// Count implements llm.AnswerStore.
func (a *Answers) Count(ctx context.Context, tenant string, t llm.Tally) error {
	key := cacheKey(tenant, "tally")
	pipe := a.client.rdb.Pipeline()
	for field, n := range fields(&t) {
		if *n != 0 {
			pipe.HIncrBy(ctx, key, field, *n)
		}
	}
	pipe.Expire(ctx, key, tallyTTL)
	_, err := pipe.Exec(ctx)
	return a.fault(ctx, "count in redis", err)
}

// Tally implements llm.AnswerStore.
func (a *Answers) Tally(ctx context.Context, tenant string) (llm.Tally, error) {
	var t llm.Tally
	cmd := a.client.rdb.HGetAll(ctx, cacheKey(tenant, "tally"))
	if err := cmd.Err(); err != nil {
		return t, a.fault(ctx, "read a tally from redis", err)
	}
	var row struct {
		Exact    int64 `redis:"exact"`
		Semantic int64 `redis:"semantic"`
		Shared   int64 `redis:"shared"`
		Misses   int64 `redis:"misses"`
		Tokens   int64 `redis:"saved_tokens"`
		Micro    int64 `redis:"saved_micro_usd"`
	}
	if err := cmd.Scan(&row); err != nil {
		return t, fault.New(fault.Unavailable, "a tally in redis cannot be read: %w", err)
	}
	return llm.Tally{Exact: row.Exact, Semantic: row.Semantic, Shared: row.Shared, Misses: row.Misses, SavedTokens: row.Tokens, SavedMicro: row.Micro}, nil
}

func fields(t *llm.Tally) map[string]*int64 {
	return map[string]*int64{
		"exact": &t.Exact, "semantic": &t.Semantic, "shared": &t.Shared, "misses": &t.Misses, "saved_tokens": &t.SavedTokens, "saved_micro_usd": &t.SavedMicro,
	}
}

// Append implements llm.VectorStore: a stream for each scope, whose ids are the cursors.
func (a *Answers) Append(ctx context.Context, scope string, v llm.Vector, ttl time.Duration) error {
	key := cacheKey(scope, "vectors")
	var going []redis.XMessage
	if v.Sole {
		var err error
		if going, err = a.going(ctx, key); err != nil {
			return a.fault(ctx, "make room for a vector in redis", err)
		}
	}
	pipe := a.client.rdb.Pipeline()
	for _, e := range going {
		pipe.Unlink(ctx, cacheKey(scope, fmt.Sprint("answer:", e.Values["key"])))
	}
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, MaxLen: llm.MaxVectors, Values: []any{"space", v.Space, "key", v.Key, "texts", len(v.Values), "values", pack(v.Values)}})
	pipe.PExpire(ctx, key, ttl)
	_, err := pipe.Exec(ctx)
	return a.fault(ctx, "add a vector in redis", err)
}

// maxGoing bounds how many answers are deleted at a time: one goes for one that comes, more where processes raced.
const maxGoing = 4

// going returns the oldest entries of a full list, which the next one pushes out.
func (a *Answers) going(ctx context.Context, key string) ([]redis.XMessage, error) {
	n, err := a.client.rdb.XLen(ctx, key).Result()
	if err != nil || n < llm.MaxVectors {
		return nil, err
	}
	return a.client.rdb.XRangeN(ctx, key, "-", "+", min(n-llm.MaxVectors+1, maxGoing)).Result()
}

// page is how many vectors one call reads: a call has Config.Timeout, and a vector may have 12 KiB.
const page = 100

// Since implements llm.VectorStore.
func (a *Answers) Since(ctx context.Context, scope, cursor string) ([]llm.Vector, string, error) {
	var out []llm.Vector
	for len(out) < llm.MaxVectors {
		from := "-"
		if cursor != "" {
			from = "(" + cursor
		}
		entries, err := a.client.rdb.XRangeN(ctx, cacheKey(scope, "vectors"), from, "+", page).Result()
		if err != nil {
			return nil, cursor, a.fault(ctx, "read vectors from redis", err)
		}
		for _, e := range entries {
			space, _ := e.Values["space"].(string)
			key, _ := e.Values["key"].(string)
			texts, _ := e.Values["texts"].(string)
			values, _ := e.Values["values"].(string)
			out, cursor = append(out, llm.Vector{Space: space, Key: key, Values: unpack(values, texts)}), e.ID
		}
		if len(entries) < page {
			break
		}
	}
	return out, cursor, nil
}

// pack writes vectors one behind the other, as little-endian IEEE 754 of four bytes each.
func pack(vectors [][]float32) string {
	var out []byte
	for _, v := range vectors {
		for _, x := range v {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
	}
	return string(out)
}

// unpack reads what pack wrote of so many vectors; nothing when that cannot be.
func unpack(packed, vectors string) [][]float32 {
	n, err := strconv.Atoi(vectors)
	if err != nil || n < 1 || len(packed)%(4*n) != 0 {
		return nil
	}
	out, size := make([][]float32, n), len(packed)/n
	for i := range out {
		one := []byte(packed[i*size : (i+1)*size])
		out[i] = make([]float32, size/4)
		for j := range out[i] {
			out[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(one[4*j:]))
		}
	}
	return out
}
