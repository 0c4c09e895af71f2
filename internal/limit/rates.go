package limit

import (
	"maps"
	"slices"
	"time"

	"github.com/toolboxai/orchestrator/internal/policy"
)

// Classes of what is limited. The comments say what the edge counts apart.
const (
	ClassUser         = "user"          // everything, by user
	ClassKey          = "key"           // everything, by API key
	ClassLogin        = "login"         // proofs of identity, by account and by address
	ClassRegister     = "register"      // new accounts and what sends mail to strangers, by address
	ClassGeneration   = "generation"    // tasks of any kind, by user
	ClassContent      = "content"       // by user and kind, as those that follow
	ClassQuiz         = "quiz"          //
	ClassTerrain      = "terrain"       //
	ClassScript       = "script"        //
	ClassCodeReview   = "code_review"   //
	ClassRoblox       = "roblox"        //
	ClassChat         = "chat"          // messages to the assistant, by user
	ClassPublic       = "public"        // what needs no sign-in, by address: a school shares one
	ClassAuthFailures = "auth-failures" // refused proofs, by address
	ClassGlobal       = "global"        // everything
)

// Classes returns the names of all classes, sorted.
func Classes() []string { return slices.Sorted(maps.Keys(defaults())) }

// defaults is what holds where the policy says nothing. What the contract with users gives without a burst is Sliding: it is
// never exceeded, also not in its first minute. Public, auth-failures and global are ours: a class of pupils behind one address
// signs in at once, and one process serves some 1,000 requests a second.
func defaults() map[string]Limit {
	return map[string]Limit{
		ClassUser:         PerMinute(ClassUser, 100, 20),
		ClassKey:          PerMinute(ClassKey, 100, 20),
		ClassLogin:        PerMinute(ClassLogin, 5, 0),
		ClassRegister:     {Name: ClassRegister, Rate: 10, Per: time.Hour, Sliding: true},
		ClassGeneration:   PerMinute(ClassGeneration, 20, 0),
		ClassContent:      PerMinute(ClassContent, 30, 0),
		ClassQuiz:         PerMinute(ClassQuiz, 20, 0),
		ClassTerrain:      PerMinute(ClassTerrain, 15, 0),
		ClassScript:       PerMinute(ClassScript, 20, 0),
		ClassCodeReview:   PerMinute(ClassCodeReview, 25, 0),
		ClassRoblox:       PerMinute(ClassRoblox, 10, 0),
		ClassChat:         PerMinute(ClassChat, 20, 0),
		ClassPublic:       PerMinute(ClassPublic, 300, 100),
		ClassAuthFailures: PerMinute(ClassAuthFailures, 60, 30),
		ClassGlobal:       PerMinute(ClassGlobal, 60_000, 2_000),
	}
}

// ClassOf says which limit holds for submissions of a kind.
func ClassOf(kind string) string {
	switch kind {
	case ClassContent, ClassQuiz, ClassTerrain, ClassScript, ClassCodeReview:
		return kind
	case "roblox_asset", "roblox_testing", "roblox_analytics":
		return ClassRoblox
	}
	return ClassGeneration
}

// Rates are the limits in force: the defaults, and what a revision of the policy says instead. The zero value is not usable.
type Rates struct {
	defaults map[string]Limit
	own      []policy.Rate
}

// NewRates returns the limits under p, which must be valid. It is cheap, but not free: make one for each revision of the policy.
func NewRates(p policy.Policy) Rates { return Rates{defaults: defaults(), own: p.Rates} }

// For returns the limit of a class for a tenant; an empty tenant is none in particular. An entry for the tenant replaces that for
// all. An entry without a burst keeps that of the default. A class that is none has the zero Limit, which no Limiter takes.
func (r Rates) For(class, tenant string) Limit {
	l := r.defaults[class]
	rank := 0
	for _, own := range r.own {
		fits := 0
		switch {
		case own.Class != class:
		case own.Tenant == "":
			fits = 1
		case own.Tenant == tenant:
			fits = 2
		}
		if fits > rank {
			rank, l = fits, override(r.defaults[class], own)
		}
	}
	return l
}

func override(l Limit, own policy.Rate) Limit {
	burst := own.Burst
	if burst == 0 {
		burst = l.Burst
	}
	return PerMinute(l.Name, own.PerMinute, burst)
}

// Key returns the limit of an API key that says so many requests a minute itself; 0 takes the class' default. A fifth of them may
// come at once.
func (r Rates) Key(tenant string, perMinute int) Limit {
	if perMinute <= 0 {
		return r.For(ClassKey, tenant)
	}
	perMinute = min(perMinute, MaxRate)
	return PerMinute(ClassKey, perMinute, max(perMinute/5, 1))
}
