package name_test

import (
	"testing"

	"github.com/duskfs/duskfs/graph/name"
)

func TestNamesThatCannotBeHereAreShownUnderOthers(t *testing.T) {
	for _, c := range []struct{ remote, local string }{
		{"Report.docx", "Report.docx"},
		{"Größe 日本.txt", "Größe 日本.txt"},
		{"line\nbreak", "line\nbreak"},
		{" ", " "},
		{"a/b", "a␛2Fb"},
		{"../../etc/passwd", "..␛2F..␛2Fetc␛2Fpasswd"},
		{"nul\x00l", "nul␛00l"},
		{".", "␛2E"},
		{"..", "␛2E."},
		{"...", "..."},
		{"", ""},
		{"␛", "␛1B"},
		{"␛2F", "␛1B2F"},
		{"a␛", "a␛1B"},
		{"half \xc3", "half ␛C3"},
	} {
		if got := name.Local(c.remote); got != c.local {
			t.Errorf("%q is shown as %q, want %q", c.remote, got, c.local)
		}
		if got := name.Remote(c.local); got != c.remote {
			t.Errorf("%q is %q there, want %q", c.local, got, c.remote)
		}
	}
	// What a person made here is no escape.
	for _, s := range []string{"␛x", "␛2f", "␛41", "a␛", "␛␛", "␛"} {
		if got := name.Remote(s); got != s {
			t.Errorf("%q is %q there", s, got)
		}
	}
}

func FuzzLocal(f *testing.F) {
	for _, s := range []string{"", ".", "..", "/", "a\x00", "␛", "␛2F", "\xff", "e\u0301", "x␛\xe2\x90"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		local := name.Local(s)
		if s != "" && !name.Safe(local) {
			t.Errorf("%q is shown as %q, which is not safe", s, local)
		}
		if got := name.Remote(local); got != s {
			t.Errorf("%q is shown as %q and comes back as %q", s, local, got)
		}
	})
}
