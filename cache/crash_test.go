package cache_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
)

// crash goes on with a copy of the state as it is on the disk now, as after kill -9.
func (w *world) crash() {
	w.Helper()
	dir := filepath.Join(w.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", w.dir, dir).CombinedOutput(); err != nil {
		w.Fatalf("%v: %s", err, out)
	}
	w.dir = dir
	w.s = cachetest.OpenDir(w.T, dir, w.o)
	w.open()
}

func TestKillLosesNothing(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, fItem)
	n := w.create("/new", "mine")
	w.write("/x", "22")
	w.mv("/f", "/g")
	w.rm("/g")
	a := w.attempt("create", "/new")
	_, err := w.out.Begin(a)
	w.ok(err)
	w.crash()
	w.equal("created", w.at("/new").Ino, n.Ino)
	w.equal("its bytes", w.body("/new"), "mine")
	w.equal("written", w.body("/x"), "22")
	w.equal("gone", w.gone(), "f")
	steps, err := w.out.Attempts()
	w.ok(err)
	w.equal("under way", len(steps), 1)
	if m := w.create("/later", ""); m.Ino <= n.Ino || m.Seq <= w.at("/x").Seq {
		t.Errorf("numbers go back: %+v", m)
	}
	w.ok(w.out.Forget(a))
}

// The body of a Written file knows its size and time better than a row that was not settled.
func TestKillBeforeSettle(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/new", "mine")
	f, err := w.s.Content().Local(uint64(n.Ino))
	w.ok(err)
	_, err = f.WriteAt([]byte("more"), 4)
	w.ok(err)
	w.ok(f.Close())
	w.crash()
	w.equal("size", w.at("/new").Size, 8)
}

func TestKillBetweenMarkAndWrite(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, file("y", root, "y", "1"))
	w.hydrate("/x", "12345")
	for _, p := range []string{"/x", "/y"} {
		_, err := w.tr.Hold(w.at(p).Ino)
		w.ok(err)
		_, err = w.tr.Mark(w.at(p).Ino)
		w.ok(err)
	}
	w.crash()
	w.equal("hydrated", w.diff("/x"), "")
	w.equal("not here", w.diff("/y"), "")
}

func TestKillBetweenCreateAndBody(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n, err := w.tr.Create(w.d.Root, "new", cache.New{})
	w.ok(err)
	_, err = w.tr.Hold(n.Ino)
	w.ok(err)
	w.crash()
	w.equal("bytes", w.body("/new"), "")
}

// Committed, and the body not told: equal bytes are agreed, others are unsent again.
func TestKillBetweenCommitAndBody(t *testing.T) {
	for body, want := range map[string]string{"22": "", "33": "bytes time"} {
		t.Run(body, func(t *testing.T) {
			w := newWorld(t, cache.Options{}, xItem)
			w.hydrate("/x", "12345")
			w.receive(changed(xItem, "22"))
			w.rule(func(cache.Case) cache.Ruling {
				return cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true}
			})
			n := w.at("/x")
			f, err := w.s.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
			w.ok(err)
			w.ok(f.UnsealEmpty(uint64(n.Seq)+1, content.Tag{}))
			_, err = f.WriteAt([]byte(body), 0)
			w.ok(err)
			w.ok(f.Close())
			_, err = w.tr.Hold(n.Ino)
			w.ok(err)
			w.crash()
			w.equal("differs", w.diff("/x"), want)
			_, err = w.s.Content().Info(uint64(n.Ino))
			w.ok(err)
		})
	}
}

func TestKillWhileRemovedIsHeld(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/new", "mine")
	_, err := w.tr.Hold(n.Ino)
	w.ok(err)
	w.rm("/new")
	w.crash()
	_, err = w.tr.Get(n.Ino)
	w.is(err, cache.ErrNotExist)
	_, err = w.s.Content().Info(uint64(n.Ino))
	w.is(err, cache.ErrNotExist)
}

func TestOneProcessAStore(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.ok(w.s.Note("serving /mnt/drive"))
	_, err := cache.Open(w.dir, cache.Options{})
	var inUse *cache.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || !strings.Contains(err.Error(), "serving /mnt/drive") {
		t.Errorf("%v", err)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s, err := cache.Open(dir, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := cachetest.AddDrive(t, s, "d1")
	cachetest.Enumerate(t, s, d.Num, xItem)
	x, err := s.Tree().Lookup(d.Root, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = cachetest.OpenDir(t, dir, cache.Options{})
	d2 := cachetest.AddDrive(t, s, "other")
	if d2.Num == d.Num {
		t.Error("two drives are one")
	}
	if d, err = s.Drive(1); err != nil || !d.Enumerated {
		t.Errorf("%+v %v", d, err)
	}
	y, err := s.Tree().Lookup(d.Root, "x")
	if err != nil || y.Ino != x.Ino || y.Base.Item != "x" || !y.Mtime.Equal(x.Mtime) {
		t.Errorf("%+v %v", y, err)
	}
	if n, err := s.Tree().Create(d.Root, "dir", cache.New{Dir: true}); err != nil || n.Ino != d2.Root+1 {
		t.Errorf("%+v %v", n, err)
	}
	all, err := s.Drives()
	if err != nil || len(all) != 2 {
		t.Errorf("%+v %v", all, err)
	}
}

// Local work that no node knows is kept, and reported once.
func TestLocalWorkWithoutNodeIsRecovered(t *testing.T) {
	w := newWorld(t, cache.Options{})
	f, err := w.s.Content().Create(4711, 1, content.Tag{Drive: "d1", Path: "/docs/lost.txt"})
	w.ok(err)
	_, err = w.s.Tree().Hold(w.d.Root)
	w.ok(err)
	dir := filepath.Join(t.TempDir(), "copy")
	w.ok(exec.Command("cp", "-a", w.dir, dir).Run())
	w.ok(f.Close())
	w.ok(w.s.Content().Remove(4711))
	for range 2 {
		w.dir = dir
		s, err := cache.Open(dir, w.o)
		w.ok(err)
		w.s = s
		w.open()
		w.equal("reports", w.reports(), "recovered /docs/lost.txt")
		i, err := s.Content().Info(4711)
		if err != nil || !i.Local {
			t.Errorf("%+v %v", i, err)
		}
		cachetest.Check(t, s)
		w.ok(s.Close())
		w.ok(os.Remove(filepath.Join(dir, "clean")))
	}
}
