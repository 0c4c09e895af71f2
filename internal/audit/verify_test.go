package audit_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/toolboxai/orchestrator/internal/audit"
	"pgregory.net/rapid"
)

const school = "school"

func whole() audit.Claim { return audit.Claim{Tenant: school, From: &audit.Anchor{}} }

func TestVerify_FindsNothingWrongWithAChain(t *testing.T) {
	t.Parallel()
	rows := chain(t, school, audit.Anchor{}, 20)
	for n := range len(rows) + 1 {
		report := verify(t, rows[:n], whole())
		if report.Finding != nil || report.Entries != uint64(n) || (n > 0 && report.Head != rows[n-1].Anchor()) {
			t.Errorf("%d entries: %+v, %v", n, report, report.Finding)
		}
	}
	claim := audit.Claim{Tenant: school, Known: []audit.Anchor{rows[11].Anchor()}}
	if report := verify(t, rows[5:], claim); report.Finding != nil || report.First != 6 || report.Head != rows[19].Anchor() {
		t.Errorf("from its 6th entry on: %+v, %v", report, report.Finding)
	}
}

// Whatever single thing happens to a chain, the first entry that is not what it was is named. The attacker may make hashes anew, of the
// one row that they change.
func TestVerify_NamesTheFirstWrongEntryWhateverOneThingIsDone(t *testing.T) {
	t.Parallel()
	forge := func(last audit.Anchor, target string) audit.Row { return seal(t, last, entry(school, target)) }
	rapid.Check(t, func(r *rapid.T) {
		rows := chain(t, school, audit.Anchor{}, rapid.IntRange(2, 12).Draw(r, "entries"))
		size := len(rows)
		claim := whole()
		claim.Known = []audit.Anchor{rows[size-1].Anchor()}
		at := rapid.IntRange(0, size-1).Draw(r, "at")
		wrong, how := rows[at].N, []audit.How{audit.Changed}
		before := audit.Anchor{}
		if at > 0 {
			before = rows[at-1].Anchor()
		}
		row := &rows[at]
		switch what := rapid.SampledFrom([]string{
			"data", "hash", "prev", "number", "tenant", "columns", "forged", "relinked", "delete", "cut", "tail", "swap", "contents", "insert", "foreign",
		}).Draw(r, "what"); what {
		case "data":
			row.Data = slices.Clone(row.Data)
			row.Data[rapid.IntRange(0, len(row.Data)-1).Draw(r, "byte")] ^= byte(1 << rapid.IntRange(0, 7).Draw(r, "bit"))
		case "hash":
			row.Hash[rapid.IntRange(0, 31).Draw(r, "byte")] ^= 1
		case "prev":
			row.Prev[rapid.IntRange(0, 31).Draw(r, "byte")] ^= 1
		case "number": // nothing is left where it was
			row.N += uint64(size) + rapid.Uint64Range(1, 100).Draw(r, "by")
			how = []audit.How{audit.Missing}
		case "tenant":
			row.Tenant = "other"
		case "columns":
			shown, err := row.Entry()
			if err != nil {
				r.Fatal(err)
			}
			shown.Actor = "somebody else"
			row.Shown = &shown
		case "forged": // its hash fits
			*row = forge(before, "forged")
		case "relinked": // and so it would, behind another entry
			*row = forge(audit.Anchor{N: before.N, Hash: audit.Sum{1}}, "forged")
		case "delete":
			rows = slices.Delete(rows, at, at+1)
			how = []audit.How{audit.Missing}
		case "cut":
			rows = slices.Delete(rows, at, rapid.IntRange(at+1, size).Draw(r, "to"))
			how = []audit.How{audit.Missing}
		case "tail":
			rows = rows[:at]
			how = []audit.How{audit.Missing}
		case "swap":
			with := rapid.IntRange(0, size-1).Filter(func(i int) bool { return i != at }).Draw(r, "with")
			wrong = min(wrong, rows[with].N)
			rows[at], rows[with] = rows[with], rows[at]
			how = []audit.How{audit.Reordered}
		case "contents": // two entries change places, and keep their numbers
			with := rapid.IntRange(0, size-1).Filter(func(i int) bool { return i != at }).Draw(r, "with")
			wrong = min(wrong, rows[with].N)
			rows[at], rows[with] = rows[with], rows[at]
			rows[at].N, rows[with].N = rows[with].N, rows[at].N
		case "insert": // before or behind the one of its number, fitting or not
			extra := rapid.SampledFrom([]audit.Row{*row, forge(before, "forged"), forge(audit.Anchor{N: before.N, Hash: audit.Sum{1}}, "forged")}).Draw(r, "row")
			rows = slices.Insert(rows, at+rapid.IntRange(0, 1).Draw(r, "behind"), extra)
			how = []audit.How{audit.Inserted, audit.Changed} // a forged one that stands first and is known to be wrong is called changed
		case "foreign": // with a number of elsewhere
			number := rapid.Uint64Range(1, uint64(size)+50).Filter(func(n uint64) bool { return n != wrong && n+1 != wrong }).Draw(r, "number")
			rows = slices.Insert(rows, at, forge(audit.Anchor{N: number - 1, Hash: audit.Sum{1}}, "forged"))
			how = []audit.How{audit.Inserted}
		}
		report := verify(t, rows, claim)
		if report.Finding == nil {
			r.Fatalf("nothing is found")
		}
		if report.Finding.N != wrong || !slices.Contains(how, report.Finding.How) {
			r.Fatalf("found that %v, want entry %d %v", report.Finding, wrong, how)
		}
		if report.Finding.N <= report.Head.N && report.Finding.How != audit.Changed && report.Finding.How != audit.Inserted {
			r.Fatalf("all is said to be well up to %d, and %v", report.Head.N, report.Finding)
		}
	})
}

