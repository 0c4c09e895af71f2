//go:build race

package api_test

// floodRequests is smaller here: the race detector makes each request ten times as slow, and all of them are sent without it.
const floodRequests = 5_000
