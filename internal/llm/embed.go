package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// MaxEmbedTexts is how many texts one call of an Embedder takes.
	MaxEmbedTexts = 96
	// MaxEmbedText is how much of a text an Embedder looks at, in bytes; the rest is cut.
	MaxEmbedText  = 8 << 10
	maxDimensions = 8192
)

// RemoteEmbedder is the Embedder of a server that speaks OpenAI's embeddings format: OpenAI itself, Google through its
// compatible endpoint, Ollama through its /v1, and others. Vectors have the length 1. It does not go through langchaingo, which
// drops the usage, the status of a refusal, and the place of a vector in the list. It is safe for concurrent use.
//
// Its errors are those of a Client; a server that sends fewer vectors than texts, vectors of several lengths, or one that
// points nowhere, is Unavailable.
type RemoteEmbedder struct{ remote *Remote }

var _ Embedder = (*RemoteEmbedder)(nil)

// NewRemoteEmbedder returns the Embedder of m with the endpoints and keys of cfg. Errors are Invalid and name the variables to
// set. Anthropic has no embeddings.
func NewRemoteEmbedder(cfg Config, m Model) (*RemoteEmbedder, error) {
	var r *Remote
	var err error
	switch m.Provider {
	case "openai":
		r, err = NewOpenAI(cfg.OpenAI.of(m))
	case "google":
		r, err = NewGoogle(cfg.Google.of(m))
	case "ollama":
		r, err = NewOllama(cfg.Ollama.of(m))
	case "anthropic":
		return nil, fault.InvalidField("EMBEDDING_MODEL", "names anthropic, which has no embeddings: take openai, google, ollama or offline")
	default:
		return nil, fault.InvalidField("EMBEDDING_MODEL", "names %q, which is none of openai, google, ollama and offline", m.Provider)
	}
	if err != nil {
		return nil, fmt.Errorf("EMBEDDING_MODEL: %w", err)
	}
	return &RemoteEmbedder{r}, nil
}

// EmbeddingModel implements Embedder.
func (e *RemoteEmbedder) EmbeddingModel() Model { return e.remote.Model() }

// String says, for example, "openai text-embedding-3-small at https://api.openai.com/v1".
func (e *RemoteEmbedder) String() string { return e.remote.String() }

// quote prices a call for budgets.
func (e *RemoteEmbedder) quote(n tokens) (usd float64, known bool) {
	switch r := e.remote; {
	case r.free:
		return 0, true
	case r.prices == nil:
		return 0, false
	default:
		return r.prices.embedCost(r.provider, r.endpoint.Model, n.input)
	}
}

// Embed implements Embedder.
func (e *RemoteEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, Usage, error) {
	texts, err := embeddable(texts)
	if err != nil {
		return nil, Usage{}, err
	}
	r := e.remote
	x := &exchange{provider: r.provider, key: r.endpoint.Key, client: r.client, dialect: embeddingFormat{}}
	answer, err := e.post(ctx, x, texts)
	if ctx.Err() != nil {
		return nil, Usage{}, endedFault(ctx, r.provider)
	}
	if err != nil {
		return nil, Usage{}, err
	}
	vectors, err := answer.vectors(len(texts))
	if err != nil {
		return nil, Usage{}, fault.New(fault.Unavailable, "%s sent embeddings that make no sense: %w", r.provider, err)
	}
	usage := Usage{InputTokens: sane(max(answer.Usage.Prompt, answer.Usage.Total)), CostKnown: r.free}
	if usage.InputTokens > 0 {
		usage.CostUSD, usage.CostKnown = e.quote(tokens{input: usage.InputTokens})
	}
	return vectors, usage, nil
}

func (e *RemoteEmbedder) post(ctx context.Context, x *exchange, texts []string) (*embeddings, error) {
	body, err := json.Marshal(map[string]any{"model": e.remote.endpoint.Model, "input": texts, "encoding_format": "float"})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.remote.endpoint.Base+"/embeddings", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if e.remote.endpoint.Key != "" {
		req.Header.Set("Authorization", "Bearer "+e.remote.endpoint.Key)
	}
	resp, err := x.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body) // the exchange has bounded it
	if err != nil {
		return nil, err
	}
	answer := new(embeddings)
	if err := json.Unmarshal(raw, answer); err != nil {
		return nil, fault.New(fault.Unavailable, "%s sent something that is not an answer: %w", x.provider, err)
	}
	return answer, nil
}

// embeddable refuses what cannot be embedded and cuts what is too long.
func embeddable(texts []string) ([]string, error) {
	if len(texts) == 0 || len(texts) > MaxEmbedTexts {
		return nil, fault.InvalidField("texts", "are %d, must be 1 to %d", len(texts), MaxEmbedTexts)
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = strings.ToValidUTF8(clip(t, MaxEmbedText), "")
		if strings.TrimSpace(out[i]) == "" {
			return nil, fault.InvalidField(fmt.Sprintf("texts[%d]", i), "is empty")
		}
	}
	return out, nil
}

// embeddingFormat looks at answers that hold no text. Of a dialect it is only asked that.
type embeddingFormat struct{ openaiFormat }

func (embeddingFormat) inspect(data []byte, _ *sighting) (complaint, pass []byte, err error) {
	var v struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, nil, err
	}
	if len(v.Error) > 0 && string(v.Error) != "null" {
		return v.Error, nil, nil
	}
	return nil, data, nil
}

type embeddings struct {
	Data []struct {
		Index     *int      `json:"index"`
		Embedding []float64 `json:"embedding"`
	} `json:"data"`
	Usage openaiUsage `json:"usage"`
}

// vectors puts the vectors in the order of the texts. Where the server numbers none of them, or all alike, it sent them in order.
func (e *embeddings) vectors(n int) ([][]float32, error) {
	if len(e.Data) != n {
		return nil, fmt.Errorf("%d vectors for %d texts", len(e.Data), n)
	}
	out := make([][]float32, n)
	for i, d := range e.Data {
		at := i
		if d.Index != nil && e.numbered() {
			at = *d.Index
		}
		if at < 0 || at >= n || out[at] != nil {
			return nil, fmt.Errorf("a vector for text %d of %d", at, n)
		}
		if len(d.Embedding) != len(e.Data[0].Embedding) || len(d.Embedding) > maxDimensions {
			return nil, fmt.Errorf("vectors of %d and %d dimensions", len(e.Data[0].Embedding), len(d.Embedding))
		}
		unit, err := normalise(d.Embedding)
		if err != nil {
			return nil, err
		}
		out[at] = unit
	}
	return out, nil
}

func (e *embeddings) numbered() bool {
	for _, d := range e.Data {
		if d.Index != nil && *d.Index != 0 {
			return true
		}
	}
	return false
}

var errNoDirection = errors.New("a vector that points nowhere")

// normalise returns v with the length 1.
func normalise(v []float64) ([]float32, error) {
	sum := 0.0
	for _, f := range v {
		sum += f * f
	}
	length := math.Sqrt(sum)
	if !(length > 1e-12) || math.IsInf(length, 0) { // NaN included
		return nil, errNoDirection
	}
	out := make([]float32, len(v))
	for i, f := range v {
		out[i] = float32(f / length)
	}
	return out, nil
}
