package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/markdown"
)

// lessonKind is the kind whose results are lessons.
const lessonKind = "content"

// pageAnswer is an HTML page.
type pageAnswer string

// VisitGetTaskPageResponse implements GetTaskPageResponseObject.
func (p pageAnswer) VisitGetTaskPageResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	h.Set(echo.HeaderContentSecurityPolicy, markdown.PagePolicy())
	w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(w, string(p))
	return err
}

// GetTaskPage implements StrictServerInterface.
func (s *Server) GetTaskPage(ctx context.Context, r GetTaskPageRequestObject) (GetTaskPageResponseObject, error) {
	_, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if err := showable(t, lessonKind, "a page"); err != nil {
		return nil, err
	}
	var lesson markdown.Lesson
	if err := json.Unmarshal(t.Result, &lesson); err != nil {
		return nil, fmt.Errorf("read the lesson of task %s: %w", t.ID, err)
	}
	page, err := markdown.Page(lesson)
	if err != nil {
		return nil, err
	}
	return pageAnswer(page), nil
}
