package llm

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/policy"
)

const (
	minute        = time.Minute
	settleTimeout = 2 * time.Second
	maxJitter     = 50 * time.Millisecond // between the moment that something fits and the next try
	pauseGap      = 20 * time.Millisecond // between callers that a pause held back, on the average
	firstPause    = 2 * time.Second       // after a refusal that does not say how long; doubled each time
	longestPause  = time.Minute
	shortestPause = 50 * time.Millisecond
)

// governor keeps one model within the limits of its provider, over all processes.
//
// A call that does not fit waits in place when it will fit within maxWait, else it ends in a *PausedError. Callers that wait
// form a line: one at a time asks the meter, so that a hundred of them are no hundred questions, and nobody overtakes. A
// refusal by the provider (429) pauses the model for every process; the refused call itself stays in line.
type governor struct {
	model   Model
	next    Client
	meter   Meter
	policy  func() policy.Policy
	guess   *estimator
	maxWait time.Duration
	log     *slog.Logger

	line    chan struct{} // held by the head of the line
	waiting atomic.Int64
	blocked atomic.Pointer[RefusedError] // the newest refusal
	left    time.Time                    // when the last one left the line after a pause; for the head

	mu      sync.Mutex
	strikes int       // pauses in a row of which the provider did not say how long
	ends    time.Time // of the newest pause
}

func (g *governor) Describe() string { return g.next.Describe() }

// Complete implements Client.
func (g *governor) Complete(ctx context.Context, req Request) (Response, error) {
	deadline := time.Now().Add(g.maxWait)
	req, said := listen(req)
	for {
		guess := g.guess.guess(g.model, req)
		r, err := g.admit(ctx, g.claims(guess), deadline)
		if err != nil {
			return Response{}, err
		}
		resp, err := g.next.Complete(ctx, req)
		g.settle(ctx, r, req, resp, err, guess, *said)
		var held *PausedError
		if errors.As(err, &held) || !fault.Is(err, fault.RateLimited) {
			if err == nil {
				g.forgive()
			}
			return resp, err
		}
		until, known := g.pause(ctx, err)
		if *said > 0 || until.After(deadline) {
			return Response{}, paused(g.model, PausedByProvider, until, err)
		}
		if !known { // else the meter holds the call back, in line with all others
			if err := sleepUntil(ctx, until, g.model.Provider); err != nil {
				return Response{}, err
			}
		}
	}
}

// claims returns what a call takes: one request, which is also what a pause holds back, and its tokens. A call that alone
// takes more than the limit takes all of it.
func (g *governor) claims(guess tokens) []Claim {
	limit, _ := g.policy().ModelLimitFor(g.model.Provider, g.model.Name)
	requests := Claim{Key: RequestsKey(g.model), Window: minute, Limit: Unlimited, Amount: 1}
	if limit.RequestsPerMinute > 0 {
		requests.Limit = int64(limit.RequestsPerMinute)
	}
	if limit.TokensPerMinute <= 0 {
		return []Claim{requests}
	}
	most := int64(limit.TokensPerMinute)
	return []Claim{requests, {
		Key: TokensKey(g.model), Window: minute, Limit: most, Amount: min(int64(guess.input+guess.output), most),
	}}
}

// RequestsKey is what the requests of a model are counted under, and what its pauses stop.
func RequestsKey(m Model) string { return "requests:" + m.String() }

// TokensKey is what the tokens of a model are counted under.
func TokensKey(m Model) string { return "tokens:" + m.String() }

// admit reserves claims, waiting until deadline at most.
func (g *governor) admit(ctx context.Context, claims []Claim, deadline time.Time) (Reservation, error) {
	if g.waiting.Load() == 0 {
		r, err := g.meter.Reserve(ctx, claims)
		if refused := g.refusal(err); refused == nil || refused.Until.After(deadline) {
			return r, g.reason(err, refused)
		}
	}
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	if b := g.blocked.Load(); b != nil && b.Paused && b.Until.After(deadline) {
		return Reservation{}, g.reason(b, b)
	}
	wait := time.NewTimer(time.Until(deadline))
	defer wait.Stop()
	select {
	case g.line <- struct{}{}: // blocked senders are served in the order of their arrival
		defer func() { <-g.line }()
	case <-wait.C:
		return Reservation{}, g.outOfPatience()
	case <-ctx.Done():
		return Reservation{}, endedFault(ctx, g.model.Provider)
	}
	return g.lead(ctx, claims, deadline)
}

