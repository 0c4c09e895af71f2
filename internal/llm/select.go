package llm

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	// probeTimeout is how long Select waits for a local Ollama that nobody asked for: it must not delay a start.
	probeTimeout = 300 * time.Millisecond
	// askedTimeout is how long it waits for one that LLM_PROVIDER names, which may be on another machine.
	askedTimeout = 3 * time.Second
)

// Config says which models there are to choose from. The command fills it from the environment.
type Config struct {
	Provider  string   // LLM_PROVIDER: openai, anthropic, google, ollama or offline; "" takes what is there
	OpenAI    Endpoint // OPENAI_API_KEY, OPENAI_MODEL, OPENAI_API_BASE
	Anthropic Endpoint // ANTHROPIC_API_KEY, ANTHROPIC_MODEL
	Google    Endpoint // GOOGLE_API_KEY, GOOGLE_MODEL
	Ollama    Endpoint // Base is OLLAMA_HOST, Model OLLAMA_MODEL; "" takes the first one installed
	Embedding string   // EMBEDDING_MODEL: provider/model or offline; "" goes with the provider, see SelectEmbedder
	Offline   Client   // the composer: what serves when there is no model
	// Production refuses the offline client: nobody is to read composed starter content for a model's work there.
	Production bool
}

// Select returns the Client that serves this process: what cfg.Provider names; else OpenAI, Anthropic or Google, in this
// order, by the key that is set (for OpenAI also by its base); else a local Ollama with an installed model; else the offline
// client. It makes no request but one to Ollama, of at most 300 ms (3 s when Ollama is asked for), and ends with ctx. Whether
// a key works shows at the first call: a provider that fails is not replaced by another one.
//
// Errors are Invalid and name the variables to set.
func Select(ctx context.Context, cfg Config) (Client, error) {
	switch cfg.Provider {
	case "":
		return selectPresent(ctx, cfg)
	case "openai":
		return client(NewOpenAI(cfg.OpenAI))
	case "anthropic":
		return client(NewAnthropic(cfg.Anthropic))
	case "google":
		return client(NewGoogle(cfg.Google))
	case "ollama":
		return client(selectOllama(ctx, cfg.Ollama, askedTimeout))
	case "offline":
		return selectOffline(cfg)
	}
	return nil, fault.InvalidField("LLM_PROVIDER", "is %q, which is none of openai, anthropic, google, ollama and offline", cfg.Provider)
}

func selectPresent(ctx context.Context, cfg Config) (Client, error) {
	switch {
	case cfg.OpenAI.Key != "" || cfg.OpenAI.Base != "":
		return client(NewOpenAI(cfg.OpenAI))
	case cfg.Anthropic.Key != "":
		return client(NewAnthropic(cfg.Anthropic))
	case cfg.Google.Key != "":
		return client(NewGoogle(cfg.Google))
	}
	local, err := selectOllama(ctx, cfg.Ollama, probeTimeout)
	switch {
	case err == nil:
		return local, nil
	case ctx.Err() != nil:
		return nil, endedFault(ctx, "ollama")
	case errors.Is(err, errNoOllama):
		return selectOffline(cfg)
	}
	return nil, err
}

// errNoOllama says that no Ollama answered or that it has no model, which is no error unless one was asked for.
var errNoOllama = errors.New("no ollama with an installed model")

func selectOllama(ctx context.Context, e Endpoint, timeout time.Duration) (*Remote, error) {
	base, err := ollamaURL(e.Base)
	if err != nil {
		return nil, err
	}
	transport := e.Transport
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	}
	probe, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	installed, err := installedModels(probe, base, transport)
	switch {
	case err != nil || len(installed) == 0:
		return nil, &fault.Error{
			Kind: fault.Invalid, Message: "OLLAMA_HOST: no ollama with an installed model at " + base,
			Err: errors.Join(errNoOllama, err),
		}
	case e.Model == "":
		e.Model = installed[0]
	case !slices.Contains(installed, e.Model) && !slices.Contains(installed, e.Model+":latest"):
		return nil, fault.InvalidField("OLLAMA_MODEL", "is %q, which is not installed at %s", e.Model, base)
	}
	return NewOllama(e)
}

func selectOffline(cfg Config) (Client, error) {
	switch {
	case cfg.Production:
		return nil, fault.New(fault.Invalid, "no model is configured and production does not run on the offline composer: set one of "+
			"OPENAI_API_KEY, OPENAI_API_BASE, ANTHROPIC_API_KEY and GOOGLE_API_KEY, or OLLAMA_HOST of an ollama with an installed model")
	case cfg.Offline == nil:
		return nil, errors.New("select a model: the configuration has no offline client")
	}
	return cfg.Offline, nil
}

// client keeps a nil *Remote from becoming a Client that is not nil.
func client(r *Remote, err error) (Client, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}
