package api

import (
	"context"
	"time"
)

// Answer is the envelope of every successful answer.
type Answer[T any] struct {
	Status   string   `json:"status"` // "success"
	Data     T        `json:"data"`
	Message  string   `json:"message"`
	Metadata Metadata `json:"metadata"`
}

func success[T any](ctx context.Context, data T, message string) Answer[T] {
	return Answer[T]{Status: "success", Data: data, Message: message, Metadata: metadata(ctx)}
}

func metadata(ctx context.Context) Metadata {
	now, c := time.Now().UTC(), callOf(ctx)
	return Metadata{Timestamp: now, RequestID: c.id, ExecutionTime: now.Sub(c.began).Seconds()}
}
