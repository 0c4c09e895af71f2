//go:build !race

package ask_test

const thin = 1
