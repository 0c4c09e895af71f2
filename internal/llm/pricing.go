package llm

import "math"

// pricing says what tokens cost, in millionths of a US dollar, for budgets.
//
// Where the price of a model is not known, it takes the dearest listed one of the provider, or of all: a budget in dollars must
// not be endless because a model is new. That also holds for servers of one's own behind OPENAI_API_BASE; who runs those sets
// budgets in tokens.
type pricing struct{ table *priceTable }

func newPricing() (pricing, error) {
	table, err := loadPrices()
	return pricing{table}, err
}

// quoted is a Client that knows what it is charged: a listed model's name behind another base says nothing.
type quoted interface {
	quote(n tokens) (usd float64, known bool)
}

func (r *Remote) quote(n tokens) (usd float64, known bool) {
	if r.free {
		return 0, true
	}
	if r.prices == nil {
		return 0, false
	}
	return r.prices.cost(r.provider, r.endpoint.Model, n)
}

// cost returns what n tokens of m cost through c, rounded up.
func (p pricing) cost(c Client, m Model, n tokens) int64 {
	if n.input == 0 && n.output == 0 {
		return 0
	}
	quote := func(n tokens) (float64, bool) { return p.table.cost(m.Provider, m.Name, n) }
	if q, ok := c.(quoted); ok {
		quote = q.quote
	}
	usd, known := quote(n)
	if !known {
		dear := p.dearest(m.Provider)
		usd = (float64(n.input)*dear.Input + float64(n.output)*dear.Output) / 1e6
	}
	return microUSD(usd)
}

func (p pricing) dearest(provider string) price {
	var own, all price
	for _, row := range p.table.Models {
		all.Input, all.Output = max(all.Input, row.Input), max(all.Output, row.Output)
		if row.Provider == provider {
			own.Input, own.Output = max(own.Input, row.Input), max(own.Output, row.Output)
		}
	}
	if own.Output > 0 {
		return own
	}
	return all
}

// microUSD rounds up, but not for what floating point adds.
func microUSD(usd float64) int64 {
	return int64(min(math.Ceil(usd*1e6-1e-6), float64(Unlimited)))
}
