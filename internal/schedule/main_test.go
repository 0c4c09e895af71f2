package schedule_test

import (
	"testing"
	_ "time/tzdata" // zones must be there wherever the tests run

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
