package webhook

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/channels"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Config says whom a Sender tells. Zero fields take the defaults.
type Config struct {
	App    channels.App // Key and Secret are required
	URLs   []string     // http or https, at most MaxURLs, none twice; with none, nothing is told
	Client *http.Client // http.DefaultClient; redirects are not followed, whatever it says
	Logger *slog.Logger // told when a URL begins to fail and when it is well again
	// Room is how many bytes may wait, for each URL and before they are in a webhook; 16 MiB, at least MinRoom.
	Room int
}

const (
	MaxURLs = 32
	MinRoom = 1 << 20

	defaultRoom = 16 << 20
	window      = time.Second     // what happens within it is told together
	hold        = 3 * time.Second // of removals
	maxEvents   = 200             // of one webhook
	maxBytes    = 512 << 10       // of one webhook, about
	maxEvent    = 128 << 10       // bytes of one event in JSON; 10 KiB of data may take six times as much
	retryFor    = 5 * time.Minute // from when a webhook was made
	firstWait   = time.Second     // ceiling of the first wait
	lastWait    = time.Minute     // ceiling of all
	attempt     = 10 * time.Second
	farewell    = 5 * time.Second // for what is left when Run is to end
)

// Sender tells of occurrences. It is safe for concurrent use.
type Sender struct {
	cfg     Config
	targets []*target
	wake    chan struct{}
	stats   counters

	mu     sync.Mutex
	queue  queue
	closed bool // Run has ended
}

// New returns a Sender. Whoever makes it calls Run, once. Invalid for a Config that cannot be.
func New(cfg Config) (*Sender, error) {
	if cfg.Room == 0 {
		cfg.Room = defaultRoom
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.App.Key == "" || cfg.App.Secret == "":
		return nil, fault.InvalidField("app", "needs a key and a secret")
	case len(cfg.URLs) > MaxURLs:
		return nil, fault.InvalidField("urls", "must be at most %d", MaxURLs)
	case cfg.Room < MinRoom:
		return nil, fault.InvalidField("room", "must be at least %d bytes", MinRoom)
	}
	poster := *cfg.Client
	poster.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &Sender{cfg: cfg, wake: make(chan struct{}, 1), queue: queue{room: cfg.Room, hold: hold, held: map[absence]*list.Element{}}}
	for i, raw := range cfg.URLs {
		u, err := url.Parse(raw)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fault.InvalidField("urls", "has number %d, which is no http or https URL", i+1)
		}
		if slices.Contains(cfg.URLs[:i], raw) {
			return nil, fault.InvalidField("urls", "has number %d twice", i+1)
		}
		s.targets = append(s.targets, &target{
			url: raw, host: u.Host, app: cfg.App, client: &poster, logger: cfg.Logger, room: cfg.Room, stats: &s.stats, wake: make(chan struct{}, 1),
		})
	}
	return s, nil
}

// Occurred tells of o soon. It never blocks: what there is no room for is dropped and counted, and so is all that comes after Run.
func (s *Sender) Occurred(o channels.Occurrence) {
	if len(s.targets) == 0 {
		return
	}
	s.stats.occurred.Add(1)
	event, err := encode(o)
	if err != nil || len(event) > maxEvent {
		s.stats.dropped.Add(1)
		return
	}
	s.mu.Lock()
	canceled, ok := 0, false
	if !s.closed {
		canceled, ok = s.queue.put(o, event, time.Now())
	}
	sooner := len(s.queue.ready) <= 1 || s.queue.full() // than Run means to come back
	s.mu.Unlock()
	s.stats.canceled.Add(uint64(canceled))
	if !ok {
		s.stats.dropped.Add(1)
		return
	}
	if sooner {
		signal(s.wake)
	}
}

// Run sends until ctx ends. Then it tells what is left, also what is held back, once and within 5 s, and returns nil. What that does not
// reach is counted as dropped.
func (s *Sender) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := make(chan struct{}) // no more waits
	var posting sync.WaitGroup
	for _, t := range s.targets {
		posting.Go(func() { t.run(hard, stop) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
		if next, ok := s.pass(false); ok {
			timer.Reset(time.Until(next))
		}
	}
	s.pass(true)
	close(stop)
	late := time.AfterFunc(farewell, cancel)
	defer late.Stop()
	posting.Wait()
	return nil
}

// pass hands to all URLs what is to be told now and returns when to come back.
func (s *Sender) pass(last bool) (next time.Time, ok bool) {
	now := time.Now()
	s.mu.Lock()
	parts := s.queue.take(now, last)
	next, ok = s.queue.next()
	s.closed = last
	s.mu.Unlock()
	for _, events := range parts {
		h, err := s.seal(events, now)
		if err != nil {
			s.cfg.Logger.Error("webhook not made", "error", err)
			s.stats.dropped.Add(uint64(len(events)))
			continue
		}
		for _, t := range s.targets {
			t.put(h)
		}
	}
	return next, ok
}

// hook is a webhook. All URLs share its body.
type hook struct {
	body      []byte
	signature string
	events    int
	made      time.Time
}

func (s *Sender) seal(events []json.RawMessage, now time.Time) (hook, error) {
	body, err := json.Marshal(payload[json.RawMessage]{TimeMS: now.UnixMilli(), Events: events})
	return hook{body: body, signature: sign(s.cfg.App.Secret, body), events: len(events), made: now}, err
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
