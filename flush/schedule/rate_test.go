package schedule_test

import (
	"testing"
	"time"

	"github.com/duskfs/duskfs/flush/schedule"
)

func TestRates(t *testing.T) {
	at := func(day int, clock string) time.Time { // 2 March 2026 is a Monday
		c, err := time.Parse("15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2026, 3, 1+day, c.Hour(), c.Minute(), 0, 0, time.UTC)
	}
	const mon, fri, sat, sun = 1, 5, 6, 7
	for _, c := range []struct {
		text  string
		day   int
		clock string
		want  int64
	}{
		{"", mon, "12:00", 0},
		{"off", mon, "12:00", 0},
		{"2MB", mon, "12:00", 2_000_000},
		{"1MiB/s", mon, "12:00", 1 << 20},
		{"08:00-18:00 500kB", mon, "07:59", 0},
		{"08:00-18:00 500kB", mon, "08:00", 500_000},
		{"08:00-18:00 500kB", mon, "17:59", 500_000},
		{"08:00-18:00 500kB", mon, "18:00", 0},
		{"08:00-18:00 500kB, 5MB", sun, "18:00", 5_000_000},
		{"mon-fri 08:00-18:00 500kB, 5MB", fri, "09:00", 500_000},
		{"mon-fri 08:00-18:00 500kB, 5MB", sat, "09:00", 5_000_000},
		{"sat,sun 1kB", sun, "00:00", 1000},
		{"sat,sun 1kB", mon, "00:00", 0},
		{"22:00-06:00 off, 1kB", mon, "23:00", 0},
		{"22:00-06:00 off, 1kB", mon, "05:59", 0},
		{"22:00-06:00 off, 1kB", mon, "06:00", 1000},
		{"fri 22:00-06:00 1kB", sat, "03:00", 1000},
		{"fri 22:00-06:00 1kB", fri, "03:00", 0},
		{"fri 22:00-06:00 1kB", sat, "23:00", 0},
		{"20:00-24:00 7kB", mon, "23:59", 7000},
		{"12:00-13:00 1kB, 08:00-18:00 2kB", mon, "12:30", 1000},
	} {
		r, err := schedule.ParseRate(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := r.In(time.UTC).At(at(c.day, c.clock)); got != c.want {
			t.Errorf("%q on day %d at %s: %d, want %d", c.text, c.day, c.clock, got, c.want)
		}
	}
}

func TestRatesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"fast", "0", "08:00 500kB", "08:00-08:00 1kB", "25:00-26:00 1kB", "mon", "08:00-09:00", "monday-funday 1kB", "08:00-9 1kB", "08:00-", "-18:00 1kB", "mon- 1kB", "-5", "1kB,,mon",
	} {
		if r, err := schedule.ParseRate(text); err == nil {
			t.Errorf("%q is read as %v", text, r)
		}
	}
	r, err := schedule.ParseRate(" mon-fri  08:00-18:00  1MB ")
	if err != nil || r.String() != "mon-fri 08:00-18:00 1mb" || r.Zero() {
		t.Errorf("%q, %v", r, err)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"2MB", "mon-fri 08:00-18:00 500kB, 5MB", "22:00-06:00 off"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := schedule.ParseRate(s)
		if err == nil && r.In(time.UTC).At(time.Unix(0, 0)) < 0 {
			t.Errorf("%q gives a negative rate", s)
		}
	})
}
