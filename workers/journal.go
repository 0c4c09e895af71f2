package workers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/toolboxai/orchestrator/events"
)

// Bounds of a life: what a task may put on record from its submission, or its replay, to its end, over all attempts and waits.
const (
	MaxSteps   = 256      // steps, sleeps and signals together
	MaxJournal = 64 << 20 // bytes of their outputs, those kept by reference included
	MaxWaits   = 500      // times that the task gives its slot back
)

// Prefixes of the names under which sleeps and signals stand in the journal.
const (
	prefixSleep  = "sleep:"
	prefixSignal = "signal:"
)

// journal is what a task has on record, and how far its agent has come in it. It is a chain: the key of an entry covers its name, its input, and the keys and
// outputs of all entries before it. So an entry is found again only where everything before it came out the same, and a
// changed input makes new whatever follows it, also what does not look at it.
type journal struct {
	entries  map[string]entry // by key
	signals  []signal         // in log order
	consumed map[uint64]bool  // by the signal's sequence, whatever life consumed it

	life  int       // number of the dispatch that began this life: a submission or a replay
	began time.Time // when that was queued
	waits map[string]*time.Time
	steps int
	bytes int

	position
}

// entry is a step, a sleep or a signal that is on record.
type entry struct {
	step events.Step
	at   time.Time
}

// signal is a task.signalled.
type signal struct {
	seq  uint64
	name string
	data json.RawMessage
}

// position is where the agent is in its journal.
type position struct {
	chain  string // key and output of what is behind it
	clock  time.Time
	passed int
	named  map[string]bool // the sleeps and signals behind it
	text   events.TextMark // how far the task's text is on record
	rng    *rand.Rand      // nil until it is asked for
}

// open begins a journal at the task.queued event of a life.
func (j *journal) open(e events.Event, q events.Queued) {
	j.life, j.began, j.steps, j.bytes, j.waits = q.Dispatch, e.Time.UTC().Round(0), 0, 0, nil
	j.rewind()
}

// rewind puts the agent back to the beginning.
func (j *journal) rewind() {
	j.position = position{chain: strings.Repeat("0", 2*sha256.Size), clock: j.began}
}

// restore reads a history.
func (j *journal) restore(history []events.Event) error {
	*j = journal{}
	for _, e := range history {
		if err := j.read(e); err != nil {
			return err
		}
	}
	j.rewind()
	return nil
}

func (j *journal) read(e events.Event) error {
	switch e.Type {
	case events.TypeQueued:
		q, err := events.DataAs[events.Queued](e)
		if err == nil && (q.Resume == nil || j.life == 0) {
			j.open(e, q)
		}
		return err
	case events.TypeStep:
		s, err := events.DataAs[events.Step](e)
		if err == nil {
			j.add(s, e.Time)
		}
		return err
	case events.TypeWaiting:
		w, err := events.DataAs[events.Waiting](e)
		if err == nil {
			j.wait(w)
		}
		return err
	case events.TypeSignalled:
		s, err := events.DataAs[events.Signalled](e)
		if err == nil {
			j.signals = append(j.signals, signal{e.Seq, s.Name, s.Data})
		}
		return err
	}
	return nil
}

// add puts an entry on record.
func (j *journal) add(s events.Step, at time.Time) {
	if j.entries == nil {
		j.entries, j.consumed = map[string]entry{}, map[uint64]bool{}
	}
	j.entries[s.InputHash] = entry{s, at}
	j.steps++
	j.bytes += size(s)
	if strings.HasPrefix(s.Name, prefixSignal) {
		var o signalOutput
		if json.Unmarshal(s.Output, &o) == nil && o.Seq > 0 {
			j.consumed[o.Seq] = true
		}
	}
}

// wait notes that a sleep, or the wait for a signal, has begun.
func (j *journal) wait(w events.Waiting) {
	if j.waits == nil {
		j.waits = map[string]*time.Time{}
	}
	j.waits[waitName(w.Wait, w.Name)] = w.Until
}

// waitName is the name in the journal of what a wait waits for.
func waitName(w events.Wait, name string) string {
	switch w {
	case events.WaitTime:
		return prefixSleep + name
	case events.WaitSignal:
		return prefixSignal + name
	}
	return string(w) + ":" + name
}

// pending returns the first signal of the name that no wait has consumed.
func (j *journal) pending(name string) (signal, bool) {
	for _, s := range j.signals {
		if s.name == name && !j.consumed[s.seq] {
			return s, true
		}
	}
	return signal{}, false
}

// key names the entry of the given name and input at the agent's position.
func (j *journal) key(name, inputHash string) string {
	return hash(j.chain, inputHash, name)
}

// pass moves the agent behind an entry.
func (j *journal) pass(e entry) {
	output := hash(string(e.step.Output))
	if e.step.OutputRef != nil {
		output = e.step.OutputRef.SHA256
	}
	j.chain = hash(e.step.InputHash, output)
	j.passed++
	j.rng = nil
	if e.step.Text != nil {
		j.text = *e.step.Text
	}
	if at := e.at.UTC().Round(0); at.After(j.clock) {
		j.clock = at
	}
}

// room reports whether the journal takes an entry whose output has n bytes. The error is final: no retry makes room.
func (j *journal) room(n int) error {
	var err error
	switch {
	case j.steps >= MaxSteps:
		err = fmt.Errorf("the task has %d steps on record and at most %d are kept (MaxSteps): do several pieces of work in one step, or make a workflow of several tasks", j.steps, MaxSteps)
	case j.bytes+n > MaxJournal:
		err = fmt.Errorf("the task has %d bytes of step outputs on record and at most %d are kept (MaxJournal): return less from each step, or make a workflow of several tasks", j.bytes+n, MaxJournal)
	default:
		return nil
	}
	return Terminal(events.CausePolicy, err)
}

// random returns the generator of the agent's position.
func (j *journal) random(id string) *rand.Rand {
	if j.rng == nil {
		seed := sha256.Sum256([]byte(id + "/" + strconv.Itoa(j.life) + "/" + strconv.Itoa(j.passed)))
		j.rng = rand.New(rand.NewChaCha8(seed))
	}
	return j.rng
}

func size(s events.Step) int {
	if s.OutputRef != nil {
		return s.OutputRef.Bytes
	}
	return len(s.Output)
}

// hash is the SHA-256 of the concatenated parts, in hex. All but the last must be of fixed length.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
