package content_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

func version(t *testing.T, s *content.Store, ino uint64, r *remote) *content.File {
	t.Helper()
	f, err := s.Version(ino, r.version(), noon)
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestOnlyWhatIsMissingIsFetched(t *testing.T) {
	r := &remote{bytes: random(6 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	middle := int64(3 << 20)
	ok(t, f.Hydrate(t.Context(), r.source, middle, 1))
	if n := r.sent.Load(); n != 1<<20 {
		t.Fatalf("a read of one byte fetched %d", n)
	}
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	if n := r.sent.Load(); n != f.Size() {
		t.Fatalf("%d bytes fetched of a body of %d", n, f.Size())
	}
	if !bytes.Equal(content1(t, f), r.bytes) {
		t.Fatal("other bytes than the service's")
	}
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	if n := r.asked.Load(); n > 5 {
		t.Fatalf("%d requests", n)
	}
}

func TestAReaderThatGoesOnAsksLessOften(t *testing.T) {
	r := &remote{bytes: random(40 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	p := make([]byte, 128<<10)
	for off := int64(0); off < f.Size(); off += int64(len(p)) {
		ok(t, f.Hydrate(t.Context(), r.source, off, int64(len(p))))
		if _, err := f.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, r.bytes[off:off+int64(len(p))]) {
			t.Fatalf("other bytes at %d", off)
		}
	}
	// 1 + 2 + 4 + 8 + 8 + 8 + 8 + 1 MiB
	if n := r.asked.Load(); n > 8 {
		t.Fatalf("%d requests for 40 MiB", n)
	}
	if n := r.sent.Load(); n != f.Size() {
		t.Fatalf("%d bytes fetched", n)
	}
}

func TestTheNextWindowComesWhileAReaderIsInThisOne(t *testing.T) {
	r := &remote{bytes: random(16 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	requests := make(chan int64, 10)
	more := make(chan struct{})
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		requests <- off
		half := off + n/4
		return io.NopCloser(io.MultiReader(bytes.NewReader(r.bytes[off:half]), gated(more, bytes.NewReader(r.bytes[half:off+n])))), nil
	}
	hydrate := func(off int64) {
		t.Helper()
		ok(t, f.Hydrate(t.Context(), src, off, 128<<10))
	}
	hydrate(0)
	if off := <-requests; off != 0 {
		t.Fatalf("asked for %d", off)
	}
	close(more)
	more = make(chan struct{})
	hydrate(1<<20 - 128<<10)
	hydrate(1 << 20) // the second window, of 2 MiB: from here on somebody reads on
	if off := <-requests; off != 1<<20 {
		t.Fatalf("asked for %d", off)
	}
	hydrate(1<<20 + 128<<10)
	close(more)
	if off := <-requests; off != 3<<20 {
		t.Fatalf("asked for %d", off)
	}
}

func TestTheFirstBytesDoNotWaitForTheLast(t *testing.T) {
	r := &remote{bytes: random(1 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	rest := make(chan struct{})
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		head := bytes.NewReader(r.bytes[:256<<10])
		return io.NopCloser(io.MultiReader(head, gated(rest, bytes.NewReader(r.bytes[256<<10:])))), nil
	}
	ok(t, f.Hydrate(t.Context(), src, 0, 4096))
	if f.Complete() {
		t.Fatal("complete already")
	}
	close(rest)
	ok(t, f.Hydrate(t.Context(), src, 0, f.Size()))
	if !bytes.Equal(content1(t, f), r.bytes) {
		t.Fatal("other bytes")
	}
}

// gated is a reader that waits for a channel before the first byte.
func gated(open chan struct{}, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		<-open
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestAWaiterWhoGivesUpLeavesTheFetchToTheOthers(t *testing.T) {
	r := &remote{bytes: random(100 << 10), gate: make(chan struct{})}
	f := version(t, open(t, t.TempDir()), 1, r)
	begun := make(chan struct{}, 2)
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		begun <- struct{}{}
		return r.source(ctx, off, n)
	}
	impatient, giveUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := f.Hydrate(impatient, src, 0, 10); !errors.Is(err, context.Canceled) {
			t.Errorf("impatient caller: %v", err)
		}
		close(r.gate)
	})
	<-begun
	joined := make(chan struct{})
	all.Go(func() {
		close(joined)
		if err := f.Hydrate(t.Context(), src, 50, 10); err != nil {
			t.Errorf("patient caller: %v", err)
		}
	})
	<-joined
	giveUp()
	all.Wait()
	if !bytes.Equal(content1(t, f), r.bytes) {
		t.Fatal("other bytes")
	}
}

func TestTheLastWaiterWhoGivesUpEndsTheFetch(t *testing.T) {
	r := &remote{bytes: random(100 << 10)}
	s := open(t, t.TempDir())
	f := version(t, s, 1, r)
	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		giveUp()
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	want(t, f.Hydrate(ctx, src, 0, 10), context.Canceled)
	want(t, <-ended, context.Canceled)
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
}

func TestClosingTheLastFileEndsItsFetches(t *testing.T) {
	r := &remote{bytes: random(1 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	ended := make(chan struct{})
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		rest := readerFunc(func([]byte) (int, error) {
			<-ctx.Done()
			close(ended)
			return 0, ctx.Err()
		})
		return io.NopCloser(io.MultiReader(bytes.NewReader(r.bytes[:128<<10]), rest)), nil
	}
	ok(t, f.Hydrate(t.Context(), src, 0, 10))
	ok(t, f.Close())
	<-ended
}

func TestAServiceThatLies(t *testing.T) {
	good := &remote{bytes: random(300 << 10)}
	cut := errors.New("connection reset")
	cases := []struct {
		about string
		src   content.Source
		want  error
	}{
		{"another version by now", func(context.Context, int64, int64) (io.ReadCloser, error) {
			return nil, &graph.Error{Op: "download", Kind: graph.Changed}
		}, graph.Changed},
		{"too few bytes", func(_ context.Context, off, n int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(good.bytes[off : off+n-1])), nil
		}, graph.Failed},
		{"no bytes", func(context.Context, int64, int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(nil)), nil
		}, graph.Failed},
		{"too many bytes", func(_ context.Context, off, n int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(append(bytes.Clone(good.bytes[off:off+n]), 'x'))), nil
		}, graph.Failed},
		{"other bytes", func(_ context.Context, off, n int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(make([]byte, n))), nil
		}, graph.Failed},
		{"a connection that breaks", func(_ context.Context, off, n int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(good.bytes[off:off+1000]), iotest.ErrReader(cut))), nil
		}, cut},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			f := version(t, open(t, t.TempDir()), 1, good)
			want(t, f.Hydrate(t.Context(), c.src, 0, f.Size()), c.want)
			if f.Complete() {
				t.Fatal("the body passes for complete")
			}
			want(t, f.Unseal(1, content.Tag{}), content.ErrMissing)
			_, err := f.Seal(1)
			want(t, err, content.ErrMissing)
			ok(t, f.Hydrate(t.Context(), good.source, 0, f.Size()))
			if !bytes.Equal(content1(t, f), good.bytes) {
				t.Fatal("wrong bytes afterwards")
			}
		})
	}
}