// lead is what the head of the line does.
func (g *governor) lead(ctx context.Context, claims []Claim, deadline time.Time) (Reservation, error) {
	for {
		r, err := g.meter.Reserve(ctx, claims)
		refused := g.refusal(err)
		if refused == nil || refused.Until.After(deadline) {
			if err == nil {
				g.keepDistance(ctx)
			}
			return r, g.reason(err, refused)
		}
		if err := sleepUntil(ctx, refused.Until.Add(rand.N(maxJitter)), g.model.Provider); err != nil {
			return Reservation{}, err
		}
	}
}

// keepDistance spreads the callers that a pause held back: limits of the provider that we do not know are met again at once
// if all of them come together.
func (g *governor) keepDistance(ctx context.Context) {
	if b := g.blocked.Load(); b == nil || !b.Paused || g.waiting.Load() < 2 {
		return
	}
	_ = sleepUntil(ctx, g.left.Add(pauseGap/2+rand.N(pauseGap)), g.model.Provider) // the call itself finds out that ctx ended
	g.left = time.Now()
}

func (g *governor) refusal(err error) *RefusedError {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return nil
	}
	g.blocked.Store(refused)
	return refused
}

// reason says of a refusal what it means for the model.
func (g *governor) reason(err error, refused *RefusedError) error {
	switch {
	case refused == nil:
		return err
	case refused.Paused:
		return paused(g.model, PausedByProvider, refused.Until, nil)
	}
	return paused(g.model, PausedByLimit, refused.Until, nil)
}

// outOfPatience is for who stood in line for all of maxWait: it took the others that long, so it will take as long again.
func (g *governor) outOfPatience() error {
	again := time.Now().Add(g.maxWait)
	reason := PausedByLimit
	if b := g.blocked.Load(); b != nil {
		if b.Until.After(again) {
			again = b.Until
		}
		if b.Paused {
			reason = PausedByProvider
		}
	}
	return paused(g.model, reason, again, nil)
}

// pause stops the model in all processes for as long as its provider asks, and returns until when, and whether the meter knows.
func (g *governor) pause(ctx context.Context, refusal error) (until time.Time, known bool) {
	until = g.pauseEnd(fault.RetryAfter(refusal))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := g.meter.Pause(ctx, RequestsKey(g.model), until); err != nil {
		g.log.Warn("a pause is known to this process only", "provider", g.model.Provider, "model", g.model.Name, "error", err)
		return until, false
	}
	return until, true
}

// pauseEnd makes up how long where the provider does not say: longer each time, but calls that were under way together and
// are refused together count once.
func (g *governor) pauseEnd(asked time.Duration) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case asked > 0:
		asked = max(asked, shortestPause)
	case g.ends.After(now):
		return g.ends
	default:
		asked = min(firstPause<<min(g.strikes, 10), longestPause)
		g.strikes++
	}
	if end := now.Add(asked); end.After(g.ends) {
		g.ends = end
	}
	return now.Add(asked)
}

func (g *governor) forgive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strikes = 0
}

// settle counts what the call took.
func (g *governor) settle(ctx context.Context, r Reservation, req Request, resp Response, err error, guess tokens, said int) {
	n := took(resp, err, guess, said)
	if err == nil {
		g.guess.learn(g.model, req, n)
	}
	sent := int64(1)
	var held *PausedError
	if errors.As(err, &held) {
		sent = 0
	}
	actual := []int64{sent, int64(n.input + n.output)}
	settleReservation(ctx, g.meter, r, actual[:len(r.Claims)], g.log)
}

// settleReservation settles also when ctx has ended: what was used was used.
func settleReservation(ctx context.Context, meter Meter, r Reservation, actual []int64, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := meter.Settle(ctx, r, actual); err != nil {
		log.Warn("a reservation was not settled", "key", r.Claims[0].Key, "error", err)
	}
}

func sleepUntil(ctx context.Context, until time.Time, provider string) error {
	wait := time.NewTimer(time.Until(until))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return endedFault(ctx, provider)
	}
}
