package content_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/cache/content"
)

func TestBytesNotFetchedAreData(t *testing.T) {
	r := &remote{bytes: make([]byte, 3<<20)} // all zeros
	s := open(t, t.TempDir())
	f, err := s.Version(7, r.version(), noon)
	ok(t, err)
	defer f.Close()
	extents := func() {
		t.Helper()
		for _, c := range []struct {
			off  int64
			data bool
			want int64
			err  error
		}{
			{0, true, 0, nil}, {1 << 20, true, 1 << 20, nil}, {0, false, 3 << 20, nil},
			{3 << 20, true, 0, syscall.ENXIO}, {3 << 20, false, 0, syscall.ENXIO}, {-1, true, 0, syscall.ENXIO},
		} {
			got, err := f.Extent(c.off, c.data)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("extent at %d, data %v: %d, %v; want %d, %v", c.off, c.data, got, err, c.want, c.err)
			}
		}
	}
	extents()
	ok(t, f.Hydrate(context.Background(), r.source, 0, math.MaxInt64))
	extents()
}

func TestHolesOfLocalWork(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(7, 1, content.Tag{})
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("data"), 1<<20)
	ok(t, err)
	if at, err := f.Extent(0, true); err != nil || at > 1<<20 {
		t.Errorf("data begins at %d, %v", at, err)
	}
	if at, err := f.Extent(1<<20, false); err != nil || at != 1<<20+4 {
		t.Errorf("the hole at the end begins at %d, %v", at, err)
	}
	// What must hold anywhere: all that is not zero is called data.
	if at, err := f.Extent(1<<20, true); err != nil || at != 1<<20 {
		t.Errorf("bytes are no data: %d, %v", at, err)
	}
}

func TestAllocateIsNoWriteToASealedBody(t *testing.T) {
	r := &remote{bytes: random(1000)}
	s := open(t, t.TempDir())
	f, err := s.Version(7, r.version(), noon)
	ok(t, err)
	defer f.Close()
	want(t, f.Allocate(0, 0, 2000), content.ErrSealed)
	ok(t, f.UnsealEmpty(1, content.Tag{}))
	ok(t, f.Allocate(0, 0, 2000))
	ok(t, f.Allocate(content.KeepSize, 0, 9000))
	if f.Size() != 2000 {
		t.Errorf("size %d", f.Size())
	}
}

func TestAHoleIsPunched(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(7, 1, content.Tag{})
	ok(t, err)
	defer f.Close()
	data := random(64 << 10)
	_, err = f.WriteAt(data, 0)
	ok(t, err)
	err = f.Allocate(content.PunchHole, 8<<10, 16<<10)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skip("this disk makes no holes")
	}
	ok(t, err)
	clear(data[8<<10 : 24<<10])
	got := make([]byte, len(data))
	_, err = f.ReadAt(got, 0)
	ok(t, err)
	if !bytes.Equal(got, data) || f.Size() != int64(len(data)) {
		t.Error("other bytes, or another size, than a hole leaves")
	}
}

func TestCopyBetweenBodies(t *testing.T) {
	r := &remote{bytes: random(300_000)}
	s := open(t, t.TempDir())
	src, err := s.Version(7, r.version(), noon)
	ok(t, err)
	defer src.Close()
	dst, err := s.Create(8, 1, content.Tag{})
	ok(t, err)
	defer dst.Close()

	_, err = dst.CopyFrom(src, 0, 0, 10)
	want(t, err, content.ErrMissing)
	ok(t, src.Hydrate(context.Background(), r.source, 0, math.MaxInt64))
	_, err = src.CopyFrom(dst, 0, 0, 10)
	want(t, err, content.ErrSealed)

	n, err := dst.CopyFrom(src, 1000, 500, 1<<20)
	ok(t, err)
	if n != 299_000 || dst.Size() != 299_500 {
		t.Fatalf("%d bytes copied, size %d", n, dst.Size())
	}
	got := make([]byte, 299_000)
	_, err = dst.ReadAt(got, 500)
	ok(t, err)
	if !bytes.Equal(got, r.bytes[1000:]) {
		t.Error("other bytes were copied")
	}
	if n, err := dst.CopyFrom(src, 300_000, 0, 10); n != 0 || err != nil {
		t.Errorf("copied %d bytes from the end, %v", n, err)
	}
	if s.Blocks(8) == 0 || s.Blocks(9) != 0 || dst.Here() != 299_500 {
		t.Errorf("blocks %d and %d, here %d", s.Blocks(8), s.Blocks(9), dst.Here())
	}
}
