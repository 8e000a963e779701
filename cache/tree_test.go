package cache_test

import (
	"errors"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

// world is a store with one enumerated drive.
type world struct {
	*testing.T
	s  *cache.Store
	d  cache.DriveInfo
	tr *cache.Tree
}

func newWorld(t *testing.T, o cache.Options, items ...graph.Item) *world {
	t.Helper()
	s := cachetest.Open(t, o)
	d := cachetest.AddDrive(t, s, "d1")
	cachetest.Enumerate(t, s, d.Num, items...)
	return &world{T: t, s: s, d: d, tr: s.Tree()}
}

func (w *world) at(path string) cache.Node {
	w.Helper()
	n, err := w.tr.Resolve(w.d.Root, path)
	if err != nil {
		w.Fatalf("%s: %v", path, err)
	}
	return n
}

func (w *world) create(parent cache.Ino, name string, dir bool) cache.Node {
	w.Helper()
	n, err := w.tr.Create(parent, name, cache.New{Dir: dir, Mode: 0o644})
	if err != nil {
		w.Fatalf("create %s: %v", name, err)
	}
	return n
}

func TestCreateLookupListRemove(t *testing.T) {
	w := newWorld(t, cache.Options{})
	a := w.create(w.d.Root, "A.txt", false)
	if a.Ino < 2 || !a.Written || a.Since.IsZero() {
		t.Errorf("created %+v", a)
	}
	if _, err := w.tr.Lookup(w.d.Root, "a.txt"); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("lookup in another case: %v", err)
	}
	if n, err := w.tr.Lookup(w.d.Root, "A.txt"); err != nil || n.Ino != a.Ino {
		t.Errorf("lookup: %v %v", n, err)
	}
	if _, err := w.tr.Create(w.d.Root, "a.TXT", cache.New{}); !errors.Is(err, cache.ErrExist) {
		t.Errorf("create in another case: %v", err)
	}
	if _, err := w.tr.Create(w.d.Root, "a:b", cache.New{}); !errors.Is(err, cache.ErrName) {
		t.Errorf("create of an illegal name: %v", err)
	}
	b := w.create(w.d.Root, "b", true)
	list, err := w.tr.List(w.d.Root, a.Ino, 10)
	if err != nil || len(list) != 1 || list[0].Ino != b.Ino {
		t.Errorf("list after the first: %v %v", list, err)
	}
	if _, err := w.tr.Remove(w.d.Root, "A.txt", false); err != nil {
		t.Error(err)
	}
	if _, err := w.tr.Get(a.Ino); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("get of a removed node: %v", err)
	}
}

func TestEnumerateAndRemove(t *testing.T) {
	w := newWorld(t, cache.Options{},
		cachetest.Folder("f", cachetest.RootItem, "docs"),
		cachetest.File("x", "f", "x.txt", "hello"))
	n := w.at("/docs/x.txt")
	if n.Size != 5 || n.Base.Item != "x" || !n.Since.IsZero() {
		t.Errorf("node %+v", n)
	}
	if _, err := w.tr.Remove(w.at("/docs").Ino, "x.txt", false); err != nil {
		t.Fatal(err)
	}
	p, err := w.s.Outbox(w.d.Num).Pending()
	if err != nil || p.Items != 1 || p.Deletions != 1 {
		t.Errorf("pending %+v %v", p, err)
	}
	v, err := w.s.Outbox(w.d.Num).View()
	if err != nil || len(v.Gone) != 1 || v.Gone["x"].Path != "/docs/x.txt" || v.Known != 3 {
		t.Errorf("view %+v %v", v, err)
	}
}
