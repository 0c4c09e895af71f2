package luau_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/roblox/luau"
)

func BenchmarkParse(b *testing.B) {
	var sources []string
	size := 0
	for _, path := range glob(b, "testdata/scripts/*.luau") {
		sources = append(sources, read(b, path))
		size += len(sources[len(sources)-1])
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range sources {
			if _, err := luau.Parse(s); err != nil {
				b.Fatal(err)
			}
		}
	}
}
