package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/toolboxai/orchestrator/internal/fault"
)

// Bounds of a policy.
const (
	MaxTenants     = 10_000 // with a fraction of their own
	MaxLimits      = 64
	MaxModels      = 256
	MaxFallbacks   = 16
	MaxBudgets     = 1000
	MaxTopUps      = 1000
	MaxOutstanding = 100_000
	MaxAtOnce      = 1_000_000 // of a Limit
	MinWeight      = 0.1
	MaxWeight      = 10
	MaxRate        = 1_000_000_000         // requests or tokens a minute
	MaxUSD         = 1_000_000_000.0       // of a budget or top-up
	MaxTokens      = 1_000_000_000_000_000 // of a budget or top-up; exact as a JSON number

	maxToken  = 64  // bytes
	maxID     = 255 // bytes
	maxLabel  = 63  // bytes
	maxLabels = 16
	maxReason = 500 // bytes
)

// Validate returns an Invalid fault that names every field that is wrong, such as "limits[2].per[0]", or nil. kinds are the names
// that a kind may have; nil allows any.
func (p Policy) Validate(kinds []string) error {
	c := &check{kinds: kinds}
	c.fairness(p.Fairness)
	c.limits(p.Limits)
	c.paused(p.Paused)
	c.models(p.Models)
	c.fallbacks(p.Fallbacks)
	c.budgets(p.Budgets)
	c.topUps(p.TopUps)
	c.rates(p.Rates)
	if c.found != nil {
		return fault.InvalidFields(c.found)
	}
	return nil
}

// check collects what is wrong with a policy.
type check struct {
	kinds []string
	found []fault.Detail
}

