package name_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/graph/name"
)

var evening = time.Date(2026, 11, 21, 18, 5, 0, 0, time.UTC)

func TestConflict(t *testing.T) {
	cases := []struct {
		about      string
		name, host string
		n          int
		want       string
	}{
		{"in front of the extension", "report.docx", "anna", 1, "report (conflict anna 2026-11-21 1805).docx"},
		{"the second of a minute", "report.docx", "anna", 2, "report (conflict anna 2026-11-21 1805 2).docx"},
		{"no extension", "Makefile", "anna", 0, "Makefile (conflict anna 2026-11-21 1805)"},
		{"a hidden file has none", ".bashrc", "anna", 0, ".bashrc (conflict anna 2026-11-21 1805)"},
		{"a double one stays together", "a.tar.gz", "anna", 0, "a (conflict anna 2026-11-21 1805).tar.gz"},
		{"a sentence has none", "Mr. Smith came", "anna", 0, "Mr. Smith came (conflict anna 2026-11-21 1805)"},
		{"a host with forbidden characters", "a.txt", "an/na:\n1", 0, "a (conflict anna1 2026-11-21 1805).txt"},
		{"a host of nothing else", "a.txt", "//", 0, "a (conflict computer 2026-11-21 1805).txt"},
		{"a host with FrontPage in it", "a.txt", "x_vti_y", 0, "a (conflict x-vti-y 2026-11-21 1805).txt"},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			if got := name.Conflict(c.name, c.host, evening, c.n); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMadeNamesAreLegal(t *testing.T) {
	local, err := name.NewLocalOnly(name.DefaultLocalOnly())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[a-zA-Z ._~🎉語-]{1,255}(\.[a-z]{1,20})?`),
		).Filter(func(s string) bool { return name.Check(s) == nil }).Draw(t, "name")
		host := rapid.String().Draw(t, "host")
		n := rapid.IntRange(0, 100).Draw(t, "n")
		made := name.Conflict(of, host, evening, n)
		if err := name.Check(made); err != nil {
			t.Fatalf("Conflict(%q, %q) = %q: %v", of, host, made, err)
		}
		if name.Same(made, of) {
			t.Fatalf("Conflict(%q) is the same name", of)
		}
		if made == name.Conflict(of, host, evening, n+2) {
			t.Fatalf("the number does not tell %q apart", made)
		}

		id := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("x_vti_", 60))).Draw(t, "id")
		parked := name.Temporary(id)
		if err := name.Check(parked); err != nil {
			t.Fatalf("Temporary(%q) = %q: %v", id, parked, err)
		}
		if !name.IsTemporary(parked) || local.Match(parked) || parked != name.Temporary(id) {
			t.Fatalf("Temporary(%q) = %q is not known, is not sent, or changes", id, parked)
		}
	})
}

func TestTemporaryNamesTellItemsApart(t *testing.T) {
	a, b := name.Temporary("01ABCDEF"), name.Temporary("01ABCDEG")
	if name.Same(a, b) {
		t.Errorf("%q and %q", a, b)
	}
	if name.IsTemporary("report.docx") {
		t.Error("an ordinary name is taken for a temporary one")
	}
}
