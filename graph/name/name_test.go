package name_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/graph/name"
)

func TestCheck(t *testing.T) {
	cases := []struct {
		about string
		name  string
		want  error
	}{
		{"an ordinary document", "report.docx", nil},
		{"a hidden file", ".git", nil},
		{"hash and percent are allowed since 2017", "100 % #1.txt", nil},
		{"a space inside", "a b", nil},
		{"a leading dot and a tilde", ".~lock.report.odt#", nil},
		{"a tilde alone at the front", "~backup", nil},
		{"parentheses and quotes of people", "O'Brien (2).pdf", nil},
		{"letters of all scripts", "文書 Zażółć файл.txt", nil},
		{"astral characters", "🎉.txt", nil},
		{"empty", "", name.Empty},
		{"a single dot", ".", name.Dot},
		{"two dots", "..", name.Dot},
		{"a trailing dot", "etc.", name.Dot},
		{"a leading space", " a", name.Space},
		{"a trailing space", "a ", name.Space},
		{"a space alone", " ", name.Space},
		{"quotation mark", `a"b`, name.Character},
		{"star", "a*b", name.Character},
		{"colon", "a:b", name.Character},
		{"less", "a<b", name.Character},
		{"greater", "a>b", name.Character},
		{"question mark", "a?b", name.Character},
		{"slash", "a/b", name.Character},
		{"backslash", `a\b`, name.Character},
		{"bar", "a|b", name.Character},
		{"newline", "a\nb", name.Control},
		{"NUL", "a\x00b", name.Control},
		{"delete", "a\x7fb", name.Control},
		{"C1 control", "a\u0085b", name.Control},
		{"last C1 control", "a\u009fb", name.Control},
		{"no-break space is no control", "a\u00a0b", nil},
		{"Office owner file", "~$report.docx", name.OwnerFile},
		{"dollar elsewhere", "a~$b", nil},
		{"FrontPage folder", "_vti_bin", name.Vti},
		{"FrontPage inside, other case", "x_VTI_y", name.Vti},
		{"half of it", "_vti", nil},
		{"device", "CON", name.Reserved},
		{"device, other case", "nUl", name.Reserved},
		{"numbered device", "com7", name.Reserved},
		{"printer", "LPT0", name.Reserved},
		{"no device", "COMX", nil},
		{"device with an extension is left to the service", "con.txt", nil},
		{".lock", ".LOCK", name.Reserved},
		{"desktop.ini", "Desktop.ini", name.Reserved},
		{"invalid UTF-8", "a\xffb", name.Encoding},
		{"a surrogate alone", "a\xed\xa0\x80", name.Encoding},
		{"255 bytes", strings.Repeat("x", 255), nil},
		{"256 bytes", strings.Repeat("x", 256), name.TooLong},
		{"255 characters of three bytes", strings.Repeat("語", 255), nil},
		{"256 characters of three bytes", strings.Repeat("語", 256), name.TooLong},
		{"127 characters of two units", strings.Repeat("🎉", 127), nil},
		{"128 characters of two units", strings.Repeat("🎉", 128), name.TooLong},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			if got := name.Check(c.name); !errors.Is(got, c.want) {
				t.Errorf("Check(%q) = %v, want %v", c.name, got, c.want)
			}
		})
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]bool{
		"a": true, "..a": true, "a:b": true, "CON": true, " ": true, "a\nb": true,
		"": false, ".": false, "..": false, "a/b": false, "/": false, "a\x00": false, "a\xff": false,
	} {
		if got := name.Safe(in); got != want {
			t.Errorf("Safe(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestPathTooLong(t *testing.T) {
	cases := []struct {
		about string
		path  string
		want  bool
	}{
		{"400 characters", strings.Repeat("x", 400), false},
		{"a leading slash is not counted", "/" + strings.Repeat("x", 400), false},
		{"401 characters", strings.Repeat("x", 401), true},
		{"slashes count", strings.Repeat("x/", 200) + "x", true},
		{"characters, not bytes", strings.Repeat("語", 400), false},
		{"two units each", strings.Repeat("🎉", 201), true},
	}
	for _, c := range cases {
		if got := name.PathTooLong("", c.path); got != c.want {
			t.Errorf("%s: got %v", c.about, got)
		}
	}
	const web = "https://contoso.sharepoint.com/sites/A%20B/Shared%20Documents" // sites/A B/Shared Documents/: 27
	for n, want := range map[int]bool{373: false, 374: true} {
		if got := name.PathTooLong(web, "/"+strings.Repeat("x", n)); got != want {
			t.Errorf("%d characters in a library: got %v", n, got)
		}
	}
	if name.PathTooLong("https://onedrive.live.com/?id=1", strings.Repeat("x", 400)) {
		t.Error("an address without a path counts")
	}
}

func TestSame(t *testing.T) {
	cases := []struct {
		about string
		a, b  string
		want  bool
	}{
		{"equal", "a", "a", true},
		{"case", "Hello.TXT", "hello.txt", true},
		{"different", "a", "b", false},
		{"composed and decomposed", "caf\u00e9", "cafe\u0301", true},
		{"composed and decomposed, other case", "CAF\u00c9", "cafe\u0301", true},
		{"sharp s is ss", "Straße", "STRASSE", true},
		{"both small sigmas", "ΣΊΣΥΦΟΣ", "σίσυφος", true},
		{"Cherokee", "ᎠᏰᎠ", "ꭰᏸꭰ", true},
		{"Cyrillic", "ФАЙЛ", "файл", true},
		{"ligature", "ﬁle", "FILE", true},
		{"iota subscript under an accent", "\u03b1\u0345\u0301", "\u03b1\u0301\u0345", true},
		{"accents distinguish", "cafe", "café", false},
		{"Turkish dotless i is its own letter", "ı", "i", false},
		{"width distinguishes", "Ａ", "A", false},
		{"bytes that are not UTF-8", "a\xff", "A\xff", false},
	}
	for _, c := range cases {
		if got := name.Same(c.a, c.b); got != c.want {
			t.Errorf("%s: Same(%q, %q) = %v", c.about, c.a, c.b, got)
		}
	}
}

func TestFoldIsAnEquivalenceOverCaseAndForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "name")
		key := name.Fold(s)
		if again := name.Fold(key); again != key {
			t.Fatalf("Fold(%q) = %q, folded again %q", s, key, again)
		}
		if !name.Same(s, key) {
			t.Fatalf("%q is not the same as its key %q", s, key)
		}
	})
}

