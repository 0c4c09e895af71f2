package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/toolboxai/orchestrator/internal/auth"
)

// What every request pays: the token's check and the rule's decision, with revocations to be asked. "first" is a token's first request
// at a process, "again" any other.
func BenchmarkCheck(b *testing.B) {
	_, private, _ := edwards(b)
	rule := auth.Rule{Admin: auth.Tenant, Teacher: auth.Own, Scope: auth.TasksWrite, StepUp: true}
	for _, c := range []struct{ algorithm, key string }{{"HS256", string(secret)}, {"EdDSA", private}} {
		keys := keyring(b, c.key)
		p := ada()
		p.SessionID, p.AuthAt, p.SecondFactor = "01990000-0000-7000-8000-000000000000", time.Now(), true
		set := auth.NewRevocations()
		for i := range 10_000 {
			set.Add(auth.Revocation{Kind: auth.RevokedSession, ID: fmt.Sprint(i), Before: time.Now()})
		}
		check := func(b *testing.B, v *auth.Verifier, token string, now time.Time) {
			p, err := v.Verify(token)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := rule.Decide(p, now); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(c.algorithm+"/again", func(b *testing.B) {
			v, token, now := verifierOf(b, keys, set), issue(b, keys, p, 30*time.Minute), time.Now()
			for b.Loop() {
				check(b, v, token, now)
			}
		})
		b.Run(c.algorithm+"/first", func(b *testing.B) {
			token, now := issue(b, keys, p, 30*time.Minute), time.Now()
			for b.Loop() {
				b.StopTimer()
				v := verifierOf(b, keys, set)
				b.StartTimer()
				check(b, v, token, now)
			}
		})
	}
}
