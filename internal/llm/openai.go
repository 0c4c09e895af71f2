package llm

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

const (
	openaiBase    = "https://api.openai.com/v1"
	openaiModel   = "gpt-6-luna"
	googleBase    = "https://generativelanguage.googleapis.com/v1beta/openai"
	googleModel   = "gemini-3.8-flash"
	unusedKey     = "none" // langchaingo insists on a key where the server wants none
	bareStreamEnd = "[DONE]"
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

// openaiFormat is the chat completions format of OpenAI, Google and Ollama.
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

func (openaiFormat) options(e Endpoint, tokens int, jsonMode bool) []llms.CallOption {
	options := []llms.CallOption{llms.WithMaxTokens(tokens)}
	if !takesCompletionTokens(e) {
		options = append(options, openai.WithLegacyMaxTokensField())
	}
	if jsonMode {
		options = append(options, llms.WithJSONMode())
	}
	return options
}

// takesCompletionTokens tells the servers that want max_completion_tokens from those that only know max_tokens.
func takesCompletionTokens(e Endpoint) bool {
	base, err := url.Parse(e.Base)
	return err == nil && (base.Host == "api.openai.com" || strings.HasSuffix(base.Host, ".azure.com")) || isOpenAIReasoner(e.Model)
}

func (openaiFormat) inspect(data []byte, seen *sighting) ([]byte, bool, error) {
	if string(data) == bareStreamEnd {
		seen.done = true
		return nil, true, nil
	}
	var v struct {
		Model   string          `json:"model"`
		Error   json.RawMessage `json:"error"`
		Choices []struct {
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, false, err
	}
	if len(v.Error) > 0 && string(v.Error) != "null" {
		return v.Error, false, nil
	}
	if v.Model != "" {
		seen.model = clip(v.Model, 100)
	}
	if len(v.Choices) > 0 {
		seen.text += len(v.Choices[0].Delta.Content)
		if reason := v.Choices[0].FinishReason; reason != "" {
			seen.stop, seen.done = reason, true
		}
	}
	return nil, true, nil
}

// tokens takes what the total has beyond the prompt for output: Google leaves reasoning out of the completion's count.
func (openaiFormat) tokens(info map[string]any) tokens {
	n := tokens{input: count(info, "PromptTokens"), cached: count(info, "PromptCachedTokens")}
	n.output = max(count(info, "CompletionTokens"), count(info, "TotalTokens")-n.input)
	return n
}

func count(info map[string]any, key string) int {
	n, _ := info[key].(int)
	return max(n, 0)
}
