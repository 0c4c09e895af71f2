package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Hub has the subscribers. It is safe for concurrent use. Errors of the kinds Invalid, NotFound, RateLimited, Unavailable and Timeout reach
// the caller with their message; all others are logged and answered with 500.
type Hub interface {
	// Trigger sends events to their subscribers, in this order. Unavailable when nobody can say that they were passed on.
	Trigger(ctx context.Context, events ...channels.Event) error
	// State returns what is known of a channel; the zero State when nobody is subscribed.
	State(ctx context.Context, channel string) (channels.State, error)
	// Channels returns the channels whose names begin with prefix, which may be empty. What is not occupied is passed over here.
	Channels(ctx context.Context, prefix string) (map[string]channels.State, error)
	// Users returns the ids of the users of a presence channel, each once.
	Users(ctx context.Context, channel string) ([]string, error)
	// Terminate closes all connections of a user. Nothing happens when there are none.
	Terminate(ctx context.Context, userID string) error
}

// Config says whose requests are served and by what. Zero fields take the defaults.
type Config struct {
	App channels.App // ID, Key and Secret are required
	Hub Hub          // required
	// EncryptedExtra is by how many bytes the data of an event on a private-encrypted- channel may exceed MaxData, for what encryption and
	// base64 add; 0. At most 64 KiB.
	EncryptedExtra int
	Logger         *slog.Logger     // told of hub failures, and of refusals at debug level
	Now            func() time.Time // time.Now
}

// Limits of one request.
const (
	MaxBody     = 1 << 20   // bytes of a body
	MaxQuery    = 8 << 10   // bytes of a query
	MaxData     = 10 * 1024 // bytes of an event's data
	MaxName     = 200       // characters of an event's name
	MaxChannels = 100       // channels of one event
	MaxBatch    = 10        // events of a batch
	MaxSkew     = 600 * time.Second
	HubTimeout  = 5 * time.Second // for all that one request asks of the Hub

	maxEncryptedExtra = 64 << 10
	statesAtOnce      = 8 // questions to the Hub that one request has under way
)

// Handler serves the API. It is safe for concurrent use.
type Handler struct {
	cfg Config

	verify func(toSign, signature string) bool // reports whether signature is that of toSign under the app's secret
	digest func(body []byte) string            // hex MD5
}

var _ http.Handler = (*Handler)(nil)

// New returns the API of one app. Invalid for a Config that lacks something.
func New(cfg Config) (*Handler, error) {
	switch {
	case cfg.App.ID == "" || cfg.App.Key == "" || cfg.App.Secret == "":
		return nil, fault.InvalidField("app", "needs an id, a key and a secret")
	case cfg.Hub == nil:
		return nil, fault.InvalidField("hub", "is missing")
	case cfg.EncryptedExtra < 0 || cfg.EncryptedExtra > maxEncryptedExtra:
		return nil, fault.InvalidField("encrypted_extra", "must be 0 to %d", maxEncryptedExtra)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Handler{cfg: cfg, verify: verifier(cfg.App.Secret), digest: md5Hex}, nil
}

// request is one that is authenticated.
type request struct {
	name   string // of the channel or the user in the path
	params map[string]string
	body   []byte
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := h.serve(w, r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.answer(w, r, answer)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	params, err := h.authenticate(r)
	if err != nil {
		return nil, err
	}
	body, err := h.read(w, r, params)
	if err != nil {
		return nil, err
	}
	method, name, serve := h.route(r.URL)
	switch {
	case serve == nil:
		return nil, fault.New(fault.NotFound, "there is no such resource in app %s", h.cfg.App.ID)
	case r.Method != method:
		w.Header().Set("Allow", method)
		return nil, &statusError{http.StatusMethodNotAllowed, "this resource takes " + method}
	}
	ctx, cancel := context.WithTimeout(r.Context(), HubTimeout)
	defer cancel()
	return serve(ctx, request{name: name, params: params, body: body})
}

// route returns who serves a path, and the channel or user that it names. A nil function is nobody.
func (h *Handler) route(u *url.URL) (method, name string, serve func(context.Context, request) (any, error)) {
	parts := strings.Split(u.EscapedPath(), "/")
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return "", "", nil
		}
	}
	if len(parts) < 4 || len(parts) > 6 || parts[0] != "" || parts[1] != "apps" || parts[2] != h.cfg.App.ID {
		return "", "", nil
	}
	kind, rest := parts[3], parts[4:]
	switch {
	case kind == "events" && len(rest) == 0:
		return http.MethodPost, "", h.trigger
	case kind == "batch_events" && len(rest) == 0:
		return http.MethodPost, "", h.triggerBatch
	case kind == "channels" && len(rest) == 0:
		return http.MethodGet, "", h.channels
	case kind == "channels" && len(rest) == 1:
		return http.MethodGet, rest[0], h.channel
	case kind == "channels" && len(rest) == 2 && rest[1] == "users":
		return http.MethodGet, rest[0], h.users
	case kind == "users" && len(rest) == 2 && rest[1] == "terminate_connections":
		return http.MethodPost, rest[0], h.terminate
	}
	return "", "", nil
}
