package cache_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// world is a store with one enumerated drive and a clock that stands still.
type world struct {
	*testing.T
	s   *cache.Store
	d   cache.DriveInfo
	tr  *cache.Tree
	out *cache.Outbox
	in  *cache.Inbox
	now time.Time
	dir string
	o   cache.Options
}

func newWorld(t *testing.T, o cache.Options, items ...graph.Item) *world {
	t.Helper()
	t.Parallel() // opening and closing waits for the disk
	w := &world{T: t, now: cachetest.Time.Add(1000 * time.Hour)}
	o.Now = func() time.Time { return w.now }
	w.dir, w.o = t.TempDir(), o
	w.s = cachetest.OpenDir(t, w.dir, o)
	w.d = cachetest.AddDrive(t, w.s, "d1")
	w.open()
	cachetest.Enumerate(t, w.s, w.d.Num, items...)
	return w
}

func (w *world) open() {
	w.tr, w.out, w.in = w.s.Tree(), w.s.Outbox(w.d.Num), w.s.Inbox(w.d.Num)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("error %v, want %v", err, want)
	}
}

// at returns the node at a path.
func (w *world) at(path string) cache.Node {
	w.Helper()
	n, err := w.tr.Resolve(w.d.Root, path)
	if err != nil {
		w.Fatalf("%s: %v", path, err)
	}
	return n
}

// none fails if there is something at a path.
func (w *world) none(path string) {
	w.Helper()
	if n, err := w.tr.Resolve(w.d.Root, path); !errors.Is(err, cache.ErrNotExist) {
		w.Errorf("%s is there: %+v, %v", path, n, err)
	}
}

func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

func (w *world) mkdir(path string) cache.Node {
	w.Helper()
	dir, name := split(path)
	n, err := w.tr.Create(w.at(dir).Ino, name, cache.New{Dir: true, Mode: 0o755})
	w.ok(err)
	return n
}

// create makes a file with bytes.
func (w *world) create(path, body string) cache.Node {
	w.Helper()
	dir, name := split(path)
	n, err := w.tr.Create(w.at(dir).Ino, name, cache.New{Mode: 0o644})
	w.ok(err)
	f, err := w.s.Content().Create(uint64(n.Ino), uint64(n.Seq), content.Tag{})
	w.ok(err)
	return w.put(n, f, body)
}

// write replaces the bytes of a file.
func (w *world) write(path, body string) cache.Node {
	w.Helper()
	n := w.at(path)
	was := n
	seq, err := w.tr.Mark(n.Ino)
	w.ok(err)
	var f *content.File
	if was.Written {
		f, err = w.s.Content().Local(uint64(n.Ino))
	} else {
		f, err = w.s.Content().Version(uint64(n.Ino), was.Base.Version(), was.Mtime)
	}
	w.ok(err)
	w.ok(f.UnsealEmpty(uint64(seq), content.Tag{}))
	return w.put(n, f, body)
}

func (w *world) put(n cache.Node, f *content.File, body string) cache.Node {
	w.Helper()
	_, err := f.WriteAt([]byte(body), 0)
	w.ok(err)
	w.ok(f.SetModTime(w.now))
	n, err = w.tr.Settle(n.Ino, f.Size(), f.ModTime())
	w.ok(err)
	w.ok(f.Close())
	return n
}

// hydrate makes the clean body of a file complete.
func (w *world) hydrate(path, body string) {
	w.Helper()
	n := w.at(path)
	f, err := w.s.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
	w.ok(err)
	defer f.Close()
	w.ok(f.Hydrate(w.Context(), source(body), 0, n.Size))
}

func (w *world) mv(from, to string) cache.Renamed {
	w.Helper()
	r, err := w.rename(from, to, 0)
	w.ok(err)
	return r
}

func (w *world) rename(from, to string, f cache.RenameFlags) (cache.Renamed, error) {
	w.Helper()
	fd, fn := split(from)
	td, tn := split(to)
	return w.tr.Rename(w.at(fd).Ino, fn, w.at(td).Ino, tn, f)
}

func (w *world) rm(path string) {
	w.Helper()
	dir, name := split(path)
	_, err := w.tr.Remove(w.at(dir).Ino, name, w.at(path).Dir)
	w.ok(err)
}

// item returns the item of the node at a path, empty if it has none.
func (w *world) item(path string) graph.ItemID {
	w.Helper()
	n := w.at(path)
	if n.Base == nil {
		return ""
	}
	return n.Base.Item
}

// diff says in what the node at a path differs, as one word each.
func (w *world) diff(path string) string {
	w.Helper()
	n := w.at(path)
	p, err := w.tr.Get(n.Parent)
	w.ok(err)
	item := graph.ItemID("")
	if p.Base != nil && !p.LocalOnly {
		item = p.Base.Item
	}
	d := n.Diff(item)
	var words []string
	for _, x := range []struct {
		on   bool
		word string
	}{{d.New, "new"}, {d.Bytes, "bytes"}, {d.Name, "name"}, {d.Place, "place"}, {d.ModTime, "time"}} {
		if x.on {
			words = append(words, x.word)
		}
	}
	return strings.Join(words, " ")
}

// gone lists the items that are pending deletion.
func (w *world) gone() string {
	w.Helper()
	v, err := w.out.View()
	w.ok(err)
	var ids []string
	for id := range v.Gone {
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func (w *world) equal(what string, have, want any) {
	w.Helper()
	if h, x := fmt.Sprint(have), fmt.Sprint(want); h != x {
		w.Errorf("%s: %s, want %s", what, h, x)
	}
}

// body returns the local bytes of a file.
func (w *world) body(path string) string {
	w.Helper()
	f, err := w.s.Content().Local(uint64(w.at(path).Ino))
	w.ok(err)
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		w.Fatal(err)
	}
	return string(b)
}

// push begins and commits a step as a flush would, with the answer of the service.
func (w *world) push(a cache.Attempt, answer graph.Item) cache.Node {
	w.Helper()
	w.seal(a)
	_, err := w.out.Begin(a)
	w.ok(err)
	n, err := w.out.Commit(a, answer)
	w.ok(err)
	return n
}

// seal seals the body of a step that sends one, for as long as the test runs.
func (w *world) seal(a cache.Attempt) {
	w.Helper()
	if a.Op != "create" && a.Op != "replace" {
		return
	}
	f, err := w.s.Content().Local(uint64(a.Ino))
	w.ok(err)
	snap, err := f.Seal(uint64(a.Seq))
	w.ok(err)
	w.Cleanup(func() {
		snap.Release()
		f.Close()
	})
}

var rootItem = graph.Item{ID: cachetest.RootItem, Name: "root", Type: graph.Folder, Root: true, ETag: "root-1"}

func drive(id graph.DriveID) graph.Drive { return graph.Drive{ID: id, Name: string(id)} }
