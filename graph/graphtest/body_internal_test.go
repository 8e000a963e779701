package graphtest

import (
	"io"
	"testing"
)

// TestTheHashOfAHugeBodyIsThatOfItsBytes compares the short way with reading it all.
func TestTheHashOfAHugeBodyIsThatOfItsBytes(t *testing.T) {
	for _, size := range []int64{160<<19 + 1, 160<<18*3 + 1234567} {
		b := &body{size: size, gen: true, seed: 9}
		r, err := b.open(0)
		if err != nil {
			t.Fatal(err)
		}
		var q quickXor
		if n, err := io.Copy(&q, r); err != nil || n != size {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if got, want := b.hash(), q.String(); got != want {
			t.Errorf("%d bytes: %s, want %s", size, got, want)
		}
	}
}
