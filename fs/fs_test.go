package fs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
	"github.com/duskfs/duskfs/graph"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"nothing", nil, 0},
		{"an errno itself", syscall.EROFS, syscall.EROFS},
		{"wrapped", fmt.Errorf("create: %w", cache.ErrName), syscall.EINVAL},
		{"no such name", cache.ErrNotExist, syscall.ENOENT},
		{"twin", cache.ErrExist, syscall.EEXIST},
		{"disk full", content.ErrNoSpace, syscall.ENOSPC},
		{"store full", cache.ErrNoSpace, syscall.ENOSPC},
		{"changed on the remote", &graph.Error{Kind: graph.Changed}, syscall.ESTALE},
		{"gone on the remote", &graph.Error{Kind: graph.NotExist}, syscall.ESTALE},
		{"drive full", &graph.Error{Kind: graph.Full}, syscall.EDQUOT},
		{"signed out", &graph.Error{Kind: graph.SignIn}, syscall.EACCES},
		{"offline", &graph.Error{Kind: graph.Offline}, syscall.EIO},
		{"too slow", context.DeadlineExceeded, syscall.EIO},
		{"interrupted", context.Canceled, syscall.EINTR},
		{"anything", errors.New("anything"), syscall.EIO},
	} {
		if got := fs.Errno(c.err); got != c.want {
			t.Errorf("%s: %v (%d), want %v", c.name, got, got, c.want)
		}
	}
}

var ctx = context.Background()

// world is one whose root is listed.
func world(t *testing.T, edit func(*fstest.World, *fs.Options)) *fstest.World {
	t.Helper()
	w := fstest.NewWorld(t, edit)
	if err := w.Remote.List(ctx, w.Drive.Root); err != nil {
		t.Fatal(err)
	}
	return w
}

func create(t *testing.T, w *fstest.World, name, text string) *fs.Handle {
	t.Helper()
	h, _, err := w.FS.Create(ctx, fs.Root, name, syscall.O_RDWR, 0o644, fs.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, h, text, 0)
	return h
}

