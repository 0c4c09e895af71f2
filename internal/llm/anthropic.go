package llm

import (
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"
)

const (
	anthropicBase  = "https://api.anthropic.com/v1"
	anthropicModel = "claude-sonnet-5-5"
)

// NewAnthropic returns the Client of Anthropic's messages API. Errors are Invalid and name ANTHROPIC_API_KEY,
// ANTHROPIC_MODEL and ANTHROPIC_API_BASE.
func NewAnthropic(e Endpoint) (*Remote, error) {
	if e.Base == "" {
		e.Base = anthropicBase
	}
	if e.Model == "" {
		e.Model = anthropicModel
	}
	r, err := newRemote("anthropic", "ANTHROPIC", e, anthropicFormat{})
	if err != nil {
		return nil, err
	}
	if err := r.needKey("ANTHROPIC_API_KEY"); err != nil {
		return nil, err
	}
	if r.endpoint.Base != anthropicBase {
		return r, nil
	}
	return r.withPrices()
}

// anthropicFormat is Anthropic's messages format. See anthropicwire.go for what it says and hears itself.
type anthropicFormat struct{}

func (anthropicFormat) open(e Endpoint, x *exchange) (llms.Model, error) {
	return anthropic.New(anthropic.WithToken(e.Key), anthropic.WithModel(e.Model), anthropic.WithBaseURL(e.Base),
		anthropic.WithHTTPClient(x))
}

func (anthropicFormat) options(_ Endpoint, tokens int) []llms.CallOption {
	return []llms.CallOption{llms.WithMaxTokens(tokens)}
}
