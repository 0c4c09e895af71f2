// Package policy says who may use how much of the platform: fairness between tenants, limits on what runs at once, paused
// kinds, what models may be asked, how much may be spent, and how often the API may be asked. It is data: one document that an operator edits while the
// platform runs. The dispatcher, the workers and the API each hold the newest revision and act on their part of it.
package policy

import "time"

// Policy is the whole document. The zero value is valid: nothing is limited but by Fairness.Outstanding's default.
type Policy struct {
	Revision  uint64           `json:"revision"` // set by the store; a write names the one that it replaces
	Fairness  Fairness         `json:"fairness"`
	Limits    []Limit          `json:"limits,omitempty"`
	Paused    map[string]Pause `json:"paused,omitempty"` // by kind
	Models    []ModelLimit     `json:"models,omitempty"`
	Fallbacks []string         `json:"fallbacks,omitempty"` // "provider/model" in the order in which they stand in for a model that is not there
	Budgets   []Budget         `json:"budgets,omitempty"`
	TopUps    []TopUp          `json:"top_ups,omitempty"`
	Rates     []Rate           `json:"rates,omitempty"` // of requests to the API
}

// Fairness decides whose task is next.
type Fairness struct {
	// Outstanding is how many tasks of one tenant keep their lane at a time: those above it wait behind everybody else's.
	// 0 takes DefaultOutstanding.
	Outstanding int                 `json:"outstanding,omitempty"`
	Tenants     map[string]Fraction `json:"tenants,omitempty"`
}

// DefaultOutstanding is Fairness.Outstanding where the document does not say.
const DefaultOutstanding = 20

// Fraction is one tenant's part.
type Fraction struct {
	Outstanding int     `json:"outstanding,omitempty"` // 0 takes Fairness.Outstanding
	Weight      float64 `json:"weight,omitempty"`      // share beside others, 0.1 to 10; 0 takes 1
}

// Limit bounds how many tasks run at once. Tasks are counted apart for each value of Per.
type Limit struct {
	Name   string            `json:"name"`             // shown to who waits for it
	Kind   string            `json:"kind,omitempty"`   // only tasks of this kind
	Tenant string            `json:"tenant,omitempty"` // only tasks of this tenant
	Labels map[string]string `json:"labels,omitempty"` // only tasks with these labels
	Per    []string          `json:"per,omitempty"`    // "kind", "tenant", "user" or "label:<name>"; empty: all that match share one count
	Max    int               `json:"max"`              // from 0, which lets none begin
}

// Pause keeps tasks of a kind from beginning. What runs goes on.
type Pause struct {
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
}

// ModelLimit is what a provider allows, over all processes. The first entry that fits a model counts.
type ModelLimit struct {
	Provider          string `json:"provider"`
	Model             string `json:"model,omitempty"` // empty: each model of the provider
	RequestsPerMinute int    `json:"requests_per_minute,omitempty"`
	TokensPerMinute   int    `json:"tokens_per_minute,omitempty"`
}

// Scope says whose spending is counted together.
type Scope string

const (
	ScopeTenant   Scope = "tenant"
	ScopeUser     Scope = "user"
	ScopeWorkflow Scope = "workflow"
)

// Period is how long spending is counted together, in UTC.
type Period string

const (
	Day   Period = "day"
	Month Period = "month"
)

// Budget bounds what is spent in each period. All that fit a task hold.
type Budget struct {
	Scope  Scope   `json:"scope"`
	ID     string  `json:"id"`               // "*" is each one apart, unless an entry names it
	Tenant string  `json:"tenant,omitempty"` // of the user or workflow; empty: any
	Period Period  `json:"period"`
	USD    float64 `json:"usd,omitempty"`    // 0 sets no limit
	Tokens int64   `json:"tokens,omitempty"` // 0 sets no limit
}

// TopUp adds to one period of a budget. It is dropped when that period is over.
type TopUp struct {
	Scope  Scope     `json:"scope"`
	ID     string    `json:"id"`
	Tenant string    `json:"tenant,omitempty"`
	Period Period    `json:"period"`
	From   time.Time `json:"from"` // the period's first moment
	USD    float64   `json:"usd,omitempty"`
	Tokens int64     `json:"tokens,omitempty"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Paused returns why tasks of a kind do not begin.
func (p Policy) PausedKind(kind string) (Pause, bool) {
	pause, ok := p.Paused[kind]
	return pause, ok
}

// Share returns how many tasks of the tenant keep their lane, and the tenant's weight.
func (f Fairness) Share(tenant string) (outstanding int, weight float64) {
	own := f.Tenants[tenant]
	outstanding, weight = own.Outstanding, own.Weight
	if outstanding == 0 {
		outstanding = f.Outstanding
	}
	if outstanding == 0 {
		outstanding = DefaultOutstanding
	}
	if weight == 0 {
		weight = 1
	}
	return outstanding, weight
}

// Facts are what a rule is held against.
type Facts struct {
	Kind, Tenant, User, Workflow string
	Labels                       map[string]string
}
