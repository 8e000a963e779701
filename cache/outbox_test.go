package cache_test

import (
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

// attempt is the step that sends the node at a path.
func (w *world) attempt(op, path string) cache.Attempt {
	w.Helper()
	n := w.at(path)
	p, err := w.tr.Get(n.Parent)
	w.ok(err)
	return cache.Attempt{Op: op, Ino: n.Ino, Item: w.item(path), Seq: n.Seq, Parent: p.Base.Item,
		Name: n.Name, Size: n.Size, ModTime: n.Mtime}
}

// answer is what the service says of an item with a body from then on.
func (w *world) answer(id, parent graph.ItemID, name, body, etag string) graph.Item {
	i := file(id, parent, name, body)
	i.ETag, i.CTag, i.ModTime = etag, "c"+etag, w.now
	return i
}

func TestCommitOfANewFile(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.create("/a", "abc")
	n := w.push(w.attempt("create", "/a"), w.answer("a", root, "a", "abc", "e1"))
	if n.Written || n.Base.Item != "a" || !n.Since.IsZero() {
		t.Errorf("node %+v", n)
	}
	i, err := w.s.Content().Info(uint64(n.Ino))
	if err != nil || i.Local || !i.Complete || i.Version.ETag != "e1" {
		t.Errorf("body %+v %v", i, err)
	}
	v, err := w.out.View()
	w.ok(err)
	w.equal("known", v.Known, 2)
	w.equal("dirty", len(v.Dirty), 0)
}

func TestCommitAfterAnotherWrite(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("a", root, "a", "1"))
	w.write("/a", "22")
	a := w.attempt("replace", "/a")
	w.seal(a)
	_, err := w.out.Begin(a)
	w.ok(err)
	seq, err := w.tr.Mark(a.Ino)
	w.ok(err)
	n, err := w.out.Commit(a, w.answer("a", root, "a", "22", "e2"))
	w.ok(err)
	if !n.Written || n.Base.ETag != "e2" || n.Seq != seq || n.Base.Past[0] != "a-1" {
		t.Errorf("node %+v, base %+v", n, n.Base)
	}
	_, err = w.out.Begin(a)
	w.is(err, cache.ErrStale)
}

func TestCommitAfterARename(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.create("/a", "abc")
	a := w.attempt("create", "/a")
	w.seal(a)
	_, err := w.out.Begin(a)
	w.ok(err)
	w.mv("/a", "/b")
	_, err = w.out.Commit(a, w.answer("a", root, "a", "abc", "e1"))
	w.ok(err)
	w.equal("differs", w.diff("/b"), "name")
	i, err := w.s.Content().Info(uint64(a.Ino))
	w.ok(err)
	w.equal("local", i.Local, false)
}

func TestCommitOfWhatIsGone(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.mkdir("/d")
	w.push(w.attempt("mkdir", "/d"), folder("d", root, "d"))
	w.create("/d/a", "abc")
	a := w.attempt("create", "/d/a")
	_, err := w.out.Begin(a)
	w.ok(err)
	w.rm("/d/a")
	_, err = w.out.Commit(a, w.answer("a", "d", "a", "abc", "e1"))
	w.ok(err)
	v, err := w.out.View()
	w.ok(err)
	w.equal("gone", w.gone(), "a")
	w.equal("path", v.Gone["a"].Path, "/d/a")
	w.equal("etag", v.Gone["a"].Base.ETag, "e1")
}

func TestCommitOfWhatAnHeirHas(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("a", root, "a", "1"))
	w.write("/a", "22")
	a := w.attempt("replace", "/a")
	_, err := w.out.Begin(a)
	w.ok(err)
	w.create("/tmp", "333")
	w.mv("/tmp", "/a")
	_, err = w.out.Commit(a, w.answer("a", root, "a", "22", "e2"))
	w.ok(err)
	n := w.at("/a")
	if n.Base.ETag != "e2" || !n.Written || n.Ino == a.Ino {
		t.Errorf("heir %+v", n)
	}
	w.equal("gone", w.gone(), "")
}

