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
		{"", "␛0"},
		{"␛0", "␛1B0"},
		{"\xed\xa0\x80.txt", "␛ED␛A0␛80.txt"},
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

func TestTwinsAreShownBesideEachOther(t *testing.T) {
	const nfc, nfd = "r\u00e9sum\u00e9.tar.gz", "re\u0301sume\u0301.tar.gz"
	for _, c := range []struct{ of, shown string }{
		{nfd, "re\u0301sume\u0301␛~C1C1.tar.gz"},
		{nfc, "r\u00e9sum\u00e9␛~3F6C.tar.gz"},
		{"README", "README␛~2B78"},
		{".profile", ".profile␛~BA67"},
		{"a␛2Fb.txt", "a␛2Fb␛~E7AE.txt"},
		{"␛0", "␛0␛~0BE0"},
	} {
		if got := name.Twin(c.of, 0); got != c.shown {
			t.Errorf("the twin %q is shown as %q, want %q", c.of, got, c.shown)
		}
	}
	seen := map[string]bool{name.Fold(nfc): true}
	for n := range name.Twins {
		for _, of := range []string{nfc, nfd} {
			s := name.Twin(of, n)
			if key := name.Fold(s); seen[key] {
				t.Errorf("%q is taken", s)
			} else {
				seen[key] = true
			}
			if name.Plain(s) != of || name.Remote(s) != of {
				t.Errorf("%q is %q and %q there, want %q", s, name.Plain(s), name.Remote(s), of)
			}
		}
	}
	// What looks like a twin and is none.
	for _, s := range []string{"README␛~2B79", "README␛~2B7", "README␛~2b78", "README␛~2B785", "␛~2B78README", "README.␛~2B78", "README␛~", "README"} {
		if got := name.Plain(s); got != s {
			t.Errorf("%q is taken for the twin %q", s, got)
		}
	}
}

func FuzzLocal(f *testing.F) {
	for _, s := range []string{"", ".", "..", "/", "a\x00", "␛", "␛2F", "\xff", "e\u0301", "x␛\xe2\x90", "␛0", "a␛~1234.txt", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		local := name.Local(s)
		if !name.Safe(local) {
			t.Errorf("%q is shown as %q, which is not safe", s, local)
		}
		if got := name.Remote(local); got != s {
			t.Errorf("%q is shown as %q and comes back as %q", s, local, got)
		}
		if name.Plain(local) != local {
			t.Errorf("%q is shown as %q, which looks like a twin", s, local)
		}
		twin := name.Twin(local, len(s)%name.Twins)
		if !name.Safe(twin) || name.Same(twin, local) {
			t.Errorf("the twin %q is shown as %q", local, twin)
		}
		if got := name.Remote(twin); got != s || name.Plain(twin) != local {
			t.Errorf("the twin %q is shown as %q and comes back as %q", s, twin, got)
		}
	})
}
