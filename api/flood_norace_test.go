//go:build !race

package api_test

// floodRequests is how many requests the flood has.
const floodRequests = 50_000
