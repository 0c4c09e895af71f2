package apikey

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/secret"
)

// How long an Authenticator goes by what it has read.
const (
	freshFor   = time.Minute      // without asking the store
	staleFor   = 10 * time.Minute // while the store cannot be asked
	unknownFor = 30 * time.Second // that there is no such key
	doubtAfter = time.Second      // a secret that does not fit has the key read anew when it is known for so long
	retryAfter = 5 * time.Second  // the store is asked again when it was away
	findWait   = 3 * time.Second  // for the store
	noteWait   = time.Second      // for it to note a key's use
)

// Finder is the part of Store that an Authenticator asks.
type Finder interface {
	Find(ctx context.Context, id string) (Record, error)
	Used(ctx context.Context, tenant, id string, at time.Time) error
}

// AuthenticatorConfig says what an Authenticator works with.
type AuthenticatorConfig struct {
	Store       Finder            // required
	Box         *secret.Box       // required
	Revocations *auth.Revocations // required: what is known of a key, a user or a tenant is dropped when it is in there
	CacheSize   int               // keys that are remembered, and as many ids that are none; 10,000 when 0
	Now         func() time.Time  // nil: time.Now
	Logger      *slog.Logger      // nil discards
}

// Authenticator turns the texts of keys into principals. It remembers a key for a minute, and while the store is away for up to ten;
// whatever is published of the key, its user or their tenant makes it forget. It is safe for concurrent use, starts nothing and has
// nothing to close; it lives as long as the revocations do.
type Authenticator struct {
	store   Finder
	box     *secret.Box
	known   *cache[*entry]
	unknown *cache[time.Time] // until when
	flight  singleflight.Group
	epoch   atomic.Uint64 // grows when something is dropped: what was asked for before must not be remembered
	now     func() time.Time
	logger  *slog.Logger
}

// entry is a key as it was read.
type entry struct {
	Record
	nets  []netip.Prefix
	read  time.Time // when it was asked for
	epoch uint64    // of then
	// retry is when the store is asked again after it was away, in nanoseconds since 1970.
	retry atomic.Int64
	noted atomic.Bool // that it was used
}

// NewAuthenticator returns the authenticator of cfg.
func NewAuthenticator(cfg AuthenticatorConfig) (*Authenticator, error) {
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 10_000
	}
	if cfg.Store == nil || cfg.Box == nil || cfg.Revocations == nil || cfg.CacheSize < 2 {
		return nil, errors.New("apikey: an authenticator needs Store, Box, Revocations, and a cache of at least 2")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{
		store: cfg.Store, box: cfg.Box, known: newCache[*entry](cfg.CacheSize), unknown: newCache[time.Time](cfg.CacheSize),
		now: cfg.Now, logger: cfg.Logger,
	}
	cfg.Revocations.OnAdd(a.forget)
	return a, nil
}

// Authenticate returns the principal of a key that is presented from an address and, by browsers, from an origin: its user with the
// user's role, the key's scopes and rate. Errors: Unauthorized says what is wrong with the key, but of a key that is not there the same as
// of a wrong secret; Forbidden when the key is good but not for this address or origin; Unavailable and Timeout when it is not known and
// the store is away.
func (a *Authenticator) Authenticate(ctx context.Context, text string, ip netip.Addr, origin string) (auth.Principal, error) {
	id, part, err := Parse(text)
	if err != nil {
		return auth.Principal{}, err
	}
	e, err := a.entry(ctx, id)
	if err != nil {
		return auth.Principal{}, err
	}
	now := a.now()
	if !a.proves(e, part, now) {
		if e, err = a.again(ctx, e, now); err != nil {
			return auth.Principal{}, err
		}
		if !a.proves(e, part, now) {
			return auth.Principal{}, notValid()
		}
	}
	if err := e.admit(now, ip, origin); err != nil {
		return auth.Principal{}, err
	}
	a.note(ctx, e, now)
	return e.principal(), nil
}

func notValid() error { return fault.New(fault.Unauthorized, "the API key is not valid") }

// entry returns what is known of a key, and asks the store where that is too old.
func (a *Authenticator) entry(ctx context.Context, id string) (*entry, error) {
	now := a.now()
	e, ok := a.known.get(id)
	age := time.Duration(0)
	if ok {
		if age = now.Sub(e.read); age < freshFor || age < staleFor && now.UnixNano() < e.retry.Load() {
			return e, nil
		}
	} else if until, ok := a.unknown.get(id); ok && now.Before(until) {
		return nil, notValid()
	}
	loaded, err := a.load(ctx, id)
	if ok && age < staleFor && fault.KindOf(err).Retryable() {
		e.retry.Store(now.Add(retryAfter).UnixNano())
		a.logger.WarnContext(ctx, "an API key cannot be looked up, going by what is known of it", "key_id", id, "error", err)
		return e, nil
	}
	return loaded, err
}

