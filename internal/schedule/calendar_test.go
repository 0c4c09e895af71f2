package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/toolboxai/orchestrator/internal/fault"
	"github.com/toolboxai/orchestrator/internal/schedule"
)

// local writes ticks as the clocks of a zone show them, with the zone's abbreviation.
const local = "2006-01-02 15:04:05 MST"

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCalendar_FollowsTheClocksOfItsZone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cron, zone, after string
		want              []string
	}{
		"DailyInAGapRunsOnceAfterIt": {"30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{
			"2026-03-28 02:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"}},
		"DailyInARepeatedHourRunsAtItsFirst": {"30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", []string{
			"2026-10-24 02:30:00 CEST", "2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"}},
		"BetweenTheTwoPassesNothingIsLeft": {"30,50 2 * * *", "Europe/Berlin", "2026-10-25T00:40:00Z", []string{
			"2026-10-25 02:50:00 CEST", "2026-10-26 02:30:00 CET"}},
		"InTheSecondPassNothingIsLeft": {"30,50 2 * * *", "Europe/Berlin", "2026-10-25T01:40:00Z", []string{"2026-10-26 02:30:00 CET"}},
		"TheTimeAtWhichClocksGoBackTicksOnce": {"0 2,3 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", []string{
			"2026-10-25 02:00:00 CEST", "2026-10-25 03:00:00 CET", "2026-10-26 02:00:00 CET"}},
		"TimesOfOneGapComeTogether": {"0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", []string{
			"2026-03-29 03:00:00 CEST", "2026-03-29 03:30:00 CEST", "2026-03-30 02:00:00 CEST"}},
		"HourlySkipsAGap": {"0 * * * *", "America/New_York", "2026-03-08T05:00:00Z", []string{
			"2026-03-08 01:00:00 EST", "2026-03-08 03:00:00 EDT", "2026-03-08 04:00:00 EDT"}},
		"HourlyTicksInBothPasses": {"0 * * * *", "America/New_York", "2026-11-01T04:30:00Z", []string{
			"2026-11-01 01:00:00 EDT", "2026-11-01 01:00:00 EST", "2026-11-01 02:00:00 EST"}},
		"QuarterHoursFollowElapsedTime": {"*/30 * * * *", "America/New_York", "2026-11-01T05:10:00Z", []string{
			"2026-11-01 01:30:00 EDT", "2026-11-01 01:00:00 EST", "2026-11-01 01:30:00 EST", "2026-11-01 02:00:00 EST"}},
		"ClocksThatMoveByHalfAnHour": {"15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00:00Z", []string{
			"2026-10-04 02:30:00 +11", "2026-10-05 02:15:00 +11"}},
		"ADayThatAZoneLeftOut": {"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", []string{
			"2011-12-29 12:00:00 -10", "2011-12-31 00:00:00 +14", "2011-12-31 12:00:00 +14"}},
		"MidnightInAGap":      {"@daily", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06 01:00:00 -03", "2026-09-07 00:00:00 -03"}},
		"LeapDay":             {"0 8 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29 08:00:00 UTC", "2032-02-29 08:00:00 UTC"}},
		"LeapDayOverACentury": {"0 8 29 2 *", "UTC", "2096-03-01T00:00:00Z", []string{"2104-02-29 08:00:00 UTC"}},
		"LastDayOfTheMonth":   {"0 8 L * *", "UTC", "2028-01-31T09:00:00Z", []string{"2028-02-29 08:00:00 UTC", "2028-03-31 08:00:00 UTC"}},
		"The31st":             {"0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", []string{"2026-03-31 00:00:00 UTC", "2026-05-31 00:00:00 UTC"}},
		"Weekdays":            {"0 7 * * MON-FRI", "UTC", "2026-11-20T08:00:00Z", []string{"2026-11-23 07:00:00 UTC", "2026-11-24 07:00:00 UTC"}},
		"DayOfMonthOrOfWeek":  {"0 0 13 * FRI", "UTC", "2026-11-07T00:00:00Z", []string{"2026-11-13 00:00:00 UTC", "2026-11-20 00:00:00 UTC"}},
		"Seconds":             {"15,45 59 23 31 12 *", "UTC", "2026-12-31T23:59:15Z", []string{"2026-12-31 23:59:45 UTC", "2027-12-31 23:59:15 UTC"}},
		"AfterTheTickItself":  {"0 0 * * *", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-02 00:00:00 UTC"}},
		"WithinASecond":       {"0 0 * * *", "UTC", "2025-12-31T23:59:59.5Z", []string{"2026-01-01 00:00:00 UTC"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cal, err := schedule.Definition{Cron: c.cron, TimeZone: c.zone}.Calendar(time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			tick := at(t, c.after)
			for range c.want {
				var ok bool
				if tick, ok = cal.Next(tick); !ok {
					break
				}
				got = append(got, tick.In(zone).Format(local))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("ticks after %s (-want +got):\n%s", c.after, diff)
			}
		})
	}
}

