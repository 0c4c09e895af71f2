package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// cron is a compiled cron expression. It knows wall clocks only: a wall time is a time.Time in UTC whose fields are what the
// clock on the wall shows. What a field means is asked of gronx; the search is ours, since gronx's gives up after 500 steps and
// does not know what a day without 02:30 is.
type cron struct {
	seconds, minutes, hours []int // ascending, none empty
	months                  [13]bool
	date                    []string // gronx's segments with * for the time of day
	everyHour               bool     // the hour field is *: ticks follow elapsed time through a change of the clock
}

// yearsAhead bounds the search for a tick: 29 February is at most 8 years away, and who waits for longer has made a mistake.
const yearsAhead = 10

// Each part of a field, after names such as MON were replaced by numbers. gronx takes more, such as "1-5-9", and means less.
var (
	timePart = regexp.MustCompile(`^(\*|\d{1,2}(-\d{1,2})?)(/\d{1,3})?$`)
	dayPart  = regexp.MustCompile(`^(\?|L|\d{1,2}W|(\*|\d{1,2}(-\d{1,2})?)(/\d{1,3})?)$`)
	weekPart = regexp.MustCompile(`^(\?|[0-7]L|[0-7]#[1-5]|(\*|[0-7](-[0-7])?)(/\d{1,3})?)$`)
)

// fields of an expression in gronx's order: what they are called, the smallest and the largest value, and how a part looks.
var fields = [...]struct {
	name      string
	low, high int
	part      *regexp.Regexp
}{
	{"second", 0, 59, timePart}, {"minute", 0, 59, timePart}, {"hour", 0, 23, timePart},
	{"day of month", 1, 31, dayPart}, {"month", 1, 12, timePart}, {"day of week", 0, 6, weekPart},
}

// parseCron compiles an expression of 5 or 6 fields (second first), or an alias such as @daily.
func parseCron(expr string) (*cron, error) {
	n := len(strings.Fields(expr))
	alias := n == 1 && strings.HasPrefix(strings.TrimSpace(expr), "@")
	if !alias && n != 5 && n != 6 {
		return nil, fmt.Errorf("has %d fields, must have 5 (minute hour day month weekday) or 6 (second first), or be an alias such as @daily", n)
	}
	segments, err := gronx.Segments(expr)
	if err != nil || len(segments) != len(fields) {
		return nil, errors.New("is no cron expression of 5 or 6 fields and no known alias")
	}
	for pos, segment := range segments {
		if err := checkField(pos, segment); err != nil {
			return nil, err
		}
	}
	c := &cron{date: append([]string{"*", "*", "*"}, segments[3:]...), everyHour: segments[2] == "*"}
	values := func(pos int) []int {
		return slices.DeleteFunc(span(pos), func(v int) bool { return !due(segments[pos], pos, v) })
	}
	c.seconds, c.minutes, c.hours = values(0), values(1), values(2)
	for _, month := range values(4) {
		c.months[month] = true
	}
	if len(c.seconds) == 0 || len(c.minutes) == 0 || len(c.hours) == 0 {
		return nil, errNever
	}
	return c, nil
}

var errNever = fmt.Errorf("never comes: no date in the next %d years fits", yearsAhead)

func span(pos int) []int {
	var all []int
	for v := fields[pos].low; v <= fields[pos].high; v++ {
		all = append(all, v)
	}
	return all
}

// checkField asks about every part and every value, since gronx stops at the first part that fits.
func checkField(pos int, segment string) error {
	f := fields[pos]
	for part := range strings.SplitSeq(segment, ",") {
		if !f.part.MatchString(part) {
			return fmt.Errorf("has a field %q for the %s that cannot be read", clip(part), f.name)
		}
		for _, v := range span(pos) {
			if _, err := check(part, pos, v); err != nil {
				return fmt.Errorf("has a field %q for the %s that is out of bounds (%d to %d) or has no step", clip(part), f.name, f.low, f.high)
			}
		}
	}
	return nil
}

func due(segment string, pos, value int) bool {
	ok, err := check(segment, pos, value)
	return ok && err == nil
}

// check asks gronx whether a field fits a value, on a date that has it: October 2023 begins on a Sunday and has 31 days.
func check(segment string, pos, value int) (bool, error) {
	at := [...]int{0, 0, 0, 1, 10, 1}
	at[pos] = value
	day := at[3]
	if pos == 5 {
		day = 1 + value
	}
	c := gronx.SegmentChecker{}
	c.SetRef(time.Date(2023, time.Month(at[4]), day, at[2], at[1], at[0], 0, time.UTC))
	return c.CheckDue(segment, pos)
}

// next returns the first wall time of c at or after from; false when none is within yearsAhead.
func (c *cron) next(from time.Time) (time.Time, bool) {
	if from.Nanosecond() != 0 {
		from = from.Truncate(time.Second).Add(time.Second)
	}
	day := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, time.UTC)
	for end := from.AddDate(yearsAhead, 0, 0); !day.After(end); {
		if !c.months[day.Month()] {
			day = time.Date(day.Year(), day.Month()+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if c.onDate(day) {
			if at, ok := c.timeOfDay(day, from); ok {
				return at, true
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

func (c *cron) onDate(day time.Time) bool {
	g := gronx.Gronx{C: &gronx.SegmentChecker{}}
	g.C.SetRef(day)
	ok, err := g.SegmentsDue(c.date)
	return ok && err == nil
}

// timeOfDay returns the first time on day that is not before from.
func (c *cron) timeOfDay(day, from time.Time) (time.Time, bool) {
	h, m, s := 0, 0, 0
	if from.After(day) {
		h, m, s = from.Clock()
	}
	for _, hour := range c.hours {
		if hour < h {
			continue
		}
		if hour > h {
			m, s = 0, 0
		}
		for _, minute := range c.minutes {
			if minute < m {
				continue
			}
			if minute > m {
				s = 0
			}
			for _, second := range c.seconds {
				if second >= s {
					return day.Add(time.Duration(hour*3600+minute*60+second) * time.Second), true
				}
			}
			s = 0
		}
		m, s = 0, 0
	}
	return time.Time{}, false
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
