package composer_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/llm"
	"github.com/toolboxai/orchestrator/internal/llm/composer"
	"github.com/toolboxai/orchestrator/internal/llm/llmtest"
)

func TestComposer_IsAClient(t *testing.T) {
	t.Parallel()
	llmtest.Run(t, func(*testing.T) llm.Client { return composer.New() }, requests()...)
}
