//go:build !race

package terrain_test

const thin = 1
