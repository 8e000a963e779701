package graphtest

import (
	"bytes"
	"io"
	"strings"
	"syscall"
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

// What is sent of zeros costs neither memory nor disk, and reads as it was sent.
func TestZerosCostNothing(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		d, err := newDraft(dir)
		if err != nil {
			t.Fatal(err)
		}
		var sent []byte
		for _, part := range []string{"a\x00b", strings.Repeat("\x00", 100_001), "c", strings.Repeat("\x00", 70_000)} {
			if err := d.append(strings.NewReader(part), int64(len(part))); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, part...)
			if err := d.append(strings.NewReader("broken"), 100); err == nil {
				t.Error("a part that broke off was taken")
			}
		}
		if err := d.append(&zeros{1 << 30}, 1<<30); err != nil {
			t.Fatal(err)
		}
		b := d.seal()
		if len(b.mem) > 200_000 || b.size != 1<<30+int64(len(sent)) {
			t.Errorf("%d bytes in memory of %d", len(b.mem), b.size)
		}
		for _, off := range []int64{0, 1, 50_000, 100_004, 150_000, b.size - 5, b.size} {
			r, err := b.open(off)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]byte, min(200_000, b.size-off))
			if off < int64(len(sent)) {
				copy(want, sent[off:])
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("other bytes from %d on: %v", off, err)
			}
			r.Close()
		}
		var q quickXor
		_, _ = q.Write(sent)
		_, _ = q.Write(make([]byte, 4096))
		var skipped quickXor
		_, _ = skipped.Write(sent)
		skipped.skip(4096)
		if q.String() != skipped.String() {
			t.Error("skipping is not writing zeros")
		}
		if dir != "" {
			var st syscall.Stat_t
			if err := syscall.Stat(b.file, &st); err != nil || st.Blocks > 1000 {
				t.Errorf("%d blocks on the disk, %v", st.Blocks, err)
			}
		}
		d.discard()
	}
}
