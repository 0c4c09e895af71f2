package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/task"
)

// terrainKind is the kind whose results have pictures.
const terrainKind = "terrain"

// resultAgain is after what time a result that could not be fetched is worth asking for again.
const resultAgain = 5 * time.Second

// pngHead is what every PNG begins with.
const pngHead = "\x89PNG\r\n\x1a\n"

// previewAnswer is a picture, or that the client has it.
type previewAnswer struct {
	png  []byte
	tag  string
	held bool // by the client
}

// VisitGetTaskPreviewResponse implements GetTaskPreviewResponseObject.
func (p previewAnswer) VisitGetTaskPreviewResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("ETag", p.tag)
	h.Set(echo.HeaderCacheControl, "private, no-cache")
	h.Add(echo.HeaderVary, echo.HeaderAuthorization)
	if p.held {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set(echo.HeaderContentType, "image/png")
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(p.png)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(p.png)
	return err
}

// GetTaskPreview implements StrictServerInterface.
func (s *Server) GetTaskPreview(ctx context.Context, r GetTaskPreviewRequestObject) (GetTaskPreviewResponseObject, error) {
	_, t, err := s.readable(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if r.View != "top" && r.View != "side" {
		return nil, fault.New(fault.NotFound, "there is no view %q, there are top and side", clip(r.View))
	}
	if err := showable(t, terrainKind, "a preview"); err != nil {
		return nil, err
	}
	var result struct {
		Preview map[string]struct {
			Data []byte `json:"data"`
		} `json:"preview"`
	}
	if err := json.Unmarshal(t.Result, &result); err != nil {
		return nil, fmt.Errorf("read the terrain of task %s: %w", t.ID, err)
	}
	picture := result.Preview[r.View].Data
	if !bytes.HasPrefix(picture, []byte(pngHead)) {
		return nil, fault.New(fault.NotFound, "the result of task %s has no picture %s", t.ID, r.View)
	}
	sum := sha256.Sum256(picture)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return previewAnswer{png: picture, tag: tag, held: holds(r.Params.IfNoneMatch, tag)}, nil
}

// showable says why a task of this kind has nothing to show, if so.
func showable(t task.Task, kind, what string) error {
	switch {
	case t.Kind != kind:
		return fault.New(fault.NotFound, "only tasks of kind %s have %s, and %s is a %s", kind, what, t.ID, t.Kind)
	case t.State != task.Completed:
		return fault.New(fault.Conflict, "the task is %s: it has %s once it is completed", t.State, what)
	case t.ResultRef != nil:
		return fault.After(resultAgain, "the result of task %s is not at hand", t.ID)
	}
	return nil
}

// holds reports whether a list of tags as a client sends it names this one. It is a weak comparison, as RFC 9110 asks for.
func holds(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
