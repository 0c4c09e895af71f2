package metertest_test

import (
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/llm/metertest"
)

func TestExceeded_SeesTooManyWithinAWindow(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(ms ...int) (grants []metertest.Grant) {
		for _, n := range ms {
			asked := start.Add(time.Duration(n) * time.Millisecond)
			grants = append(grants, metertest.Grant{Asked: asked, Got: asked.Add(time.Millisecond)})
		}
		return grants
	}
	for _, good := range [][]metertest.Grant{at(), at(0, 0), at(0, 0, 100, 100), at(100, 0, 50, 150)} {
		if err := metertest.Exceeded(good, 100*time.Millisecond, 2); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range [][]metertest.Grant{at(0, 0, 0), at(0, 50, 98), at(0, 200, 210, 290)} {
		if metertest.Exceeded(bad, 100*time.Millisecond, 2) == nil {
			t.Errorf("%v passes", bad)
		}
	}
}
