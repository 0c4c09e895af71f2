package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pusher/pusher-http-go/v5"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/channels/webhook"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// signed returns the header that the documentation asks for.
func signed(body string) http.Header {
	mac := hmac.New(sha256.New, []byte(app.Secret))
	_, _ = io.WriteString(mac, body)
	header := http.Header{}
	header.Set("X-Pusher-Key", app.Key)
	header.Set("X-Pusher-Signature", hex.EncodeToString(mac.Sum(nil)))
	return header
}

func at(d time.Duration, events string) string {
	return fmt.Sprintf(`{ "time_ms": %d, "events": [%s] }`, time.Now().Add(d).UnixMilli(), events)
}

const documented = `{"name":"channel_occupied","channel":"my-channel"}, {"name":"channel_vacated","channel":"my-channel"},
	{"name":"cache_miss","channel":"cache-x"}, {"name":"member_added","channel":"presence-x","user_id":"u"},
	{"name":"member_removed","channel":"presence-x","user_id":"u"},
	{"name":"client_event","channel":"presence-x","event":"client-e","data":"{\"a\":1}","socket_id":"1.2","user_id":"u"},
	{"channel":"c","name":"subscription_count","subscription_count":0}`

// happened is documented, as it occurs.
var happened = []channels.Occurrence{
	{Kind: "channel_occupied", Channel: "my-channel"}, {Kind: "channel_vacated", Channel: "my-channel"}, {Kind: "cache_miss", Channel: "cache-x"},
	{Kind: "member_added", Channel: "presence-x", UserID: "u"}, {Kind: "member_removed", Channel: "presence-x", UserID: "u"},
	{Kind: "client_event", Channel: "presence-x", Event: "client-e", Data: `{"a":1}`, SocketID: "1.2", UserID: "u"}, {Kind: "subscription_count", Channel: "c"},
}

