package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// MaxDepth is how deep arrays and objects may nest in a request.
const MaxDepth = 32

// CheckJSON holds raw against the rules that encoding/json does not: one value and nothing behind it, valid UTF-8, no key
// twice in an object, no NUL in any string, nesting of at most MaxDepth. The Invalid fault names where, below root, which
// may be empty for a whole body.
func CheckJSON(root string, raw []byte) error {
	whole := root
	if whole == "" {
		whole = "body"
	}
	if !utf8.Valid(raw) {
		return fault.InvalidField(whole, "is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := checkValue(d, root, 0); err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			return fault.InvalidField(whole, "is not valid JSON at byte %d: %v", syntax.Offset, syntax)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fault.InvalidField(whole, "is not valid JSON: it ends too early")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.InvalidField(whole, "has something behind its JSON value, at byte %d", d.InputOffset())
	}
	return nil
}

func checkValue(d *json.Decoder, path string, depth int) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case string:
		return checkString(path, v)
	case json.Delim:
		if depth >= MaxDepth {
			return fault.InvalidField(path, "nests deeper than %d levels", MaxDepth)
		}
		if v == '{' {
			return checkObject(d, path, depth)
		}
		for d.More() {
			if err := checkValue(d, path+"[]", depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	}
	return nil
}

func checkObject(d *json.Decoder, path string, depth int) error {
	seen := map[string]struct{}{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		at := strings.TrimPrefix(path+"."+clip(key), ".")
		if err := checkString(at, key); err != nil {
			return err
		}
		if _, twice := seen[key]; twice {
			return fault.InvalidField(at, "stands twice in the same object")
		}
		seen[key] = struct{}{}
		if err := checkValue(d, at, depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func checkString(path, s string) error {
	if strings.ContainsRune(s, 0) {
		return fault.InvalidField(strings.ReplaceAll(path, "\x00", "�"), "holds a NUL character")
	}
	return nil
}
