package graph_test

import (
	"testing"

	"github.com/duskfs/duskfs/graph"
)

func TestCounted(t *testing.T) {
	for _, c := range []struct {
		before, after string
		n             int64
		ok            bool
	}{
		{`"{A},3"`, `"{A},5"`, 2, true},
		{`"c:{A},9"`, `"c:{A},10"`, 1, true},
		{`{A},3`, `"{A},3"`, 0, true},
		{`"{A},3"`, `"{B},5"`, 0, false},
		{`"c:{A},3"`, `"{A},5"`, 0, false},
		{`aQTctNw`, `aQTctNx`, 0, false},
		{``, `"{A},5"`, 0, false},
		{`"{A},x"`, `"{A},5"`, 0, false},
	} {
		if n, ok := graph.Counted(c.before, c.after); ok != c.ok || ok && n != c.n {
			t.Errorf("%s %s: %d, %v", c.before, c.after, n, ok)
		}
	}
}
