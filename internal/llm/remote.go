package llm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tmc/langchaingo/llms"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	defaultMaxTokens = 4096
	// reasoningTokens is what models that reason get on top of Request.MaxTokens: providers count both against one limit.
	reasoningTokens = 16 << 10
)

// Endpoint says where a provider is and who asks.
type Endpoint struct {
	Key   string `json:"-"` // never part of an error, a log or Describe
	Model string // "" takes the provider's default
	Base  string // the API's URL up to and without the method; "" takes the provider's own
	// Transport sends the requests; nil takes one with Go's TLS defaults, the environment's proxies and no limit of its own
	// on how long an answer takes: the call's context says that.
	Transport http.RoundTripper `json:"-"`
}

// String leaves the key out.
func (e Endpoint) String() string { return e.Model + " at " + e.Base }

// GoString leaves the key out.
func (e Endpoint) GoString() string { return e.String() }

// Remote is the Client of one provider's HTTP API. It is safe for concurrent use and holds nothing to close.
type Remote struct {
	provider string
	endpoint Endpoint
	client   *http.Client
	dialect  dialect
	reasons  bool        // the model reasons before it answers
	prices   *priceTable // nil where the provider's prices do not hold
	free     bool        // nothing is ever charged
	refused  refusals
}

// dialect is what one wire format needs beyond langchaingo.
type dialect interface {
	// open returns langchaingo's client for e, which sends through x. It does no I/O.
	open(e Endpoint, x *exchange) (llms.Model, error)
	// options returns the call options that are the format's own. tokens limits the answer, its reasoning included.
	options(e Endpoint, tokens int) []llms.CallOption
	// form returns what an answer that is an object is held to, and lesser what is tried when the server refuses that.
	form(e Endpoint, provider string, req Request) form
	lesser(form) form
	// amend writes into the body of a request what langchaingo cannot say of a.
	amend(body map[string]json.RawMessage, a ask) error
	// inspect looks at one JSON value that the provider sent, a stream's event or a whole body, and notes what it says. It
	// returns the provider's complaint if the value is one, else what langchaingo may see of the value, nil for nothing.
	inspect(data []byte, seen *sighting) (complaint, pass []byte, err error)
}

// tokens is what a provider counted.
type tokens struct {
	input  int
	cached int // of input, read from the provider's cache
	output int
}

// maxCounted is the most that a provider may count of one call: sums of it, and their prices, stay numbers.
const maxCounted = 1 << 30

// sane returns a provider's count within bounds.
func sane(n int) int { return min(max(n, 0), maxCounted) }

// newRemote checks e and fills in what it leaves open. prefix begins the names of the variables that errors speak of.
func newRemote(provider, prefix string, e Endpoint, d dialect) (*Remote, error) {
	e.Key = strings.TrimSpace(e.Key)
	if strings.ContainsFunc(e.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fault.InvalidField(prefix+"_API_KEY", "holds a character that no key has")
	}
	if e.Model == "" || strings.ContainsFunc(e.Model, func(r rune) bool { return r <= ' ' }) {
		return nil, fault.InvalidField(prefix+"_MODEL", "%q is no model's name", e.Model)
	}
	base, err := url.Parse(strings.TrimRight(e.Base, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fault.InvalidField(prefix+"_API_BASE", "is no URL of the form https://host/path")
	}
	e.Base = base.String()
	if e.Transport == nil {
		e.Transport = newTransport()
	}
	return &Remote{
		provider: provider, endpoint: e, dialect: d, reasons: reasons(e.Model),
		client: &http.Client{Transport: e.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect would take the key to another host
		}},
	}, nil
}

// needKey refuses an endpoint without a key; variable is where it would stand.
func (r *Remote) needKey(variable string) error {
	if r.endpoint.Key == "" {
		return fault.InvalidField(variable, "is not set")
	}
	return nil
}

// withPrices lets r compute what its calls cost.
func (r *Remote) withPrices() (*Remote, error) {
	prices, err := loadPrices()
	if err != nil {
		return nil, err
	}
	r.prices = prices
	return r, nil
}

// newTransport bounds the ways to a server, not its thinking. Pings find a connection that died while a model thinks.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}
}

// Describe says, for example, "openai gpt-6-luna at https://api.openai.com/v1".
func (r *Remote) Describe() string {
	return r.provider + " " + r.endpoint.String()
}

// String is Describe.
func (r *Remote) String() string { return r.Describe() }

// GoString is Describe.
func (r *Remote) GoString() string { return r.Describe() }

// Complete calls the model once. It streams only when req.OnDelta is set: some accounts may not stream some models. Text is
// streamed as it is written, tool calls come whole, with the response.
//
// An answer that is an object is held to req.Schema by the provider where that can be, see form; a server that refuses to is
// asked again without.
func (r *Remote) Complete(ctx context.Context, req Request) (Response, error) {
	if err := checkRequest(req); err != nil {
		return Response{}, err
	}
	return r.completeFormed(ctx, req)
}

func (r *Remote) complete(ctx context.Context, req Request, f form) (Response, error) {
	x := &exchange{
		provider: r.provider, key: r.endpoint.Key, client: r.client, dialect: r.dialect, streamed: req.OnDelta != nil,
		ask: ask{provider: r.provider, system: systemOf(req), req: req, form: f},
	}
	// One langchaingo client per call is a few assignments, and gives the call an exchange of its own.
	model, err := r.dialect.open(r.endpoint, x)
	if err != nil {
		return Response{}, fmt.Errorf("open %s: %w", r.provider, err)
	}
	limit := req.MaxTokens
	if limit <= 0 {
		limit = defaultMaxTokens
	}
	temperature := req.Temperature
	if r.reasons {
		limit += reasoningTokens
		temperature = 1 // the only one that they accept, and langchaingo always sends one
	}
	options := append(r.dialect.options(r.endpoint, limit), llms.WithTemperature(temperature))
	if req.OnDelta != nil {
		options = append(options, llms.WithStreamingFunc(func(ctx context.Context, delta []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(delta) > 0 {
				req.OnDelta(string(delta))
			}
			return nil
		}))
	}
	content, err := model.GenerateContent(ctx, messages(x.ask), options...)
	return r.judge(ctx, req, x, content, err)
}

// systemOf returns the instructions, with those for JSON.
func systemOf(req Request) string {
	if req.Schema == nil {
		return req.System
	}
	return strings.TrimSpace(req.System + "\n\n" + instruction(req.Schema))
}

// messages are what langchaingo is told. It wants something of the user's also where a conversation takes its place.
func messages(a ask) []llms.MessageContent {
	var out []llms.MessageContent
	if a.system != "" {
		out = append(out, llms.TextParts(llms.ChatMessageTypeSystem, a.system))
	}
	prompt := a.req.Prompt
	if prompt == "" {
		prompt = "-"
	}
	return append(out, llms.TextParts(llms.ChatMessageTypeHuman, prompt))
}
