package content

import (
	"testing"

	"pgregory.net/rapid"
)

func TestRangesAreASet(t *testing.T) {
	const size = 40
	rapid.Check(t, func(t *rapid.T) {
		var r ranges
		var model [size]bool
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			off := rapid.Int64Range(0, size).Draw(t, "off")
			s := span{off, rapid.Int64Range(off, size).Draw(t, "end")}
			add := rapid.Bool().Draw(t, "add")
			if add {
				r = r.add(s)
			} else {
				r = r.cut(s)
			}
			for i := s.off; i < s.end; i++ {
				model[i] = add
			}
		}
		total := int64(0)
		for i, in := range model {
			if in {
				total++
			}
			if got := r.covers(span{int64(i), int64(i) + 1}); got != in {
				t.Fatalf("byte %d: %v in %v", i, got, r)
			}
		}
		if r.total() != total {
			t.Fatalf("%v has %d bytes, not %d", r, r.total(), total)
		}
		for i, s := range r {
			if s.off >= s.end || i > 0 && r[i-1].end >= s.off {
				t.Fatalf("%v is not in order", r)
			}
		}
		off := rapid.Int64Range(0, size).Draw(t, "from")
		want := span{off, rapid.Int64Range(off, size).Draw(t, "to")}
		gap, missing := r.gap(want)
		first := want.off
		for first < want.end && model[first] {
			first++
		}
		if missing != (first < want.end) {
			t.Fatalf("gap of %v in %v: %v, %v", want, r, gap, missing)
		}
		if !missing {
			return
		}
		last := first
		for last < want.end && !model[last] {
			last++
		}
		if gap != (span{first, last}) {
			t.Fatalf("gap of %v in %v is %v, not %d-%d", want, r, gap, first, last)
		}
	})
}
