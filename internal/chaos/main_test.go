//go:build chaos && linux

package chaos_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestMain makes the test binary double as a node of the broker, so that tests can kill one.
func TestMain(m *testing.M) {
	if spec := os.Getenv(envNode); spec != "" {
		os.Exit(runNode(spec))
	}
	flag.Uint64("seed", 0, "repeat the run with this seed; 0 takes a new one")
	flag.Duration("duration", 4*time.Minute, "how long the suite is to take; it is broken off an eighth later")
	flag.Bool("json", false, "print the figures as JSON, too")
	flag.String("binary", "", "run this toolboxai instead of building one")
	flag.Parse()
	os.Exit(m.Run())
}

// settings are the flags of the suite.
type settings struct {
	seed     uint64
	duration time.Duration
	json     bool
	binary   string
}

func readSettings(t *testing.T) settings {
	t.Helper()
	value := func(name string) string { return flag.Lookup(name).Value.String() }
	seed, err := strconv.ParseUint(value("seed"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if seed == 0 {
		seed = rand.Uint64N(1e9) + 1
	}
	duration, err := time.ParseDuration(value("duration"))
	if err != nil {
		t.Fatal(err)
	}
	return settings{seed: seed, duration: duration, json: value("json") == "true", binary: value("binary")}
}
