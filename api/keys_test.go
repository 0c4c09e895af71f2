package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/auth"
)

func TestAPIKeys_Routes(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		asked              string
	}{
		{"GET", "/api-keys?cursor=c&limit=3", "", 200, `keys of "ada" in school "c" 3`},
		{"GET", "/api-keys?user=ada", "", 200, `keys of "ada" in school "" 0`},
		{
			"POST", "/api-keys", `{"name":"roster","scopes":["tasks:read","tasks:write"],"ips":["192.0.2.0/24"],"origins":["https://a.example"],"per_minute":60}`, 201,
			`create key roster [tasks:read tasks:write] [192.0.2.0/24] [https://a.example] 60 ""`,
		},
		{"GET", "/api-keys/ada000000001", "", 200, "key ada000000001"},
		{"POST", "/api-keys/ada000000001/rotate", "", 200, "rotate ada000000001 24h0m0s"},
		{"POST", "/api-keys/ada000000001/rotate", `{"overlap_seconds":0}`, 200, "rotate ada000000001 0s"},
		{"DELETE", "/api-keys/ada000000001", "", 200, "revoke ada000000001"},
	} {
		got := k.asking(auth.Teacher, "ada", c.method, c.path, c.body)
		k.want(got, c.status, "")
		k.wantAsked(c.asked)
		if shows := strings.Contains(string(got.raw), "tbai_"); shows != (c.method == "POST") {
			t.Errorf("%s %s: the key's text stands in the answer: %v", c.method, c.path, shows)
		}
	}
}

func TestAPIKeys_OfOthersDoNotExist(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, c := range []struct{ method, path string }{{"GET", ""}, {"POST", "/rotate"}, {"DELETE", ""}} {
		got := k.asking(auth.Teacher, "ada", c.method, "/api-keys/bob000000001"+c.path, "")
		k.want(got, http.StatusNotFound, "not_found")
		k.wantAsked("key bob000000001")
		k.want(k.asking(auth.Admin, "root", c.method, "/api-keys/bob000000001"+c.path, ""), http.StatusOK, "")
	}
	k.want(k.asking(auth.Teacher, "ada", "GET", "/api-keys?user=bob", ""), http.StatusForbidden, "forbidden")
	k.want(k.asking(auth.Teacher, "ada", "POST", "/api-keys", `{"name":"x","scopes":["tasks:read"],"user_id":"bob"}`), http.StatusForbidden, "forbidden")
	fast := `{"name":"x","scopes":["tasks:read"],"per_minute":101}`
	for _, role := range []auth.Role{auth.Student, auth.Teacher} {
		k.want(k.asking(role, "ada", "POST", "/api-keys", fast), http.StatusForbidden, "forbidden")
	}
	k.want(k.asking(auth.Admin, "root", "POST", "/api-keys", fast), http.StatusCreated, "")
	k.want(k.asking(auth.Admin, "root", "GET", "/api-keys", ""), http.StatusOK, "")
	k.wantAsked(`keys of "" in school "" 0`)
	k.want(k.asking(auth.Admin, "root", "POST", "/api-keys", `{"name":"x","scopes":["admin"],"user_id":"bob"}`), http.StatusCreated, "")
}

func TestAPIKeys_RefuseWhatIsNotInTheContract(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for body, field := range map[string]string{
		`{"name":"x","scopes":[]}`:                                         "scopes",
		`{"name":"x","scopes":["everything"]}`:                             "scopes[0]",
		`{"name":"x","scopes":["admin","admin"]}`:                          "scopes",
		`{"name":"` + strings.Repeat("x", 101) + `","scopes":["admin"]}`:   "name",
		`{"name":"x","scopes":["admin"],"ips":["evil.example"]}`:           "ips[0]",
		`{"name":"x","scopes":["admin"],"origins":["ftp://a"]}`:            "origins[0]",
		`{"name":"x","scopes":["admin"],"origins":["https://a.example/"]}`: "origins[0]",
		`{"name":"x","scopes":["admin"],"per_minute":10001}`:               "per_minute",
		`{"name":"x","scopes":["admin"],"expires_at":"soon"}`:              "expires_at",
	} {
		got := k.asking(auth.Admin, "root", "POST", "/api-keys", body)
		k.want(got, http.StatusBadRequest, "invalid")
		k.wantDetail(got, field, "")
	}
	k.want(k.asking(auth.Admin, "root", "POST", "/api-keys/ada000000001/rotate", `{"overlap_seconds":604801}`), http.StatusBadRequest, "invalid")
	k.want(k.asking(auth.Admin, "root", "GET", "/api-keys/short", ""), http.StatusBadRequest, "invalid")
}
