package llmtest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/llm"
)

// embeddingsBody answers a call for embeddings, the last vector first: the index says which is which.
func embeddingsBody(call Call, r Reply) string {
	vectors := r.Vectors
	if vectors == nil {
		for _, t := range call.Texts {
			sum := crc32.ChecksumIEEE([]byte(t))
			vectors = append(vectors, []float64{float64(sum % 997), float64(sum%89) + 1, -3})
		}
	}
	data := []object{}
	for i := len(vectors) - 1; i >= 0; i-- {
		data = append(data, object{"object": "embedding", "index": i, "embedding": vectors[i]})
	}
	return encode(object{
		"object": "list", "model": r.Model, "data": data, "usage": object{"prompt_tokens": r.InputTokens, "total_tokens": r.InputTokens},
	})
}

// RunEmbedder checks what every llm.Embedder promises.
func RunEmbedder(t *testing.T, open func(t *testing.T) llm.Embedder) {
	t.Helper()
	for name, check := range map[string]func(context.Context, llm.Embedder) error{
		"OneVectorForEachText": checkVectors, "RefusesWhatCannotBeEmbedded": checkTexts, "EndsWithItsContext": checkEmbedEnds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := check(within(t), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkVectors(ctx context.Context, e llm.Embedder) error {
	if m := e.EmbeddingModel(); m.Provider == "" || m.Name == "" {
		return fmt.Errorf("no name: %+v", m)
	}
	texts := []string{"Why is the sky blue?", "Ein Quiz über Vulkane", strings.Repeat("long é ", 5000), "?!", "空", "Why is the sky blue?"}
	vectors, usage, err := e.Embed(ctx, texts)
	if err != nil {
		return err
	}
	if len(vectors) != len(texts) || usage.OutputTokens != 0 || usage.CostUSD < 0 {
		return fmt.Errorf("%d vectors for %d texts, usage %+v", len(vectors), len(texts), usage)
	}
	for i, v := range vectors {
		sum := 0.0
		for _, f := range v {
			sum += float64(f) * float64(f)
		}
		if len(v) != len(vectors[0]) || math.Abs(sum-1) > 1e-4 {
			return fmt.Errorf("vector %d has %d dimensions and the square %v", i, len(v), sum)
		}
	}
	alone, _, err := e.Embed(ctx, texts[1:2])
	if err != nil {
		return err
	}
	if Cosine(vectors[0], vectors[5]) < 0.9999 || Cosine(alone[0], vectors[1]) < 0.9999 || Cosine(vectors[0], vectors[1]) > 0.9999 {
		return errors.New("the same text has two vectors, or two texts have the same")
	}
	return nil
}

// Cosine of two vectors of length 1.
func Cosine(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func checkTexts(ctx context.Context, e llm.Embedder) error {
	for name, texts := range map[string][]string{"none": nil, "too many": make([]string, llm.MaxEmbedTexts+1), "an empty one": {"a", " \n"}} {
		if _, _, err := e.Embed(ctx, texts); !fault.Is(err, fault.Invalid) {
			return fmt.Errorf("%s: got %w, want an Invalid fault", name, err)
		}
	}
	return nil
}

func checkEmbedEnds(ctx context.Context, e llm.Embedder) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if vectors, _, err := e.Embed(ctx, []string{"a"}); !fault.Is(err, fault.Canceled) || vectors != nil {
		return fmt.Errorf("got %w, want a Canceled fault", err)
	}
	return nil
}

// EmbedOpener returns the embedder of a server at base.
type EmbedOpener func(t testing.TB, base string) llm.Embedder

// RunEmbedFaults checks what the Embedder of a remote provider makes of every fault.
func RunEmbedFaults(t *testing.T, d Dialect, open EmbedOpener) {
	t.Helper()
	one, two := []float64{3, 4}, []float64{1, 0}
	for _, f := range []struct {
		name  string
		reply Reply
		kind  fault.Kind
		wait  time.Duration
	}{
		{"RateLimited", Reply{Status: http.StatusTooManyRequests, Header: header("Retry-After", "7")}, fault.RateLimited, 7 * time.Second},
		{"ServerError", Reply{Status: http.StatusBadGateway}, fault.Unavailable, 0},
		{"WrongKey", Reply{Status: http.StatusUnauthorized, Raw: `{"error":{"message":"not for ` + Key + `"}}`}, fault.Unauthorized, 0},
		{"NoSuchModel", Reply{Status: http.StatusNotFound}, fault.Invalid, 0},
		{"ErrorWithinTheAnswer", Reply{Raw: `{"error":{"type":"rate_limit_error","message":"no"}}`}, fault.RateLimited, 0},
		{"EndsInTheMiddle", Reply{Vectors: [][]float64{one, two}, End: Truncated}, fault.Unavailable, 0},
		{"ConnectionCut", Reply{Vectors: [][]float64{one, two}, End: Cut}, fault.Unavailable, 0},
		{"NotJSON", Reply{Raw: "<html>"}, fault.Unavailable, 0},
		{"HugeBody", Reply{Raw: `{"data":"` + strings.Repeat("x", 9<<20) + `"}`}, fault.Unavailable, 0},
		{"TooFewVectors", Reply{Vectors: [][]float64{one}}, fault.Unavailable, 0},
		{"TooManyVectors", Reply{Vectors: [][]float64{one, one, two}}, fault.Unavailable, 0},
		{"VectorsOfTwoLengths", Reply{Vectors: [][]float64{one, {1}}}, fault.Unavailable, 0},
		{"AZeroVector", Reply{Vectors: [][]float64{one, {0, 0}}}, fault.Unavailable, 0},
		{"AnEmptyVector", Reply{Vectors: [][]float64{{}, {}}}, fault.Unavailable, 0},
		{"NotANumber", Reply{Raw: `{"data":[{"embedding":[NaN,1]},{"embedding":[1,1]}]}`}, fault.Unavailable, 0},
		{"ANumberBeyondAllBounds", Reply{Vectors: [][]float64{{1e300, 1e300}, two}}, fault.Unavailable, 0},
		{"AVectorForNoText", Reply{Raw: `{"data":[{"index":0,"embedding":[1,1]},{"index":7,"embedding":[1,1]}]}`}, fault.Unavailable, 0},
		{"TwoVectorsForOneText", Reply{Raw: `{"data":[{"index":1,"embedding":[1,1]},{"index":1,"embedding":[1,1]}]}`}, fault.Unavailable, 0},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := New(t, d, func(Call) Reply { return f.reply })
			vectors, _, err := open(t, s.Base()).Embed(within(t), []string{"a", "b"})
			if vectors != nil {
				t.Errorf("%d vectors came with %v", len(vectors), err)
			}
			if err := (played{err: err}).failedWith(f.kind); err != nil {
				t.Error(err)
			}
			if got := fault.RetryAfter(err); got != f.wait {
				t.Errorf("RetryAfter is %v, want %v", got, f.wait)
			}
		})
	}
	t.Run("SlowServer", func(t *testing.T) {
		t.Parallel()
		s := New(t, d, func(Call) Reply { return Reply{Hold: make(chan struct{})} })
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_, _, err := open(t, s.Base()).Embed(ctx, []string{"a"})
		if err := (played{err: err}).failedWith(fault.Timeout); err != nil {
			t.Error(err)
		}
		if err := hungUp(s); err != nil {
			t.Error(err)
		}
	})
}
