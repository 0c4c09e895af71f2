package apikey_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/toolboxai/orchestrator/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, pgtest.LeakOptions()...) }
