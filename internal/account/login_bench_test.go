package account_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// What the time of an answer tells about whether an account exists: wrong passwords at the full cost on the real store, for somebody who
// exists and for somebody who does not, in turns that chance decides. The metrics are of the Mann-Whitney U test: z, beyond ±2 of which
// one would doubt that both come from the same clock, and AUC, the share of pairs of which a stranger who guesses by time alone would guess
// right (0.5: none). "unpaced" is the control: the same without evenly.
func BenchmarkLogin_TellsNothing(b *testing.B) {
	for _, c := range []struct {
		name  string
		paced bool
		ask   func(o *office, login string)
		setup func(o *office)
	}{
		{"wrong password", true, wrongPassword, nil},
		{"locked", true, wrongPassword, lock},
		{"reset", true, askForReset, nil},
		{"wrong password, unpaced", false, wrongPassword, nil},
		{"reset, unpaced", false, askForReset, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := newOffice(b, func(c *account.Config) {
				c.Hasher, c.LockAfter = account.NewHasher(account.Cost{}), math.MaxInt32
			})
			o.user("ada", auth.Teacher)
			if c.paced {
				o.SetAnswerStep(account.AnswerStep)
			}
			if c.setup != nil {
				c.setup(o)
			}
			var known, unknown []float64
			for b.Loop() {
				logins := []string{"ada", "eve"}
				rand.Shuffle(2, func(i, j int) { logins[i], logins[j] = logins[j], logins[i] })
				for _, login := range logins {
					began := time.Now()
					c.ask(o, login)
					took := float64(time.Since(began))
					if login == "ada" {
						known = append(known, took)
					} else {
						unknown = append(unknown, took)
					}
				}
			}
			z, auc := mannWhitney(known, unknown)
			b.ReportMetric(z, "z")
			b.ReportMetric(auc, "AUC")
			b.ReportMetric(median(known)/1e6, "ms-known")
			b.ReportMetric(median(unknown)/1e6, "ms-unknown")
		})
	}
}

func wrongPassword(o *office, login string) {
	_, err := o.Login(o.tb.Context(), account.Credentials{Login: login, Password: "not the right one"}, laptop)
	o.want(fault.Unauthorized, err)
}

func askForReset(o *office, login string) { o.must(o.RequestReset(o.tb.Context(), login, laptop)) }

func lock(o *office) { o.sql("UPDATE users SET locked_until = now() + interval '1 day'") }

// mannWhitney compares two samples: z is how many standard deviations the U statistic is from what chance makes, auc the probability that
// one of a is above one of b.
func mannWhitney(a, b []float64) (z, auc float64) {
	type observation struct {
		value float64
		ofA   bool
	}
	var all []observation
	for _, v := range a {
		all = append(all, observation{v, true})
	}
	for _, v := range b {
		all = append(all, observation{v, false})
	}
	slices.SortFunc(all, func(x, y observation) int {
		switch {
		case x.value < y.value:
			return -1
		case x.value > y.value:
			return 1
		}
		return 0
	})
	ranks := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].value == all[i].value {
			j++
		}
		for _, o := range all[i:j] {
			if o.ofA {
				ranks += float64(i+1+j) / 2 // the middle of the ranks that ties share
			}
		}
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	u := ranks - n*(n+1)/2
	return (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12), u / (n * m)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// The measure is worth something: it tells samples apart that differ, and not those that do not.
func TestMannWhitney_TellsSamplesApart(t *testing.T) {
	t.Parallel()
	if z, auc := mannWhitney([]float64{4, 5, 6, 7, 8, 9, 10, 11}, []float64{1, 2, 3, 3, 2, 1, 2, 3}); auc != 1 || z < 3 {
		t.Errorf("all above: z %v, AUC %v", z, auc)
	}
	if z, auc := mannWhitney([]float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}); auc != 0.5 || z != 0 {
		t.Errorf("the same: z %v, AUC %v", z, auc)
	}
	if _, auc := mannWhitney([]float64{1, 3}, []float64{2, 4}); auc != 0.25 {
		t.Errorf("one pair of four: AUC %v", auc)
	}
}
