package graphtest

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func TestQuickXorKnowsThePublishedVectors(t *testing.T) {
	dec := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	count := make([]byte, 1280)
	for i := range count {
		count[i] = byte(i)
	}
	for _, c := range []struct {
		in   []byte
		want string
	}{
		{nil, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
		{dec("Sg=="), "SgAAAAAAAAAAAAAAAQAAAAAAAAA="},
		{dec("tbQ="), "taAFAAAAAAAAAAAAAgAAAAAAAAA="},
		{dec("jRRDVA=="), "jaDAEKgAAAAAAAAABAAAAAAAAAA="},
		{dec("gQaybEqS/4UlDc8e4IJm"), "gDCALNigBEn8oxAlZ8AzPAAOQZg="},
		{dec("DWAAX5/CIfrmErgZa8ot6ZraeSbu"), "LR2Z0PjuRYGKQB/mhQAuMrAGZbQ="},
		{dec("qQ70RB++JAR5ljNv3lJt1PpqETPsckopfonItu18Cr3E"), "FkJaeg/0Z5+euShYlLpE2tJh+Lo="},
		{dec("0n7nl3YJtipy6yeUbVPWtc2h45WbF9u8hTz5tNwj3dZZwfXWkk+GN3g="), "YJLNK7JR64j9aODWfqDvEe/u6NU="},
		{[]byte("hello"), "aCgDG9jwBgAAAAAABQAAAAAAAAA="},
		{[]byte("hello world\n"), "aCgDG9jwBhDc4Q1ybAMZFAAAAAA="},
		{[]byte(strings.Repeat("a", 200)), "j3/84x//+Mc//vGPt/zjfve73/0="},
		{count, "AAAAAAAAAAAAAAAAAAUAAAAAAAA="},
	} {
		var whole, pieces quickXor
		_, _ = whole.Write(c.in)
		for len(c.in) > 0 { // and in uneven pieces
			n := min(len(c.in), 7)
			_, _ = pieces.Write(c.in[:n])
			c.in = c.in[n:]
		}
		if whole.String() != c.want || pieces.String() != c.want {
			t.Errorf("got %s and %s, want %s", whole.String(), pieces.String(), c.want)
		}
	}
}

func BenchmarkQuickXor(b *testing.B) {
	data := bytes.Repeat([]byte{1, 2, 3, 250}, 1<<18)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var q quickXor
		_, _ = q.Write(data)
	}
}

func TestNamesFoldAsTheServiceFoldsThem(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"Hello.TXT", "hello.txt", true},
		{"caf\u00e9", "cafe\u0301", true},
		{"CAF\u00c9", "cafe\u0301", true},
		{"a", "b", false},
		{"Straße", "STRASSE", true},
	} {
		if got := fold(c.a) == fold(c.b); got != c.same {
			t.Errorf("fold(%q) == fold(%q): %v", c.a, c.b, got)
		}
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for name, bad := range map[string]bool{
		"a.txt": false, ".git": false, "a#b%c": false, "x~": false, ".~lock.a#": false, "Forms": false,
		"": true, "a:b": true, "a?": true, " a": true, "a ": true, "a.": true, "con": true, "LPT1": true, ".lock": true,
		"desktop.ini": true, "x_vti_y": true, "~$a.docx": true, "a\nb": true, "\xff": true,
		strings.Repeat("a", 255): false, strings.Repeat("a", 256): true,
	} {
		if got := badName(name, false, false, false) != ""; got != bad {
			t.Errorf("badName(%q) = %v, want %v", name, got, bad)
		}
	}
	if badName("Forms", true, true, true) == "" || badName("~a", true, false, true) == "" {
		t.Error("names that a library reserves for folders were let pass")
	}
}
