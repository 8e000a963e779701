package graph_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/duskfs/duskfs/graph"
)

func TestEqualBytes(t *testing.T) {
	long := strings.Repeat("x", 256<<10)
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"nothing", "", "", true},
		{"the same", "abc", "abc", true},
		{"other bytes", "abc", "abd", false},
		{"shorter", "ab", "abc", false},
		{"longer", "abc", "ab", false},
		{"a whole buffer", long, long, true},
		{"more than a buffer", long + "a", long + "a", true},
		{"other bytes behind a buffer", long + "a", long + "b", false},
		{"more behind a buffer", long, long + "b", false},
	} {
		for _, slow := range []bool{false, true} {
			var b io.Reader = strings.NewReader(c.b)
			if slow {
				b = iotest.HalfReader(b)
			}
			if got, err := graph.EqualBytes(strings.NewReader(c.a), b); got != c.want || err != nil {
				t.Errorf("%s: %v, %v", c.name, got, err)
			}
		}
	}
	broken := errors.New("broken")
	if same, err := graph.EqualBytes(strings.NewReader("abc"), io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))); same || !errors.Is(err, broken) {
		t.Errorf("%v, %v", same, err)
	}
}