// Without a known anchor a chain that lost its end verifies: the negative control of the anchor.
func TestVerify_MissesACutEndWithoutAnAnchor(t *testing.T) {
	t.Parallel()
	rows := chain(t, school, audit.Anchor{}, 5)
	if report := verify(t, rows[:3], whole()); report.Finding != nil {
		t.Errorf("found %v", report.Finding)
	}
	claim := whole()
	claim.Known = []audit.Anchor{rows[4].Anchor()}
	if report := verify(t, rows[:3], claim); report.Finding == nil || report.Finding.N != 4 || report.Finding.How != audit.Missing {
		t.Errorf("found %v, want entry 4 missing", report.Finding)
	}
	claim.Known = []audit.Anchor{rows[1].Anchor(), rows[2].Anchor()}
	if report := verify(t, rows, claim); report.Finding != nil {
		t.Errorf("a chain that has grown since: %v", report.Finding)
	}
	all := append(slices.Clone(rows[:2]), chain(t, school, rows[1].Anchor(), 3)...)
	all[2] = seal(t, rows[1].Anchor(), entry(school, "forged"))
	again := append(all[:3], chain(t, school, all[2].Anchor(), 2)...)
	if report := verify(t, again, whole()); report.Finding != nil {
		t.Errorf("a chain that was forged to its end: %v", report.Finding)
	}
	if report := verify(t, again, audit.Claim{Tenant: school, From: &audit.Anchor{}, Known: []audit.Anchor{rows[4].Anchor()}}); report.Finding == nil {
		t.Error("a chain that was forged to its end passes an anchor of before")
	}
}

func TestVerify_ProvesWhatAPurgeLeft(t *testing.T) {
	t.Parallel()
	rows := chain(t, school, audit.Anchor{}, 6)
	from := rows[3].Anchor()
	claim := audit.Claim{Tenant: school, From: &from}
	if report := verify(t, rows[4:], claim); report.Finding == nil || report.Finding.N != 4 || report.Finding.How != audit.Missing {
		t.Errorf("nobody said that it was purged: %v", report.Finding)
	}
	said := entry(school, from.String())
	said.Action = "audit.purged"
	rows = append(rows, seal(t, rows[5].Anchor(), said))
	if report := verify(t, rows[4:], claim); report.Finding != nil || report.First != 5 || report.Entries != 3 {
		t.Errorf("%+v, %v", report, report.Finding)
	}
	if report := verify(t, rows[5:], claim); report.Finding == nil || report.Finding.N != 5 {
		t.Errorf("one more is gone: %v", report.Finding)
	}
	wrong := audit.Anchor{N: 4, Hash: audit.Sum{1}}
	if report := verify(t, rows[4:], audit.Claim{Tenant: school, From: &wrong}); report.Finding == nil || report.Finding.N != 5 {
		t.Errorf("behind an anchor that is none of its own: %v", report.Finding)
	}
	if report := verify(t, rows[4:], audit.Claim{Tenant: school, From: &from, Known: []audit.Anchor{wrong}}); report.Finding == nil || report.Finding.N != 4 {
		t.Errorf("the noted anchor is another one: %v", report.Finding)
	}
}

func TestVerify_ReturnsWhatTheStoreSays(t *testing.T) {
	t.Parallel()
	rows := chain(t, school, audit.Anchor{}, 3)
	away := errors.New("away")
	report, err := audit.Verify(func(yield func(audit.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		yield(audit.Row{}, away)
	}, audit.Claim{Tenant: school, From: &audit.Anchor{}, Known: []audit.Anchor{{N: 9}}})
	if !errors.Is(err, away) || report.Finding != nil || report.Entries != 3 {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestCompare_NamesWhereTheCopiesDiffer(t *testing.T) {
	t.Parallel()
	rows := chain(t, school, audit.Anchor{}, 8)
	for i := range rows {
		rows[i].Place = 10 * rows[i].N
	}
	other := seal(t, rows[4].Anchor(), entry(school, "forged"))
	for name, c := range map[string]struct {
		archive, stream []audit.Row
		from            audit.Anchor
		archived        uint64
		want            uint64
		how             audit.How
	}{
		"the same":                            {rows, rows, audit.Anchor{}, 80, 0, ""},
		"the stream's first have aged out":    {rows, rows[3:], audit.Anchor{}, 80, 0, ""},
		"the archive's first are purged":      {rows[4:], rows, rows[3].Anchor(), 80, 0, ""},
		"the stream has all that is left":     {nil, rows, rows[7].Anchor(), 80, 0, ""},
		"not archived yet":                    {rows[:6], rows, audit.Anchor{}, 60, 0, ""},
		"not archived":                        {rows[:6], rows, audit.Anchor{}, 70, 7, audit.Missing},
		"one is gone":                         {slices.Delete(slices.Clone(rows), 2, 3), rows, audit.Anchor{}, 80, 3, audit.Missing},
		"one was forged in the archive":       {append(slices.Clone(rows[:5]), other), rows, audit.Anchor{}, 60, 6, audit.Changed},
		"purged up to what never was":         {rows[4:], rows, audit.Anchor{N: 4, Hash: audit.Sum{1}}, 80, 4, audit.Changed},
		"the stream lost all":                 {rows, nil, audit.Anchor{}, 80, 0, ""},
		"the archive is empty, and should be": {nil, rows, audit.Anchor{}, 0, 0, ""},
	} {
		f, err := audit.Compare(each(c.archive), each(c.stream), c.from, c.archived)
		if err != nil {
			t.Fatal(err)
		}
		if (f == nil) != (c.want == 0) || f != nil && (f.N != c.want || f.How != c.how) {
			t.Errorf("%s: found %v, want %d %s", name, f, c.want, c.how)
		}
	}
}
