package httpapi_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/channels/httpapi"
)

// signedCall is c with its signature, in parts of which single bytes can be changed.
type signedCall struct{ parts [4]string }

var partNames = [4]string{"method", "path", "query", "body"}

func sign(c call) signedCall {
	return signedCall{[4]string{c.method, strings.ReplaceAll(c.path, " ", "%20"), c.query(), c.body}}
}

// meaning is what a request says, read without the code under test: nil when it is no request.
func (s signedCall) meaning() []string {
	path, err := url.PathUnescape(s.parts[1])
	if err != nil {
		return nil
	}
	read := []string{s.parts[0], path, s.parts[3]}
	params := map[string]string{}
	for pair := range strings.SplitSeq(s.parts[2], "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil {
			return nil
		}
		params[strings.ToLower(name)] += "\x00" + value
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		read = append(read, name+params[name])
	}
	return read
}

// reaches sends s and reports whether the hub was asked for anything. What a server cannot read as a request reaches nobody. It fails the test
// when what was refused was refused with anything but 401.
func (s signedCall) reaches(t rapid.TB, h *httpapi.Handler, hub *hub) bool {
	before := hub.calls
	w, err := wire(h, s.parts[0], s.parts[1]+"?"+s.parts[2], s.parts[3])
	if err != nil {
		return false
	}
	if hub.calls == before && w.Code != http.StatusUnauthorized {
		t.Errorf("%q was refused with %d %s", s.parts, w.Code, w.Body)
	}
	return hub.calls != before
}

// change returns s with one byte of a part replaced, and whether that makes it say something else.
func (s signedCall) change(part, at int, to byte) (changed signedCall, differs bool) {
	changed = s
	b := []byte(s.parts[part])
	b[at] = to
	changed.parts[part] = string(b)
	return changed, !slices.Equal(s.meaning(), changed.meaning())
}

func anyCall() *rapid.Generator[call] {
	return rapid.Custom(func(t *rapid.T) call {
		name := rapid.StringMatching(`[A-Za-z0-9_=@,.;-]{1,20}`).Draw(t, "channel")
		user := rapid.StringMatching(`[a-z0-9 ;,é@]{1,10}`).Draw(t, "user")
		c := rapid.SampledFrom([]call{
			post("events", event("e", name, "d")), post("batch_events", `{"batch":[`+event("e", name, "d")+`]}`), get("channels", "filter_by_prefix", name),
			get("channels/"+name, "info", "subscription_count"), get("channels/presence-" + name + "/users"), post("users/"+user+"/terminate_connections", ""),
		}).Draw(t, "call")
		if rapid.Bool().Draw(t, "more") {
			c.params = maps.Clone(c.params)
			if c.params == nil {
				c.params = map[string]string{}
			}
			c.params["x"] = rapid.StringMatching(`[a-z=+%, ;]{0,8}`).Draw(t, "x")
		}
		return c
	})
}

func TestSignature_CoversEveryByte(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hub := busy()
		h, err := httpapi.New(testConfig(hub))
		if err != nil {
			t.Fatal(err)
		}
		s := sign(anyCall().Draw(t, "call"))
		if !s.reaches(t, h, hub) {
			t.Fatalf("%q was refused", s.parts)
		}
		for range 50 {
			part := rapid.IntRange(0, len(s.parts)-1).Draw(t, "part")
			if s.parts[part] == "" {
				continue
			}
			at := rapid.IntRange(0, len(s.parts[part])-1).Draw(t, "at")
			to := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("&=%+/?#;,. aA01\n"))).Draw(t, "to")
			changed, differs := s.change(part, at, to)
			if differs && changed.reaches(t, h, hub) {
				t.Fatalf("byte %d of the %s as %q: taken\nfrom %q\n  to %q", at, partNames[part], to, s.parts, changed.parts)
			}
		}
	})
}

