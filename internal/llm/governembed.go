package llm

import (
	"context"
	"errors"
	"strings"
)

// GovernEmbedder returns the governed form of e: with the breaker, the requests and tokens a minute, the pauses and the budgets that
// Govern gives to a model. Nothing stands in for an embedder: vectors of different models cannot be compared. The offline embedder
// has no limits and is returned as it is. Of cfg it takes neither Client, Model, Open nor Kinds.
//
// Besides the errors of e it returns *PausedError and *BudgetError.
func GovernEmbedder(cfg GovernConfig, e Embedder) (Embedder, error) {
	wrap, err := newWrapper(&cfg)
	if err != nil || e.EmbeddingModel().Provider == offlineProvider {
		return e, err
	}
	l, err := wrap(e.EmbeddingModel(), embedClient{e})
	if err != nil {
		return nil, err
	}
	return &governedEmbedder{e, l.client}, nil
}

type governedEmbedder struct {
	next   Embedder
	client Client
}

// EmbeddingModel implements Embedder.
func (g *governedEmbedder) EmbeddingModel() Model { return g.next.EmbeddingModel() }

// embedJob is one call of an embedder on its way through what governs calls of clients.
type embedJob struct {
	texts   []string
	vectors [][]float32
}

type embedJobKey struct{}

// Embed implements Embedder.
func (g *governedEmbedder) Embed(ctx context.Context, texts []string) ([][]float32, Usage, error) {
	job := &embedJob{texts: texts}
	// The prompt is what the tokens are guessed from; there is no answer to guess.
	req := Request{Purpose: "embed", Prompt: strings.Join(texts, " "), MaxTokens: 1}
	resp, err := g.client.Complete(context.WithValue(ctx, embedJobKey{}, job), req)
	if err != nil {
		return nil, Usage{}, err
	}
	return job.vectors, resp.Usage, nil
}

// embedClient is an Embedder in the form that is governed.
type embedClient struct{ e Embedder }

func (c embedClient) Describe() string {
	return strings.Replace(c.e.EmbeddingModel().String(), "/", " ", 1)
}

func (c embedClient) Complete(ctx context.Context, _ Request) (Response, error) {
	job, ok := ctx.Value(embedJobKey{}).(*embedJob)
	if !ok {
		return Response{}, errors.New("an embedder was asked for text")
	}
	var err error
	var resp Response
	job.vectors, resp.Usage, err = c.e.Embed(ctx, job.texts)
	return resp, err
}

// quote prices a call for budgets.
func (c embedClient) quote(n tokens) (usd float64, known bool) {
	if q, ok := c.e.(quoted); ok {
		return q.quote(n)
	}
	return 0, false
}
