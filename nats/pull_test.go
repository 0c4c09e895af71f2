package nats_test

import (
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/nats"
)

func TestParsePlace_ReadsBothForms(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"$JS.ACK.TASKS.work-quiz-high.2.41.7.1700000000000000000.5",
		"$JS.ACK.hub.ABCDEF.TASKS.work-quiz-high.2.41.7.1700000000000000000.5",
		"$JS.ACK._.ABCDEF.TASKS.work-quiz-high.2.41.7.1700000000000000000.5.random",
	} {
		stream, consumer, deliveries, pending, err := nats.ParsePlace(reply)
		if err != nil || stream != 41 || consumer != 7 || deliveries != 2 || pending != 5 {
			t.Errorf("%s: got %d, %d, %d, %d, %v", reply, stream, consumer, deliveries, pending, err)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, seed := range []string{"", "$JS.ACK.S.C.1.2.3.4.5", "$JS.ACK.d.h.S.C.1.2.3.4.5", "$JS.ACK.S.C.x.2.3.4.5", "_INBOX.x.1", "$JS.ACK.........."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		stream, consumer, deliveries, pending, err := nats.ParsePlace(reply)
		if err == nil && !strings.HasPrefix(reply, "$JS.ACK.") {
			t.Errorf("took %q for a delivery", reply)
		}
		if err != nil && stream+consumer+deliveries+pending != 0 {
			t.Errorf("%q: values beside the error", reply)
		}
	})
}