func TestAHashThatIsNotKnownIsNotCompared(t *testing.T) {
	r := &remote{bytes: random(10)}
	s := open(t, t.TempDir())
	v := r.version()
	v.Hash = ""
	f, err := s.Version(1, v, noon)
	ok(t, err)
	defer f.Close()
	ok(t, f.Hydrate(t.Context(), r.source, 0, 10))
	if !f.Complete() {
		t.Fatal("not complete")
	}
}

func TestAnEmptyVersionIsCompleteAtOnce(t *testing.T) {
	r := &remote{}
	f := version(t, open(t, t.TempDir()), 1, r)
	if !f.Complete() || f.Size() != 0 || f.Blocks() != 0 {
		t.Fatal("not complete, or not empty")
	}
	ok(t, f.Hydrate(t.Context(), nil, 0, 10))
}

func TestAVersionIsNeverMixedWithAnother(t *testing.T) {
	s := open(t, t.TempDir())
	a, b := &remote{bytes: bytes.Repeat([]byte("a"), 3<<20)}, &remote{bytes: bytes.Repeat([]byte("b"), 3<<20)}
	old := version(t, s, 1, a)
	ok(t, old.Hydrate(t.Context(), a.source, 0, 1))
	vb := b.version()
	vb.CTag, vb.ETag = "c2", "e2"
	f, err := s.Version(1, vb, noon)
	ok(t, err)
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, content.ErrMissing) {
		t.Fatalf("the new version has bytes: %v", err)
	}
	ok(t, f.Hydrate(t.Context(), b.source, 0, f.Size()))
	ok(t, old.Hydrate(t.Context(), a.source, 0, old.Size()))
	if !bytes.Equal(content1(t, f), b.bytes) || !bytes.Equal(content1(t, old), a.bytes) {
		t.Fatal("two versions are mixed")
	}
	want(t, old.Unseal(5, content.Tag{}), graph.Changed)
	ok(t, old.Close())
	g, err := s.Version(1, vb, noon)
	ok(t, err)
	defer g.Close()
	if !g.Complete() {
		t.Fatal("the file that was open on the old version took the new one along")
	}
}

