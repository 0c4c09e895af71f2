package llm

import (
	"context"
	"encoding/json"
)

// Role says who speaks in a Message.
type Role string

// The roles.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool" // the result of a ToolCall
)

// Message is one turn of a conversation.
type Message struct {
	Role  Role
	Text  string
	Calls []ToolCall // that an assistant's turn asks for
	Call  string     // the ToolCall.ID whose result a tool's turn holds
}

// Tool is something that a model may ask its caller to do.
type Tool struct {
	Name        string          // [a-zA-Z0-9_-]{1,64}
	Description string          // for the model
	Parameters  json.RawMessage // JSON Schema of the arguments, an object; empty for a tool without arguments
}

// ToolCall is a model's wish to have a tool called. It comes from Client.Complete with an ID that no other call of the
// answer has, the name of a tool that was offered, and one JSON object of at most 64 KiB, which is the model's words: it is
// not validated against Tool.Parameters.
type ToolCall struct {
	ID        string
	Name      string
	Arguments json.RawMessage
	// State is what the provider wants to see again beside this call when the conversation goes on: opaque, named after the
	// provider, and of no use to another one. Who stores a conversation stores it, too: Gemini refuses calls without it.
	State json.RawMessage `json:",omitempty"`
	// Masked is the call as a third party may have it, where a Client keeps from its model who somebody is; nil where the model was told of
	// nobody. It is not kept.
	Masked *Masked `json:"-"`
}

// Masked is a ToolCall under pseudonyms.
type Masked struct {
	Arguments json.RawMessage
	Restore   func(result string) string // puts back what the pseudonyms in a result stand for
}

// Embedder turns texts into vectors whose cosine says how close their meanings are. It is safe for concurrent use.
type Embedder interface {
	// Embed returns one vector for each text, all of the same length. Errors are those of Client.
	Embed(ctx context.Context, texts []string) ([][]float32, Usage, error)
	// EmbeddingModel names the model: vectors of different models cannot be compared.
	EmbeddingModel() Model
}
