package graphtest

import (
	"io"
	"testing"
)

// TestTheHashOfARepeatingBodyIsThatOfItsBytes compares the short way with reading it all.
func TestTheHashOfARepeatingBodyIsThatOfItsBytes(t *testing.T) {
	const period = 160 * 7
	for size := int64(1); size < 5*period; size += 97 {
		hash := func(n int64) string {
			var q quickXor
			if _, err := io.CopyN(&q, &seeded{seed: 9, end: size, period: period}, n); err != nil {
				t.Fatal(err)
			}
			q.n = uint64(size)
			return q.String()
		}
		if got, want := hash(distinct(size, period)), hash(size); got != want {
			t.Errorf("%d bytes: %s, want %s", size, got, want)
		}
	}
}
