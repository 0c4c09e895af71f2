//go:build chaos && linux

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/auth/authtest"
	"github.com/toolboxai/orchestrator/internal/chaos"
)

func tenants() []string { return []string{"north", "south", "west"} }

// users is how many teachers of a tenant submit; more of them keep each below what one person may do in a minute.
const users = 40

// client speaks to the API as a user.
type client struct {
	base string
	http *http.Client
}

func newClient(base string) client {
	return client{base, &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// status is an answer that is no success.
type status struct {
	code  int
	text  string
	after time.Duration // when to come again; 0: it does not say
}

func (s *status) Error() string { return fmt.Sprintf("%d: %s", s.code, s.text) }

// request sends a request as user of tenant and decodes the answer's data into out.
func (c client) request(ctx context.Context, tenant, user, method, path, key string, body []byte, out any) error {
	token, err := authtest.Issue(jwtSecret, auth.Principal{UserID: user, Tenant: tenant, Role: auth.Admin}, time.Hour)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // 0 when it says nothing
		return &status{res.StatusCode, string(data), time.Duration(seconds) * time.Second}
	}
	return json.Unmarshal(data, &struct {
		Data any `json:"data"`
	}{out})
}

// order is one submission: the same key and body, however often it is sent.
type order struct{ tenant, user, key, mark string }

// ledger is what the API promised. It is only ever added to.
type ledger struct {
	mu       sync.Mutex
	orders   []order
	accepted []chaos.Acceptance
	refused  []string // submissions that were never acknowledged
}

func (l *ledger) add(o order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.orders = append(l.orders, o)
}

func (l *ledger) accept(a chaos.Acceptance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = append(l.accepted, a)
}

func (l *ledger) refuse(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, why)
}

func (l *ledger) read() (orders []order, accepted []chaos.Acceptance, refused []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]order(nil), l.orders...), append([]chaos.Acceptance(nil), l.accepted...), append([]string(nil), l.refused...)
}

// submit sends an order until it is acknowledged, as a client should: with the same key, and when it is told to.
func (l *ledger) submit(ctx context.Context, c client, o order) (task string, err error) {
	body, err := json.Marshal(map[string]any{"kind": "quiz", "input": quizInput(o.mark)})
	if err != nil {
		return "", err
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var got struct {
			Task struct {
				ID string `json:"task_id"`
			} `json:"task"`
		}
		err := c.request(ctx, o.tenant, o.user, http.MethodPost, "/api/v1/tasks", o.key, body, &got)
		if err == nil {
			l.accept(chaos.Acceptance{Tenant: o.tenant, Key: o.key, Task: got.Task.ID, At: time.Now()})
			return got.Task.ID, nil
		}
		delay := rand.N(wait) + 50*time.Millisecond
		if refusal, ok := err.(*status); ok { //nolint:errorlint // request returns it bare
			if refusal.code < 500 && refusal.code != http.StatusTooManyRequests {
				l.refuse(fmt.Sprintf("%s: %v", o.key, err))
				return "", err
			}
			delay += refusal.after
		}
		if !pause(ctx, delay) {
			l.refuse(fmt.Sprintf("%s: %v", o.key, err))
			return "", err
		}
	}
}

// load submits at a rate until it is stopped.
type load struct {
	site   *site
	ledger *ledger
	follow *followers
	stop   context.CancelFunc
	done   chan struct{}
}

// grace is how long submissions under way go on after the load was stopped.
const grace = 40 * time.Second

// startLoad submits quizzes of all tenants, rate a second. One in ten is sent twice at the same time, one in eight is followed.
func (s *site) startLoad(ctx context.Context, name string, rate float64) *load {
	arriving, stop := context.WithCancel(ctx)
	l := &load{site: s, ledger: &ledger{}, follow: newFollowers(s.base), stop: stop, done: make(chan struct{})}
	rng := rand.New(rand.NewPCG(s.rng.Uint64(), s.rng.Uint64()))
	go func() {
		defer close(l.done)
		pending, cancel := context.WithCancel(ctx)
		defer cancel()
		var group sync.WaitGroup
		c := newClient(s.base)
		defer c.http.CloseIdleConnections()
		for i := 0; pause(arriving, time.Duration(rng.ExpFloat64()*float64(time.Second)/rate)); i++ {
			o := order{
				tenant: tenants()[rng.IntN(len(tenants()))], user: fmt.Sprintf("teacher-%d", rng.IntN(users)),
				key: fmt.Sprintf("%s-%s-%d", s.name, name, i), mark: fmt.Sprintf("chaos%08x", rng.Uint32()),
			}
			twice, followed := rng.IntN(10) == 0, rng.IntN(8) == 0
			l.ledger.add(o)
			group.Go(func() {
				id, err := l.ledger.submit(pending, c, o)
				if err == nil && followed {
					l.follow.start(ctx, o.tenant, id)
				}
			})
			if twice {
				group.Go(func() { _, _ = l.ledger.submit(pending, c, o) }) // the ledger has what came of it
			}
		}
		late := time.AfterFunc(grace, cancel)
		defer late.Stop()
		group.Wait()
	}()
	return l
}

// end stops the arrivals and returns when every submission was acknowledged or given up.
func (l *load) end() {
	l.stop()
	<-l.done
}

// again sends up to n orders once more, spread over the whole load: their keys must still stand for the same tasks.
func (l *load) again(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	c := newClient(l.site.base)
	defer c.http.CloseIdleConnections()
	orders, _, _ := l.ledger.read()
	for i := 0; i < len(orders); i += max(len(orders)/n, 1) {
		_, _ = l.ledger.submit(ctx, c, orders[i]) // the ledger has what came of it
	}
}
