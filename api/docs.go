package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5emb"
)

const (
	documentPath = prefix + "/openapi.json"
	docsPath     = "/docs"
)

// index says where things are.
type index struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Links   map[string]string `json:"links"`
}

func (s *Server) getIndex(c echo.Context) error {
	return c.JSON(http.StatusOK, success(c.Request().Context(), index{
		Name: "ToolboxAI", Version: s.cfg.Version,
		Links: map[string]string{
			"docs": docsPath, "openapi": documentPath, "health": "/health", "agents": prefix + "/agents", "tasks": prefix + "/tasks",
		},
	}, "ok"))
}

// documentHandler serves doc as it is for the life of the process.
func documentHandler(doc object) (echo.HandlerFunc, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("ETag", tag)
		h.Set(echo.HeaderCacheControl, "no-cache")
		if c.Request().Header.Get("If-None-Match") == tag {
			return c.NoContent(http.StatusNotModified)
		}
		return c.JSONBlob(http.StatusOK, body)
	}, nil
}

// docsHandler serves Swagger UI from this binary: it needs no network.
func docsHandler() (echo.HandlerFunc, error) {
	ui := v5emb.New("ToolboxAI", documentPath, docsPath)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, docsPath, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("docs: %w", err)
	}
	page := &written{header: http.Header{}}
	ui.ServeHTTP(page, r)
	policy := docsPolicy(page.body.Bytes())
	serve := echo.WrapHandler(ui)
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-cache")
		h.Set(echo.HeaderContentSecurityPolicy, policy)
		return serve(c)
	}, nil
}

// written keeps an answer.
type written struct {
	header http.Header
	body   bytes.Buffer
}

func (w *written) Header() http.Header         { return w.header }
func (w *written) WriteHeader(int)             {}
func (w *written) Write(p []byte) (int, error) { return w.body.Write(p) }
