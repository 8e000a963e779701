package cache_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

const root = cachetest.RootItem

var (
	folder = cachetest.Folder
	file   = cachetest.File
)

func source(body string) content.Source {
	return func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body[off : off+n])), nil
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.create("/A.txt", "")
	long := strings.Repeat("x", 250)
	w.mkdir("/" + long)
	for _, c := range []struct {
		path string
		want error
	}{
		{"/a.TXT", cache.ErrExist},
		{"/a:b", cache.ErrName},
		{"/" + long + "xxxxxx", cache.ErrNameTooLong},
		{"/" + long + "/" + long, cache.ErrPathTooLong},
		{"/A.txt/b", cache.ErrNotFolder},
	} {
		dir, child := split(c.path)
		_, err := w.tr.Create(w.at(dir).Ino, child, cache.New{})
		if !errors.Is(err, c.want) {
			t.Errorf("create %.20s: %v, want %v", c.path, err, c.want)
		}
	}
	_, err := w.tr.Create(w.d.Root, "a:b", cache.New{})
	w.is(err, name.Character)
	// The service counts what stands before the drive's own paths.
	d, err := w.s.AddDrive(graph.Drive{ID: "d1", Name: "d1", Type: "business", WebURL: "https://x.example/" + long},
		graph.Item{ID: cachetest.RootItem, Name: "root", Type: graph.Folder, Root: true, ETag: "root-1"})
	if err != nil || d.Num != w.d.Num {
		t.Fatalf("drive %d, %v", d.Num, err)
	}
	_, err = w.tr.Create(w.d.Root, "y"+long[:149], cache.New{})
	w.is(err, cache.ErrPathTooLong)
	w.create("/y"+long[:148], "")
	if n := w.create("/~$a.docx", ""); !n.LocalOnly || !n.Since.IsZero() {
		t.Errorf("a local-only file: %+v", n)
	}
	_, err = w.tr.Lookup(w.d.Root, "a.txt")
	w.is(err, cache.ErrNotExist)
}

func TestLookupBlindToCase(t *testing.T) {
	w := newWorld(t, cache.Options{CaseBlind: true}, file("x", root, "Stra\u00dfe.txt", "1"))
	n, err := w.tr.Lookup(w.d.Root, "STRASSE.TXT")
	if err != nil || n.Name != "Stra\u00dfe.txt" {
		t.Errorf("%v %v", n, err)
	}
}

func TestUnlisted(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	d := cachetest.AddDrive(t, s, "d1")
	tr, in := s.Tree(), s.Inbox(d.Num)
	_, err := tr.Lookup(d.Root, "x")
	if !errors.Is(err, cache.ErrUnlisted) {
		t.Errorf("lookup in an unlisted folder: %v", err)
	}
	if _, err = tr.List(d.Root, 0, 10); !errors.Is(err, cache.ErrUnlisted) {
		t.Errorf("list of an unlisted folder: %v", err)
	}
	if _, err = tr.Create(d.Root, "x", cache.New{}); !errors.Is(err, cache.ErrUnlisted) {
		t.Errorf("create in an unlisted folder: %v", err)
	}
	if err := in.List(d.Root, nil); err != nil {
		t.Fatal(err)
	}
	if err := in.List(d.Root, []graph.Item{folder("f", root, "f"), file("x", root, "x", "1")}); err != nil {
		t.Fatal(err)
	}
	list, err := tr.List(d.Root, 0, 10)
	if err != nil || len(list) != 2 || list[0].Listing != cache.Unlisted {
		t.Errorf("after listing: %+v %v", list, err)
	}
	if r, _ := tr.Get(d.Root); r.Listing != cache.Listed {
		t.Errorf("the root is %v", r.Listing)
	}
	if _, err := tr.Remove(d.Root, "f", true); !errors.Is(err, cache.ErrUnlisted) {
		t.Errorf("removing an unlisted folder: %v", err)
	}
	cachetest.Enumerate(t, s, d.Num, file("y", "f", "y", "1"))
	if n, err := tr.Resolve(d.Root, "f/y"); err != nil || n.Base.Item != "y" {
		t.Errorf("after the enumeration: %v %v", n, err)
	}
	if n, _ := tr.Resolve(d.Root, "f"); n.Listing != cache.Followed {
		t.Errorf("a folder is %v after the enumeration", n.Listing)
	}
}

func TestListGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, cache.Options{})
	a := w.create("/z", "")
	b := w.create("/a", "")
	w.rm("/z")
	list, err := w.tr.List(w.d.Root, a.Ino, 10)
	if err != nil || len(list) != 1 || list[0].Ino != b.Ino {
		t.Errorf("%v %v", list, err)
	}
}

func TestPathAndResolve(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("a", root, "a"), folder("b", "a", "b"), file("c", "b", "c", "1"))
	p, err := w.tr.Path(w.at("/a//b/c/").Ino)
	if err != nil || p != "/a/b/c" {
		t.Errorf("%q %v", p, err)
	}
	if p, err = w.tr.Path(w.d.Root); err != nil || p != "/" {
		t.Errorf("root: %q %v", p, err)
	}
}

func TestRemovedStaysWhileHeld(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/a", "bytes")
	_, err := w.tr.Hold(n.Ino)
	w.ok(err)
	w.rm("/a")
	w.none("/a")
	if n, err = w.tr.Get(n.Ino); err != nil || !n.Removed {
		t.Fatalf("held: %+v %v", n, err)
	}
	_, err = w.s.Content().Info(uint64(n.Ino))
	w.ok(err)
	w.tr.Unhold(n.Ino)
	_, err = w.tr.Get(n.Ino)
	w.is(err, cache.ErrNotExist)
	_, err = w.s.Content().Info(uint64(n.Ino))
	w.is(err, cache.ErrNotExist)
}

func TestWhatMakesDirty(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("f", root, "f"), file("x", root, "x", "1"), file("y", root, "y", "1"))
	attr := func(a cache.Attr) {
		t.Helper()
		_, err := w.tr.SetAttr(w.at("/x").Ino, a)
		w.ok(err)
	}
	mode, uid, at := uint32(0o600), uint32(7), w.now
	attr(cache.Attr{Mode: &mode, UID: &uid, Atime: &at})
	w.equal("after chmod", w.diff("/x"), "")
	near := cachetest.Time.Add(300 * time.Millisecond)
	attr(cache.Attr{Mtime: &near})
	w.equal("after a time within the second of the base", w.diff("/x"), "")
	far := cachetest.Time.Add(3 * time.Second)
	attr(cache.Attr{Mtime: &far})
	w.equal("after another time", w.diff("/x"), "time")
	attr(cache.Attr{Mtime: &near})
	w.equal("after the old time", w.diff("/x"), "")
	w.mv("/x", "/f/x")
	w.equal("after a move", w.diff("/f/x"), "place")
	w.mv("/f/x", "/f/X")
	w.equal("after a rename in case", w.diff("/f/X"), "name place")
	w.mv("/f/X", "/x")
	w.equal("back", w.diff("/x"), "")
	w.write("/y", "2")
	w.equal("after a write", w.diff("/y"), "bytes time")
	w.mkdir("/new")
	w.mv("/x", "/new/x")
	w.equal("in a new folder", w.diff("/new/x"), "place")
	p, err := w.out.Pending()
	w.ok(err)
	w.equal("pending", p.Items, 3)
	w.equal("bytes", p.Bytes, 1)
}
