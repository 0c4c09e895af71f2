// Package mcpclient lets agents call tools of MCP servers that an operator has configured.
//
// Nothing of a server is trusted. It is reached by https on public addresses, or where the operator allows more, and redirects are not
// followed. Of its tools those of the allow list are offered, under names that begin with the server's. A tool is offered as it was when this
// process first saw it: one whose description or schema changes is withdrawn until the process begins anew. Descriptions are cut and fenced,
// schemas are bounded, and results reach a model between tags, as data, with all that could close the fence escaped. Servers are told of people
// under the pseudonyms that the model has for them, unless the operator says that a server may know: see llm.Callable.Masked.
//
// Each call is an exchange of its own: it connects, calls and closes within Limits, whatever the server does. A server that fails again and
// again is left alone for a while.
package mcpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/callback"
)

// Bounds of a configuration.
const (
	maxServers = 16
	maxTools   = 64
	maxToken   = 8 << 10
)

// Server is one that agents may use.
type Server struct {
	Name      string   `json:"name"` // [a-z0-9]{1,16}; tools are called name_tool
	URL       string   `json:"url"`
	Token     string   `json:"token,omitempty"`      // sent as a bearer token
	TokenFile string   `json:"token_file,omitempty"` // the path of a file that holds it
	Tools     []string `json:"tools"`                // the names that are allowed; no others are offered
	Kinds     []string `json:"kinds"`                // whose agents may use them
	Names     bool     `json:"names,omitempty"`      // it is told who people are: a school's own; others are told of them under pseudonyms
}

var nameForm = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// ParseServers reads a list as MCP_SERVERS has it: a JSON array of Server, at most 16. Token files are read here. An empty text is an empty
// list. The error names the entry that is wrong and shows no token.
func ParseServers(text string, allow *callback.Allow) ([]Server, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var servers []Server
	if err := d.Decode(&servers); err != nil || d.More() {
		return nil, errors.New(`is no JSON list of servers such as [{"name":"maps","url":"https://mcp.example.org/mcp","tools":["search"],"kinds":["content"]}]`)
	}
	if len(servers) > maxServers {
		return nil, fmt.Errorf("has %d servers, at most %d are allowed", len(servers), maxServers)
	}
	seen := map[string]bool{}
	for i := range servers {
		s := &servers[i]
		if err := s.complete(allow); err != nil {
			return nil, fmt.Errorf("server %d (%.16q) %w", i+1, s.Name, err)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("has two servers named %s", s.Name)
		}
		seen[s.Name] = true
	}
	return servers, nil
}

func (s *Server) complete(allow *callback.Allow) error {
	switch {
	case !nameForm.MatchString(s.Name):
		return errors.New("needs a name of 1 to 16 of a-z and 0-9")
	case len(s.Tools) == 0 || len(s.Tools) > maxTools || slices.Contains(s.Tools, ""):
		return fmt.Errorf("needs 1 to %d names of tools that are allowed", maxTools)
	case len(s.Kinds) == 0:
		return errors.New("needs the kinds whose agents may use it")
	case s.Token != "" && s.TokenFile != "":
		return errors.New("has both token and token_file: keep one")
	}
	if _, err := callback.CheckURL("url", s.URL, allow); err != nil {
		return err
	}
	if s.TokenFile != "" {
		data, err := os.ReadFile(s.TokenFile)
		if err != nil {
			return fmt.Errorf("token_file: %w", err)
		}
		s.Token = strings.TrimSpace(string(data))
	}
	if len(s.Token) > maxToken || strings.ContainsFunc(s.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return errors.New("has a token that is no printable ASCII without spaces")
	}
	return nil
}

// Limits bound what a server can take of us. Zero fields take the defaults.
type Limits struct {
	Call      time.Duration // of one call, from connecting to the result; 10 s
	Arguments int           // bytes of a call's arguments; 64 KiB
	Result    int           // bytes of a result's text, what is beyond is cut; 32 KiB
	Answer    int64         // bytes of all that a server sends in one exchange; 1 MiB
	Requests  int           // that one exchange makes; 12
	Fresh     time.Duration // how long a list of tools is used without asking again; 10 minutes
}

func (l Limits) withDefaults() Limits {
	setZero(&l.Call, 10*time.Second)
	setZero(&l.Arguments, 64<<10)
	setZero(&l.Result, 32<<10)
	setZero(&l.Answer, 1<<20)
	setZero(&l.Requests, 12)
	setZero(&l.Fresh, 10*time.Minute)
	return l
}

func setZero[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}
