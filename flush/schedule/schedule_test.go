package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/flush/schedule"
)

func berlin(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zones on this machine: %v", err)
	}
	return loc
}

func parse(t *testing.T, s string, loc *time.Location) schedule.Rule {
	t.Helper()
	r, err := schedule.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r.In(loc)
}

const layout = "Mon 2006-01-02 15:04:05 -0700"

func at(t *testing.T, loc *time.Location, s string) time.Time {
	t.Helper()
	x, err := time.ParseInLocation("2006-01-02 15:04:05", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestNext(t *testing.T) {
	loc := berlin(t)
	cases := []struct{ name, rule, now, want string }{
		{"later today", "18:00", "2026-11-20 09:00:00", "Fri 2026-11-20 18:00:00 +0100"},
		{"exactly now means tomorrow", "18:00", "2026-11-20 18:00:00", "Sat 2026-11-21 18:00:00 +0100"},
		{"a second before", "18:00", "2026-11-20 17:59:59", "Fri 2026-11-20 18:00:00 +0100"},
		{"midnight", "00:00", "2026-12-31 23:59:59", "Fri 2027-01-01 00:00:00 +0100"},
		{"the nearer of two", "12:30, 18:00", "2026-11-20 09:00:00", "Fri 2026-11-20 12:30:00 +0100"},
		{"the second of two", "12:30,18:00", "2026-11-20 13:00:00", "Fri 2026-11-20 18:00:00 +0100"},
		{"written in any order", "18:00 12:30", "2026-11-20 09:00:00", "Fri 2026-11-20 12:30:00 +0100"},
		{"no weekend", "mon-fri 18:00", "2026-11-20 18:00:01", "Mon 2026-11-23 18:00:00 +0100"},
		{"weekend alone", "sat,sun 10:00", "2026-11-20 18:00:01", "Sat 2026-11-21 10:00:00 +0100"},
		{"weekend alone, Sunday", "sat,sun 10:00", "2026-11-21 10:00:00", "Sun 2026-11-22 10:00:00 +0100"},
		{"days count for all times behind them", "mon-fri 12:00, 18:00, sat 10:00", "2026-11-21 09:00:00", "Sat 2026-11-21 10:00:00 +0100"},
		{"over the end of the week", "fri-mon 18:00", "2026-11-21 19:00:00", "Sun 2026-11-22 18:00:00 +0100"},
		{"long names and capitals", "Monday-Friday 18:00", "2026-11-21 09:00:00", "Mon 2026-11-23 18:00:00 +0100"},
		{"summer time begins before it", "18:00", "2026-03-28 19:00:00", "Sun 2026-03-29 18:00:00 +0200"},
		{"a time that summer time leaves out comes an hour later", "02:30", "2026-03-28 19:00:00", "Sun 2026-03-29 03:30:00 +0200"},
		{"and on the next day as usual", "02:30", "2026-03-29 03:30:00", "Mon 2026-03-30 02:30:00 +0200"},
		{"summer time ends before it", "18:00", "2026-10-24 19:00:00", "Sun 2026-10-25 18:00:00 +0100"},
		{"a time that comes twice counts once", "02:30", "2026-10-24 19:00:00", "Sun 2026-10-25 02:30:00 +0200"},
		{"leap day", "18:00", "2028-02-28 19:00:00", "Tue 2028-02-29 18:00:00 +0100"},
		{"never", "never", "2026-11-20 09:00:00", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, c.rule, loc).Next(at(t, loc, c.now))
			s := ""
			if !got.IsZero() {
				s = got.Format(layout)
			}
			if s != c.want {
				t.Errorf("Next = %q, want %q", s, c.want)
			}
		})
	}
}

func TestATimeThatComesTwiceIsNotDueAgain(t *testing.T) {
	loc := berlin(t)
	r := parse(t, "02:30", loc)
	first := r.Next(at(t, loc, "2026-10-24 19:00:00"))
	second := first.Add(time.Hour) // the clock on the wall shows 02:30 once more
	if s := second.In(loc).Format("15:04"); s != "02:30" {
		t.Fatalf("wall clock shows %s", s)
	}
	if r.Due(first, second.Add(time.Minute)) {
		t.Error("due twice in one night")
	}
	if got, want := r.Next(first), at(t, loc, "2026-10-26 02:30:00"); !got.Equal(want) {
		t.Errorf("Next = %v, want %v", got, want)
	}
}

