package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// typed returns the handler of a kind's own routes: the body is the input and nothing else.
func (s *Server) typed(kind task.Kind) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		sub := task.Submission{Kind: kind.Name, Priority: lane(c.QueryParam("priority")), Key: r.Header.Get("Idempotency-Key")}
		for name, field := range map[string]**time.Time{"deadline": &sub.Deadline, "run_at": &sub.RunAt} {
			if text := c.QueryParam(name); text != "" {
				at, err := time.Parse(time.RFC3339, text)
				if err != nil {
					return fault.InvalidField(name, "is no RFC 3339 time")
				}
				*field = &at
			}
		}
		input, err := readBody(r)
		if err != nil {
			return err
		}
		if len(input) == 0 {
			return fault.InvalidField("body", "is missing")
		}
		sub.Input = json.RawMessage(input)
		return s.answerTyped(r.Context(), c, sub)
	}
}

func (s *Server) answerTyped(ctx context.Context, c echo.Context, sub task.Submission) error {
	answer, err := s.submit(ctx, sub)
	if err != nil {
		return aboutBody(err)
	}
	return answer.VisitSubmitTaskResponse(c.Response())
}

// aboutBody renames the fields of err from paths below "input" to paths in the body.
func aboutBody(err error) error {
	var known *fault.Error
	if !errors.As(err, &known) || len(known.Details) == 0 {
		return err
	}
	renamed := *known
	renamed.Details = make([]fault.Detail, len(known.Details))
	for i, d := range known.Details {
		if d.Field == "input" {
			d.Field = "body"
		}
		d.Field = strings.TrimPrefix(d.Field, "input.")
		renamed.Details[i] = d
	}
	return &renamed
}
