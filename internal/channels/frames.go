package channels

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Close codes and codes of pusher:error events.
const (
	codeNoApp              = 4001
	codeInvalidVersion     = 4006
	codeUnsupportedVersion = 4007
	codeNoVersion          = 4008
	codeUnauthorized       = 4009
	codeOverCapacity       = 4100
	codeReconnect          = 4200
	codeNoPong             = 4201
	codeTooFast            = 4301
	codeWatchlistTooLong   = 4302
	codeNone               = 0 // written as null
)

// inbound is a message of a client.
type inbound struct {
	Event   string         `json:"event"`
	Channel string         `json:"channel"`
	Data    jsontext.Value `json:"data"`
}

var errNoEvent = errors.New("the message has no event name")

// parseFrame reads a message. It refuses what is not one JSON object of valid UTF-8 with unique names and an event's name.
func parseFrame(text []byte) (inbound, error) {
	var m inbound
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	if m.Event == "" {
		return m, errNoEvent
	}
	return m, nil
}

// decode reads the data of a message into v. Data may be an object or a string that holds one.
func (m inbound) decode(v any) error {
	data := m.Data
	if data.Kind() == '"' {
		unquoted, err := jsontext.AppendUnquote(nil, []byte(data))
		if err != nil {
			return err
		}
		data = unquoted
	}
	if data.Kind() != '{' {
		return errors.New("data is not an object")
	}
	return json.Unmarshal(data, v)
}

// text returns the data of a client event as it is passed on: a string as it is, anything else as its JSON.
func (m inbound) text() (string, error) {
	if len(m.Data) == 0 {
		return "", nil
	}
	if m.Data.Kind() != '"' {
		if err := m.Data.Compact(); err != nil {
			return "", err
		}
		return string(m.Data), nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, []byte(m.Data))
	return string(unquoted), err
}

// encode returns the message of an event. The protocol has data as a string, which holds JSON in all messages of the server's own.
func encode(event, channel, data, userID string) []byte {
	b := make([]byte, 0, len(event)+len(channel)+len(data)+len(data)/8+64)
	b = appendQuoted(append(b, `{"event":`...), event)
	if channel != "" {
		b = appendQuoted(append(b, `,"channel":`...), channel)
	}
	b = appendQuoted(append(b, `,"data":`...), data)
	if userID != "" {
		b = appendQuoted(append(b, `,"user_id":`...), userID)
	}
	return append(b, '}')
}

// encodeError returns a pusher:error, the one message whose data is an object: that is how clients have it since protocol 1.
func encodeError(code int, message string) []byte {
	b := []byte(`{"event":"pusher:error","data":{"code":`)
	if code == codeNone {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(code), 10)
	}
	return append(appendQuoted(append(b, `,"message":`...), message), "}}"...)
}

// object returns a JSON object of names and values that are JSON already.
func object(pairs ...string) string {
	b := []byte{'{'}
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendQuoted(b, pairs[i]), ':'), pairs[i+1]...)
	}
	return string(append(b, '}'))
}

func quote(s string) string { return string(appendQuoted(nil, s)) }

// appendQuoted appends s as JSON; bytes that are not UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that bytes were replaced
	return dst
}