func TestCommitOfAFolderLeavesChildrenDirty(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"))
	w.mkdir("/d")
	w.create("/d/a", "abc")
	w.mv("/x", "/d/x")
	w.push(w.attempt("mkdir", "/d"), folder("d", root, "d"))
	w.equal("folder", w.diff("/d"), "")
	w.equal("new child", w.diff("/d/a"), "new bytes")
	w.equal("moved child", w.diff("/d/x"), "place")
	w.push(w.attempt("move", "/d/x"), w.answer("x", "d", "x", "1", "e2"))
	w.equal("moved child", w.diff("/d/x"), "")
}

func TestCommitOfAMoveKeepsBytesDirty(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"))
	w.write("/x", "22")
	w.mv("/x", "/y")
	w.push(w.attempt("move", "/y"), w.answer("x", root, "y", "1", "e2"))
	w.equal("differs", w.diff("/y"), "bytes")
}

// What the service made of a time or a name is not sent again and again.
func TestCommitTakesTheServicesTime(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.create("/a", "abc")
	answer := w.answer("a", root, "a", "abc", "e1")
	answer.ModTime = w.now.Add(-time.Hour)
	w.push(w.attempt("create", "/a"), answer)
	w.equal("differs", w.diff("/a"), "")
	w.equal("time", w.at("/a").Mtime, answer.ModTime)
}

func TestDeletedCoversWhatIsBelow(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("f", root, "f"), folder("g", "f", "g"), file("x", "g", "x", "1"),
		file("y", root, "y", "1"))
	for _, p := range []string{"/f/g/x", "/f/g", "/f", "/y"} {
		w.rm(p)
	}
	v, err := w.out.View()
	w.ok(err)
	w.equal("gone", w.gone(), "f g x y")
	w.equal("below f", v.Below["f"], "[g]")
	w.equal("below g", v.Below["g"], "[x]")
	w.equal("item", v.Items["x"].Base.Parent, "g")
	w.equal("known", v.Known, 5)
	a := cache.Attempt{Op: "delete", Item: "f", Seq: v.Gone["f"].Seq}
	_, err = w.out.Begin(a)
	w.ok(err)
	w.ok(w.out.Deleted(a))
	w.equal("gone", w.gone(), "y")
	v, err = w.out.View()
	w.ok(err)
	w.equal("known", v.Known, 2)
	_, err = w.out.Begin(a)
	w.is(err, cache.ErrStale)
	steps, err := w.out.Attempts()
	w.ok(err)
	w.equal("attempts", len(steps), 0)
}

func TestDeletedOfManyBelow(t *testing.T) {
	items := []graph.Item{folder("f", root, "f")}
	for i := range 700 {
		id := graph.ItemID("i" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		items = append(items, file(id, "f", string(id), "1"))
	}
	w := newWorld(t, cache.Options{}, items...)
	w.mkdir("/.Trash-1")
	w.mv("/f", "/.Trash-1/f")
	p, err := w.out.Pending()
	w.ok(err)
	w.equal("deletions", p.Deletions, 701)
	w.ok(w.out.Deleted(cache.Attempt{Item: "f"}))
	w.equal("gone", w.gone(), "")
}

func TestFailAndForget(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"), file("y", root, "y", "1"))
	w.mv("/x", "/z")
	w.rm("/y")
	a := w.attempt("move", "/z")
	_, err := w.out.Begin(a)
	w.ok(err)
	steps, err := w.out.Attempts()
	w.ok(err)
	w.equal("under way", steps[0].Name, "z")
	w.ok(w.out.Fail(a, cache.Deferral{Kind: graph.Locked, Reason: "locked"}))
	w.ok(w.out.Fail(a, cache.Deferral{Kind: graph.Locked, Reason: "locked"}))
	w.ok(w.out.Fail(cache.Attempt{Item: "y"}, cache.Deferral{Kind: graph.Denied}))
	p, err := w.out.Pending()
	w.ok(err)
	if len(p.Deferred) != 2 || p.Deferred[0].Path != "/z" || p.Deferred[0].Tries != 2 || p.Deferred[1].Path != "/y" {
		t.Errorf("deferred %+v", p.Deferred)
	}
	w.mv("/z", "/x")
	if n := w.at("/x"); n.Deferred != nil {
		t.Errorf("clean and deferred: %+v", n)
	}
}

func TestAdopt(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"))
	n := w.write("/x", "1")
	w.seal(cache.Attempt{Op: "replace", Ino: n.Ino, Seq: n.Seq})
	w.is(w.out.Adopt(n.Ino, n.Seq-1), cache.ErrStale)
	w.ok(w.out.Adopt(n.Ino, n.Seq))
	w.equal("differs", w.diff("/x"), "time")
	i, err := w.s.Content().Info(uint64(n.Ino))
	w.ok(err)
	w.equal("local", i.Local, false)
}

// Without a seal that lasted, only equal bytes are taken for the base's.
func TestAdoptOfOtherBytes(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("x", root, "x", "1"))
	n := w.write("/x", "2")
	w.ok(w.out.Adopt(n.Ino, n.Seq))
	w.equal("differs", w.diff("/x"), "bytes time")
	w.equal("bytes", w.body("/x"), "2")
}

