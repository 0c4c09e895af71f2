package mcpclient_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/callback"
	"github.com/toolboxai/orchestrator/internal/mcpclient"
)

// A key in the query of a server's URL is in no line that says why its tools are not offered.
func TestClient_LogsNoKeyOfAURL(t *testing.T) {
	t.Parallel()
	allow, err := callback.ParseAllow("mcp.test:1")
	if err != nil {
		t.Fatal(err)
	}
	servers, err := mcpclient.ParseServers(`[{"name":"ext","url":"http://mcp.test:1/mcp?key=`+secret+`","tools":["echo"],"kinds":["content"]}]`, allow)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	c, err := mcpclient.New(mcpclient.Config{Servers: servers, Allow: allow, Resolver: loopback{}, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if len(c.Tools(t.Context(), "content")) > 0 || lines.Len() == 0 || strings.Contains(lines.String(), secret) {
		t.Error(lines.String())
	}
}
