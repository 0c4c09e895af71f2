// Package llm talks to language models, one call at a time.
//
// Client is the one interface that agents see. Behind it stand Remote, for the providers (over langchaingo, mended where
// it loses errors or partial answers: see exchange.go), and the offline composer, which needs no model at all. Which one
// serves is decided once, at start, by Select, and is said in one line; a failing provider is never replaced silently.
//
// Govern wraps a Client so that it keeps to what its provider allows, to what its callers may spend, and lets other models of
// the policy stand in; the answer says so. It counts in a Meter, which all processes share: see FallbackMeter for what happens
// without.
//
// A Request may hold a conversation (Messages) and offer tools (Tools); the answer then is text, or Calls, or both. CompleteWithTools
// calls tools and goes on until there is text, within limits. An answer that is an object is held to Request.Schema by the provider where
// it can: OpenAI and servers of its format by response_format, Claude from 4.5 on by output_config, less where a server refuses, and
// always by the instructions. Kinds gives single kinds models and temperatures of their own. An Embedder turns texts into vectors:
// RemoteEmbedder, or OfflineEmbedder for near-duplicates; see SelectEmbedder and GovernEmbedder.
//
// Cached answers what was answered before, for the same tenant: the same question (AnswerStore), one that means the same (SemanticIndex),
// or one that somebody else asks at that moment. It works on answers that their caller's rules found good, not on calls: a hit is held
// against the rules of who asks like a model's answer.
//
// Every error of a Client is a fault:
//
//   - RateLimited: the provider asks to come back later; RetryAfter is set where it said when. From a Governed client it is a
//     *PausedError or a *BudgetError, and says when.
//   - Unavailable: 5xx, a connection that failed or broke, an answer that ended without saying why or makes no sense.
//   - Timeout, Canceled: ctx ended; context.Cause is in the chain.
//   - Unauthorized: the key is wrong, unpaid, or may not use the model.
//   - Invalid: the provider refused the request as such, or the model answered in full and the answer is of no use,
//     tool calls that cannot be served included; the latter is an *InvalidOutputError.
//
// A Client never returns part of an answer without an error. CompleteValid adds validation and one round of repair.
package llm

import (
	"context"
	"encoding/json"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Request is one call to a model. It carries the instructions twice: as prose for models (System, Prompt) and as data
// for the composer (Purpose, Input).
type Request struct {
	Purpose  string          // what is asked for, as "<kind>.<step>": "quiz.draft"
	Version  string          // of the prompt: "quiz/1"
	System   string          // the instructions; never holds a user's words
	Messages []Message       // what was said before Prompt, oldest first; empty outside of conversations
	Prompt   string          // the user's words and data, fenced by the prompt's template; empty only behind a RoleTool message
	Input    json.RawMessage // the same data, structured
	Tools    []Tool          // what the model may ask for instead of answering; it is the caller who calls them
	// Schema is the JSON Schema that the answer must satisfy; nil asks for plain text. A Client asks the model for it and
	// makes sure that the answer is one JSON value, but does not validate it: see CompleteValid.
	Schema      json.RawMessage
	MaxTokens   int     // upper bound of the answer, in tokens; 0 takes the client's default (4096)
	Temperature float64 // 0 to 1; models that reason before they answer take no notice
	// OnDelta receives the answer's text as it is written, in order, from one goroutine, and never after Complete has
	// returned; nil asks for no stream. The deltas are the model's own words: fences and prose around JSON are in them.
	OnDelta func(string)
	// OnStart is called by CompleteValid before each call that it makes: what OnDelta received before is void. A cache that has the
	// answer calls neither.
	OnStart func()
	// OnRefused is told by CompleteValid of each answer of a model that is of no use, and what is wrong with it.
	OnRefused func(answer Response, details []fault.Detail)
}

// Response is a whole answer.
type Response struct {
	Text     string     // the answer; where Request.Schema is set, one JSON value without fences or prose around it
	Calls    []ToolCall // the tools that the model asks for; Text may be empty then
	Provider string     // "openai", "anthropic", "google", "ollama" or "offline"
	Model    string     // the model's name as the provider knows it
	Offline  bool       // true when the composer wrote it
	Fallback string     // which models were asked before and were not there, and why: "openai/gpt-6-luna: breaker open"; else empty
	Cache    string     // how the answer came without a call: "exact", "semantic" or "shared"; empty when the model was asked
	Usage    Usage
}

// Usage counts what a call cost.
type Usage struct {
	InputTokens  int
	OutputTokens int     // with the tokens of the model's reasoning
	CostUSD      float64 // 0 when the price is not known or nothing was charged
	CostKnown    bool
}

// Add returns the sum of two calls. Its cost is known when both are.
func (u Usage) Add(v Usage) Usage {
	u.InputTokens += v.InputTokens
	u.OutputTokens += v.OutputTokens
	u.CostUSD += v.CostUSD
	u.CostKnown = u.CostKnown && v.CostKnown
	return u
}

// Client calls one model. It is safe for concurrent use.
type Client interface {
	// Complete returns the whole answer to req. It ends with ctx.
	Complete(ctx context.Context, req Request) (Response, error)
	// Describe names the provider, the model and what else is worth knowing, in this order and one line, for logs and the health
	// page.
	Describe() string
}
