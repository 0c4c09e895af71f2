package callback

import (
	"math/rand/v2"
	"time"
)

// Waits between tries: with these a receiver that stays away is asked about thirty times in a day.
const (
	firstWait     = 10 * time.Second
	longestWait   = 2 * time.Hour
	maxRetryAfter = 6 * time.Hour
)

// backoff says how long to wait after the given number of tries: a random time below firstWait·2^(tries-1) and longestWait (full
// jitter), and never less than the receiver asks for, up to maxRetryAfter. random returns a number from 0 to below n.
func backoff(tries int, asked time.Duration, random func(n time.Duration) time.Duration) time.Duration {
	ceiling := longestWait
	if shift := tries - 1; shift < 16 {
		ceiling = min(longestWait, firstWait<<max(shift, 0))
	}
	wait := random(ceiling)
	if asked = min(asked, maxRetryAfter); wait < asked {
		wait = asked + random(firstWait) // many were asked to come back at once
	}
	return max(wait, time.Second)
}

func jitter(n time.Duration) time.Duration { return rand.N(n) }
