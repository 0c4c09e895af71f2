package llm

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxCalls     = 16       // in one answer
	maxArguments = 64 << 10 // of one call, in bytes
	maxCallID    = 200      // bytes
	madeUpID     = 9        // characters: some models take ids of no other length
)

// callSet puts the tool calls of one answer together. Servers differ in what they send: the index of a call may be missing or
// always 0, the id may be missing, empty, or repeated with every piece, and the arguments may be empty or not a string.
type callSet struct {
	list  []partialCall
	fault string // what cannot be put together; empty when all is well
}

type partialCall struct {
	slot      int // -1 where the server gave none
	id, name  string
	arguments []byte
	state     json.RawMessage
}

// piece is a part of a call, or all of it.
type piece struct {
	slot      *int
	id, name  string
	arguments string
	state     json.RawMessage
}

func (s *callSet) add(p piece) {
	at := s.find(p)
	if at < 0 {
		if len(s.list) == maxCalls {
			s.fault = fmt.Sprintf("are more than %d", maxCalls)
			return
		}
		slot := -1
		if p.slot != nil {
			slot = *p.slot
		}
		at = len(s.list)
		s.list = append(s.list, partialCall{slot: slot})
	}
	c := &s.list[at]
	if c.id == "" {
		c.id = clip(p.id, maxCallID)
	}
	if c.name == "" {
		c.name = clip(p.name, maxCallID)
	}
	if len(p.state) > 0 {
		c.state = slices.Clone(p.state)
	}
	if len(c.arguments)+len(p.arguments) > maxArguments {
		s.fault = fmt.Sprintf("have arguments of more than %d bytes", maxArguments)
		return
	}
	c.arguments = append(c.arguments, p.arguments...)
}

// find returns the call that p continues, -1 for a new one. Pieces belong together by slot unless their ids differ, else by id,
// else p continues the last call unless it names a tool.
func (s *callSet) find(p piece) int {
	for i := len(s.list) - 1; i >= 0; i-- {
		c := s.list[i]
		sameID := p.id == "" || c.id == "" || c.id == clip(p.id, maxCallID)
		switch {
		case p.slot != nil && c.slot == *p.slot:
			if sameID {
				return i
			}
		case p.slot == nil && p.id != "" && c.id == clip(p.id, maxCallID):
			return i
		}
	}
	last := len(s.list) - 1
	if p.slot != nil || p.id != "" || last < 0 {
		return -1
	}
	if p.name == "" || p.name == s.list[last].name && !json.Valid(s.list[last].arguments) {
		return last
	}
	return -1
}

func (s *callSet) clone() callSet {
	out := callSet{list: slices.Clone(s.list), fault: s.fault}
	for i := range out.list {
		out.list[i].arguments = bytes.Clone(out.list[i].arguments)
	}
	return out
}

// calls returns the calls, or what is wrong with them: tools are those that were offered.
func (s *callSet) calls(tools []Tool, provider string) ([]ToolCall, []fault.Detail) {
	if s.fault != "" {
		return nil, []fault.Detail{{Field: "calls", Reason: s.fault}}
	}
	if len(s.list) > 0 && len(tools) == 0 {
		return nil, []fault.Detail{{Field: "calls", Reason: "ask for a tool where none is offered"}}
	}
	var out []ToolCall
	var wrong []fault.Detail
	taken := map[string]bool{}
	for i, c := range s.list {
		field := fmt.Sprintf("calls[%d]", i)
		if !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == c.name }) {
			wrong = append(wrong, fault.Detail{Field: field + ".name", Reason: fmt.Sprintf("%q is no tool that is offered", clip(c.name, 100))})
		}
		arguments := bytes.TrimSpace(c.arguments)
		if len(arguments) == 0 || string(arguments) == "null" {
			arguments = []byte("{}")
		}
		if !isObject(arguments) {
			wrong = append(wrong, fault.Detail{Field: field + ".arguments", Reason: "are not one JSON object"})
		}
		for c.id == "" || taken[c.id] {
			c.id = rand.Text()[:madeUpID]
		}
		taken[c.id] = true
		out = append(out, ToolCall{ID: c.id, Name: c.name, Arguments: arguments, State: stateFrom(provider, c.state)})
	}
	if wrong != nil {
		return nil, wrong
	}
	return out, nil
}
