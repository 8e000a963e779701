package content

import "slices"

// span is the bytes from off up to end, end left out.
type span struct{ off, end int64 }

// ranges is a set of bytes: spans in rising order that neither touch nor overlap.
type ranges []span

// add puts the bytes of s into the set.
func (r ranges) add(s span) ranges {
	if s.off >= s.end {
		return r
	}
	first := r.firstEndingAt(s.off)
	last := first
	for last < len(r) && r[last].off <= s.end {
		s.off, s.end = min(s.off, r[last].off), max(s.end, r[last].end)
		last++
	}
	return slices.Replace(r, first, last, s)
}

// cut takes the bytes of s out of the set.
func (r ranges) cut(s span) ranges {
	var left ranges
	for _, have := range r {
		left = left.add(span{have.off, min(have.end, s.off)})
		left = left.add(span{max(have.off, s.end), have.end})
	}
	return left
}

// covers reports whether all bytes of s are in the set.
func (r ranges) covers(s span) bool {
	_, missing := r.gap(s)
	return !missing
}

// gap returns the first run of bytes of s that is not in the set.
func (r ranges) gap(s span) (span, bool) {
	for _, have := range r[r.firstEndingAt(s.off):] {
		if have.off > s.off {
			s.end = min(s.end, have.off)
			break
		}
		s.off = max(s.off, have.end)
	}
	return s, s.off < s.end
}

// before returns where the last span that ends at or before off ends, 0 if there is none.
func (r ranges) before(off int64) int64 {
	end := int64(0)
	for _, have := range r {
		if have.end > off {
			break
		}
		end = have.end
	}
	return end
}

// total counts the bytes.
func (r ranges) total() int64 {
	n := int64(0)
	for _, have := range r {
		n += have.end - have.off
	}
	return n
}

// firstEndingAt returns the index of the first span that ends at or after off.
func (r ranges) firstEndingAt(off int64) int {
	i, _ := slices.BinarySearchFunc(r, off, func(s span, off int64) int {
		switch {
		case s.end < off:
			return -1
		case s.end > off:
			return 1
		}
		return 0
	})
	return i
}
