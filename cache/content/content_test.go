package content_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456789, time.UTC)

func open(t testing.TB, dir string) *content.Store {
	t.Helper()
	s, err := content.Open(dir, content.Options{FreeFloor: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ok(t, s.Close()) })
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

func random(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(p)
	return p
}

// remote is a file of the service that counts what is asked of it.
type remote struct {
	bytes []byte
	asked atomic.Int64 // requests
	sent  atomic.Int64 // bytes asked for
	gate  chan struct{}
}

func (r *remote) version() graph.Version {
	h := graph.NewQuickXor()
	h.Write(r.bytes)
	return graph.Version{ETag: "e1", CTag: "c1", Hash: graph.HashOf(h), Size: int64(len(r.bytes))}
}

func (r *remote) source(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r.asked.Add(1)
	r.sent.Add(n)
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return io.NopCloser(bytes.NewReader(r.bytes[off : off+n])), nil
}

func content1(t testing.TB, f *content.File) []byte {
	t.Helper()
	p := make([]byte, f.Size())
	if _, err := f.ReadAt(p, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return p
}

func TestLocalWorkIsReadBack(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(7, 1, content.Tag{Path: "/a"})
	ok(t, err)
	defer f.Close()
	if _, err := f.WriteAt([]byte("world"), 6); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("hello "), 0); err != nil {
		t.Fatal(err)
	}
	if off, err := f.Append([]byte("!")); err != nil || off != 11 {
		t.Fatalf("appended at %d, %v", off, err)
	}
	if got := content1(t, f); string(got) != "hello world!" {
		t.Fatalf("read %q", got)
	}
	ok(t, f.Truncate(5))
	ok(t, f.Truncate(7))
	if got := content1(t, f); string(got) != "hello\x00\x00" {
		t.Fatalf("after truncation read %q", got)
	}
	if f.Blocks() == 0 {
		t.Fatal("a body with bytes takes no blocks")
	}
	_, err = s.Create(7, 2, content.Tag{})
	want(t, err, fs.ErrExist)
	_, err = s.Version(7, graph.Version{Size: 7}, noon)
	want(t, err, content.ErrLocal)
}

func TestARemoteBodyIsFetchedOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(300 << 10)}
	s, err := content.Open(dir, content.Options{})
	ok(t, err)
	f, err := s.Version(300, r.version(), noon)
	ok(t, err)
	if _, err := f.ReadAt(make([]byte, 10), 5); !errors.Is(err, content.ErrMissing) {
		t.Fatalf("read of missing bytes: %v", err)
	}
	if f.Complete() || f.Blocks() == 0 {
		t.Fatal("a body without bytes is complete, or looks like zeros")
	}
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	if !bytes.Equal(content1(t, f), r.bytes) || !f.Complete() {
		t.Fatal("other bytes than the service's")
	}
	if !f.ModTime().Equal(noon) {
		t.Fatalf("time %v", f.ModTime())
	}
	ok(t, f.Close())
	ok(t, s.Close())

	f, err = open(t, dir).Version(300, r.version(), noon)
	ok(t, err)
	defer f.Close()
	if !f.Complete() || !bytes.Equal(content1(t, f), r.bytes) {
		t.Fatal("the body did not outlive the store")
	}
	if r.asked.Load() != 1 {
		t.Fatalf("%d requests", r.asked.Load())
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bodies")
	s := open(t, dir)
	f, err := s.Create(0x102, 1, content.Tag{})
	ok(t, err)
	ok(t, f.Close())
	for path, mode := range map[string]fs.FileMode{"": 0o700, "02": 0o700, "02/258": 0o600, "02/258.json": 0o600} {
		st, err := os.Stat(filepath.Join(dir, path))
		ok(t, err)
		if st.Mode().Perm() != mode {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
	}
}

func TestUnsealNeedsANewerMark(t *testing.T) {
	s := open(t, t.TempDir())
	r := &remote{bytes: []byte("clean bytes")}
	f, err := s.Version(1, r.version(), noon)
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	want(t, err, content.ErrSealed)
	want(t, f.Truncate(0), content.ErrSealed)
	_, err = f.Append([]byte("x"))
	want(t, err, content.ErrSealed)
	want(t, f.Unseal(3, content.Tag{}), content.ErrMissing)
	ok(t, f.Hydrate(t.Context(), r.source, 0, 100))
	ok(t, f.Unseal(3, content.Tag{Path: "/x"}))
	if !f.ModTime().Equal(noon) {
		t.Fatalf("unsealing alone changed the time to %v", f.ModTime())
	}
	_, err = f.WriteAt([]byte("C"), 0)
	ok(t, err)

	snap, err := f.Seal(5)
	ok(t, err)
	defer snap.Release()
	_, err = f.WriteAt([]byte("x"), 0)
	want(t, err, content.ErrSealed)
	want(t, f.Unseal(5, content.Tag{}), content.ErrSealed)
	p := make([]byte, 5)
	if _, err := snap.ReadAt(p, 0); err != nil || string(p) != "Clean" {
		t.Fatalf("snapshot has %q, %v", p, err)
	}
	ok(t, f.Unseal(6, content.Tag{}))
	select {
	case <-snap.Broken():
	default:
		t.Fatal("the snapshot was not told")
	}
	_, err = snap.ReadAt(p, 0)
	want(t, err, content.ErrUnsealed)
	if done, err := f.Agreed(5, r.version()); done || err != nil {
		t.Fatalf("agreed on bytes that changed since: %v, %v", done, err)
	}
}

func TestAgreedTurnsLocalWorkIntoTheVersion(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(9, 1, content.Tag{})
	ok(t, err)
	_, err = f.WriteAt([]byte("mine"), 0)
	ok(t, err)
	snap, err := f.Seal(4)
	ok(t, err)
	snap.Release()
	v := (&remote{bytes: []byte("mine")}).version()
	if done, err := f.Agreed(4, v); !done || err != nil {
		t.Fatal(done, err)
	}
	ok(t, f.Close())
	f, err = s.Version(9, v, noon)
	ok(t, err)
	if string(content1(t, f)) != "mine" {
		t.Fatal("bytes lost")
	}
	_, err = f.WriteAt([]byte("x"), 0)
	want(t, err, content.ErrSealed)
	ok(t, f.Close())
	_, err = s.Local(9)
	want(t, err, fs.ErrNotExist)
}

func TestAServiceThatRewroteTheBytesIsFetchedAgain(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(9, 1, content.Tag{})
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("mine"), 0)
	ok(t, err)
	snap, err := f.Seal(4)
	ok(t, err)
	snap.Release()
	v := (&remote{bytes: []byte("mine, with their properties")}).version()
	if done, err := f.Agreed(4, v); !done || err != nil {
		t.Fatal(done, err)
	}
	g, err := s.Version(9, v, noon)
	ok(t, err)
	defer g.Close()
	if g.Complete() || g.Size() != v.Size {
		t.Fatal("our bytes pass for theirs")
	}
}

func TestUnsealEmptyFetchesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := &remote{bytes: random(3 << 20)}
	f, err := s.Version(1, r.version(), noon)
	ok(t, err)
	defer f.Close()
	ok(t, f.Hydrate(t.Context(), r.source, 0, 1))
	ok(t, f.UnsealEmpty(2, content.Tag{Path: "/x"}))
	if f.Size() != 0 || !f.Complete() {
		t.Fatal("not empty")
	}
	_, err = f.WriteAt([]byte("new"), 0)
	ok(t, err)
	if got := content1(t, f); string(got) != "new" {
		t.Fatalf("read %q", got)
	}
	g, err := open(t, dir).Local(1)
	ok(t, err)
	defer g.Close()
	if got := content1(t, g); string(got) != "new" {
		t.Fatalf("after a crash read %q", got)
	}
}

func TestEqualFetchesAreShared(t *testing.T) {
	s := open(t, t.TempDir())
	r := &remote{bytes: random(200 << 10), gate: make(chan struct{})}
	f, err := s.Version(1, r.version(), noon)
	ok(t, err)
	defer f.Close()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := f.Hydrate(t.Context(), r.source, int64(i)*1000, 1000); err != nil {
				t.Error(err)
			}
		})
	}
	close(r.gate)
	all.Wait()
	if n := r.asked.Load(); n != 1 {
		t.Fatalf("%d requests", n)
	}
}

func TestAppendsOfSeveralWritersDoNotOverlap(t *testing.T) {
	s := open(t, t.TempDir())
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	defer f.Close()
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for range 100 {
				if _, err := f.Append(bytes.Repeat([]byte{'a' + byte(w)}, 10)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	p := content1(t, f)
	if len(p) != 4000 {
		t.Fatalf("%d bytes", len(p))
	}
	for i := 0; i < len(p); i += 10 {
		if !bytes.Equal(p[i:i+10], bytes.Repeat(p[i:i+1], 10)) {
			t.Fatalf("record at %d is %q", i, p[i:i+10])
		}
	}
}
