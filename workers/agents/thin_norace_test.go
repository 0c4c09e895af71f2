//go:build !race

package agents_test

const thin = 1