func TestCalendar_IntervalsCountFromTheirAnchor(t *testing.T) {
	t.Parallel()
	start, end := at(t, "2026-03-28T10:00:00Z"), at(t, "2026-03-30T10:00:00Z")
	cal, err := schedule.Definition{Every: schedule.Duration(24 * time.Hour), StartAt: &start, EndAt: &end}.Calendar(start.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Time
	for tick, ok := cal.Next(start.AddDate(-1, 0, 0)); ok; tick, ok = cal.Next(tick) {
		got = append(got, tick)
	}
	if diff := cmp.Diff([]time.Time{start, start.Add(24 * time.Hour), end}, got); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
}

// Whatever the zone, an expression that names one time a day ticks once for each date, and ticks ascend.
func TestCalendar_TicksOnceADayInEveryZone(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu",
		"Africa/Cairo", "America/St_Johns", "Asia/Beirut", "Pacific/Chatham", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		minute := rapid.IntRange(0, 24*60-1).Draw(t, "minute")
		cal, err := schedule.Definition{Cron: time.Date(0, 1, 1, 0, minute, 0, 0, time.UTC).Format("4 15 * * *"), TimeZone: name}.Calendar(time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		year := rapid.IntRange(2000, 2036).Draw(t, "year")
		tick, days := time.Date(year, 1, 1, 0, 0, 0, 0, zone).Add(-1), 0
		for {
			next, ok := cal.Next(tick)
			if !ok || !next.After(tick) {
				t.Fatalf("after %s comes %s (%v)", tick, next, ok)
			}
			if next.In(zone).Year() > year {
				break
			}
			if want := time.Date(year, 1, 1+days, 0, 0, 0, 0, time.UTC).Format("01-02"); next.In(zone).Format("01-02") != want {
				t.Fatalf("tick %s, want one on %s", next.In(zone), want)
			}
			tick, days = next, days+1
		}
		if want := time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay(); days != want {
			t.Fatalf("%d ticks in %d days", days, want)
		}
	})
}

func TestDefinition_RefusesExpressionsAndSaysWhy(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"* * * *":             "has 4 fields, must have 5",
		"0 0 1 1 * 2026 *":    "has 7 fields",
		"0 0 1 1 * 2026":      "is no cron expression of 5 or 6 fields",
		"@reboot":             "no known alias",
		"60 * * * *":          `has a field "60" for the minute that is out of bounds (0 to 59)`,
		"*,99 * * * *":        `has a field "99" for the minute that is out of bounds`,
		"*/0 * * * *":         "has no step",
		"1-2-3 * * * *":       "cannot be read",
		"5-1 * * * *":         "out of bounds",
		"0 0 * FEBRUARY *":    "cannot be read",
		"0 0 0 * *":           "out of bounds (1 to 31)",
		"0 0 * 13 *":          "out of bounds (1 to 12)",
		"0 0 * * 8":           "cannot be read",
		"0,,1 * * * *":        "cannot be read",
		"TZ=UTC 0 0 * * *":    "cannot be read",
		"CRON_TZ=x @daily":    "has 2 fields",
		"99999999999 * * * *": "cannot be read",
	} {
		_, err := schedule.Definition{Cron: expr}.Calendar(time.Time{})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "cron "+want) && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", expr, err, want)
		}
	}
}

func FuzzDefinition_CalendarTicksForwardOrRefuses(f *testing.F) {
	for _, seed := range []string{"30 2 * * *", "@daily", "*/7 1-5 L * 5#2", "0 0 31 2 *", "1W", "* * * * * *", "0 0 15W * ?"} {
		f.Add(seed, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, expr, zone string) {
		cal, err := schedule.Definition{Cron: expr, TimeZone: zone}.Calendar(time.Time{})
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q in %q: %v", expr, zone, err)
			}
			return
		}
		tick := at(t, "2026-03-28T23:30:00Z")
		for range 5 {
			next, ok := cal.Next(tick)
			if !ok {
				return
			}
			if !next.After(tick) {
				t.Fatalf("%q in %q: after %s comes %s", expr, zone, tick, next)
			}
			tick = next
		}
	})
}
