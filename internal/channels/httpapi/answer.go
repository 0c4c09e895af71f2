package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// retryAfter is what callers are told who have to come back and whom nobody told when.
const retryAfter = time.Second

// statusError is a refusal that no kind of fault stands for.
type statusError struct {
	status int
	reason string
}

func (e *statusError) Error() string { return e.reason }

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the caller went away
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, reason := statusOf(err)
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		wait := max(fault.RetryAfter(err), retryAfter)
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	level := slog.LevelDebug
	if r.Context().Err() == nil && status == http.StatusServiceUnavailable {
		level = slog.LevelWarn
	} else if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	h.cfg.Logger.Log(r.Context(), level, "channels request not served", "method", r.Method, "status", status, "error", err)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, reason+"\n")
}

// statusOf returns the status of err and what the caller is told: what a fault says for them, never its cause.
func statusOf(err error) (status int, reason string) {
	var own *statusError
	if errors.As(err, &own) {
		return own.status, own.reason
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		status = http.StatusBadRequest
	case fault.Unauthorized:
		status = http.StatusUnauthorized
	case fault.Forbidden:
		status = http.StatusForbidden
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Conflict:
		status = http.StatusConflict
	case fault.TooLarge:
		status = http.StatusRequestEntityTooLarge
	case fault.RateLimited:
		status = http.StatusTooManyRequests
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	case fault.Timeout, fault.Canceled:
		return http.StatusServiceUnavailable, "the request was not served in time"
	case fault.Internal:
		return http.StatusInternalServerError, "internal error"
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return status, http.StatusText(status)
	}
	var details []string
	for _, d := range f.Details {
		details = append(details, d.Field+" "+d.Reason)
	}
	if len(details) == 0 {
		return status, f.Message
	}
	return status, f.Message + ": " + strings.Join(details, "; ")
}
