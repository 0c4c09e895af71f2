package limittest

import (
	"fmt"
	"math/big"
	"time"

	"github.com/toolboxai/orchestrator/internal/limit"
)

// Model is what a Limiter is held against: the plainest form of the same promise, in exact fractions, with a memory of all that
// ever passed. A bucket is modelled by the other form of the GCRA, virtual scheduling: each request has a theoretical arrival
// time, and may be early by what the burst tolerates.
type Model struct {
	arrivals map[string]*big.Rat // µs
	passed   map[string][]moment
}

type moment struct {
	at time.Duration
	n  int
}

// NewModel returns a model that has seen nothing.
func NewModel() *Model {
	return &Model{arrivals: map[string]*big.Rat{}, passed: map[string][]moment{}}
}

// Take says whether asks pass at a time, in whole µs, that never goes back.
func (m *Model) Take(now time.Duration, asks ...limit.Ask) bool {
	for _, a := range asks {
		fits, _ := a.Price()
		if a.Limit.Sliding && m.within(a, now)+fits > a.Limit.Rate || !a.Limit.Sliding && !m.conforms(a, now, fits) {
			return false
		}
	}
	for _, a := range asks {
		if _, takes := a.Price(); takes > 0 {
			key := a.Bucket()
			m.arrivals[key] = new(big.Rat).Add(m.arrival(key, now), spacing(a.Limit, takes))
			m.passed[key] = append(m.passed[key], moment{now, takes})
		}
	}
	return true
}

// conforms is the virtual scheduling of ITU-T I.371: the arrival after this one is no further ahead than the burst.
func (m *Model) conforms(a limit.Ask, now time.Duration, n int) bool {
	next := new(big.Rat).Add(m.arrival(a.Bucket(), now), spacing(a.Limit, n))
	return next.Cmp(new(big.Rat).Add(micros(now), spacing(a.Limit, a.Limit.Burst))) <= 0
}

func (m *Model) arrival(key string, now time.Duration) *big.Rat {
	if at, ok := m.arrivals[key]; ok && at.Cmp(micros(now)) > 0 {
		return at
	}
	return micros(now)
}

// within returns how many passed in the last Per.
func (m *Model) within(a limit.Ask, now time.Duration) (n int) {
	for _, p := range m.passed[a.Bucket()] {
		if p.at > now-a.Limit.Per {
			n += p.n
		}
	}
	return n
}

// Bounded returns an error when in any stretch of time more of a bucket passed than its limit ever allows.
func (m *Model) Bounded(a limit.Ask) error {
	all := m.passed[a.Bucket()]
	for i := range all {
		sum := 0
		for _, p := range all[i:] {
			sum += p.n
			stretch := p.at - all[i].at
			if a.Limit.Sliding && stretch < a.Limit.Per && sum > a.Limit.Rate {
				return fmt.Errorf("%d passed in %s, the limit is %+v", sum, stretch, a.Limit)
			}
			most := int64(a.Limit.Burst) + stretch.Microseconds()*int64(a.Limit.Rate)/a.Limit.Per.Microseconds()
			if !a.Limit.Sliding && int64(sum) > most {
				return fmt.Errorf("%d passed in %s, at most %d may under %+v", sum, stretch, most, a.Limit)
			}
		}
	}
	return nil
}

func spacing(l limit.Limit, n int) *big.Rat {
	return big.NewRat(int64(n)*l.Per.Microseconds(), int64(l.Rate))
}

func micros(d time.Duration) *big.Rat { return big.NewRat(d.Microseconds(), 1) }
