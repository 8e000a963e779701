package refresh_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"path"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/graph"
)

// world is a store, a service, and the Refresher between them. Its clock stands still until a test
// moves it.
type world struct {
	t     *testing.T
	now   time.Time
	there *service
	store *cache.Store
	drive cache.DriveInfo
	r     *refresh.Refresher
}

func newWorld(t *testing.T, change ...func(*refresh.Options)) *world {
	t.Helper()
	w := &world{t: t, now: morning.Add(2 * time.Hour), there: newService()}
	clock := func() time.Time {
		w.now = w.now.Add(time.Millisecond)
		return w.now
	}
	w.store = cachetest.Open(t, cache.Options{Now: clock, Host: "HOST"})
	w.drive = cachetest.AddDrive(t, w.store, "d1")
	o := refresh.Options{Store: w.store, Drive: w.drive.Num, Service: w.there, Now: clock}
	for _, c := range change {
		c(&o)
	}
	w.r = refresh.New(o)
	return w
}

// office is a small drive, known here.
func office(t *testing.T, shape ...func(*refresh.Options)) *world {
	t.Helper()
	w := newWorld(t, shape...)
	w.there.folder("D", "root", "docs")
	w.there.file("A", "D", "a.txt", "alpha")
	w.there.file("B", "D", "b.txt", "beta")
	w.there.folder("E", "root", "empty")
	w.run()
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run() refresh.Result {
	w.t.Helper()
	res, err := w.r.Run(w.t.Context())
	w.ok(err)
	return res
}

func (w *world) node(p string) cache.Node {
	w.t.Helper()
	n, err := w.store.Tree().Resolve(w.drive.Root, path.Join("/", p))
	if err != nil {
		w.t.Fatalf("%s: %v", p, err)
	}
	return n
}

// create makes a file here.
func (w *world) create(p, text string) cache.Node {
	w.t.Helper()
	n, err := w.store.Tree().Create(w.node(path.Dir(p)).Ino, path.Base(p), cache.New{Mode: 0o644})
	w.ok(err)
	f, err := w.store.Content().Create(uint64(n.Ino), uint64(n.Seq), content.Tag{Path: p})
	w.ok(err)
	_, err = f.WriteAt([]byte(text), 0)
	w.ok(err)
	n, err = w.store.Tree().Settle(n.Ino, f.Size(), f.ModTime())
	w.ok(err)
	w.ok(f.Close())
	return n
}

// edit replaces the bytes of a file here.
func (w *world) edit(p, text string) {
	w.t.Helper()
	n := w.node(p)
	f, err := w.store.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
	w.ok(err)
	seq, err := w.store.Tree().Mark(n.Ino)
	w.ok(err)
	w.ok(f.UnsealEmpty(uint64(seq), content.Tag{Path: p, Item: n.Base.Item}))
	_, err = f.WriteAt([]byte(text), 0)
	w.ok(err)
	_, err = w.store.Tree().Settle(n.Ino, f.Size(), f.ModTime())
	w.ok(err)
	w.ok(f.Close())
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	_, err := w.store.Tree().Rename(w.node(path.Dir(from)).Ino, path.Base(from), w.node(path.Dir(to)).Ino, path.Base(to), 0)
	w.ok(err)
}

func (w *world) mkdir(p string) {
	w.t.Helper()
	_, err := w.store.Tree().Create(w.node(path.Dir(p)).Ino, path.Base(p), cache.New{Dir: true, Mode: 0o755})
	w.ok(err)
}

func (w *world) remove(p string) {
	w.t.Helper()
	n := w.node(p)
	_, err := w.store.Tree().Remove(n.Parent, n.Name, n.Dir)
	w.ok(err)
}

// later lets the time pass in which a new file takes over the item of an old one.
func (w *world) later() { w.now = w.now.Add(5 * time.Minute) }

// tree reads everything here as a person would: path to text, folders to "/".
func (w *world) tree() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	w.walk(w.drive.Root, "", all)
	return all
}

func (w *world) walk(folder cache.Ino, prefix string, all map[string]string) {
	w.t.Helper()
	list, err := w.store.Tree().List(folder, 0, 1000)
	w.ok(err)
	for _, n := range list {
		p := path.Join(prefix, n.Name)
		if n.Dir {
			all[p] = "/"
			w.walk(n.Ino, p, all)
			continue
		}
		all[p] = w.read(n)
	}
}

func (w *world) read(n cache.Node) string {
	w.t.Helper()
	var f *content.File
	var err error
	if n.Written {
		f, err = w.store.Content().Local(uint64(n.Ino))
		w.ok(err)
	} else {
		f, err = w.store.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
		w.ok(err)
		src := func(ctx context.Context, off, k int64) (io.ReadCloser, error) {
			return w.there.Content(ctx, n.Base.Item, n.Base.Version(), off, k)
		}
		if err := f.Hydrate(w.t.Context(), src, 0, f.Size()); err != nil {
			w.t.Fatalf("read %s: %v", n.Name, err)
		}
	}
	p := make([]byte, f.Size())
	if _, err := f.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		w.t.Fatal(err)
	}
	w.ok(f.Close())
	return string(p)
}

func (w *world) shows(want map[string]string) {
	w.t.Helper()
	if got := w.tree(); !maps.Equal(got, want) {
		w.t.Fatalf("the tree is\n %v\nwant\n %v", got, want)
	}
}

// pending asserts how many changes a flush would send.
func (w *world) pending(items int) {
	w.t.Helper()
	p, err := w.store.Outbox(w.drive.Num).Pending()
	w.ok(err)
	if p.Items != items {
		w.t.Fatalf("%d changes are pending, want %d", p.Items, items)
	}
}

func (w *world) item(p string) graph.ItemID {
	w.t.Helper()
	if b := w.node(p).Base; b != nil {
		return b.Item
	}
	return ""
}