func (c *check) add(field, format string, args ...any) {
	const most = 100 // details
	if len(c.found) < most {
		c.found = append(c.found, fault.Detail{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
}

func (c *check) count(field string, n, most int) {
	if n > most {
		c.add(field, "has %d entries, at most %d are allowed", n, most)
	}
}

func (c *check) fairness(f Fairness) {
	c.outstanding("fairness.outstanding", f.Outstanding)
	c.count("fairness.tenants", len(f.Tenants), MaxTenants)
	for _, tenant := range sortedKeys(f.Tenants) {
		at := "fairness.tenants." + clip(tenant)
		c.token(at, tenant)
		c.outstanding(at+".outstanding", f.Tenants[tenant].Outstanding)
		if w := f.Tenants[tenant].Weight; w != 0 && !(w >= MinWeight && w <= MaxWeight) { // NaN is in no range
			c.add(at+".weight", "is %v, must be %v to %v, or 0 for 1", w, MinWeight, MaxWeight)
		}
	}
}

func (c *check) outstanding(field string, n int) {
	if n < 0 || n > MaxOutstanding {
		c.add(field, "is %d, must be 1 to %d, or 0 for the default", n, MaxOutstanding)
	}
}

func (c *check) paused(paused map[string]Pause) {
	for _, kind := range sortedKeys(paused) {
		at, pause := "paused."+clip(kind), paused[kind]
		c.kind(at, kind)
		c.text(at+".reason", pause.Reason, 0, maxReason)
		c.text(at+".by", pause.By, 0, maxID)
	}
}

func (c *check) models(models []ModelLimit) {
	c.count("models", len(models), MaxModels)
	whole := map[string]int{} // where a provider's entry for all models stands
	seen := map[[2]string]bool{}
	for i, l := range models {
		at := fmt.Sprintf("models[%d]", i)
		c.text(at+".provider", l.Provider, 1, maxToken)
		c.text(at+".model", l.Model, 0, maxID)
		if strings.Contains(l.Provider, "/") {
			c.add(at+".provider", "may hold no /")
		}
		if before, ok := whole[l.Provider]; ok {
			c.add(at, "never counts: models[%d] fits every model of %q and comes first", before, l.Provider)
		} else if seen[[2]string{l.Provider, l.Model}] {
			c.add(at, "is there twice")
		}
		seen[[2]string{l.Provider, l.Model}] = true
		if l.Model == "" {
			if _, ok := whole[l.Provider]; !ok {
				whole[l.Provider] = i
			}
		}
		c.rate(at+".requests_per_minute", l.RequestsPerMinute)
		c.rate(at+".tokens_per_minute", l.TokensPerMinute)
		if l.RequestsPerMinute == 0 && l.TokensPerMinute == 0 {
			c.add(at, "limits nothing: set requests_per_minute or tokens_per_minute")
		}
	}
}

func (c *check) rate(field string, n int) {
	if n < 0 || n > MaxRate {
		c.add(field, "is %d, must be 0 to %d", n, MaxRate)
	}
}

func (c *check) fallbacks(models []string) {
	c.count("fallbacks", len(models), MaxFallbacks)
	for i, name := range models {
		at := fmt.Sprintf("fallbacks[%d]", i)
		provider, model, ok := strings.Cut(name, "/")
		if !ok || provider == "" || model == "" {
			c.add(at, "is %q, must be provider/model", clip(name))
		}
		c.text(at, name, 1, maxID)
		if slices.Contains(models[:i], name) {
			c.add(at, "is there twice")
		}
	}
}

// token holds s against the rule for a token of a subject of the broker.
func (c *check) token(field, s string) {
	if s == "" || len(s) > maxToken || strings.ContainsFunc(s, notToken) {
		c.add(field, "%q must have 1 to %d characters of a-z, 0-9, _ and -", clip(s), maxToken)
	}
}

func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

func (c *check) text(field, s string, least, most int) {
	if len(s) < least || len(s) > most {
		c.add(field, "has %d bytes, must have %d to %d", len(s), least, most)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		c.add(field, "must be UTF-8 without control characters")
	}
}

func (c *check) kind(field, kind string) {
	if c.kinds != nil && !slices.Contains(c.kinds, kind) {
		names := slices.Sorted(slices.Values(c.kinds))
		c.add(field, "%q is no kind; the kinds are %s", clip(kind), strings.Join(names, ", "))
		return
	}
	c.token(field, kind)
}

func (c *check) money(at string, usd float64, tokens int64) {
	if !(usd >= 0 && usd <= MaxUSD) { // NaN is in no range
		c.add(at+".usd", "is %v, must be 0 to %v", usd, MaxUSD)
	}
	if tokens < 0 || tokens > MaxTokens {
		c.add(at+".tokens", "is %d, must be 0 to %d", tokens, int64(MaxTokens))
	}
	if usd == 0 && tokens == 0 {
		c.add(at, "sets nothing: usd or tokens must be above 0")
	}
}

// Normalised returns p as it is best kept: without what says nothing, such as fractions that are all default and top-ups whose
// period is over at now, and with times in UTC. p itself is left alone, and what holds under the one holds under the other.
func (p Policy) Normalised(now time.Time) Policy {
	tenants := make(map[string]Fraction, len(p.Fairness.Tenants))
	for tenant, f := range p.Fairness.Tenants {
		if f != (Fraction{}) {
			tenants[tenant] = f
		}
	}
	p.Fairness.Tenants = orNil(tenants)
	paused := make(map[string]Pause, len(p.Paused))
	for kind, pause := range p.Paused {
		pause.Since = pause.Since.UTC()
		paused[kind] = pause
	}
	p.Paused = orNil(paused)
	var topUps []TopUp
	for _, t := range p.TopUps {
		t.From = t.From.UTC()
		if _, end := t.Period.Bounds(t.From); end.After(now) {
			topUps = append(topUps, t)
		}
	}
	p.TopUps = topUps
	return p
}

func orNil[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func clip(s string) string {
	if len(s) > maxToken {
		return strings.ToValidUTF8(s[:maxToken], "") + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
