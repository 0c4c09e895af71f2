package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/toolboxai/orchestrator/api"
	"github.com/toolboxai/orchestrator/internal/telemetry"
	"github.com/toolboxai/orchestrator/nats"
)

// Config is the environment. Every variable may instead be given as NAME_FILE, the path of a file that holds its value.
type Config struct {
	Environment    string     `env:"ENVIRONMENT" envDefault:"development"` // development, staging or production
	LogLevel       slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat      string     `env:"LOG_FORMAT" envDefault:"json"` // json or text
	Host           string     `env:"HOST" envDefault:"0.0.0.0"`
	Port           int        `env:"PORT" envDefault:"8009"`
	OpsAddr        string     `env:"OPS_ADDR"` // where a role without an API answers /health/live, /health/ready and /metrics; nowhere when empty
	AllowedOrigins []string   `env:"ALLOWED_ORIGINS" envSeparator:","`
	TrustedProxies []string   `env:"TRUSTED_PROXIES" envSeparator:","` // CIDRs whose X-Forwarded-For is believed

	DatabaseURL    string        `env:"DATABASE_URL"`
	RedisURL       string        `env:"REDIS_URL"`                    // where processes share what they count; each counts its own share when empty
	Processes      int           `env:"LLM_PROCESSES" envDefault:"1"` // workers that share the limits of models while Redis is away
	NATSURL        string        `env:"NATS_URL"`
	NATSCreds      string        `env:"NATS_CREDS"` // path of a credentials file
	NATSInbox      string        `env:"NATS_INBOX"` // prefix of reply subjects, where the broker's users have one each
	NATSCA         string        `env:"NATS_CA"`    // path of the authority that signed the broker's certificate
	NATSReplicas   int           `env:"NATS_REPLICAS" envDefault:"1"`
	NATSSync       bool          `env:"NATS_SYNC_ALWAYS"`  // what the operator says of the broker's sync_interval
	NATSMonitor    string        `env:"NATS_MONITOR_URL"`  // of the broker's monitoring: asked how it syncs, instead of believing NATS_SYNC_ALWAYS
	Accept         string        `env:"ACCEPT_DURABILITY"` // the least that an acknowledgement has to mean: memory, page-cache, fsync or replicated
	TaskAckWait    time.Duration `env:"TASK_ACK_WAIT" envDefault:"45s"`
	TaskQueueLimit int64         `env:"TASK_QUEUE_LIMIT" envDefault:"1000000"`

	JWTSecret        string   `env:"JWT_SECRET_KEY"`                     // signs access tokens: 32 random bytes or more, or an Ed25519 key as PEM
	JWTPrevious      []string `env:"JWT_PREVIOUS_KEYS" envSeparator:","` // still good for checking
	AccessMinutes    int      `env:"JWT_ACCESS_TOKEN_EXPIRE_MINUTES" envDefault:"15"`
	EncryptionKey    string   `env:"ENCRYPTION_KEY"`                            // seals what is stored: 32 bytes in hex or base64, or a passphrase of 32 characters or more
	EncryptionBefore []string `env:"ENCRYPTION_PREVIOUS_KEYS" envSeparator:","` // still good for opening
	SkipAuth         bool     `env:"SKIP_AUTH"`                                 // development only
	RateLimits       string   `env:"RATE_LIMITS" envDefault:"on"`               // on or off
	Registration     string   `env:"REGISTRATION" envDefault:"invite"`          // open, invite or closed
	OpenTenant       string   `env:"REGISTRATION_TENANT"`                       // whose member is who registers without an invitation
	OpenRole         string   `env:"REGISTRATION_ROLE" envDefault:"student"`
	SecondFactor     []string `env:"MFA_REQUIRED_ROLES" envSeparator:","` // who has to sign in with a second factor
	PublicURL        string   `env:"PUBLIC_URL"`                          // of the dashboard: where links in mails lead, and whose passkeys are taken
	PasskeyOrigins   []string `env:"WEBAUTHN_ORIGINS" envSeparator:","`   // further origins that may use passkeys of PUBLIC_URL's host
	SMTPHost         string   `env:"SMTP_HOST"`                           // who sends mails; they are only logged as unsent when empty
	SMTPPort         int      `env:"SMTP_PORT" envDefault:"587"`
	SMTPUser         string   `env:"SMTP_USERNAME"`
	SMTPPassword     string   `env:"SMTP_PASSWORD"`
	SMTPFrom         string   `env:"SMTP_FROM"`
	SMTPTLS          string   `env:"SMTP_TLS" envDefault:"starttls"` // starttls, tls or none
	SentryDSN        string   `env:"SENTRY_DSN"`
	SentryEnv        string   `env:"SENTRY_ENVIRONMENT"`

	LLMProvider     string        `env:"LLM_PROVIDER"`
	OpenAIKey       string        `env:"OPENAI_API_KEY"`
	OpenAIModel     string        `env:"OPENAI_MODEL"`
	OpenAIBase      string        `env:"OPENAI_API_BASE"`
	AnthropicKey    string        `env:"ANTHROPIC_API_KEY"`
	AnthropicModel  string        `env:"ANTHROPIC_MODEL"`
	AnthropicBase   string        `env:"ANTHROPIC_API_BASE"`
	GoogleKey       string        `env:"GOOGLE_API_KEY"`
	GoogleModel     string        `env:"GOOGLE_MODEL"`
	OllamaHost      string        `env:"OLLAMA_HOST"`
	OllamaModel     string        `env:"OLLAMA_MODEL"`
	LLMCache        string        `env:"LLM_CACHE" envDefault:"semantic"`            // semantic, exact or off
	CacheThreshold  float64       `env:"SEMANTIC_CACHE_THRESHOLD" envDefault:"0.95"` // cosine from which on two questions mean the same
	LangCacheURL    string        `env:"LANGCACHE_URL"`                              // a LangCache service in place of our own comparison
	LangCacheID     string        `env:"LANGCACHE_CACHE_ID"`
	LangCacheKey    string        `env:"LANGCACHE_API_KEY"`
	LLMKinds        string        `env:"LLM_KINDS"`       // models and temperatures of single kinds: see llm.ParseKinds
	EmbeddingModel  string        `env:"EMBEDDING_MODEL"` // provider/model or offline; goes with the provider when empty
	MaxAgentRetries int           `env:"MAX_AGENT_RETRIES" envDefault:"3"`
	InvalidRetries  int           `env:"INVALID_OUTPUT_RETRIES" envDefault:"0"` // of a task whose model's answers broke the rules, also after repair
	AgentTimeout    int           `env:"AGENT_TIMEOUT_SECONDS" envDefault:"300"`
	MaxGenerations  int           `env:"MAX_CONCURRENT_GENERATIONS" envDefault:"10"`
	WorkerKinds     []string      `env:"WORKER_KINDS" envSeparator:","` // which a worker serves; all when empty
	DrainTimeout    time.Duration `env:"DRAIN_TIMEOUT" envDefault:"30s"`

	PusherEnabled bool   `env:"PUSHER_ENABLED" envDefault:"true"`
	PusherAppID   string `env:"PUSHER_APP_ID"`
	PusherKey     string `env:"PUSHER_KEY"`
	PusherSecret  string `env:"PUSHER_SECRET"`
	PusherCluster string `env:"PUSHER_CLUSTER" envDefault:"us2"`
	PusherHost    string `env:"PUSHER_HOST"`
	PusherPort    int    `env:"PUSHER_PORT"`
	PusherSSL     bool   `env:"PUSHER_SSL" envDefault:"true"`

	Channels             bool     `env:"CHANNELS_ENABLED"` // the API serves PUSHER_APP_ID itself, to unchanged clients and servers of Pusher's
	ChannelsClientEvents bool     `env:"CHANNELS_CLIENT_EVENTS"`
	ChannelsWebhooks     []string `env:"CHANNELS_WEBHOOKS" envSeparator:","` // who is told that channels fill and empty

	CallbackAllow   []string      `env:"CALLBACK_ALLOW" envSeparator:","`   // receivers beside public https: see callback.ParseAllow
	CallbackTimeout time.Duration `env:"CALLBACK_TIMEOUT" envDefault:"15s"` // of one request to a receiver
	APIURL          string        `env:"API_URL"`                           // of the API: where messages to receivers say that tasks are

	MCPServers string   `env:"MCP_SERVERS"`                // whose tools agents may call: see mcpclient.ParseServers
	MCPAllow   []string `env:"MCP_ALLOW" envSeparator:","` // servers beside public https, as CALLBACK_ALLOW has it

	dev     bool                // everything in one process: everybody is the development admin
	reports *telemetry.Reporter // of errors; nil before openLogs
}

