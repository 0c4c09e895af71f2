package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// run is a tool that takes more than one request. What it returns is the structured content.
type run func(ctx context.Context, s *Server, call *sdk.CallToolRequest, args arguments) (any, error)

// arguments are those of one call.
type arguments map[string]json.RawMessage

// handlerOf returns what answers calls of t.
func (s *Server) handlerOf(t tool) sdk.ToolHandler {
	return func(ctx context.Context, call *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		ctx, stop := withClient(ctx)
		defer stop()
		args, err := t.read(call.Params.Arguments)
		if err != nil {
			return failed(refusalOf(err)), nil
		}
		var data any
		if t.run != nil {
			data, err = t.run(ctx, s, call, args)
		} else {
			data, err = s.perform(ctx, t, args)
		}
		if err != nil {
			return failed(rename(refusalOf(err), t)), nil
		}
		text, err := json.Marshal(data)
		if err != nil {
			return nil, fmt.Errorf("encode the answer of %s: %w", t.name, err)
		}
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: string(text)}}, StructuredContent: json.RawMessage(text)}, nil
	}
}

// read returns the arguments of a call, or an Invalid fault. Whether their values are good is the API's contract to say, but for what would
// change which operation is asked.
func (t tool) read(raw json.RawMessage) (arguments, error) {
	args := arguments{}
	if len(raw) > 0 && string(raw) != "null" {
		if _, err := task.ParseJSON("arguments", raw); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fault.InvalidField("arguments", "must be an object")
		}
	}
	var details []fault.Detail
	for name := range args {
		if !slices.Contains(t.known(), name) {
			details = append(details, fault.Detail{Field: clip(name), Reason: "is unknown; known are " + strings.Join(t.known(), ", ")})
		}
	}
	slices.SortFunc(details, func(a, b fault.Detail) int { return strings.Compare(a.Field, b.Field) })
	for _, a := range t.arguments {
		if _, given := args[a.name]; a.required && !given {
			details = append(details, fault.Detail{Field: a.name, Reason: "is missing"})
		}
	}
	if len(details) > 0 {
		return nil, fault.InvalidFields(details[:min(len(details), maxDetails)])
	}
	return args, nil
}

const maxDetails = 20

// clip returns the beginning of a name that a client made up.
func clip(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), 64)], "")
}

// perform asks the one operation that t is and returns the answer's data.
func (s *Server) perform(ctx context.Context, t tool, args arguments) (json.RawMessage, error) {
	r := request{method: t.method, path: t.path, query: url.Values{}, header: http.Header{}}
	body := map[string]json.RawMessage{}
	for _, a := range t.arguments {
		value, given := args[a.name]
		if !given {
			continue
		}
		if a.at == inBody {
			body[a.there()] = value
			continue
		}
		words, err := wordsOf(a.name, value)
		if err != nil {
			return nil, err
		}
		if a.at != inQuery && (len(words) != 1 || words[0] == "") {
			return nil, fault.InvalidField(a.name, "must be one text that is not empty")
		}
		switch a.at {
		case inPath:
			r.path = strings.ReplaceAll(r.path, "{"+a.there()+"}", segment(words[0]))
		case inHeader:
			if strings.ContainsFunc(words[0], func(c rune) bool { return c < ' ' || c > '~' }) {
				return nil, fault.InvalidField(a.name, "must be printable ASCII")
			}
			r.header.Set(a.there(), words[0])
		case inQuery, inBody:
			r.query[a.there()] = words
		}
	}
	if t.method == http.MethodPost || t.method == http.MethodPut {
		var err error
		if r.body, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
	}
	return s.ask(ctx, r)
}

// segment escapes a text as one segment of a path. Dots alone would lead to another one.
func segment(text string) string {
	if strings.Trim(text, ".") == "" {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// wordsOf returns a value as it stands in a query: a text or number, or a list of such.
func wordsOf(name string, value json.RawMessage) ([]string, error) {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		list = []json.RawMessage{value}
	}
	words := make([]string, len(list))
	for i, v := range list {
		var number json.Number
		if json.Unmarshal(v, &words[i]) == nil && string(v) != "null" {
			continue
		}
		if err := json.Unmarshal(v, &number); err != nil || string(v) == "null" {
			return nil, fault.InvalidField(name, "must be a text, a number, or a list of them")
		}
		words[i] = number.String()
	}
	return words, nil
}
