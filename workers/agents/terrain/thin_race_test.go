//go:build race

package terrain_test

// thin is which part of what is gone through by the hundred is left where each run takes ten times as long: every tenth. All of it runs without the race detector.
const thin = 10