// Without its two checks the handler takes changed requests in every part that they cover: so the property above can fail.
func TestSignature_CoversEveryByteControl(t *testing.T) {
	t.Parallel()
	body := event("e", "news", "d")
	for name, c := range map[string]struct {
		weaken func(*httpapi.Handler)
		taken  [4]bool
	}{
		"as it is":           {func(*httpapi.Handler) {}, [4]bool{}},
		"without signatures": {(*httpapi.Handler).TrustSignatures, [4]bool{false, false, true, false}},
		"without digests":    {func(h *httpapi.Handler) { h.TrustDigests([]byte(body)) }, [4]bool{false, false, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var taken [4]bool
			for _, to := range []byte("ab19&=%?/") {
				for part, whole := range sign(post("events", body)).parts {
					for at := range len(whole) {
						hub := busy()
						h := newHandler(t, hub)
						c.weaken(h)
						changed, differs := sign(post("events", body)).change(part, at, to)
						if _, err := wire(h, changed.parts[0], changed.parts[1]+"?"+changed.parts[2], changed.parts[3]); err == nil && differs && hub.calls > 0 {
							taken[part] = true
						}
					}
				}
			}
			if taken != c.taken {
				t.Errorf("taken with a change of %q: %v, want %v", partNames, taken, c.taken)
			}
		})
	}
	// A path is covered by the signature alone: without it, one user's connections are closed for another's.
	hub := busy()
	h := newHandler(t, hub)
	h.TrustSignatures()
	s, _ := sign(post("users/a/terminate_connections", "")).change(1, len("/apps/3/users/"), 'b')
	if _, err := wire(h, s.parts[0], s.parts[1]+"?"+s.parts[2], ""); err != nil || len(hub.terminated) != 1 || hub.terminated[0] != "b" {
		t.Errorf("%v, terminated %q", err, hub.terminated)
	}
}

// A request that means the same is not refused for how it is written.
func TestSignature_AllowsAnotherSpelling(t *testing.T) {
	t.Parallel()
	c := get("channels", "filter_by_prefix", "a,b")
	query := c.query()
	pairs := strings.Split(query, "&")
	slices.Reverse(pairs)
	for _, q := range []string{
		query, strings.ReplaceAll(query, "%2C", "%2c"), strings.ReplaceAll(query, "%2C", ","),
		strings.Replace(query, "filter_by_prefix", "Filter_By_Prefix", 1), strings.Join(pairs, "&"),
	} {
		if w := send(t, newHandler(t, busy()), "GET", c.path+"?"+q, ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", q, w.Code, w.Body)
		}
	}
}

// Whatever the query and the body are: no panic, no 5xx, and nothing is triggered unless the signature fits, as computed here.
func FuzzRequest(f *testing.F) {
	good := post("events", event("e", "news", "d"))
	f.Add(good.query(), []byte(good.body), false)
	f.Add("x[]=1&info=a", []byte(good.body), true)
	f.Add("x=%26&x=1", []byte(`{"name":"e","channels":["a","b"],"data":"","socket_id":"1.1","info":"user_count,subscription_count"}`), true)
	f.Add("", []byte(`{"batch":[{"name":"e","channel":"c","data":"d","info":"x"}]}`), true)
	f.Add("auth_key=%zz&=&&", []byte{0xff, 0}, false)
	f.Fuzz(func(t *testing.T, query string, body []byte, signed bool) {
		for _, path := range []string{"/apps/3/events", "/apps/3/batch_events"} {
			q := query
			if signed {
				q = signOver("POST", path, query, string(body))
			}
			hub := busy()
			w, err := wire(newHandler(t, hub), "POST", path+"?"+q, string(body))
			if err != nil {
				continue
			}
			if w.Code >= 500 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if hub.calls > 0 && !fits("POST", path, q, string(body)) {
				t.Errorf("the hub was asked without a signature that fits: %q", q)
			}
			if w.Code == http.StatusOK != (hub.triggers == 1) || len(hub.triggered) > httpapi.MaxChannels {
				t.Errorf("%d, and %d events in %d calls", w.Code, len(hub.triggered), hub.triggers)
			}
		}
	})
}

// signOver adds to a query what makes it signed.
func signOver(method, path, query, body string) string {
	params := map[string]string{}
	if values, err := url.ParseQuery(query); err == nil {
		for name := range values {
			params[name] = values.Get(name)
		}
	}
	return call{method: method, path: path, params: params, body: body}.query()
}

// fits is the rule for signatures as the documentation has it, for a query without anything that could be read in two ways.
func fits(method, path, query, body string) bool {
	params, sent := map[string]string{}, ""
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return false
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return false
		}
		if name = strings.ToLower(name); name == "auth_signature" {
			sent = value
			continue
		}
		if _, twice := params[name]; twice {
			return false
		}
		params[name] = value
	}
	return params["auth_key"] == app.Key && params["body_md5"] == digest(body) && sent == signature(method, path, params)
}