func TestDue(t *testing.T) {
	loc := berlin(t)
	cases := []struct {
		name, rule, last, now string
		want                  bool
	}{
		{"not yet", "18:00", "2026-11-20 09:00:00", "2026-11-20 17:59:59", false},
		{"now", "18:00", "2026-11-20 09:00:00", "2026-11-20 18:00:00", true},
		{"ran at that very second", "18:00", "2026-11-20 18:00:00", "2026-11-20 18:00:30", false},
		{"ran by hand before", "18:00", "2026-11-20 17:55:00", "2026-11-20 18:00:00", true},
		{"ran by hand after", "18:00", "2026-11-20 18:10:00", "2026-11-20 23:00:00", false},
		{"slept through the evening", "18:00", "2026-11-20 09:00:00", "2026-11-21 08:00:00", true},
		{"slept for a week", "18:00", "2026-11-13 18:00:00", "2026-11-20 08:00:00", true},
		{"Friday's was missed, it is Sunday", "mon-fri 18:00", "2026-11-20 12:00:00", "2026-11-22 08:00:00", true},
		{"Friday's ran, it is Sunday", "mon-fri 18:00", "2026-11-20 18:00:05", "2026-11-22 20:00:00", false},
		{"clock was put back", "18:00", "2026-11-20 18:00:00", "2026-11-19 18:30:00", false},
		{"left out by summer time, an hour later", "02:30", "2026-03-28 19:00:00", "2026-03-29 03:30:00", true},
		{"left out by summer time, not before", "02:30", "2026-03-28 19:00:00", "2026-03-29 03:29:00", false},
		{"never", "off", "2026-11-13 18:00:00", "2026-11-20 18:00:00", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := parse(t, c.rule, loc).Due(at(t, loc, c.last), at(t, loc, c.now)); got != c.want {
				t.Errorf("Due = %v, want %v", got, c.want)
			}
		})
	}
	if parse(t, "18:00", loc).Due(time.Time{}, at(t, loc, "2026-11-20 18:00:00")) {
		t.Error("due though nobody said from when on")
	}
}

func TestNextHasNoMonotonicPart(t *testing.T) {
	now := time.Now()
	next := parse(t, "18:00", time.Local).Next(now)
	if strings.Contains(next.String(), "m=") {
		t.Errorf("Next = %v", next)
	}
}

func TestNextAndDueAgree(t *testing.T) {
	loc := berlin(t)
	r := parse(t, "mon-fri 02:30 18:00, sun 03:15", loc)
	now := at(t, loc, "2026-01-01 00:00:00")
	for range 800 {
		next := r.Next(now)
		if r.Due(now, next.Add(-time.Second)) {
			t.Fatalf("due before %v", next)
		}
		if !r.Due(now, next) {
			t.Fatalf("not due at %v, last %v", next, now)
		}
		now = next
	}
	if now.Year() < 2027 {
		t.Errorf("800 times took until %v only", now)
	}
}

func TestParseErrors(t *testing.T) {
	cases := []struct{ in, says string }{
		{"25:00", "no time of day between"},
		{"18:60", "no time of day between"},
		{"18:5", "no time of day between"},
		{"18", "write it like 18:00"},
		{"6pm", "write it like 18:00"},
		{"noon", "neither a time of day nor a day of the week"},
		{"mon-fri", "days without a time of day"},
		{"18:00 mon", "days without a time of day"},
		{"mon- 18:00", "missing beside the dash"},
		{"m 18:00", "neither a time of day nor"},
		{"-1:00", "no time of day between"},
		{",", "no time of day in it"},
	}
	for _, c := range cases {
		if _, err := schedule.Parse(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Parse(%q) = %v, want something about %q", c.in, err, c.says)
		}
	}
}

func TestString(t *testing.T) {
	for in, want := range map[string]string{" Mon-Fri  18:00 ": "mon-fri 18:00", "": "never", "never": "never"} {
		r, err := schedule.Parse(in)
		if err != nil || r.String() != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", in, r.String(), err, want)
		}
		if r.Zero() != (want == "never") {
			t.Errorf("Zero of %q", in)
		}
	}
}
