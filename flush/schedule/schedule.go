// Package schedule is wall-clock arithmetic: at which times of day a flush is due. It is pure and
// owns no timer, since timers stand still while a laptop sleeps: whoever owns one wakes now and
// then and asks.
package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// Rule says at which times of day something is due. The zero Rule is never due. It is immutable.
type Rule struct {
	ticks []string // cron expressions, one a time of day
	text  string
	loc   *time.Location
}

// Parse reads a rule: times of day in 24-hour form, several of them separated by commas, each
// perhaps with the days of the week in front:
//
//	18:00
//	12:30, 18:00
//	mon-fri 18:00
//	sat,sun 10:00     the days end where the first time stands
//	mon-fri 12:00, 18:00, sat 10:00
//
// Days count for the times behind them until other days are named. An empty string, "never" and
// "off" give the zero Rule. Times are those of the machine's own clock; see [Rule.In].
func Parse(s string) (Rule, error) {
	trimmed := strings.ToLower(strings.TrimSpace(s))
	if trimmed == "" || trimmed == "never" || trimmed == "off" {
		return Rule{}, nil
	}
	r := Rule{text: strings.Join(strings.Fields(trimmed), " "), loc: time.Local}
	days, fresh := "*", false
	for _, word := range strings.FieldsFunc(trimmed, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		if hour, minute, ok, err := clock(word); err != nil {
			return Rule{}, fmt.Errorf("schedule %q: %w", s, err)
		} else if ok {
			tick := fmt.Sprintf("%d %d * * %s", minute, hour, days)
			if !slices.Contains(r.ticks, tick) {
				r.ticks = append(r.ticks, tick)
			}
			fresh = false
			continue
		}
		more, err := weekdays(word)
		if err != nil {
			return Rule{}, fmt.Errorf("schedule %q: %w", s, err)
		}
		if fresh && days != "*" {
			more = days + "," + more
		}
		days, fresh = more, true
	}
	switch {
	case fresh:
		return Rule{}, fmt.Errorf("schedule %q: days without a time of day behind them; write it like mon-fri 18:00", s)
	case len(r.ticks) == 0:
		return Rule{}, fmt.Errorf("schedule %q: no time of day in it; write it like 18:00", s)
	}
	return r, nil
}

// clock reads "18:00". ok is false for a word that is no time at all.
func clock(word string) (hour, minute int, ok bool, err error) {
	h, m, found := strings.Cut(word, ":")
	if !found {
		if word != "" && word[0] >= '0' && word[0] <= '9' {
			return 0, 0, false, fmt.Errorf("%q is no time of day; write it like 18:00", word)
		}
		return 0, 0, false, nil
	}
	hour, errH := strconv.Atoi(h)
	minute, errM := strconv.Atoi(m)
	if errH != nil || errM != nil || len(m) != 2 || len(h) > 2 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, 0, false, fmt.Errorf("%q is no time of day between 00:00 and 23:59; write it like 18:00", word)
	}
	return hour, minute, true, nil
}

// weekdays reads "mon", "monday", "mon-fri" or "daily" into the form that cron has for it.
func weekdays(word string) (string, error) {
	if word == "daily" || word == "every" || word == "day" {
		return "*", nil
	}
	from, to, span := strings.Cut(word, "-")
	a, err := weekday(from)
	if err != nil || !span {
		return strconv.Itoa(a), err
	}
	b, err := weekday(to)
	if err != nil {
		return "", err
	}
	var days []string
	for d := a; ; d = (d + 1) % 7 {
		days = append(days, strconv.Itoa(d))
		if d == b {
			return strings.Join(days, ","), nil
		}
	}
}

func weekday(word string) (int, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		full := strings.ToLower(d.String())
		if word == full || len(word) >= 2 && len(word) <= 4 && strings.HasPrefix(full, word) {
			return int(d), nil
		}
	}
	if word == "" {
		return 0, errors.New("a day is missing beside the dash")
	}
	return 0, fmt.Errorf("%q is neither a time of day nor a day of the week; write it like mon-fri 18:00", word)
}

// In returns the rule with its times read as those of a place.
func (r Rule) In(loc *time.Location) Rule {
	r.loc = loc
	return r
}

// Zero reports whether the rule is never due.
func (r Rule) Zero() bool { return len(r.ticks) == 0 }

// String returns the rule as it was written, for people; "never" for the zero Rule.
func (r Rule) String() string {
	if r.Zero() {
		return "never"
	}
	return r.text
}

// Due reports whether a time of day has passed since last, the wall-clock time of the last run (or
// from when on the rule counts). One that was missed, since the machine slept or was off, is due
// at once; several missed ones are due once. A zero last is never due.
func (r Rule) Due(last, now time.Time) bool {
	if r.Zero() || last.IsZero() {
		return false
	}
	prev, ok := r.prev(now.Round(0))
	return ok && prev.After(last.Round(0))
}

// Next returns the first time after now at which the rule is due, without a monotonic part; zero
// for the zero Rule. A time that a change to summer time leaves out comes as much later; one that
// a change back repeats counts once.
func (r Rule) Next(now time.Time) time.Time {
	now = now.Round(0)
	var next time.Time
	for _, tick := range r.ticks {
		at := r.wall(now).Add(-leap)
		for {
			after, err := gronx.NextTickAfter(tick, at, false)
			if err != nil || !after.After(at) {
				break
			}
			at = after
			if t := r.real(at); t.After(now) {
				if next.IsZero() || t.Before(next) {
					next = t
				}
				break
			}
		}
	}
	return next
}

// prev returns the last time at or before now at which the rule was due.
func (r Rule) prev(now time.Time) (time.Time, bool) {
	var prev time.Time
	for _, tick := range r.ticks {
		at := r.wall(now).Add(leap)
		for {
			before, err := gronx.PrevTickBefore(tick, at, false)
			if err != nil || !before.Before(at) {
				break
			}
			at = before
			if t := r.real(at); !t.After(now) {
				if t.After(prev) {
					prev = t
				}
				break
			}
		}
	}
	return prev, !prev.IsZero()
}

// leap is more than any clock was ever put forward or back by its place's rules.
const leap = 25 * time.Hour

// wall returns what the clock on the wall shows, as a time of UTC: there every time of day exists,
// and exists once, which the cron library needs to be right about days on which clocks change.
func (r Rule) wall(t time.Time) time.Time {
	t = t.In(r.loc)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// real is the opposite of wall: of a time that comes twice, the first.
func (r Rule) real(t time.Time) time.Time {
	at := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, r.loc)
	for _, back := range []time.Duration{2 * time.Hour, time.Hour, 30 * time.Minute} {
		if earlier := at.Add(-back); r.wall(earlier).Equal(r.wall(at)) {
			return earlier
		}
	}
	return at
}
