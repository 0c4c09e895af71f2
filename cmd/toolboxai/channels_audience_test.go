package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/toolboxai/orchestrator/internal/notify"
)

// audience is many users of @toolboxai/realtime in one process, and what each has to be given.
type audience struct {
	*script
	size   int
	want   []map[string][]uint64 // by reader, of each subscription
	report any                   // what makes the script report
}

// audience lets so many readers follow tasks through a relay.
func (r *relay) audience(t *testing.T, dir string, size int, env ...string) *audience {
	t.Helper()
	host, port := hostPort(t, r.base)
	s := node(t, dir, "readers.mjs", append(env, "URL="+r.base, "HOST="+host, "PORT="+port, "KEY="+appKey, fmt.Sprint("READERS=", size))...)
	a := &audience{script: s, size: size, report: map[string]bool{"report": true}}
	for range size {
		a.want = append(a.want, map[string][]uint64{})
	}
	return a
}

// follow is what a reader is told to do.
type follow struct {
	Reader int    `json:"reader"`
	Token  string `json:"token"`
	User   string `json:"user,omitempty"`
	Task   string `json:"task,omitempty"`
}

// followUser lets a reader follow all tasks of p.
func (a *audience) followUser(reader int, p *person) {
	a.t.Helper()
	a.tell(follow{Reader: reader, Token: p.access, User: p.ID})
	a.want[reader][p.ID] = nil
}

// followTask lets a reader follow one task of p.
func (a *audience) followTask(reader int, p *person, id string) {
	a.t.Helper()
	a.tell(follow{Reader: reader, Token: p.access, Task: id})
	a.want[reader][id] = nil
}

// expect reads from the API what there is to be given: tasks are all that there are, by who submitted them.
func (a *audience) expect(tasks map[*person][]string) (total int) {
	a.t.Helper()
	all := map[string][]uint64{}
	for p, ids := range tasks {
		for _, id := range ids {
			for _, e := range p.log(id) {
				if len(notify.Route(e, notify.Snapshot{})) > 0 { // it is told to somebody
					all[id] = append(all[id], e.Seq)
				}
			}
			all[p.ID] = append(all[p.ID], all[id]...)
		}
		slices.Sort(all[p.ID])
	}
	for _, want := range a.want {
		for name := range want {
			want[name] = all[name]
			total += len(all[name])
		}
	}
	return total
}

// given asks what every reader was given.
func (a *audience) given() []received {
	a.t.Helper()
	before := len(a.heard())
	a.tell(a.report)
	var last []received
	eventually(a.t, "the readers report", func() error {
		all := a.heard()
		i := slices.IndexFunc(all[before:], func(x said) bool { return x.Report != nil })
		if i < 0 {
			return fmt.Errorf("nothing has come")
		}
		last = all[before+i].Report
		return nil
	})
	return last
}

// settle waits until every reader was given as much as it has to be, and returns what differs then.
func (a *audience) settle() (complaints []string) {
	a.t.Helper()
	var got []received
	eventually(a.t, "every reader was given as many events as there are", func() error {
		got = a.given()
		for i, want := range a.want {
			for name, seqs := range want {
				if n := len(got[i].Given[name]); n < len(seqs) {
					return fmt.Errorf("reader %d has %d of %d of %s and is %s", i, n, len(seqs), name, got[i].States[name])
				}
			}
		}
		return nil
	})
	for i, want := range a.want {
		for name, seqs := range want {
			if !slices.Equal(got[i].Given[name], seqs) {
				complaints = append(complaints, fmt.Sprintf("reader %d of %s:\nwant %v\ngot  %v", i, name, seqs, got[i].Given[name]))
			}
		}
	}
	for _, x := range a.heard() {
		if x.Failed != "" {
			complaints = append(complaints, x.Failed+": "+x.Error)
		}
	}
	return complaints
}
