package analytics

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// behave computes sessions, who comes back, and where players stop.
func (s *study) behave() {
	s.sessions()
	s.retention()
	s.funnel()
}

func (s *study) sessions() {
	for _, c := range []struct {
		column *column
		per    float64 // of a minute
	}{{s.with(seconds), 60}, {s.with(minutes), 1}} {
		if c.column == nil || !c.column.numeric {
			continue
		}
		x := c.column.numbers()
		for i := range x {
			x[i] /= c.per
		}
		d := describe(x)
		short := 0
		for _, v := range x {
			if v < 1 {
				short++
			}
		}
		s.figures.add(topicSession, "session.mean", d.mean, "min", "mean length of a session")
		s.figures.add(topicSession, "session.median", d.median, "min", "median length of a session")
		s.figures.add(topicSession, "session.p90", d.p90, "min", "90th percentile of the length of sessions")
		s.figures.add(topicSession, "session.short", 100*float64(short)/float64(d.n), percent, "share of sessions under a minute")
		s.charts = append(s.charts, histogram("Length of sessions", "minutes", x, d))
		break
	}
	if n := len(s.people.ids); n > 0 {
		s.figures.add(topicSession, "records_per_player", float64(len(s.in.Data.Records))/float64(n), "", "mean number of records of a player")
	}
}

// retention is classic: of those who could, which share was there again exactly one or seven days after their first day (UTC).
func (s *study) retention() {
	when := s.with(moment)
	if when == nil || len(s.people.ids) == 0 {
		return
	}
	first, last := map[int]int{}, math.MinInt
	there := map[[2]int]bool{}
	for i, who := range s.people.of {
		at, ok := when.values[i].day()
		if who < 0 || !ok {
			continue
		}
		day := int(math.Floor(at))
		there[[2]int{who, day}] = true
		last = max(last, day)
		if d, known := first[who]; !known || day < d {
			first[who] = day
		}
	}
	rows := [][]any{}
	for _, after := range []int{1, 7} {
		could, came := 0, 0
		for who, day := range first {
			if day+after > last {
				continue
			}
			could++
			if there[[2]int{who, day + after}] {
				came++
			}
		}
		if could == 0 {
			continue
		}
		name, share := map[int]string{1: "next_day", 7: "next_week"}[after], 100*float64(came)/float64(could)
		text := map[int]string{1: "the next day", 7: "a week later"}[after]
		s.figures.add(topicRetention, "retention."+name, share, percent, "share of players who came back %s", text)
		s.figures.add(topicRetention, "retention."+name+".players", float64(could), "", "number of players who could have come back %s", text)
		rows = append(rows, []any{text, round(share), could})
	}
	if len(rows) > 0 {
		s.table("Retention", []string{"came back", "share in %", "players"}, rows)
		s.bars("Who comes back", "share in %", rows, 0, 1)
	}
}

// funnel counts who reached each stage, in the order of their numbers, or in that of their first appearance. Who is seen at a later stage has
// come through the ones before, also where no record says so.
func (s *study) funnel() {
	c := s.with(stage)
	if c == nil {
		return
	}
	type step struct {
		label  string
		number float64
		who    map[int]bool
	}
	var steps []*step
	at := map[string]*step{}
	for i, v := range c.values {
		if v.text == "" {
			continue
		}
		if at[v.text] == nil {
			at[v.text] = &step{v.text, v.number, map[int]bool{}}
			steps = append(steps, at[v.text])
		}
		who := s.people.of[i]
		if len(s.people.ids) == 0 {
			who = i
		}
		if who >= 0 {
			at[v.text].who[who] = true
		}
	}
	if len(steps) < 2 {
		return
	}
	if c.numeric {
		slices.SortStableFunc(steps, func(a, b *step) int { return cmp.Compare(a.number, b.number) })
	} else {
		s.note("The order of the %ss is that in which the records first name them: give numbers to have it otherwise.", c.label)
	}
	for i := len(steps) - 1; i > 0; i-- {
		maps.Copy(steps[i-1].who, steps[i].who)
	}
	if len(steps) > maxNamed {
		s.note("Of %d stages, the first %d are shown.", len(steps), maxNamed)
		steps = steps[:maxNamed]
	}
	rows, losses := [][]any{}, []float64{}
	for i, st := range steps {
		called, reached := s.say(c.label+" "+st.label), float64(len(st.who))
		key := "stage." + slug(s.say(st.label))
		s.figures.add(topicFunnel, key+".reached", reached, "", "number who reached %s", called)
		loss := 0.0
		if before := float64(len(steps[max(i-1, 0)].who)); i > 0 && before > 0 {
			loss = 100 * (before - reached) / before
			losses = append(losses, loss)
			s.figures.add(topicFunnel, key+".lost", loss, percent, "share lost on the way to %s", called)
		}
		rows = append(rows, []any{st.label, int(reached), round(loss)})
	}
	s.table("Drop-off by "+c.label, []string{c.label, "reached", "lost on the way in %"}, rows)
	s.bars("Who reaches each "+c.label, "reached", rows, 0, 1)
	if len(losses) > 0 {
		s.figures.add(topicFunnel, "funnel.mean_loss", stat.Mean(losses, nil), percent, "mean share lost from one %s to the next", s.say(c.label))
	}
}