func TestTheSameBytesUnderANewETagStay(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(1000)}
	s := open(t, dir)
	f := version(t, s, 1, r)
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	v := r.version()
	v.ETag = "e2"
	g, err := s.Version(1, v, noon)
	ok(t, err)
	if !g.Complete() {
		t.Fatal("bytes were dropped for an eTag")
	}
	ok(t, g.Close())
	ok(t, f.Close())
	info, err := s.Info(1)
	ok(t, err)
	if info.Version != v || info.Hydrated != 1000 || !info.Complete || info.Local {
		t.Fatalf("%+v", info)
	}
}

func TestReadersInParallelAndFarApart(t *testing.T) {
	r := &remote{bytes: random(20 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			p := make([]byte, 5000)
			for range 60 {
				off := rnd.Int64N(f.Size() - int64(len(p)))
				if err := f.Hydrate(t.Context(), r.source, off, int64(len(p))); err != nil {
					t.Error(err)
					return
				}
				if _, err := f.ReadAt(p, off); err != nil || !bytes.Equal(p, r.bytes[off:off+int64(len(p))]) {
					t.Errorf("wrong bytes at %d: %v", off, err)
					return
				}
			}
		})
	}
	all.Wait()
	ok(t, f.Hydrate(t.Context(), r.source, 0, f.Size()))
	if n := r.sent.Load(); n > f.Size()+20<<20 {
		t.Errorf("%d bytes fetched of %d", n, f.Size())
	}
	if !f.Complete() {
		t.Fatal("not complete")
	}
}

func TestLocalWorkIsNotOverwrittenByAFetchThatCameTooLate(t *testing.T) {
	r := &remote{bytes: random(2 << 20)}
	f := version(t, open(t, t.TempDir()), 1, r)
	began, goOn := make(chan struct{}), make(chan struct{})
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		close(began)
		return io.NopCloser(gated(goOn, bytes.NewReader(r.bytes[off:off+n]))), nil
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := f.Hydrate(t.Context(), src, 0, 10); err != nil {
			t.Errorf("a reader of what is local work by now: %v", err)
		}
	})
	<-began
	ok(t, f.UnsealEmpty(3, content.Tag{}))
	_, err := f.WriteAt([]byte("ours"), 0)
	ok(t, err)
	close(goOn)
	all.Wait()
	if got := content1(t, f); string(got) != "ours" {
		t.Fatalf("local work is %d bytes, %.10q", len(got), got)
	}
}

func TestNoSpaceIsToldBeforeAnythingIsWritten(t *testing.T) {
	dir := t.TempDir()
	r := &remote{bytes: random(1000)}
	s := open(t, dir)
	f, err := s.Create(1, 1, content.Tag{})
	ok(t, err)
	ok(t, f.Close())
	full, err := content.Open(dir, content.Options{FreeFloor: 1 << 60})
	ok(t, err)
	defer full.Close()
	f, err = full.Local(1)
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	want(t, err, content.ErrNoSpace)
	_, err = f.Append([]byte("x"))
	want(t, err, content.ErrNoSpace)
	if f.Size() != 0 {
		t.Fatalf("size %d", f.Size())
	}
	_, err = full.Create(2, 1, content.Tag{})
	want(t, err, content.ErrNoSpace)
	g := version(t, full, 3, r)
	want(t, g.Hydrate(t.Context(), r.source, 0, 10), content.ErrNoSpace)
	ok(t, f.Truncate(0))
}

func TestAStoreThatClosesEndsItsFetches(t *testing.T) {
	s, err := content.Open(filepath.Join(t.TempDir(), "x"), content.Options{})
	ok(t, err)
	r := &remote{bytes: random(1000), gate: make(chan struct{})}
	f, err := s.Version(1, r.version(), noon)
	ok(t, err)
	began := make(chan struct{})
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		close(began)
		return r.source(ctx, off, n)
	}
	failed := make(chan error, 1)
	go func() { failed <- f.Hydrate(t.Context(), src, 0, 10) }()
	<-began
	ok(t, s.Close())
	if err := <-failed; err == nil {
		t.Fatal("the fetch succeeded")
	}
	ok(t, f.Close())
	_, err = s.Local(1)
	want(t, err, os.ErrClosed)
}
