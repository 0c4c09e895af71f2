package llm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	ollamaHost = "127.0.0.1"
	ollamaPort = "11434"
	maxTags    = 1 << 20 // of the list of installed models, in bytes
)

// NewOllama returns the Client of an Ollama server, through its OpenAI-compatible API: langchaingo's own Ollama client has
// no stop reason and swallows broken streams. e.Base has the forms of OLLAMA_HOST ("", "host", "host:port", a URL), e.Model
// must be installed there, and no key is needed. Note that Ollama cuts prompts to the server's context length without a
// word: see OLLAMA_CONTEXT_LENGTH there. Errors are Invalid and name OLLAMA_HOST and OLLAMA_MODEL.
func NewOllama(e Endpoint) (*Remote, error) {
	base, err := ollamaURL(e.Base)
	if err != nil {
		return nil, err
	}
	e.Base = base + "/v1"
	r, err := newRemote("ollama", "OLLAMA", e, openaiFormat{})
	if err != nil {
		return nil, err
	}
	r.free = true
	return r, nil
}

// ollamaURL turns a value of OLLAMA_HOST into the server's URL. The same variable tells the server where to listen, so an
// address that means "everywhere" becomes this machine.
func ollamaURL(host string) (string, error) {
	host = strings.TrimSpace(host)
	scheme, rest, ok := strings.Cut(host, "://")
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	if !ok {
		scheme, rest, port = "http", host, ollamaPort
	}
	u, err := url.Parse(scheme + "://" + strings.TrimRight(rest, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fault.InvalidField("OLLAMA_HOST", "is neither host:port nor a URL")
	}
	name := u.Hostname()
	if ip := net.ParseIP(name); name == "" || ip != nil && ip.IsUnspecified() {
		name = ollamaHost
	}
	if p := u.Port(); p != "" {
		port = p
	}
	u.Host = net.JoinHostPort(name, port)
	return u.String(), nil
}

// installedModels returns the models of the Ollama server at base that can write text and run on that server. The server
// lists the most recently changed ones first.
func installedModels(ctx context.Context, base string, transport http.RoundTripper) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/tags", nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("list the models of ollama: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list the models of ollama: status %d", resp.StatusCode)
	}
	var list struct {
		Models []struct {
			Name       string `json:"name"`
			RemoteHost string `json:"remote_host"` // set where the model runs in somebody's cloud
			Details    struct {
				Family string `json:"family"`
			} `json:"details"`
		} `json:"models"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxTags)).Decode(&list); err != nil {
		return nil, fmt.Errorf("list the models of ollama: %w", err)
	}
	var names []string
	for _, m := range list.Models {
		embeds := strings.Contains(m.Name, "embed") || m.Details.Family == "bert" || m.Details.Family == "nomic-bert"
		if m.Name != "" && m.RemoteHost == "" && !embeds {
			names = append(names, m.Name)
		}
	}
	return names, nil
}
