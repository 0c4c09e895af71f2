package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// statusClientGone is logged when the client went away before the answer; nobody receives it.
const statusClientGone = 499

// statuses is the one map from faults to HTTP.
var statuses = map[fault.Kind]int{
	fault.Internal:     http.StatusInternalServerError,
	fault.Invalid:      http.StatusBadRequest,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Forbidden:    http.StatusForbidden,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.TooLarge:     http.StatusRequestEntityTooLarge,
	fault.RateLimited:  http.StatusTooManyRequests,
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.Timeout:      http.StatusGatewayTimeout,
	fault.Canceled:     statusClientGone,
}

// failure is an error as a client sees it.
type failure struct {
	status     int
	message    string
	problem    Problem
	retryAfter time.Duration // 0 for none
}

// failureOf says what a client is told of err. An Internal error says nothing of what happened inside.
func failureOf(err error) failure {
	var routing *echo.HTTPError
	if errors.As(err, &routing) {
		return routingFailure(routing)
	}
	kind := fault.KindOf(err)
	f := failure{status: statuses[kind], message: plainMessage(kind), retryAfter: fault.RetryAfter(err)}
	f.problem = Problem{Code: kind.String(), Details: []Detail{}, Retryable: kind.Retryable()}
	var known *fault.Error
	if errors.As(err, &known) && kind != fault.Internal {
		f.message = strings.ToValidUTF8(known.Message, "�")
		f.problem.Details = append(f.problem.Details, known.Details...)
	}
	switch {
	case errors.Is(err, auth.ErrStepUp):
		f.problem.Code = "step_up_required"
	case errors.Is(err, auth.ErrRenew):
		f.problem.Code = "new_password_required"
	case errors.Is(err, auth.ErrEnroll):
		f.problem.Code = "second_factor_required"
	}
	if f.retryAfter <= 0 && (kind == fault.Unavailable || kind == fault.RateLimited) {
		f.retryAfter = time.Second
	}
	return f
}

func plainMessage(kind fault.Kind) string {
	switch kind {
	case fault.Timeout:
		return "the work did not end in time"
	case fault.Canceled:
		return "the request was withdrawn"
	}
	return "something went wrong on our side; report the request id"
}

// routingFailure translates what Echo and the generated code refuse by themselves.
func routingFailure(err *echo.HTTPError) failure {
	f := failure{status: err.Code, message: fmt.Sprint(err.Message), problem: Problem{Code: fault.Invalid.String(), Details: []Detail{}}}
	switch {
	case err.Code == http.StatusNotFound:
		f.message, f.problem.Code = "there is no such route; see /docs", fault.NotFound.String()
	case err.Code == http.StatusMethodNotAllowed:
		f.message, f.problem.Code = "the route has no such method; see the Allow header", "method_not_allowed"
	case err.Code == http.StatusUnsupportedMediaType:
		f.problem.Code = "unsupported_media_type"
	case err.Code == http.StatusRequestURITooLong:
		f.problem.Code = fault.TooLarge.String()
	case err.Code < 400 || err.Code >= 500:
		f.status, f.message, f.problem.Code = http.StatusInternalServerError, plainMessage(fault.Internal), fault.Internal.String()
	}
	return f
}

// answerError writes err as an envelope. It is Echo's error handler, and nothing else writes errors.
func (s *Server) answerError(err error, c echo.Context) {
	ctx := c.Request().Context()
	callOf(ctx).fault = err
	if c.Response().Committed {
		return
	}
	f := failureOf(err)
	h := c.Response().Header()
	if f.status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, challenge(c.Request(), f.message))
	}
	if f.retryAfter > 0 {
		h.Set(echo.HeaderRetryAfter, seconds(f.retryAfter))
	}
	h.Set(echo.HeaderContentSecurityPolicy, policyData)
	h.Del("Location")
	body, err := json.Marshal(problemAnswer(ctx, f))
	if err == nil {
		err = c.JSONBlob(f.status, body)
	}
	if err != nil {
		s.logger.DebugContext(ctx, "answer not delivered", "request_id", callOf(ctx).id, "error", err)
	}
}

func problemAnswer(ctx context.Context, f failure) ProblemAnswer {
	return ProblemAnswer{Status: "error", Message: f.message, Metadata: metadata(ctx), Error: f.problem}
}

// seconds rounds up: who comes back at that time does not come too early.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
