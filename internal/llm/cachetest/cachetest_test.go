package cachetest_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/cachetest"
)

func TestLocalAnswers(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(testing.TB) cachetest.Store { return llm.NewLocalAnswers() })
}
