package pushertest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type refusal struct {
	status int
	reason string
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// read checks a request and returns the messages it holds, one for each channel.
func (s *Server) read(r *http.Request, body []byte) ([]Message, *refusal) {
	if r.Method != http.MethodPost {
		return nil, refuse(http.StatusMethodNotAllowed, "only POST is served")
	}
	root := "/apps/" + s.app.ID
	if r.URL.Path != root+"/events" && r.URL.Path != root+"/batch_events" {
		return nil, refuse(http.StatusNotFound, "no such app or endpoint")
	}
	if err := s.authenticate(r, body); err != nil {
		return nil, refuse(http.StatusUnauthorized, "%v", err)
	}
	if r.URL.Path == root+"/events" {
		return readEvent(body)
	}
	return readBatch(body)
}

// authenticate checks the signature: HMAC-SHA256 over method, path and the sorted query without the signature itself.
func (s *Server) authenticate(r *http.Request, body []byte) error {
	query := r.URL.Query()
	if query.Get("auth_key") != s.app.Key {
		return errors.New("unknown auth_key")
	}
	if v := query.Get("auth_version"); v != "1.0" {
		return fmt.Errorf("auth_version is %q, want 1.0", v)
	}
	seconds, err := strconv.ParseInt(query.Get("auth_timestamp"), 10, 64)
	if err != nil {
		return errors.New("auth_timestamp is no number")
	}
	if age := s.app.Now().Sub(time.Unix(seconds, 0)); age.Abs() > MaxAge {
		return fmt.Errorf("auth_timestamp is %v off, at most %v is allowed", age, MaxAge)
	}
	sum := md5.Sum(body)
	if query.Get("body_md5") != hex.EncodeToString(sum[:]) {
		return errors.New("body_md5 does not match the body")
	}
	if !hmac.Equal([]byte(query.Get("auth_signature")), []byte(s.sign(r.Method, r.URL.Path, query))) {
		return errors.New("auth_signature does not match")
	}
	return nil
}

func (s *Server) sign(method, path string, query url.Values) string {
	var pairs []string
	for key, values := range query {
		if key != "auth_signature" {
			pairs = append(pairs, strings.ToLower(key)+"="+strings.Join(values, ","))
		}
	}
	slices.Sort(pairs)
	mac := hmac.New(sha256.New, []byte(s.app.Secret))
	mac.Write([]byte(method + "\n" + path + "\n" + strings.Join(pairs, "&")))
	return hex.EncodeToString(mac.Sum(nil))
}

func readEvent(body []byte) ([]Message, *refusal) {
	var e struct {
		Name     string   `json:"name"`
		Data     string   `json:"data"`
		Channel  string   `json:"channel"`
		Channels []string `json:"channels"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is no event: %v", err)
	}
	if e.Channel != "" {
		e.Channels = append(e.Channels, e.Channel)
	}
	if len(e.Channels) == 0 || len(e.Channels) > MaxChannels {
		return nil, refuse(http.StatusBadRequest, "an event needs 1 to %d channels, not %d", MaxChannels, len(e.Channels))
	}
	var msgs []Message
	for _, c := range e.Channels {
		msgs = append(msgs, Message{c, e.Name, e.Data})
	}
	return msgs, check(msgs)
}

func readBatch(body []byte) ([]Message, *refusal) {
	var b struct {
		Batch []struct {
			Channel string `json:"channel"`
			Name    string `json:"name"`
			Data    string `json:"data"`
		} `json:"batch"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is no batch: %v", err)
	}
	if len(b.Batch) == 0 || len(b.Batch) > MaxBatch {
		return nil, refuse(http.StatusBadRequest, "a batch needs 1 to %d events, not %d", MaxBatch, len(b.Batch))
	}
	var msgs []Message
	for _, e := range b.Batch {
		msgs = append(msgs, Message{e.Channel, e.Name, e.Data})
	}
	return msgs, check(msgs)
}

func check(msgs []Message) *refusal {
	channel := regexp.MustCompile(`^[A-Za-z0-9_\-=@,.;]{1,164}$`)
	for _, m := range msgs {
		switch {
		case !channel.MatchString(m.Channel):
			return refuse(http.StatusBadRequest, "%q is no channel name", m.Channel)
		case m.Event == "" || len(m.Event) > 200:
			return refuse(http.StatusBadRequest, "%q is no event name", m.Event)
		case len(m.Data) > MaxData:
			return refuse(http.StatusRequestEntityTooLarge, "the data of an event has %d bytes, at most %d are allowed", len(m.Data), MaxData)
		}
	}
	return nil
}