// pusherWanted reports whether there is anything to send to.
func (c Config) pusherWanted() bool { return c.PusherEnabled && c.PusherAppID != "" }

func (c Config) production() bool { return c.Environment == "production" }

func (c Config) development() bool { return c.Environment == "development" }

// leastDurability returns what an acknowledgement has to mean for the API to run: in production what survives a loss of power,
// unless the configuration says otherwise.
func (c Config) leastDurability() nats.Level {
	if level, err := nats.ParseLevel(c.Accept); err == nil {
		return level
	}
	if c.production() {
		return nats.LevelFsync
	}
	return nats.LevelMemory
}

// loadConfig reads environ (entries as in os.Environ). Its error is one line that names the variable.
func loadConfig(environ []string) (Config, error) {
	vars, err := withFiles(env.ToMap(environ))
	if err != nil {
		return Config{}, err
	}
	var cfg Config
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: vars}); err != nil {
		return Config{}, nameVariable(err)
	}
	cfg.AllowedOrigins, cfg.TrustedProxies, cfg.WorkerKinds = trimmed(cfg.AllowedOrigins), trimmed(cfg.TrustedProxies), trimmed(cfg.WorkerKinds)
	cfg.JWTPrevious, cfg.EncryptionBefore = trimmed(cfg.JWTPrevious), trimmed(cfg.EncryptionBefore)
	cfg.ChannelsWebhooks, cfg.CallbackAllow, cfg.MCPAllow = trimmed(cfg.ChannelsWebhooks), trimmed(cfg.CallbackAllow), trimmed(cfg.MCPAllow)
	cfg.SecondFactor, cfg.PasskeyOrigins = trimmed(cfg.SecondFactor), trimmed(cfg.PasskeyOrigins)
	return cfg, cfg.check()
}

