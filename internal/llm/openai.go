package llm

import (
	"net/url"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

const (
	openaiBase  = "https://api.openai.com/v1"
	openaiModel = "gpt-6-luna"
	googleBase  = "https://generativelanguage.googleapis.com/v1beta/openai"
	googleModel = "gemini-3.8-flash"
	unusedKey   = "none" // langchaingo insists on a key where the server wants none
)

// NewOpenAI returns the Client of OpenAI or, with e.Base, of any server that speaks its chat completions format; such a
// server may do without a key. Errors are Invalid and name the variables OPENAI_API_KEY, OPENAI_MODEL and OPENAI_API_BASE.
func NewOpenAI(e Endpoint) (*Remote, error) {
	if e.Base == "" {
		e.Base = openaiBase
	}
	if e.Model == "" {
		e.Model = openaiModel
	}
	r, err := newRemote("openai", "OPENAI", e, openaiFormat{})
	if err != nil || r.endpoint.Base != openaiBase {
		return r, err
	}
	if err := r.needKey("OPENAI_API_KEY"); err != nil {
		return nil, err
	}
	return r.withPrices()
}

// NewGoogle returns the Client of Google's OpenAI-compatible endpoint. Errors are Invalid and name GOOGLE_API_KEY and
// GOOGLE_MODEL.
func NewGoogle(e Endpoint) (*Remote, error) {
	if e.Base == "" {
		e.Base = googleBase
	}
	if e.Model == "" {
		e.Model = googleModel
	}
	r, err := newRemote("google", "GOOGLE", e, openaiFormat{})
	if err != nil {
		return nil, err
	}
	if err := r.needKey("GOOGLE_API_KEY"); err != nil {
		return nil, err
	}
	if r.endpoint.Base != googleBase {
		return r, nil
	}
	return r.withPrices()
}

// openaiFormat is the chat completions format of OpenAI, Google and Ollama. See openaiwire.go for what it says and hears itself.
type openaiFormat struct{}

func (openaiFormat) open(e Endpoint, x *exchange) (llms.Model, error) {
	key := e.Key
	if key == "" {
		key = unusedKey
	}
	// Every option that langchaingo would otherwise read from the environment is given.
	return openai.New(openai.WithToken(key), openai.WithModel(e.Model), openai.WithBaseURL(e.Base),
		openai.WithOrganization(""), openai.WithHTTPClient(x))
}

func (openaiFormat) options(e Endpoint, tokens int) []llms.CallOption {
	options := []llms.CallOption{llms.WithMaxTokens(tokens)}
	if !takesCompletionTokens(e) {
		options = append(options, openai.WithLegacyMaxTokensField())
	}
	return options
}

// takesCompletionTokens tells the servers that want max_completion_tokens from those that only know max_tokens.
func takesCompletionTokens(e Endpoint) bool { return isOpenAI(e) || isOpenAIReasoner(e.Model) }

// isOpenAI tells OpenAI's own servers from those that only speak its format.
func isOpenAI(e Endpoint) bool {
	base, err := url.Parse(e.Base)
	return err == nil && (base.Host == "api.openai.com" || strings.HasSuffix(base.Host, ".azure.com"))
}