func TestVerify_AcceptsWhatIsDocumented(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, -9 * time.Minute, 9 * time.Minute} {
		body := at(d, documented)
		got, err := webhook.Verify(app, signed(body), []byte(body))
		if err != nil || len(got) != 7 {
			t.Fatalf("%v %+v", err, got)
		}
		none := 0
		if diff := cmp.Diff([]webhook.Event{
			{Name: "client_event", Channel: "presence-x", Event: "client-e", Data: `{"a":1}`, SocketID: "1.2", UserID: "u"},
			{Name: "subscription_count", Channel: "c", Count: &none},
		}, got[5:]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestVerify_Refuses(t *testing.T) {
	t.Parallel()
	good := at(0, documented)
	with := func(name, value string) http.Header {
		header := signed(good)
		header.Set(name, value)
		return header
	}
	for name, c := range map[string]struct {
		app    channels.App
		header http.Header
		body   string
		kind   fault.Kind
	}{
		"no header":               {app, http.Header{}, good, fault.Unauthorized},
		"another key":             {app, with("X-Pusher-Key", "x"), good, fault.Unauthorized},
		"another signature":       {app, with("X-Pusher-Signature", strings.Repeat("0", 64)), good, fault.Unauthorized},
		"a signature of nothing":  {app, with("X-Pusher-Signature", ""), good, fault.Unauthorized},
		"another secret":          {channels.App{Key: app.Key, Secret: "x"}, signed(good), good, fault.Unauthorized},
		"an app without a secret": {channels.App{}, http.Header{}, good, fault.Unauthorized},
		"a changed body":          {app, signed(good), strings.Replace(good, "my-", "your-", 1), fault.Unauthorized},
		"too old":                 {app, nil, at(-11*time.Minute, documented), fault.Unauthorized},
		"of the future":           {app, nil, at(11*time.Minute, documented), fault.Unauthorized},
		"no time":                 {app, nil, `{"events":[]}`, fault.Unauthorized},
		"the end of time":         {app, nil, `{"time_ms":-9223372036854775808,"events":[]}`, fault.Unauthorized},
		"too large":               {app, nil, good + strings.Repeat(" ", webhook.MaxBody), fault.TooLarge},
		"an unknown member":       {app, nil, at(0, `{"name":"x","channel":"c","colour":"blue"}`), fault.Invalid},
		"a name twice":            {app, nil, at(0, `{"name":"x","name":"y","channel":"c"}`), fault.Invalid},
		"a name in another case":  {app, nil, at(0, `{"Name":"x","channel":"c"}`), fault.Invalid},
		"another type":            {app, nil, at(0, `{"name":"x","channel":1}`), fault.Invalid},
		"bytes that are no text":  {app, nil, at(0, "{\"name\":\"\xff\",\"channel\":\"c\"}"), fault.Invalid},
		"something behind":        {app, nil, good + "{}", fault.Invalid},
		"no name":                 {app, nil, at(0, `{"channel":"c"}`), fault.Invalid},
		"no channel":              {app, nil, at(0, `{"name":"x"}`), fault.Invalid},
		"nothing":                 {app, nil, "", fault.Invalid},
	} {
		header := c.header
		if header == nil {
			header = signed(c.body)
		}
		if got, err := webhook.Verify(c.app, header, []byte(c.body)); !fault.Is(err, c.kind) || got != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

func TestVerify_RefusesEveryChangedByte(t *testing.T) {
	t.Parallel()
	good := at(0, documented)
	header := signed(good)
	for i := range len(good) {
		for _, to := range []byte{' ', '0', 'x', good[i] ^ 1, good[i] ^ 0x20} {
			changed := []byte(good)
			changed[i] = to
			if _, err := webhook.Verify(app, header, changed); (err == nil) != (to == good[i]) {
				t.Fatalf("byte %d as %q: %v", i, to, err)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(at(0, documented)), true)
	f.Add([]byte(`{"time_ms":1e3,"events":null}`), true)
	f.Add([]byte(at(0, documented)), false)
	f.Fuzz(func(t *testing.T, body []byte, right bool) {
		header := signed(string(body))
		if !right {
			header = signed(string(body) + " ")
		}
		if events, err := webhook.Verify(app, header, body); err == nil && !right {
			t.Errorf("accepted %+v without a signature", events)
		}
	})
}

// What a Sender sends, over a real connection, is what both this package and Pusher's library for Go accept.
func TestSender_IsUnderstoodByPusherHTTPGo(t *testing.T) {
	t.Parallel()
	type answer struct {
		ours   []webhook.Event
		theirs *pusher.Webhook
		err    error
	}
	got := make(chan answer, 10)
	library := pusher.Client{Key: app.Key, Secret: app.Secret}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			got <- answer{err: err}
			return
		}
		var a answer
		if a.ours, a.err = webhook.Verify(app, r.Header, body); a.err == nil {
			a.theirs, a.err = library.Webhook(r.Header, body)
		}
		got <- a
	}))
	t.Cleanup(server.Close)
	s, err := webhook.New(webhook.Config{App: app, URLs: []string{server.URL + "/hook"}, Client: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range happened {
		s.Occurred(o)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	first := <-got // after a second
	stop()
	second := <-got // what was held back
	if err := <-done; err != nil || first.err != nil || second.err != nil {
		t.Fatal(err, first.err, second.err)
	}
	var theirs []pusher.WebhookEvent
	for _, a := range []answer{first, second} {
		theirs = append(theirs, a.theirs.Events...)
	}
	if diff := cmp.Diff([]pusher.WebhookEvent{
		{Name: "channel_occupied", Channel: "my-channel"}, {Name: "cache_miss", Channel: "cache-x"}, {Name: "member_added", Channel: "presence-x", UserID: "u"},
		{Name: "client_event", Channel: "presence-x", Event: "client-e", Data: `{"a":1}`, SocketID: "1.2", UserID: "u"}, {Name: "subscription_count", Channel: "c"},
		{Name: "channel_vacated", Channel: "my-channel"}, {Name: "member_removed", Channel: "presence-x", UserID: "u"},
	}, theirs); diff != "" {
		t.Error(diff)
	}
	if len(first.ours) != 5 || first.ours[4].Count == nil || *first.ours[4].Count != 0 || time.Since(time.UnixMilli(int64(first.theirs.TimeMs))) > time.Minute {
		t.Errorf("%+v at %d", first.ours, first.theirs.TimeMs)
	}
}
