package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Problem is what is wrong, as the API's answers have it.
type Problem struct {
	Code      string         `json:"code"` // such as "forbidden": see package fault
	Details   []fault.Detail `json:"details"`
	Retryable bool           `json:"retryable"`
}

// refusal is an answer of the API that says no.
type refusal struct {
	Problem
	Message    string `json:"message"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
	status     int
}

// Error implements error.
func (r *refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", r.Code, r.Message)
	for _, d := range r.Details {
		fmt.Fprintf(&b, "\n- %s: %s", d.Field, d.Reason)
	}
	if r.RetryAfter > 0 {
		fmt.Fprintf(&b, "\nTry again in %d s.", r.RetryAfter)
	}
	return b.String()
}

// refusalOf returns err as a refusal. What no fault is says nothing of what happened inside.
func refusalOf(err error) *refusal {
	var no *refusal
	if errors.As(err, &no) {
		return no
	}
	kind := fault.KindOf(err)
	no = &refusal{Problem: Problem{Code: kind.String(), Details: []fault.Detail{}, Retryable: kind.Retryable()}, Message: "something went wrong on our side"}
	var known *fault.Error
	if errors.As(err, &known) && kind != fault.Internal {
		no.Message = known.Message
		no.Details = append(no.Details, known.Details...)
	}
	if kind == fault.Canceled || kind == fault.Timeout {
		no.Message = "the call did not end in time"
	}
	return no
}

// rename calls fields as the tool does whose arguments they are.
func rename(no *refusal, t tool) *refusal {
	out := *no
	out.Details = append([]fault.Detail{}, no.Details...)
	for i, d := range out.Details {
		for _, a := range t.arguments {
			if d.Field == a.there() {
				out.Details[i].Field = a.name
			}
		}
	}
	return &out
}

// failed returns a refusal as a tool's error.
func failed(no *refusal) *sdk.CallToolResult {
	return &sdk.CallToolResult{
		IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: no.Error()}}, StructuredContent: map[string]any{"error": no},
	}
}

// codeRefused is the code of errors of resources and prompts that are no tool's. It is of those that the protocol leaves to servers.
const codeRefused = -32001

// protocolError returns a refusal as an error of the protocol. What is not there for who asks is not there.
func protocolError(err error, uri string) error {
	no := refusalOf(err)
	if no.Code == fault.NotFound.String() && uri != "" {
		return sdk.ResourceNotFoundError(uri)
	}
	data, marshalErr := json.Marshal(no)
	if marshalErr != nil {
		return marshalErr
	}
	return &jsonrpc.Error{Code: codeRefused, Message: no.Error(), Data: data}
}
