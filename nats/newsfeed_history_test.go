package nats_test

import (
	"testing"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/nats"
	"github.com/toolboxai/orchestrator/nats/natstest"
)

func TestNewsfeed_HistorySaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	broker := natstest.Start(t)
	feed := nats.NewNewsfeed(broker.Conn, nats.NewsfeedConfig{})
	p := newPress(t, broker.Conn)
	for range 3 {
		p.mustPrint(t, "north", "t1", 1)
		p.mustPrint(t, "south", "t2", 1)
	}
	for _, c := range []struct {
		after uint64
		limit int
		want  []uint64
		next  uint64
		more  bool
	}{
		{0, 2, []uint64{1, 3}, 3, true}, {3, 2, []uint64{5}, 6, false}, {6, 2, nil, 6, false}, {0, 0, []uint64{1}, 1, true},
	} {
		found, next, more, err := feed.History(t.Context(), "north", c.after, c.limit)
		if err != nil || next != c.next || more != c.more || len(found) != len(c.want) {
			t.Errorf("after %d: %d events, next %d, more %v, %v", c.after, len(found), next, more, err)
			continue
		}
		for i, e := range found {
			if e.Seq != c.want[i] {
				t.Errorf("after %d: event %d is %d, want %d", c.after, i, e.Seq, c.want[i])
			}
		}
	}
	if head, err := feed.Head(t.Context()); err != nil || head != 6 {
		t.Errorf("the head is %d, %v", head, err)
	}
	if _, _, _, err := feed.History(t.Context(), "north", 7, 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("behind the end: %v", err)
	}
	if _, _, _, err := feed.History(t.Context(), "*", 0, 1); !fault.Is(err, fault.Invalid) {
		t.Errorf("no tenant: %v", err)
	}
}
