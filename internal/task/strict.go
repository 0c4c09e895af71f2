package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxDepth is how deep arrays and objects may nest in a request.
const MaxDepth = 32

// CheckJSON holds raw against the rules that encoding/json does not: one value and nothing behind it, valid UTF-8, no key
// twice in an object, no NUL in any string, nesting of at most MaxDepth. The Invalid fault names where, below root, which
// may be empty for a whole body.
func CheckJSON(root string, raw []byte) error {
	_, err := ParseJSON(root, raw)
	return err
}

// ParseJSON decodes raw under the rules of CheckJSON into maps, slices, strings, json.Number, bool and nil.
//
// The decoder is that of encoding/json/v2, from its own module until it is part of every Go.
func ParseJSON(root string, raw []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	v, err := strictValue(d, root)
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return v, nil
		}
		return nil, fault.InvalidField(fieldPath(root, nil), "has something behind its JSON value, at byte %d", d.InputOffset())
	}
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return nil, fault.InvalidField(fieldPath(root, slices.Collect(syntax.JSONPointer.Tokens())), "stands twice in the same object")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fault.InvalidField(fieldPath(root, nil), "is not valid JSON: it ends too early")
	case errors.As(err, &syntax) && strings.Contains(syntax.Err.Error(), "UTF-8"):
		return nil, fault.InvalidField(fieldPath(root, nil), "is not valid UTF-8 at byte %d", syntax.ByteOffset)
	case errors.As(err, &syntax):
		return nil, fault.InvalidField(fieldPath(root, nil), "is not valid JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)
	}
	return nil, err
}

func strictValue(d *jsontext.Decoder, root string) (any, error) {
	tok, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch tok.Kind() {
	case '{':
		return strictObject(d, root)
	case '[':
		return strictArray(d, root)
	case '"':
		return strictString(d, root, tok)
	case '0':
		return json.Number(tok.String()), nil
	case 't', 'f':
		return tok.Bool(), nil
	}
	return nil, nil
}

func strictObject(d *jsontext.Decoder, root string) (any, error) {
	if err := checkDepth(d, root); err != nil {
		return nil, err
	}
	object := map[string]any{}
	for d.PeekKind() != '}' {
		tok, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key, err := strictString(d, root, tok)
		if err != nil {
			return nil, err
		}
		if object[key], err = strictValue(d, root); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return object, err
}

func strictArray(d *jsontext.Decoder, root string) (any, error) {
	if err := checkDepth(d, root); err != nil {
		return nil, err
	}
	list := []any{}
	for d.PeekKind() != ']' {
		v, err := strictValue(d, root)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.ReadToken()
	return list, err
}

func strictString(d *jsontext.Decoder, root string, tok jsontext.Token) (string, error) {
	s := tok.String()
	if strings.IndexByte(s, 0) >= 0 {
		return "", fault.InvalidField(fieldPath(root, slices.Collect(d.StackPointer().Tokens())), "holds a NUL character")
	}
	return s, nil
}

func checkDepth(d *jsontext.Decoder, root string) error {
	if d.StackDepth() > MaxDepth {
		return fault.InvalidField(fieldPath(root, nil), "nests deeper than %d levels", MaxDepth)
	}
	return nil
}
