package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// unform turns a body that came as a form into the JSON object that it says, so that one contract holds for both. Every value is a string;
// a field that stands twice is refused.
func unform(r *http.Request) error {
	if r.Header.Get(echo.HeaderContentType) != echo.MIMEApplicationForm {
		return nil
	}
	raw, err := readBody(r)
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return fault.InvalidField("body", "is no form")
	}
	fields := make(map[string]string, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return fault.InvalidField(name, "stands more than once")
		}
		fields[name] = values[0]
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = received{bytes.NewReader(data)}, int64(len(data))
	r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	return nil
}
