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
	Parameters  json.RawMessage // JSON Schema of the arguments, an object
}

// ToolCall is a model's wish to have a tool called. Its arguments are the model's words: one JSON object, not validated.
type ToolCall struct {
	ID        string
	Name      string
	Arguments json.RawMessage
}

// Embedder turns texts into vectors whose cosine says how close their meanings are. It is safe for concurrent use.
type Embedder interface {
	// Embed returns one vector for each text, all of the same length. Errors are those of Client.
	Embed(ctx context.Context, texts []string) ([][]float32, Usage, error)
	// EmbeddingModel names the model: vectors of different models cannot be compared.
	EmbeddingModel() Model
}