// again reads a key anew whose secret is not the one that was shown: perhaps it was rotated just now.
func (a *Authenticator) again(ctx context.Context, e *entry, now time.Time) (*entry, error) {
	switch {
	case now.Sub(e.read) < doubtAfter:
		return nil, notValid()
	case now.UnixNano() < e.retry.Load():
		return nil, fault.After(retryAfter, "the API key cannot be looked up at the moment")
	}
	fresh, err := a.load(ctx, e.Key.ID)
	if fault.KindOf(err).Retryable() {
		e.retry.Store(now.Add(retryAfter).UnixNano())
	}
	return fresh, err
}

// load asks the store. Of those who ask at the same time one does it for all, but not for who came after something was dropped: what the
// store was asked for before may not show it. Whoever asks next then does so after that.
func (a *Authenticator) load(ctx context.Context, id string) (*entry, error) {
	epoch := a.epoch.Load()
	e, err := a.ask(ctx, id)
	if err == nil && e.epoch < epoch {
		e, err = a.ask(ctx, id)
	}
	return e, err
}

// ask is not cut off when the first one who asks goes away: others wait for it.
func (a *Authenticator) ask(ctx context.Context, id string) (*entry, error) {
	found, err, _ := a.flight.Do(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), findWait)
		defer cancel()
		epoch, now := a.epoch.Load(), a.now()
		stale := func() bool { return a.epoch.Load() != epoch }
		r, err := a.store.Find(ctx, id)
		if fault.Is(err, fault.NotFound) {
			a.known.remove(id)
			a.unknown.put(id, now.Add(unknownFor), stale)
			return nil, notValid()
		}
		if err != nil {
			return nil, err
		}
		e := &entry{Record: r, read: now, epoch: epoch}
		for _, text := range r.Key.IPs {
			net, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fault.New(fault.Internal, "API key %s has a network that is none", id)
			}
			e.nets = append(e.nets, net)
		}
		a.known.put(id, e, stale)
		return e, nil
	})
	if err != nil {
		return nil, err
	}
	return found.(*entry), nil
}

// forget drops what is no longer known for certain.
func (a *Authenticator) forget(r auth.Revocation) {
	switch r.Kind {
	case auth.RevokedKey:
		a.epoch.Add(1)
		a.known.remove(r.ID)
		a.unknown.remove(r.ID)
	case auth.RevokedUser:
		a.epoch.Add(1)
		a.known.drop(func(_ string, e *entry) bool { return e.Key.UserID == r.ID })
	case auth.RevokedTenant:
		a.epoch.Add(1)
		a.known.drop(func(_ string, e *entry) bool { return e.Key.Tenant == r.ID })
	}
}

// proves reports whether part is the key's secret, or the one before it while that is good.
func (a *Authenticator) proves(e *entry, part string, now time.Time) bool {
	if a.box.VerifyMAC(pepper, proof(e.Key.ID, part), e.Hash) {
		return true
	}
	until := e.Key.PreviousUntil
	return until != nil && now.Before(*until) && a.box.VerifyMAC(pepper, proof(e.Key.ID, part), e.Previous)
}

// admit says why a key whose secret was shown is not taken.
func (e *entry) admit(now time.Time, ip netip.Addr, origin string) error {
	switch {
	case e.Key.RevokedAt != nil:
		return fault.New(fault.Unauthorized, "the API key was revoked")
	case e.Key.ExpiresAt != nil && !now.Before(*e.Key.ExpiresAt):
		return fault.New(fault.Unauthorized, "the API key has expired")
	case !e.Owner.Active:
		return fault.New(fault.Unauthorized, "the API key's user is disabled")
	case len(e.nets) > 0 && !slices.ContainsFunc(e.nets, func(n netip.Prefix) bool { return n.Contains(ip.Unmap().WithZone("")) }):
		return fault.New(fault.Forbidden, "the API key may not be used from this address")
	case len(e.Key.Origins) > 0 && !slices.Contains(e.Key.Origins, strings.ToLower(origin)):
		return fault.New(fault.Forbidden, "the API key may not be used from this origin")
	}
	return nil
}

func (e *entry) principal() auth.Principal {
	p := auth.Principal{
		UserID: e.Owner.UserID, Tenant: e.Owner.Tenant, Role: e.Owner.Role, Name: e.Owner.Name,
		KeyID: e.Key.ID, Scopes: append([]auth.Scope{}, e.Key.Scopes...), PerMinute: e.Key.PerMinute, IssuedAt: e.read,
	}
	if e.Key.ExpiresAt != nil {
		p.Expires = *e.Key.ExpiresAt
	}
	return p
}

// note has the store note a key's use, once for each time that it was read. It fails nobody.
func (a *Authenticator) note(ctx context.Context, e *entry, now time.Time) {
	if !e.noted.CompareAndSwap(false, true) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWait)
	defer cancel()
	if err := a.store.Used(ctx, e.Key.Tenant, e.Key.ID, now); err != nil {
		a.logger.WarnContext(ctx, "the use of an API key is not noted", "key_id", e.Key.ID, "error", err)
	}
}