// withFiles replaces NAME_FILE by NAME with the file's content, for the variables that Config knows.
func withFiles(vars map[string]string) (map[string]string, error) {
	for name := range variables() {
		path, ok := vars[name+"_FILE"]
		if !ok || path == "" {
			continue
		}
		if vars[name] != "" {
			return nil, fmt.Errorf("%s and %s_FILE are both set: keep one", name, name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		vars[name] = strings.TrimRight(string(data), "\r\n")
	}
	return vars, nil
}

// variables returns the name of each variable with the field that holds it.
func variables() map[string]string {
	names := map[string]string{}
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("env"); name != "" {
			names[name] = t.Field(i).Name
		}
	}
	return names
}

func nameVariable(err error) error {
	var parse env.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	for name, field := range variables() {
		if field == parse.Name {
			return fmt.Errorf("%s: %w", name, parse.Err)
		}
	}
	return err
}

// check holds the values against each other and their ranges.
func (c Config) check() error {
	switch {
	case !slices.Contains([]string{"development", "staging", "production"}, c.Environment):
		return fmt.Errorf("ENVIRONMENT is %q, must be development, staging or production", c.Environment)
	case c.LogFormat != "json" && c.LogFormat != "text":
		return fmt.Errorf("LOG_FORMAT is %q, must be json or text", c.LogFormat)
	case c.SkipAuth && !c.development():
		return fmt.Errorf("SKIP_AUTH is refused when ENVIRONMENT is %s", c.Environment)
	}
	for _, r := range []struct {
		name          string
		value         int
		least, atMost int
	}{
		{"PORT", c.Port, 0, 65535},
		{"PUSHER_PORT", c.PusherPort, 0, 65535},
		{"SMTP_PORT", c.SMTPPort, 1, 65535},
		{"JWT_ACCESS_TOKEN_EXPIRE_MINUTES", c.AccessMinutes, 1, 50},
		{"MAX_AGENT_RETRIES", c.MaxAgentRetries, 0, 20},
		{"INVALID_OUTPUT_RETRIES", c.InvalidRetries, 0, 20},
		{"AGENT_TIMEOUT_SECONDS", c.AgentTimeout, 1, 24 * 3600},
		{"MAX_CONCURRENT_GENERATIONS", c.MaxGenerations, 1, 1000},
		{"LLM_PROCESSES", c.Processes, 1, 10_000},
	} {
		if r.value < r.least || r.value > r.atMost {
			return fmt.Errorf("%s is %d, must be %d to %d", r.name, r.value, r.least, r.atMost)
		}
	}
	switch {
	case c.TaskAckWait < time.Second || c.TaskAckWait > time.Hour:
		return fmt.Errorf("TASK_ACK_WAIT is %s, must be 1s to 1h", c.TaskAckWait)
	case c.DrainTimeout < time.Millisecond || c.DrainTimeout > time.Hour:
		return fmt.Errorf("DRAIN_TIMEOUT is %s, must be 1ms to 1h", c.DrainTimeout)
	case c.TaskQueueLimit < 1:
		return fmt.Errorf("TASK_QUEUE_LIMIT is %d, must be at least 1", c.TaskQueueLimit)
	case !slices.Contains([]int{1, 3, 5}, c.NATSReplicas):
		return fmt.Errorf("NATS_REPLICAS is %d, must be 1, 3 or 5", c.NATSReplicas)
	case !slices.Contains([]string{"", "openai", "anthropic", "google", "ollama", "offline"}, c.LLMProvider):
		return fmt.Errorf("LLM_PROVIDER is %q, must be openai, anthropic, google, ollama or offline, or not be set", c.LLMProvider)
	case !slices.Contains([]string{cacheOff, cacheExact, cacheSemantic}, c.LLMCache):
		return fmt.Errorf("LLM_CACHE is %q, must be semantic, exact or off", c.LLMCache)
	case c.CacheThreshold < 0.5 || c.CacheThreshold > 1:
		return fmt.Errorf("SEMANTIC_CACHE_THRESHOLD is %v, must be 0.5 to 1", c.CacheThreshold)
	case (c.LangCacheURL == "") != (c.LangCacheID == ""):
		return fmt.Errorf("LANGCACHE_URL and LANGCACHE_CACHE_ID are not both set: LangCache needs both")
	}
	if err := c.checkIdentity(); err != nil {
		return err
	}
	if err := c.checkCallbacks(); err != nil {
		return err
	}
	if _, _, err := c.mcpServers(); err != nil {
		return err
	}
	if c.Channels && (c.PusherAppID == "" || c.PusherKey == "" || c.PusherSecret == "") && !c.dev {
		return fmt.Errorf("PUSHER_APP_ID, PUSHER_KEY and PUSHER_SECRET are not all set: CHANNELS_ENABLED needs them")
	}
	if _, err := nats.ParseLevel(c.Accept); c.Accept != "" && err != nil {
		return fmt.Errorf("ACCEPT_DURABILITY: %w", err)
	}
	if err := api.CheckOrigins(c.AllowedOrigins); err != nil {
		return fmt.Errorf("ALLOWED_ORIGINS: %w", err)
	}
	_, err := c.trustedProxies()
	return err
}

// trimmed returns a list's entries without the spaces round them; empty ones are left out.
func trimmed(list []string) []string {
	var out []string
	for _, entry := range list {
		if entry = strings.TrimSpace(entry); entry != "" {
			out = append(out, entry)
		}
	}
	return out
}

// trustedProxies returns the networks of TRUSTED_PROXIES.
func (c Config) trustedProxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, cidr := range c.TrustedProxies {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("TRUSTED_PROXIES: %q is no network such as 10.0.0.0/8", cidr)
		}
		if prefix.Bits() == 0 && c.production() {
			return nil, fmt.Errorf("TRUSTED_PROXIES=%s is refused when ENVIRONMENT is production: everybody would say from where they come", cidr)
		}
		out = append(out, prefix)
	}
	return out, nil
}

// need returns an error that names the first of the variables that is not set.
func need(role string, values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if values[name] == "" {
			return fmt.Errorf("%s is not set: %s needs it (toolboxai dev needs nothing)", name, role)
		}
	}
	return nil
}
