package vet

import (
	"slices"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

// value is what an expression can evaluate to, as far as the rules care.
type value struct {
	kind kind
	text string  // of text, global, service
	num  float64 // of number
	from traits
	expr luau.Expr // of table and function
}

type kind uint8

const (
	unknown   kind = iota
	other          // nil, a boolean: no name and no code
	text           // a constant string
	number         // a constant number
	computed       // a string or number that the source does not show
	decoded        // a string put together of characters
	global         // a function or library of the language; text is its path: "string.char"
	game           // the DataModel
	service        // text is its name; workspace is one
	instance       // another object of the place
	instances      // a list of them
	table          // written in this file
	function       // written in this file
	client         // what a client sent
	player         // a Player
	userID         // the number of a player's account, or what was computed of it
	userName       // a player's name
)

// traits say where a value comes from.
type traits uint16

const (
	isScript     traits = 1 << iota // the running script itself
	ofScript                        // lies in the running script
	cloned                          // made by Clone
	swept                           // one of all objects of the place
	clientSent                      // found by a name that a client sent
	assembled                       // a constant text that is put together of characters
	lateBound                       // a member by a key that the source does not show
	aroundScript                    // holds the running script
)

// values are the alternatives that an expression has. None at all means that nothing is known, as does an unknown among them.
type values []value

// maxValues bounds the alternatives. Beyond it an expression is unknown as well.
const maxValues = 24

func one(v value) values      { return values{v} }
func of(k kind) values        { return values{{kind: k}} }
func textual(s string) values { return one(value{kind: text, text: s}) }

func (vs values) has(k kind) bool {
	return slices.ContainsFunc(vs, func(v value) bool { return v.kind == k })
}

func (vs values) trait(t traits) bool {
	return slices.ContainsFunc(vs, func(v value) bool { return v.from&t != 0 })
}

// only reports whether all alternatives are of the given kinds. Nothing known is not.
func (vs values) only(kinds ...kind) bool {
	return len(vs) > 0 && !slices.ContainsFunc(vs, func(v value) bool { return !slices.Contains(kinds, v.kind) })
}

// hasText reports whether s is one of the alternatives.
func (vs values) hasText(s string) bool {
	return slices.ContainsFunc(vs, func(v value) bool { return v.kind == text && v.text == s })
}

// is reports whether one alternative is the global of a path.
func (vs values) is(path string) bool {
	return slices.ContainsFunc(vs, func(v value) bool { return v.kind == global && v.text == path })
}

func (vs values) isService(name string) bool {
	return slices.ContainsFunc(vs, func(v value) bool { return v.kind == service && v.text == name })
}

// constant returns the only value of an expression when that is a constant.
func (vs values) constant(k kind) (value, bool) {
	if len(vs) == 1 && vs[0].kind == k {
		return vs[0], true
	}
	return value{}, false
}

// secret reports whether a text may have been decoded, or is put together so that a reader does not see it.
func (vs values) secret() bool { return vs.has(decoded) || vs.trait(assembled) }

// assemble returns a text that was put together of characters.
func assemble(s string) values { return one(value{kind: text, text: s, from: assembled}) }

// join returns all alternatives of several lists.
func join(lists ...values) values {
	var out values
	for _, vs := range lists {
		for _, v := range vs {
			if slices.Contains(out, v) {
				continue
			}
			if len(out) >= maxValues && !sharp(v) {
				v = value{}
				if out.has(unknown) {
					continue
				}
			}
			out = append(out, v)
		}
	}
	return out
}

// sharp reports whether a value is kept beyond the bound, because it decides. There are few such values.
func sharp(v value) bool {
	switch v.kind {
	case game, decoded, client, userID, userName:
		return v == value{kind: v.kind}
	case service:
		return v == value{kind: service, text: "HttpService"}
	case text:
		return v == value{kind: text, text: v.text} && (forbiddenServices[v.text] != "" || isScriptClass(v.text))
	}
	return false
}

// tainted returns the kind of a text that was put together of others.
func tainted(parts ...values) values {
	for _, vs := range parts {
		if vs.secret() {
			return of(decoded)
		}
	}
	for _, vs := range parts {
		if vs.has(client) {
			return of(client)
		}
	}
	return of(computed)
}
