package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Rate says how many bytes a second may be sent at which time of day. The zero Rate sets no limit.
// It is immutable.
type Rate struct {
	spans []span
	rest  int64 // outside of all spans; 0: no limit
	text  string
	loc   *time.Location
}

// span is a part of the day, on some days of the week.
type span struct {
	days     [7]bool // by time.Weekday, on which it begins
	from, to int     // minutes of the day; to may be less than from: past midnight
	limit    int64
}

// leastRate is the least limit in bytes a second: less was meant to be kB or MB.
const leastRate = 1000

// ParseRate reads a limit with a timetable: parts separated by commas, each a number of bytes a second
// or "off", with a part of the day and days of the week in front if it does not always count:
//
//	2MB
//	08:00-18:00 500kB, 5MB
//	mon-fri 08:00-18:00 500kB, sat,sun 10:00-12:00 1MiB
//
// The first part that fits counts; outside of all there is no limit, or that of the part without a
// time. An empty string and "off" give the zero Rate.
func ParseRate(s string) (Rate, error) {
	trimmed := strings.ToLower(strings.TrimSpace(s))
	if trimmed == "" || trimmed == "off" {
		return Rate{}, nil
	}
	r := Rate{text: strings.Join(strings.Fields(trimmed), " "), loc: time.Local}
	days, from, to, timed := everyDay(), 0, 0, false
	fresh := true // the next weekday begins a new list
	for _, word := range strings.FieldsFunc(trimmed, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		if a, b, ok := strings.Cut(word, "-"); ok && strings.Contains(word, ":") {
			var err error
			if from, err = minuteOf(a); err != nil {
				return Rate{}, fmt.Errorf("rate %q: %w", s, err)
			}
			if to, err = minuteOf(b); err != nil {
				return Rate{}, fmt.Errorf("rate %q: %w", s, err)
			}
			if from == to {
				return Rate{}, fmt.Errorf("rate %q: %q has no length", s, word)
			}
			timed = true
			continue
		}
		if word == "off" || word[0] >= '0' && word[0] <= '9' {
			limit := int64(0)
			if word != "off" {
				n, err := humanize.ParseBytes(strings.TrimSuffix(word, "/s"))
				if err != nil || n == 0 || n > 1<<50 {
					return Rate{}, fmt.Errorf("rate %q: %q is no number of bytes a second; write it like 500kB", s, word)
				}
				if n < leastRate {
					return Rate{}, fmt.Errorf("rate %q: %q is %d bytes a second, with which nothing would ever be sent; write it like 500kB", s, word, n)
				}
				limit = int64(n)
			}
			switch {
			case timed:
				r.spans = append(r.spans, span{days: days, from: from, to: to, limit: limit})
			case days != everyDay():
				r.spans = append(r.spans, span{days: days, to: 24 * 60, limit: limit})
			default:
				r.rest = limit
			}
			days, timed, fresh = everyDay(), false, true
			continue
		}
		list, err := weekdays(word)
		if err != nil {
			return Rate{}, fmt.Errorf("rate %q: %q is no day of the week, no part of the day such as 08:00-18:00, and no number of bytes a second such as 500kB", s, word)
		}
		if fresh {
			days, fresh = [7]bool{}, false
		}
		for d := range days {
			days[d] = days[d] || list == "*" || slices.Contains(strings.Split(list, ","), fmt.Sprint(d))
		}
	}
	if !fresh || timed {
		return Rate{}, fmt.Errorf("rate %q: the end says no number of bytes a second", s)
	}
	return r, nil
}

func everyDay() [7]bool { return [7]bool{true, true, true, true, true, true, true} }

// minuteOf reads "08:30", and "24:00" as the end of the day.
func minuteOf(word string) (int, error) {
	if word == "24:00" {
		return 24 * 60, nil
	}
	hour, minute, ok, err := clock(word)
	if err == nil && !ok {
		err = fmt.Errorf("%q is no time of day; write it like 18:00", word)
	}
	return 60*hour + minute, err
}

// In returns the rate with its times read as those of a place.
func (r Rate) In(loc *time.Location) Rate {
	r.loc = loc
	return r
}

// Zero reports whether there is never a limit.
func (r Rate) Zero() bool { return r.rest == 0 && len(r.spans) == 0 }

// String returns the rate as it was written; "off" for the zero Rate.
func (r Rate) String() string {
	if r.Zero() {
		return "off"
	}
	return r.text
}

// At returns how many bytes a second may be sent at a time, 0 for any number.
func (r Rate) At(t time.Time) int64 {
	if r.Zero() {
		return 0
	}
	t = t.In(r.loc)
	minute, day := 60*t.Hour()+t.Minute(), int(t.Weekday())
	for _, s := range r.spans {
		over := s.to < s.from // it goes on past midnight
		switch {
		case s.days[day] && minute >= s.from && (over || minute < s.to),
			over && s.days[(day+6)%7] && minute < s.to:
			return s.limit
		}
	}
	return r.rest
}
