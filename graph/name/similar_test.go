package name

import "testing"

func TestSimilar(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "A", true}, {"Ærø", "aero", true}, {"straße", "STRASSE", true}, {"Zoë", "Zoe", true}, {"e\u0301", "é", true},
		{"猪", "\uFA16", true}, {"ﬁle", "file", true}, {"a", "b", false}, {"a b", "ab", false}, {"\xff", "\xfe", false}, {"x", "x ", false},
	} {
		if got := Similar(c.a, c.b); got != c.want || Similar(c.b, c.a) != got {
			t.Errorf("Similar(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
