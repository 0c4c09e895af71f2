package auth_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestVerifier_ForgetsNothingButTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t)
		token := issue(t, keyring(t, string(secret)), auth.DevPrincipal(), time.Minute)
		first, err := v.Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // of the bubble's clock: within the leeway
		again, err := v.Verify(token)
		if err != nil || !cmp.Equal(again, first) {
			t.Errorf("got %+v, %v, want %+v", again, err, first)
		}
		<-time.After(6 * time.Second)
		if _, err := v.Verify(token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("a remembered token outlives its expiry: %v", err)
		}
	})
}

func TestVerifier_TellsManyTokensApart(t *testing.T) {
	t.Parallel()
	v, keys := verifier(t), keyring(t, string(secret))
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 2500 { // together more than the verifier remembers
				p := auth.Principal{UserID: fmt.Sprintf("u%d-%d", worker, i), Tenant: "school", Role: auth.Student}
				token, err := keys.Issue(p, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				for range 2 {
					if got, err := v.Verify(token); err != nil || got.UserID != p.UserID {
						t.Errorf("got %+v, %v, want %s", got, err, p.UserID)
						return
					}
				}
			}
		})
	}
	wait.Wait()
}
