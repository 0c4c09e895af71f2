package events

import (
	"fmt"
	"strconv"
	"strings"
)

// Streams and the subjects that they hold. Every subject is built and parsed here and nowhere else.
const (
	StreamEvents   = "EVENTS"   // events.<tenant>.<task>
	StreamTasks    = "TASKS"    // tasks.<kind>.<lane>.<tenant>.<task>.<dispatch>
	StreamProgress = "PROGRESS" // progress.<tenant>.<task>, and progress.<tenant>.<task>.<offset> for text

	AllEvents   = "events.*.*"
	AllTasks    = "tasks.*.*.*.*.*"
	AllProgress = "progress.*.*"
	AllText     = "progress.*.*.*"

	livePrefix = "live."
)

// MaxToken is the longest token of a subject, in bytes.
const MaxToken = 64

// CheckToken reports whether s may stand as one token of a subject: 1 to MaxToken bytes of a-z, 0-9, _ and -.
// what names the value in the error.
func CheckToken(what, s string) error {
	if s == "" || len(s) > MaxToken {
		return fmt.Errorf("%s %q must have 1 to %d characters", what, clip(s), MaxToken)
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return fmt.Errorf("%s %q may hold only a-z, 0-9, _ and -", what, clip(s))
		}
	}
	return nil
}

// Subject returns the log's subject of a task: all its history is there.
func Subject(tenant, task string) string { return "events." + tenant + "." + task }

// ProgressSubject returns the subject of a task's progress reports.
func ProgressSubject(tenant, task string) string { return "progress." + tenant + "." + task }

// TextSubject returns the subject of a piece of a task's text: the offset at which the piece begins. The stream keeps the latest message
// of each subject. So what a writer says again from the same offset on, only longer, replaces what it said before; and so does what
// the next attempt writes, which never begins in front of what stays.
func TextSubject(tenant, task string, offset int) string {
	return ProgressSubject(tenant, task) + "." + strconv.Itoa(offset)
}

// TaskText returns the subjects of all pieces of a task's text.
func TaskText(tenant, task string) string { return ProgressSubject(tenant, task) + ".*" }

// Live returns the subject on which the broker repeats what is stored under subject. Any stored subject may be given,
// wildcards included.
func Live(subject string) string { return livePrefix + subject }

// ParseSubject splits a subject of the log, of progress or of text, live or stored.
func ParseSubject(subject string) (tenant, task string, err error) {
	p := strings.Split(strings.TrimPrefix(subject, livePrefix), ".")
	if len(p) == 4 && p[0] == "progress" {
		if n, err := strconv.Atoi(p[3]); err != nil || n < 0 || n > MaxText || p[3] != strconv.Itoa(n) {
			return "", "", fmt.Errorf("%w: offset %q must be a whole number from 0 to %d", ErrMalformed, clip(p[3]), MaxText)
		}
		p = p[:3]
	}
	if len(p) != 3 || (p[0] != "events" && p[0] != "progress") {
		return "", "", fmt.Errorf("%w: subject %q is no events.<tenant>.<task>", ErrMalformed, clip(subject))
	}
	if err := checkTokens("tenant", p[1], "task", p[2]); err != nil {
		return "", "", err
	}
	return p[1], p[2], nil
}

// Dispatch is one entry of the work queue: run this task, for the n-th time.
type Dispatch struct {
	Kind   string
	Lane   Lane
	Tenant string
	Task   string
	N      int // from 1; counts dispatches, not attempts
}

// Subject returns the queue's subject of d.
func (d Dispatch) Subject() string {
	return "tasks." + d.Kind + "." + string(d.Lane) + "." + d.Tenant + "." + d.Task + "." + strconv.Itoa(d.N)
}

// DispatchFilter returns the subjects of all dispatches of a kind in a lane. An empty kind or lane stands for all.
func DispatchFilter(kind string, lane Lane) string {
	if kind == "" {
		kind = "*"
	}
	if lane == "" {
		lane = "*"
	}
	return "tasks." + kind + "." + string(lane) + ".*.*.*"
}

// ParseDispatch reads a subject of the work queue.
func ParseDispatch(subject string) (Dispatch, error) {
	p := strings.Split(subject, ".")
	if len(p) != 6 || p[0] != "tasks" {
		return Dispatch{}, fmt.Errorf("%w: subject %q is no tasks.<kind>.<lane>.<tenant>.<task>.<n>", ErrMalformed, clip(subject))
	}
	n, err := strconv.Atoi(p[5])
	if err != nil || n < 1 || p[5] != strconv.Itoa(n) {
		return Dispatch{}, fmt.Errorf("%w: dispatch number %q must be a whole number from 1", ErrMalformed, clip(p[5]))
	}
	if err := checkTokens("kind", p[1], "tenant", p[3], "task", p[4]); err != nil {
		return Dispatch{}, err
	}
	if !Lane(p[2]).Valid() {
		return Dispatch{}, fmt.Errorf("%w: lane %q is none of high, normal, low", ErrMalformed, clip(p[2]))
	}
	return Dispatch{Kind: p[1], Lane: Lane(p[2]), Tenant: p[3], Task: p[4], N: n}, nil
}

func checkTokens(namesAndValues ...string) error {
	for i := 0; i < len(namesAndValues); i += 2 {
		if err := CheckToken(namesAndValues[i], namesAndValues[i+1]); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	return nil
}
