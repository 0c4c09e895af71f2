package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Rate replaces the default of one class of requests to the API, see package limit.
type Rate struct {
	Class     string `json:"class"`
	Tenant    string `json:"tenant,omitempty"` // only for this tenant's people; empty: for all others
	PerMinute int    `json:"per_minute"`
	// Burst is how many may come at once; 0 keeps the class as it is: with its own burst, or with none, and then never more than
	// PerMinute pass in any minute.
	Burst int `json:"burst,omitempty"`
}

// Bounds of a Rate.
const (
	MaxRates       = 500
	MaxPerMinute   = 1_000_000
	MaxBurst       = 1_000_000
	MaxUnburstable = 1000 // requests a minute without a burst: each of them is remembered apart
)

// RateClasses returns the classes that a Rate may name: in the first list those that may differ between tenants.
func RateClasses() (byTenant, platform []string) {
	return []string{"user", "key", "generation", "content", "quiz", "terrain", "script", "code_review", "roblox", "chat"},
		[]string{"login", "register", "public", "auth-failures", "global"}
}

func (c *check) rates(rates []Rate) {
	c.count("rates", len(rates), MaxRates)
	byTenant, platform := RateClasses()
	seen := map[[2]string]bool{}
	for i, r := range rates {
		at := fmt.Sprintf("rates[%d]", i)
		switch {
		case slices.Contains(platform, r.Class):
			if r.Tenant != "" {
				c.add(at+".tenant", "must be empty: %s is counted before it is known who asks", r.Class)
			}
		case !slices.Contains(byTenant, r.Class):
			c.add(at+".class", "%q is no class; the classes are %s", clip(r.Class), strings.Join(append(byTenant, platform...), ", "))
		}
		if r.Tenant != "" {
			c.token(at+".tenant", r.Tenant)
		}
		if r.PerMinute < 1 || r.PerMinute > MaxPerMinute {
			c.add(at+".per_minute", "is %d, must be 1 to %d", r.PerMinute, MaxPerMinute)
		}
		if r.Burst < 0 || r.Burst > MaxBurst {
			c.add(at+".burst", "is %d, must be 1 to %d, or 0 for the class' own", r.Burst, MaxBurst)
		}
		if r.Burst == 0 && r.PerMinute > MaxUnburstable {
			c.add(at+".burst", "must be set above %d requests a minute", MaxUnburstable)
		}
		if seen[[2]string{r.Class, r.Tenant}] {
			c.add(at, "is there twice")
		}
		seen[[2]string{r.Class, r.Tenant}] = true
	}
}
