package content_test

import (
	"testing"

	"github.com/duskfs/duskfs/cache/content"
)

func BenchmarkWriteSequential(b *testing.B) {
	s := open(b, b.TempDir())
	f, err := s.Create(1, 1, content.Tag{})
	ok(b, err)
	defer f.Close()
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	off := int64(0)
	for b.Loop() {
		if _, err := f.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
		off = (off + int64(len(p))) % (256 << 20)
	}
}

func BenchmarkReadSequential(b *testing.B) {
	s := open(b, b.TempDir())
	r := &remote{bytes: random(64 << 20)}
	f, err := s.Version(1, r.version(), noon)
	ok(b, err)
	defer f.Close()
	ok(b, f.Hydrate(b.Context(), r.source, 0, f.Size()))
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	off := int64(0)
	for b.Loop() {
		if _, err := f.ReadAt(p, off); err != nil {
			b.Fatal(err)
		}
		off = (off + int64(len(p))) % f.Size()
	}
}

func BenchmarkHydrate(b *testing.B) {
	s := open(b, b.TempDir())
	r := &remote{bytes: random(64 << 20)}
	v := r.version()
	b.SetBytes(v.Size)
	for b.Loop() {
		f, err := s.Version(1, v, noon)
		ok(b, err)
		ok(b, f.Hydrate(b.Context(), r.source, 0, v.Size))
		ok(b, f.Close())
		ok(b, s.Remove(1))
	}
}

func BenchmarkCreateSmall(b *testing.B) {
	s := open(b, b.TempDir())
	p := make([]byte, 4<<10)
	ino := uint64(1)
	for b.Loop() {
		f, err := s.Create(ino, ino, content.Tag{Path: "/some/folder/name.txt"})
		ok(b, err)
		if _, err := f.WriteAt(p, 0); err != nil {
			b.Fatal(err)
		}
		ok(b, f.Close())
		ino++
	}
}

func BenchmarkHydrateSmall(b *testing.B) {
	s := open(b, b.TempDir())
	r := &remote{bytes: random(4 << 10)}
	v := r.version()
	ino := uint64(1)
	for b.Loop() {
		f, err := s.Version(ino, v, noon)
		ok(b, err)
		ok(b, f.Hydrate(b.Context(), r.source, 0, v.Size))
		ok(b, f.Close())
		ino++
	}
}