func write(t *testing.T, h *fs.Handle, text string, off int64) {
	t.Helper()
	if n, err := h.WriteAt(ctx, []byte(text), off); n != len(text) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func read(t *testing.T, h *fs.Handle) string {
	t.Helper()
	b := make([]byte, 1000)
	n, err := h.ReadAt(ctx, b, 0)
	if err != nil && err != io.EOF {
		t.Fatalf("read: %v", err)
	}
	return string(b[:n])
}

func node(t *testing.T, w *fstest.World, ino cache.Ino) cache.Node {
	t.Helper()
	n, err := w.Store.Tree().Get(ino)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// send does what a step of a flush does with a file, between seal and commit letting during run.
func send(t *testing.T, w *fstest.World, ino cache.Ino, during func()) *content.Snapshot {
	t.Helper()
	n := node(t, w, ino)
	body, err := w.Store.Content().Local(uint64(ino))
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	snap, err := body.Seal(uint64(n.Seq))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(snap.Release)
	out := w.Store.Outbox(w.Drive.Num)
	a := cache.Attempt{Op: "upload", Ino: ino, Seq: n.Seq, Parent: "root", Name: n.Name, Size: snap.Size(), ModTime: snap.ModTime()}
	if n.Base != nil {
		a.Item = n.Base.Item
	}
	if _, err := out.Begin(a); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, snap.Size())
	if _, err := snap.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if during != nil {
		during()
	}
	h := graph.NewQuickXor()
	h.Write(b)
	item := graph.Item{ID: graph.ItemID(fmt.Sprint("sent-", ino)), Parent: "root", Name: n.Name, Type: graph.File, Size: int64(len(b)),
		ETag: fmt.Sprint("e-", n.Seq), CTag: fmt.Sprint("c-", n.Seq), Hash: graph.HashOf(h), ModTime: snap.ModTime().Truncate(time.Second)}
	if _, err := out.Commit(a, item); err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestAFileThatIsOpenWhileItIsSentGoesOn(t *testing.T) {
	w := world(t, nil)
	h := create(t, w, "f", "one")
	defer h.Release()
	send(t, w, h.Ino(), nil)
	if n := node(t, w, h.Ino()); n.Written || n.Base == nil {
		t.Fatalf("after the commit: written %v, base %v", n.Written, n.Base)
	}
	if got := read(t, h); got != "one" {
		t.Errorf("reads %q", got)
	}
	write(t, h, "two", 3)
	if got := read(t, h); got != "onetwo" {
		t.Errorf("reads %q", got)
	}
	if n := node(t, w, h.Ino()); !n.Written {
		t.Error("the second write did not mark the node")
	}
	if reads, _ := w.Remote.Reads(); reads != 0 {
		t.Errorf("the remote was asked %d times for bytes that are here", reads)
	}
}

func TestAWriterBreaksTheSealOfAStepUnderWay(t *testing.T) {
	w := world(t, nil)
	h := create(t, w, "f", "one")
	defer h.Release()
	snap := send(t, w, h.Ino(), func() { write(t, h, "ONE and more", 0) })
	if _, err := snap.ReadAt(make([]byte, 1), 0); !errors.Is(err, content.ErrUnsealed) {
		t.Errorf("the step reads on: %v", err)
	}
	if n := node(t, w, h.Ino()); !n.Written {
		t.Error("what was written during the step counts as sent")
	}
	if got := read(t, h); got != "ONE and more" {
		t.Errorf("reads %q", got)
	}
}

// A commit says that a file is sent, and its body hears of it a moment later. Who opens it in between waits.
func TestAFileIsOpenedBetweenACommitAndItsBody(t *testing.T) {
	w := world(t, nil)
	h := create(t, w, "f", "one")
	ino := h.Ino()
	send(t, w, ino, nil).Release()
	write(t, h, "two", 0)
	h.Release()
	opened := make(chan error)
	open := sync.OnceFunc(func() {
		go func() {
			h, err := w.FS.Open(ctx, ino, syscall.O_RDONLY)
			if err == nil {
				h.Release()
			}
			opened <- err
		}()
		select {
		case err := <-opened:
			t.Errorf("opened before the body followed: %v", err)
			go func() { opened <- nil }()
		case <-time.After(50 * time.Millisecond): // it waits, as it must
		}
	})
	defer w.Store.Tree().Watch(func(cache.Event) { open() })()
	q := graph.NewQuickXor()
	q.Write([]byte("two"))
	in := w.Store.Inbox(w.Drive.Num)
	c, err := in.Case(graph.Item{ID: node(t, w, ino).Base.Item, Parent: "root", Name: "f", Type: graph.File, Size: 3,
		ETag: "e", CTag: "c", Hash: graph.HashOf(q), ModTime: fstest.Date}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Apply(c, cache.Ruling{Verb: cache.Agree, Bytes: cache.SameBytes}); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestTruncationBreaksTheSealToo(t *testing.T) {
	w := world(t, nil)
	h := create(t, w, "f", "one")
	defer h.Release()
	send(t, w, h.Ino(), func() {
		if err := h.Truncate(ctx, 0); err != nil {
			t.Error(err)
		}
	})
	if n := node(t, w, h.Ino()); !n.Written {
		t.Error("the truncation counts as sent")
	}
	if a, err := h.Attr(ctx); err != nil || a.Size != 0 {
		t.Errorf("size %d, %v", a.Size, err)
	}
}

func TestWritersAndSealsAtTheSameTimeLoseNothing(t *testing.T) {
	w := world(t, nil)
	h, _, err := w.FS.Create(ctx, fs.Root, "log", syscall.O_RDWR|syscall.O_APPEND, 0o644, fs.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	const writers, lines = 4, 60
	stop, wrote := make(chan struct{}), make(chan struct{}, 1)
	var sealing, writing sync.WaitGroup
	sealing.Go(func() {
		for seals := 1; ; seals++ {
			// A flush seals a file a few times, and not between any two looks of a writer on a slow machine.
			if seals%10 == 0 {
				select {
				case <-stop:
				case <-wrote:
				}
			}
			select {
			case <-stop:
				return
			default:
			}
			body, err := w.Store.Content().Local(uint64(h.Ino()))
			if err != nil {
				t.Error(err)
				return
			}
			n, err := w.Store.Tree().Get(h.Ino())
			if err != nil {
				t.Error(err)
			}
			if snap, err := body.Seal(uint64(n.Seq)); err == nil {
				snap.Release()
			}
			body.Close()
		}
	})
	for i := range writers {
		writing.Go(func() {
			mine, err := w.FS.Open(ctx, h.Ino(), syscall.O_WRONLY|syscall.O_APPEND)
			if err != nil {
				t.Error(err)
				return
			}
			defer mine.Release()
			for j := range lines {
				if _, err := mine.WriteAt(ctx, fmt.Appendf(nil, "writer %d line %02d\n", i, j), 0); err != nil {
					t.Error(err)
					return
				}
				select {
				case wrote <- struct{}{}:
				default:
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	sealing.Wait()
	all := make([]byte, 1<<16)
	n, err := h.ReadAt(ctx, all, 0)
	if err != io.EOF {
		t.Fatal(err)
	}
	if got := bytes.Count(all[:n], []byte("\n")); got != writers*lines {
		t.Errorf("%d lines, want %d", got, writers*lines)
	}
}

// Else an empty file is sent with the time of its body, whose clock is a little behind, and once more with
// its own when a second began between the two.
func TestAFileThatWasMadeHasOneTime(t *testing.T) {
	w := world(t, nil)
	for i := range 20 {
		h := create(t, w, fmt.Sprint("f", i), "")
		body, err := w.Store.Content().Local(uint64(h.Ino()))
		if err != nil {
			t.Fatal(err)
		}
		if n := node(t, w, h.Ino()); !body.ModTime().Equal(n.Mtime) {
			t.Errorf("the body has %v, the node %v", body.ModTime(), n.Mtime)
		}
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		h.Release()
	}
}

func TestSizeIsRecordedWhileAFileStaysOpen(t *testing.T) {
	synced := make(chan struct{}, 10)
	w := world(t, func(_ *fstest.World, o *fs.Options) {
		o.SettleEvery = time.Millisecond
		o.Sync = func() error { synced <- struct{}{}; return nil }
	})
	h := create(t, w, "f", "twelve bytes")
	defer h.Release()
	select {
	case <-synced:
	case <-time.After(10 * time.Second):
		t.Fatal("the timer did not run")
	}
	if n := node(t, w, h.Ino()); n.Size != 12 {
		t.Errorf("recorded size %d, want 12", n.Size)
	}
}

// The kernel tells of a close some time after it has returned to the program.
func TestWhatWasWrittenCanBeCountedBeforeTheClose(t *testing.T) {
	w := world(t, func(_ *fstest.World, o *fs.Options) { o.SettleEvery = time.Hour })
	h := create(t, w, "f", "twelve bytes")
	defer h.Release()
	if n := node(t, w, h.Ino()); n.Size != 0 {
		t.Fatalf("recorded size %d already", n.Size)
	}
	for _, want := range []int64{12, 13} {
		if err := w.FS.Record(); err != nil {
			t.Fatal(err)
		}
		if n := node(t, w, h.Ino()); n.Size != want {
			t.Errorf("recorded size %d, want %d", n.Size, want)
		}
		write(t, h, "x", 12)
	}
	for i := range 500 {
		h := create(t, w, fmt.Sprint("g", i), "x")
		var released sync.WaitGroup
		released.Go(h.Release)
		if err := w.FS.Record(); err != nil {
			t.Fatal(err)
		}
		if n := node(t, w, h.Ino()); n.Size != 1 {
			t.Fatalf("recorded size %d while it is released", n.Size)
		}
		released.Wait()
	}
}

func TestASizeIsNeverSeenFromBeforeAWriteThatEnded(t *testing.T) {
	w := world(t, nil)
	first := create(t, w, "f", "")
	ino := first.Ino()
	first.Release()
	// The kernel releases a file some time after close has returned, perhaps during the next stat.
	for i := range 1000 {
		h, err := w.FS.Open(ctx, ino, syscall.O_WRONLY|syscall.O_APPEND)
		if err != nil {
			t.Fatal(err)
		}
		write(t, h, "x", 0)
		var released sync.WaitGroup
		released.Go(h.Release)
		a, err := w.FS.Lookup(ctx, fs.Root, "f")
		if err != nil || a.Size != int64(i+1) {
			t.Fatalf("size %d, %v, want %d", a.Size, err, i+1)
		}
		es, err := w.FS.ReadDir(ctx, fs.Root, 2, 10)
		if err != nil || len(es) != 1 || es[0].Attr.Size != int64(i+1) {
			t.Fatalf("listed %+v, %v, want size %d", es, err, i+1)
		}
		released.Wait()
	}
}

func TestHandlesHoldTheirNode(t *testing.T) {
	w := world(t, nil)
	a := create(t, w, "f", "x")
	ino := a.Ino()
	b, err := w.FS.Open(ctx, ino, syscall.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	if w.Store.Tree().Held(ino) == 0 || !w.FS.Writing(ino) {
		t.Error("an open file is not held, or not known to be written")
	}
	a.Release()
	a.Release() // a second time does nothing
	if w.Store.Tree().Held(ino) == 0 || w.FS.Writing(ino) {
		t.Error("the reader does not hold, or counts as a writer")
	}
	b.Release()
	if held := w.Store.Tree().Held(ino); held != 0 {
		t.Errorf("held %d times after the last release", held)
	}
	if n := node(t, w, ino); n.Size != 1 {
		t.Errorf("recorded size %d", n.Size)
	}
}

// Between the lookup of a name and the opening of what it was, another file may take the name.
func TestAReplacedFileIsOpenedUntilTheKernelForgetsIt(t *testing.T) {
	w := world(t, nil)
	create(t, w, "doc", "old").Release()
	old, err := w.FS.Lookup(ctx, fs.Root, "doc")
	if err != nil {
		t.Fatal(err)
	}
	create(t, w, "tmp", "new").Release()
	if err := w.FS.Rename(ctx, fs.Root, "tmp", fs.Root, "doc", 0); err != nil {
		t.Fatal(err)
	}
	h, err := w.FS.Open(ctx, old.Ino, syscall.O_RDONLY)
	if err != nil {
		t.Fatalf("opening what was replaced: %v", err)
	}
	if got := read(t, h); got != "old" {
		t.Errorf("what was replaced holds %q", got)
	}
	h.Release()
	w.FS.Forget(old.Ino)
	if _, err := w.FS.Open(ctx, old.Ino, syscall.O_RDONLY); fs.Errno(err) != syscall.ESTALE {
		t.Errorf("opening what is forgotten: %v, want ESTALE", err)
	}
	if n := w.Store.Tree().Held(old.Ino); n != 0 {
		t.Errorf("it is still held %d times", n)
	}
}

// A step that overwrites an item waits for the missing bytes of open old bodies: nobody but a program
// may make it wait.
func TestAReplacedFileThatIsNotHereIsNotHeld(t *testing.T) {
	w := world(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/doc", make([]byte, 100)) })
	old, err := w.FS.Lookup(ctx, fs.Root, "doc")
	if err != nil {
		t.Fatal(err)
	}
	create(t, w, "tmp", "new").Release()
	if err := w.FS.Rename(ctx, fs.Root, "tmp", fs.Root, "doc", 0); err != nil {
		t.Fatal(err)
	}
	if n := w.Store.Tree().Held(old.Ino); n != 0 {
		t.Errorf("it is held %d times", n)
	}
	if _, err := w.Store.Content().Info(uint64(old.Ino)); err == nil {
		t.Error("a body was made for it")
	}
}

func TestAnUnlinkedFileGoesWithItsLastHandle(t *testing.T) {
	w := world(t, nil)
	h := create(t, w, "f", "x")
	ino := h.Ino()
	if err := w.FS.Unlink(ctx, fs.Root, "f"); err != nil {
		t.Fatal(err)
	}
	h.Release()
	if _, err := w.Store.Tree().Get(ino); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("the node stays: %v", err)
	}
	if _, err := w.Store.Content().Info(uint64(ino)); err == nil {
		t.Error("the body stays")
	}
	if _, err := w.FS.Open(ctx, ino, syscall.O_RDONLY); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("opening it by its ino: %v, want ESTALE", err)
	}
	if a, err := w.FS.GetAttr(ctx, ino); err != nil || a.Nlink != 0 {
		t.Errorf("its attributes: %+v, %v", a, err)
	}
	w.FS.Forget(ino)
	if _, err := w.FS.GetAttr(ctx, ino); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("its attributes after Forget: %v, want ESTALE", err)
	}
}

func TestANodeWhoseBodyWasNotMadeIsAnEmptyFile(t *testing.T) {
	w := world(t, nil)
	// Killed between the two halves of Create.
	n, err := w.Store.Tree().Create(w.Drive.Root, "f", cache.New{Mode: 0o644})
	if err != nil {
		t.Fatal(err)
	}
	h, err := w.FS.Open(ctx, n.Ino, syscall.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	write(t, h, "works", 0)
	if got := read(t, h); got != "works" {
		t.Errorf("reads %q", got)
	}
}

func TestCloseRecordsWhatIsOpen(t *testing.T) {
	w := world(t, nil)
	h := create(t, w, "f", "open at the end")
	ino := h.Ino()
	if err := w.FS.Close(); err != nil {
		t.Fatal(err)
	}
	h.Release()
	if n := node(t, w, ino); n.Size != 15 {
		t.Errorf("recorded size %d", n.Size)
	}
	if held := w.Store.Tree().Held(ino); held != 0 {
		t.Errorf("held %d times", held)
	}
}

func TestOneListingServesAllWhoWait(t *testing.T) {
	w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/d/f", []byte("x")) })
	d, err := w.FS.Lookup(ctx, fs.Root, "d")
	if err != nil {
		t.Fatal(err)
	}
	before := w.Remote.Lists()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := w.FS.Lookup(ctx, d.Ino, "f"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Who comes when it has just ended finds the folder listed; nobody lists it a third time.
	if n := w.Remote.Lists() - before; n > 2 {
		t.Errorf("%d listings for one folder", n)
	}
}

func TestFreeSpace(t *testing.T) {
	for _, c := range []struct {
		name    string
		quota   graph.Quota
		pending int64
		free    int64
	}{
		{"unknown is large", graph.Quota{}, 5, 1 << 50},
		{"what waits is taken off", graph.Quota{Total: 1 << 20, Used: 400_000, Remaining: 1<<20 - 400_000}, 100_000, 1<<20 - 500_000},
		{"never negative", graph.Quota{Total: 1 << 20, Used: 400_000, Remaining: 1<<20 - 400_000}, 1 << 20, 4096},
		{"remaining not told", graph.Quota{Total: 1 << 20, Used: 400_000}, 0, 1<<20 - 400_000},
		{"full is nearly full", graph.Quota{Total: 1 << 20, Used: 1 << 20}, 0, 4096},
		{"over full", graph.Quota{Total: 1 << 20, Used: 2 << 20}, 0, 4096},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fstest.NewWorld(t, func(_ *fstest.World, o *fs.Options) {
				o.Drives[0].Space = func() (graph.Quota, int64) { return c.quota, c.pending }
			})
			s, err := w.FS.StatFS(ctx, fs.Root)
			if err != nil || s.Free != c.free {
				t.Errorf("%d free, %v, want %d", s.Free, err, c.free)
			}
		})
	}
}

// Finder asks for the free space ten times a second, and to count it is to look at all that waits.
func TestFreeSpaceIsCountedOnceASecond(t *testing.T) {
	now, counts := time.Unix(1000, 0), 0
	w := fstest.NewWorld(t, func(_ *fstest.World, o *fs.Options) {
		o.Now = func() time.Time { return now }
		o.Drives[0].Space = func() (graph.Quota, int64) {
			counts++
			return graph.Quota{Total: 1 << 30, Remaining: 1 << 29}, 0
		}
	})
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {900 * time.Millisecond, 1}, {100 * time.Millisecond, 2}, {-time.Hour, 3}} {
		now = now.Add(c.later)
		if s, err := w.FS.StatFS(ctx, fs.Root); err != nil || s.Free != 1<<29 || counts != c.want {
			t.Errorf("%v later: %d free, %v, counted %d times, want %d", c.later, s.Free, err, counts, c.want)
		}
	}
}
