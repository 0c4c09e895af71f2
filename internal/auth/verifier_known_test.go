package auth_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

// Until it is known what was revoked nobody is let in, and a token that is none of ours is told so.
func TestVerifier_LetsNobodyInBeforeItKnowsWhatWasRevoked(t *testing.T) {
	t.Parallel()
	var known atomic.Bool
	keys := keyring(t, string(secret))
	v, err := auth.NewVerifier(auth.VerifierConfig{Keys: keys, Revocations: auth.NewRevocations(), Known: known.Load})
	if err != nil {
		t.Fatal(err)
	}
	token := issue(t, keys, ada(), time.Minute)
	for range 2 { // so that it is remembered
		if p, err := v.Verify(token); !fault.Is(err, fault.Unavailable) || p.UserID != "" {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	if _, err := v.Verify(token + "x"); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("none of ours: %v", err)
	}
	known.Store(true)
	if _, err := v.Verify(token); err != nil {
		t.Error(err)
	}
}
