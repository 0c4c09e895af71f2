package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

var errBroken = errors.New("the disk burns, password=hunter2")

func TestExport_IsADownloadForOneselfAndAdmins(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.identity.users = map[string]account.User{"eve": {Role: auth.Student}, "root": {Role: auth.Admin}}
	for _, c := range []struct {
		role         auth.Role
		user, target string
		status       int
	}{
		{auth.Student, "eve", "eve", 200}, {auth.Admin, "root", "eve", 200}, {auth.Student, "bob", "eve", 404}, {auth.Teacher, "ada", "eve", 404},
	} {
		a := ask{method: "GET", path: "/api/v1/users/" + c.target + "/export", as: fresh(t, c.role, c.user)}
		got := k.raw(a)
		k.validate(a, got)
		if got.status != c.status {
			t.Errorf("%s exports %s: %d %s", c.user, c.target, got.status, got.raw)
		}
		if got.status != http.StatusOK {
			continue
		}
		if string(got.raw) != `{"user":[{"id":"eve"}]}` || got.header.Get("Content-Disposition") != `attachment; filename="export-eve.json"` || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %v", got.raw, got.header)
		}
	}
	if seen := k.school.seen(); len(seen) != 1 || seen[0].Actor != "root" || seen[0].Student != "eve" {
		t.Errorf("on record: %+v", seen)
	}
}

func TestExport_IsNeverTakenForWholeWhenItIsNot(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	server := httptest.NewServer(k.handler)
	t.Cleanup(server.Close)
	get := func() (int, []byte, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/users/eve/export", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+fresh(t, auth.Student, "eve"))
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, body, err
	}
	k.identity.export = func(io.Writer) error { return fault.New(fault.Unavailable, "the archive is away") }
	if status, body, err := get(); status != http.StatusServiceUnavailable || err != nil || !strings.Contains(string(body), `"unavailable"`) {
		t.Errorf("before the first byte: %d %s %v", status, body, err)
	}
	k.identity.export = func(w io.Writer) error {
		if _, err := io.WriteString(w, `{"user":[`+strings.Repeat(" ", 8192)); err != nil {
			return err
		}
		return errBroken
	}
	if status, _, err := get(); status != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("in the middle: %d, then %v", status, err)
	}
	if log := k.log.String(); !strings.Contains(log, "an export broke off") {
		t.Errorf("the log says nothing of it: %s", log)
	}
	k.identity.export = nil
	if status, body, err := get(); status != http.StatusOK || err != nil || !strings.HasSuffix(string(body), "}") {
		t.Errorf("whole: %d %s %v", status, body, err)
	}
}