func TestViewHoldersAndOrder(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("f", root, "f"), file("x", root, "x", "1"), file("y", root, "y", "1"),
		file("z", "f", "Z", "1"))
	w.rm("/y")
	w.now = w.now.Add(time.Second)
	w.mv("/f/Z", "/y")
	w.now = w.now.Add(time.Second)
	w.mv("/x", "/f/z")
	w.now = w.now.Add(time.Second)
	w.mkdir("/f/n")
	w.create("/f/n/new", "1")
	v, err := w.out.View()
	w.ok(err)
	w.equal("oldest first", v.Dirty, []cache.Ino{w.at("/y").Ino, w.at("/f/z").Ino, w.at("/f/n").Ino, w.at("/f/n/new").Ino})
	w.equal("holder of y", v.Holders[cache.Place{Folder: root, Key: "y"}], "y")
	w.equal("its node", v.Items["y"].Ino, 0)
	w.equal("holder of z", v.Holders[cache.Place{Folder: "f", Key: "z"}], "z")
	w.equal("its node", v.Items["z"].Ino, w.at("/y").Ino)
	w.equal("holders", len(v.Holders), 2)
	if _, ok := v.Nodes[w.at("/f").Ino]; !ok {
		t.Error("the folder above is missing")
	}
}

func TestReceiptsAndReports(t *testing.T) {
	w := newWorld(t, cache.Options{})
	r := w.s.Reports(w.d.Num)
	for i := range 3 {
		c, err := r.AddReceipt(cache.Receipt{Sent: i})
		w.ok(err)
		w.equal("number", c.Seq, i+1)
	}
	list, err := r.Receipts(2)
	w.ok(err)
	w.equal("newest first", []int{list[0].Sent, list[1].Sent}, "[2 1]")
}

func TestCommitHashOfOurs(t *testing.T) {
	w := newWorld(t, cache.Options{})
	w.create("/a", "abc")
	a := w.attempt("create", "/a")
	a.Hash = cachetest.File("", "", "", "abc").Hash
	answer := w.answer("a", root, "a", "abc", "e1")
	answer.Hash = ""
	w.equal("hash", w.push(a, answer).Base.Hash, a.Hash)
}

// The service may spell a name another way than it was asked to.
func TestNameThatTheServiceRespells(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	w.mv("/x", "/y")
	n := w.at("/y")
	answer := file("x", root, "Y", "12345")
	answer.ETag = "x-2"
	w.push(cache.Attempt{Op: "move", Ino: n.Ino, Item: "x", Seq: n.Seq, Parent: root, Name: "y"}, answer)
	w.equal("differs", w.diff("/Y"), "")
}
