package callback_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/callback"
)

// request is what a receiver got.
type request struct {
	id, signature, body, path string
	at                        time.Time // webhook-timestamp
	header                    http.Header
}

// receiver is a loopback server that answers as the test says.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []request
	answer http.HandlerFunc
}

// receive starts a receiver. answer may be nil: 204.
func receive(t testing.TB, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	seconds, _ := strconv.ParseInt(req.Header.Get(callback.HeaderTimestamp), 10, 64)
	r.mu.Lock()
	r.got = append(r.got, request{
		id: req.Header.Get(callback.HeaderID), signature: req.Header.Get(callback.HeaderSignature), body: string(body), path: req.URL.Path,
		at: time.Unix(seconds, 0), header: req.Header.Clone(),
	})
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, req)
}

func (r *receiver) answerWith(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) requests() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.got...)
}

func (r *receiver) port() string {
	_, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	return port
}

// url is the receiver under the name of these tests.
func (r *receiver) url(path string) string { return "http://" + host + ":" + r.port() + path }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// verify is written from the specification alone: the key is the base64 behind "whsec_", what is signed is id.timestamp.body, and one of
// the signatures with version v1 must be the base64 of the HMAC-SHA256.
func verify(secret string, r request) error {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return errors.New("the secret has no prefix")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return fmt.Errorf("the secret has %d bytes: %w", len(key), err)
	}
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, r.id)
	_, _ = io.WriteString(mac, ".")
	_, _ = io.WriteString(mac, strconv.FormatInt(r.at.Unix(), 10))
	_, _ = io.WriteString(mac, ".")
	_, _ = io.WriteString(mac, r.body)
	want := mac.Sum(nil)
	for _, one := range strings.Split(r.signature, " ") {
		version, text, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return fmt.Errorf("no signature of %q fits", r.signature)
}
