package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

func TestNoNameSteersTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"Besprechung März 日本語.txt": "Besprechung März 日本語.txt",
		"name␛~1F3A.ext":           "name␛~1F3A.ext",
		"a\x1b[31mb":               `a\x1b[31mb`,
		"a\nb\tc\x7f":              `a\x0ab\x09c\x7f`,
		"a\u202etxt.exe":           `a\u202etxt.exe`,
		"a\u2028b\u0085":           `a\u2028b\u0085`,
		"bad\xff":                  `bad\xff`,
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	var b strings.Builder
	p := &printer{w: &b}
	p.line("%s", "a\nb")
	if b.String() != "a\\x0ab\n" {
		t.Errorf("a line: %q", b.String())
	}
}

func TestSizesThatDifferLookDifferent(t *testing.T) {
	for _, c := range []struct {
		now, before int64
		want        string
	}{
		{91_243, 91_235, "91,243 B, was 91,235 B"},
		{2_000_000, 90_000, "2.0 MB, was 90 kB"},
		{0, 5, "0 B, was 5 B"},
		{5, 5, "5 B, was 5 B"},
	} {
		if got := sizes(c.now, c.before); got != c.want {
			t.Errorf("%d, %d: %q, want %q", c.now, c.before, got, c.want)
		}
	}
}

func TestStatusSaysWhenSomethingDeferredIsTriedAgain(t *testing.T) {
	next := time.Date(2026, 11, 30, 18, 0, 0, 0, time.Local)
	later := next.Add(2 * time.Hour)
	for _, c := range []struct {
		name string
		f    control.Flush
		want string
	}{
		{"only by hand", control.Flush{}, "tried 2 times, `duskfs flush` tries it again"},
		{"paused", control.Flush{Next: &next, Paused: true}, "tried 2 times, `duskfs flush` tries it again"},
		{"at a time", control.Flush{Next: &next}, "tried 2 times, not again by itself before Mon 18:00; `duskfs flush` tries it now"},
		{"at a later time", control.Flush{Next: &later}, "tried 2 times, not again by itself before Mon 20:00; `duskfs flush` tries it now"},
		{"when it rests", control.Flush{After: time.Minute}, "tried 2 times, not again by itself before Mon 18:00; `duskfs flush` tries it now"},
	} {
		s := control.Status{Deferred: []control.Deferred{{Path: "/m/a", Reason: "locked", Tries: 2, Next: &next}}, Flush: c.f}
		var b strings.Builder
		if err := writeStatus(&b, s); err != nil || !strings.Contains(b.String(), "  deferred   /m/a: locked\n             "+c.want+"\n") {
			t.Errorf("%s: %v\n%s", c.name, err, b.String())
		}
	}
}
