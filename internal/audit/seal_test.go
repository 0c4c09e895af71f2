package audit_test

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/toolboxai/orchestrator/internal/audit"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestSeal_HashesWhatIsKept(t *testing.T) {
	t.Parallel()
	last := audit.Anchor{N: 6, Hash: audit.Sum{1, 2}}
	e := entry(school, "u")
	e.At = time.Date(2031, 2, 3, 5, 5, 6, 7999, time.FixedZone("", 3600))
	e.N, e.Prev, e.Hash = 99, "what the caller says", "of no interest"
	row := seal(t, last, e)
	const want = `{"n":7,"id":"id-u","at":"2031-02-03T04:05:06.000007Z","tenant_id":"school","actor":"admin","action":"user.disabled","target":"u","outcome":"done","detail":{"why":"<left>"}}`
	if string(row.Data) != want {
		t.Errorf("got %s, want %s", row.Data, want)
	}
	if sum := sha256.Sum256(append(last.Hash[:], want...)); row.Hash != sum || row.Prev != last.Hash || row.N != 7 || row.Tenant != school {
		t.Errorf("got %+v", row)
	}
	got, err := row.Entry()
	e.N, e.At, e.Prev, e.Hash = 7, time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC), last.Hash.String(), row.Hash.String()
	if diff := cmp.Diff(e, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := audit.Seal(last, audit.Entry{Action: "x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an entry of nobody's: got %v, want Invalid", err)
	}
	if _, err := (audit.Row{Data: []byte("x")}).Entry(); err == nil {
		t.Error("an entry was read from nothing")
	}
}

func TestAnchor_IsReadAsItIsPrinted(t *testing.T) {
	t.Parallel()
	a := chain(t, school, audit.Anchor{}, 3)[2].Anchor()
	text, err := json.Marshal(a)
	if err != nil || string(text) != `"`+a.String()+`"` || !strings.HasPrefix(a.String(), "3:") {
		t.Errorf("printed %s, %v", text, err)
	}
	var got audit.Anchor
	if err := json.Unmarshal(text, &got); err != nil || got != a {
		t.Errorf("read %v, %v", got, err)
	}
	for _, text := range []string{"", "3", "x:" + a.Hash.String(), "-1:" + a.Hash.String(), "3:abc", "3:" + strings.Repeat("x", 64), "3:" + a.Hash.String() + "0"} {
		if got, err := audit.ParseAnchor(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func FuzzParseAnchor(f *testing.F) {
	f.Add("0:" + strings.Repeat("0", 64))
	f.Add("7:" + strings.Repeat("aF", 32))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := audit.ParseAnchor(text)
		if err != nil {
			return
		}
		if again, err := audit.ParseAnchor(a.String()); err != nil || again != a {
			t.Errorf("%q is %v, and then %v, %v", text, a, again, err)
		}
	})
}

func TestComplete_TakesFromTheContextWhatIsNotSaid(t *testing.T) {
	t.Parallel()
	from := audit.From{Actor: "u", IP: "192.0.2.7", RequestID: "r", SessionID: "s", KeyID: "k"}
	ctx := audit.WithFrom(t.Context(), from)
	if got := audit.FromOf(ctx); got != from {
		t.Errorf("got %+v", got)
	}
	if got := audit.FromOf(t.Context()); got != (audit.From{}) {
		t.Errorf("from nowhere: %+v", got)
	}
	want := audit.Entry{Tenant: school, Actor: "said", IP: "192.0.2.7", RequestID: "r", SessionID: "s", KeyID: "k"}
	if diff := cmp.Diff(want, audit.Complete(ctx, audit.Entry{Tenant: school, Actor: "said"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := audit.CompleteAccess(ctx, audit.Access{IP: "said"}); got.Actor != "u" || got.IP != "said" {
		t.Errorf("got %+v", got)
	}
}