func TestBackup(t *testing.T) {
	cases := []struct {
		name, of string
		want     bool
	}{
		{"report.docx~", "report.docx", true},
		{"report.docx.bak", "report.docx", true},
		{"REPORT.docx.BAK", "report.docx", true},
		{"report.docx.orig", "report.docx", true},
		{"report.docx.old", "report.docx", true},
		{"report.docx.backup", "report.docx", true},
		{"report.docx.save", "report.docx", true},
		{"report.docx.~12~", "report.docx", true},
		{"report.docx.~~", "report.docx", false},
		{"report.docx.~x~", "report.docx", false},
		{"report.bak", "report.docx", true},
		{"report.old", "report.docx", true},
		{"report~", "report.docx", true},
		{"Backup of report.wbk", "report.docx", true},
		{".report.docx.bak", "report.docx", true},
		{".bashrc~", ".bashrc", true},
		{".bashrc.bak", ".bashrc", true},
		{"Makefile.old", "Makefile", true},
		{"a.tar.gz.bak", "a.tar.gz", true},
		{"report.docx", "report.docx", false},
		{"Report.DOCX", "report.docx", false},
		{"report2.docx", "report.docx", false},
		{"report.docx.txt", "report.docx", false},
		{"other.bak", "report.docx", false},
		{"report.docx.bak", "report.docx.bak", false},
		{"report.docx", "report.docx.bak", false},
		{"reports/report.docx~", "report.docx", false},
		{"~", "", false},
	}
	for _, c := range cases {
		if got := name.Backup(c.name, c.of); got != c.want {
			t.Errorf("Backup(%q, %q) = %v, want %v", c.name, c.of, got, c.want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "", "caf\u00e9.txt", "\xff", "CON", "x_vti_", strings.Repeat("🎉", 200), "İ", "ᾳ\u0301"} {
		f.Add(s)
	}
	local, err := name.NewLocalOnly(name.DefaultLocalOnly())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key := name.Fold(s)
		if name.Fold(key) != key {
			t.Errorf("Fold is not stable on %q", s)
		}
		if local.Match(s) != local.Match(key) {
			t.Errorf("whether %q is local-only depends on its case", s)
		}
		if name.Check(s) == nil {
			if !name.Safe(s) {
				t.Errorf("%q is legal yet unsafe", s)
			}
			if len(utf16.Encode([]rune(s))) > 255 {
				t.Errorf("%q is legal yet too long", s)
			}
		}
		if name.Backup(s, s) {
			t.Errorf("%q is its own backup", s)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	for _, s := range []string{"report.docx", "Report.docx", "Zażółć gęślą jaźń.txt"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				name.Fold(s)
			}
		})
	}
}
