package channels_test

import (
	"slices"
	"testing"
)

// rule is one thing that the protocol says, with a test by a raw client against a listening server.
type rule struct {
	name string
	test func(*testing.T)
}

func TestServer_KeepsTheRulesOfTheProtocol(t *testing.T) {
	t.Parallel()
	for _, r := range slices.Concat(connectionRules, channelRules, presenceRules, eventRules, userRules, apiRules) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.test(t)
		})
	}
}
