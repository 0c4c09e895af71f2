package callback_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/callback"
)

// The vector that the libraries of Standard Webhooks are tested with.
func TestSign_IsWhatStandardWebhooksSays(t *testing.T) {
	t.Parallel()
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		id     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		body   = `{"test": 2432232314}`
		want   = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	at := time.Unix(1614265330, 0)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	must(t, err)
	if got := callback.Sign(id, at, []byte(body), key); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	known := request{id: id, at: at, body: body, signature: "v1,bm9wZQ== v2,x " + want}
	if err := verify(secret, known); err != nil {
		t.Errorf("the verifier of these tests refuses the vector: %v", err)
	}
	for name, change := range map[string]func(*request){
		"id": func(r *request) { r.id += "x" }, "time": func(r *request) { r.at = r.at.Add(time.Second) }, "body": func(r *request) { r.body += " " },
	} {
		other := known
		change(&other)
		if verify(secret, other) == nil {
			t.Errorf("another %s passes", name)
		}
	}
}

func TestSign_HasASignatureForEachSecret(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 24, 64), 1, 3).Draw(t, "secrets")
		r := request{id: rapid.StringMatching(`[a-z0-9-]{1,40}`).Draw(t, "id"), body: rapid.String().Draw(t, "body"), at: time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "at"), 0)}
		r.signature = callback.Sign(r.id, r.at, []byte(r.body), secrets...)
		for _, s := range secrets {
			if err := verify("whsec_"+base64.StdEncoding.EncodeToString(s), r); err != nil {
				t.Fatal(err)
			}
		}
		if verify("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 25)), r) == nil {
			t.Fatal("a secret that signed nothing fits")
		}
	})
}
