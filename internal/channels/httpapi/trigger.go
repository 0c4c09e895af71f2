package httpapi

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// event is what a request triggers. Members that nobody knows are passed over.
type event struct {
	Name     string   `json:"name"`
	Channel  string   `json:"channel"`
	Channels []string `json:"channels"` // not in batches
	Data     *string  `json:"data"`
	SocketID *string  `json:"socket_id"`
	Info     string   `json:"info"`
}

func (h *Handler) trigger(ctx context.Context, r request) (any, error) {
	var e event
	if err := decode(r.body, &e); err != nil {
		return nil, err
	}
	names, err := targets(e)
	if err != nil {
		return nil, err
	}
	if err := h.check("", e, names); err != nil {
		return nil, err
	}
	infos, err := h.infos(ctx, "info", e.Info, names)
	if err != nil {
		return nil, err
	}
	if err := h.cfg.Hub.Trigger(ctx, spread(e, names)...); err != nil {
		return nil, err
	}
	if e.Info == "" {
		return struct{}{}, nil
	}
	return map[string]any{"channels": infos}, nil
}

// triggerBatch triggers all events with one call of the Hub, and none when one is not valid.
func (h *Handler) triggerBatch(ctx context.Context, r request) (any, error) {
	var in struct {
		Batch []event `json:"batch"`
	}
	if err := decode(r.body, &in); err != nil {
		return nil, err
	}
	if len(in.Batch) < 1 || len(in.Batch) > MaxBatch {
		return nil, fault.InvalidField("batch", "must have 1 to %d events, not %d", MaxBatch, len(in.Batch))
	}
	var events []channels.Event
	for i, e := range in.Batch {
		at := "batch." + strconv.Itoa(i) + "."
		if e.Channels != nil {
			return nil, fault.InvalidField(at+"channels", "is not for batches: an event has one channel")
		}
		names := []string{e.Channel}
		if err := checkTarget(at+"channel", e.Channel); err != nil {
			return nil, err
		}
		if err := h.check(at, e, names); err != nil {
			return nil, err
		}
		events = append(events, spread(e, names)...)
	}
	answers, asked := make([]attributes, len(in.Batch)), false
	for i, e := range in.Batch {
		infos, err := h.infos(ctx, "batch."+strconv.Itoa(i)+".info", e.Info, []string{e.Channel})
		if err != nil {
			return nil, err
		}
		answers[i], asked = infos[e.Channel], asked || e.Info != ""
	}
	if err := h.cfg.Hub.Trigger(ctx, events...); err != nil {
		return nil, err
	}
	if !asked {
		return struct{}{}, nil
	}
	return map[string]any{"batch": answers}, nil
}

// targets returns the channels of e, each once.
func targets(e event) ([]string, error) {
	field, given := "channels", e.Channels
	if e.Channel != "" {
		if e.Channels != nil {
			return nil, fault.InvalidField("channel", "stands beside channels: give one of the two")
		}
		field, given = "channel", []string{e.Channel}
	}
	if len(given) < 1 || len(given) > MaxChannels {
		return nil, fault.InvalidField("channels", "must have 1 to %d names, not %d", MaxChannels, len(given))
	}
	var names []string
	for i, name := range given {
		at := field
		if field == "channels" {
			at += "." + strconv.Itoa(i)
		}
		if err := checkTarget(at, name); err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// check holds e, which stands at a place in the body, against the rules for all but the names of its channels.
func (h *Handler) check(at string, e event, names []string) error {
	if n := utf8.RuneCountInString(e.Name); n < 1 || n > MaxName {
		return fault.InvalidField(at+"name", "must have 1 to %d characters, not %d", MaxName, n)
	}
	encrypted := slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, encryptedPrefix) })
	if encrypted && len(names) > 1 {
		return fault.InvalidField(at+"channels", "has a %s channel, which must be the only one", encryptedPrefix)
	}
	if e.Data == nil {
		return fault.InvalidField(at+"data", "is missing")
	}
	most := MaxData
	if encrypted {
		most += h.cfg.EncryptedExtra
	}
	if n := len(*e.Data); n > most {
		return fault.New(fault.TooLarge, "%sdata has %d bytes, more than %d", at, n, most)
	}
	if e.SocketID != nil && !isSocketID(*e.SocketID) {
		return fault.InvalidField(at+"socket_id", "must be two numbers with a dot between")
	}
	return nil
}

// spread returns e for each of its channels.
func spread(e event, names []string) []channels.Event {
	var events []channels.Event
	for _, name := range names {
		one := channels.Event{Channel: name, Name: e.Name, Data: *e.Data}
		if e.SocketID != nil {
			one.Except = *e.SocketID
		}
		events = append(events, one)
	}
	return events
}

var kinds = map[jsontext.Kind]string{
	'{': "an object", '[': "an array", '"': "a string", '0': "a number", 't': "a boolean", 'f': "a boolean", 'n': "null",
}

// decode returns Invalid, which names the field, for what is not valid JSON and UTF-8, has a name twice in one object or another type where
// the API has one.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if semantic := (*json.SemanticError)(nil); errors.As(err, &semantic) {
		field := strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", ".")
		if field == "" {
			field = "body"
		}
		return fault.InvalidField(field, "must not be %s", kinds[semantic.JSONKind])
	}
	if err != nil {
		return fault.New(fault.Invalid, "the body is not valid JSON: %v", err)
	}
	return nil
}
