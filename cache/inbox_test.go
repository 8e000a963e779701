package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

// receive gives the inbox a page of the feed.
func (w *world) receive(items ...graph.Item) {
	w.Helper()
	w.ok(w.in.Receive(graph.Page{Items: items, Next: "next", Done: true}))
}

// rule gives every case that waits the ruling of fn.
func (w *world) rule(fn func(cache.Case) cache.Ruling) {
	w.Helper()
	w.ok(w.in.Cases(func(c cache.Case) bool {
		if err := w.in.Apply(c, fn(c)); err != nil {
			w.Errorf("apply %s: %v", c.Incoming.ID, err)
		}
		return true
	}))
}

// ruled receives one item and applies one ruling to it.
func (w *world) ruled(i graph.Item, r cache.Ruling) {
	w.Helper()
	w.receive(i)
	n, err := w.in.Waiting()
	w.ok(err)
	w.equal("waiting", n, 1)
	w.rule(func(c cache.Case) cache.Ruling {
		if c.Incoming.ID != i.ID {
			return cache.Ruling{Verb: cache.Wait} // asked after
		}
		return r
	})
	w.ok(w.in.Cases(func(c cache.Case) bool {
		if c.Incoming.ID == i.ID {
			w.Errorf("%s waits after the ruling", i.ID)
		}
		return true
	}))
}

func (w *world) reports() string {
	w.Helper()
	list, err := w.s.Reports(w.d.Num).Reports(100)
	w.ok(err)
	var words []string
	for _, r := range list {
		words = append(words, r.Kind+" "+r.Path)
	}
	return strings.Join(words, ", ")
}

func changed(i graph.Item, body string) graph.Item {
	j := file(i.ID, i.Parent, i.Name, body)
	j.ETag, j.CTag = string(i.ID)+"-2", "c"+string(i.ID)+"-2"
	j.ModTime = i.ModTime.Add(time.Hour)
	return j
}

func tombstone(id graph.ItemID) graph.Item {
	return graph.Item{ID: id, Deleted: true, Type: graph.File}
}

var (
	xItem = file("x", root, "x", "12345")
	fItem = folder("f", root, "f")
)

func TestReceiveTwice(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	feed, err := w.in.Feed()
	w.ok(err)
	if !feed.Complete || feed.Full || feed.Link != "enumerated" {
		t.Errorf("feed %+v", feed)
	}
	for range 2 {
		w.receive(xItem, changed(xItem, "1"), fItem)
		n, err := w.in.Waiting()
		w.ok(err)
		w.equal("waiting", n, 2)
	}
	w.receive(xItem)
	n, err := w.in.Waiting()
	w.ok(err)
	w.equal("after the base came last", n, 1)
}

func TestFirstEnumerationInAnyOrder(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	d := cachetest.AddDrive(t, s, "d1")
	in := s.Inbox(d.Num)
	if err := in.Begin(true, time.Now()); err != nil {
		t.Fatal(err)
	}
	page := graph.Page{Next: "l", Done: true, Items: []graph.Item{
		file("x", "g", "x", "1"), folder("g", "f", "g"), folder("f", root, "f"),
		{ID: "p", Parent: root, Name: "notebook", Type: graph.Package},
		{ID: "bad", Parent: root, Name: "../up", Type: graph.File},
		{ID: "a\x00b", Parent: root, Name: "nul", Type: graph.File},
	}}
	if err := in.Receive(page); err != nil {
		t.Fatal(err)
	}
	var order []string
	err := in.Cases(func(c cache.Case) bool {
		order = append(order, string(c.Incoming.ID))
		r := cache.Ruling{Verb: cache.Add}
		if c.Incoming.ID == "bad" {
			r.Verb = cache.Ignore
		}
		if err := in.Apply(c, r); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(order); got != "[bad g x]" {
		t.Errorf("cases %s", got)
	}
	if n, err := s.Tree().Resolve(d.Root, "f"); err != nil || n.Listing != cache.Unlisted {
		t.Errorf("%+v %v", n, err)
	}
	if n, err := s.Tree().Resolve(d.Root, "f/g/x"); err != nil || n.Base.Item != "x" {
		t.Errorf("%+v %v", n, err)
	}
	if err := in.Enumerated(time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestFirstEnumerationMeetsLocalWork(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	d := cachetest.AddDrive(t, s, "d1")
	in := s.Inbox(d.Num)
	if err := in.List(d.Root, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tree().Create(d.Root, "Docs", cache.New{Dir: true}); err != nil {
		t.Fatal(err)
	}
	if err := in.Begin(true, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := in.Receive(graph.Page{Next: "l", Done: true, Items: []graph.Item{folder("f", root, "docs"), file("x", "f", "x", "1")}}); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := in.Cases(func(c cache.Case) bool {
		n++
		if c.Holder != nil {
			err := in.Apply(c, cache.Ruling{Verb: cache.TakeBase})
			if err != nil {
				t.Error(err)
			}
			return true
		}
		if err := in.Apply(c, cache.Ruling{Verb: cache.Add}); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil || n != 2 {
		t.Errorf("%d cases, %v", n, err)
	}
	if x, err := s.Tree().Resolve(d.Root, "Docs/x"); err != nil || x.Base.Item != "x" {
		t.Errorf("%+v %v", x, err)
	}
}

func TestUnseen(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, fItem, file("y", "f", "y", "1"), file("z", root, "z", "1"))
	w.ok(w.in.Begin(true, w.now.Add(time.Hour)))
	w.receive(xItem, changed(fItem, ""))
	unseen, err := w.in.Unseen()
	w.ok(err)
	w.equal("unseen", unseen, "[y z]")
	w.rule(func(cache.Case) cache.Ruling { return cache.Ruling{Verb: cache.Ignore} })
	w.ok(w.in.Enumerated(w.now))
	if unseen, err = w.in.Unseen(); err != nil || len(unseen) != 0 {
		t.Errorf("after the end: %v %v", unseen, err)
	}
}

func TestListing(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, fItem, file("y", root, "y", "1"), file("z", root, "z", "1"))
	w.write("/y", "mine")
	_, err := w.tr.Hold(w.at("/z").Ino)
	w.ok(err)
	defer w.tr.Unhold(w.at("/z").Ino)
	moved := changed(xItem, "777")
	moved.Name = "x2"
	w.ok(w.in.List(w.d.Root, []graph.Item{moved, changed(file("y", root, "y", ""), "theirs"),
		changed(file("z", root, "z", ""), "theirs"), file("n", root, "n", "1"), fItem}))
	n := w.at("/x2")
	if n.Size != 3 || n.Base.ETag != "x-2" || n.Base.Past[0] != "x-1" || !n.Mtime.Equal(moved.ModTime) {
		t.Errorf("clean: %+v", n)
	}
	w.none("/x")
	w.equal("new", w.item("/n"), "n")
	w.equal("written", w.body("/y"), "mine")
	waiting, err := w.in.Waiting()
	w.ok(err)
	w.equal("waiting", waiting, 2)
}

func TestCaseOfDeletedChain(t *testing.T) {
	w := newWorld(t, cache.Options{}, fItem, folder("g", "f", "g"), file("y", "g", "y", "1"))
	w.rm("/f/g/y")
	w.rm("/f/g")
	w.rm("/f")
	c, err := w.in.Case(changed(file("y", "g", "y", ""), "22"), true)
	w.ok(err)
	if c.Gone == nil || c.Gone.Path != "/f/g/y" || c.Parent != nil || len(c.Above) != 2 || c.Orphan || !c.Confirmed {
		t.Errorf("%+v", c)
	}
	w.equal("nearest first", c.Above[0].Base.Item, "g")
	w.ok(w.in.Apply(c, cache.Ruling{Verb: cache.Restore, Report: "restored"}))
	w.equal("back", w.item("/f/g/y"), "y")
	w.equal("gone", w.gone(), "")
	w.equal("reports", w.reports(), "restored /f/g/y")
}

func TestCaseOfOrphan(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	c, err := w.in.Case(file("y", "nowhere", "y", "1"), false)
	w.ok(err)
	if !c.Orphan || c.Parent != nil || c.Node != nil {
		t.Errorf("%+v", c)
	}
}

func TestCaseOfHolderAndSending(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, fItem)
	w.mv("/x", "/f/X")
	_, err := w.tr.Hold(w.at("/f/X").Ino)
	w.ok(err)
	defer w.tr.Unhold(w.at("/f/X").Ino)
	gone := tombstone("x")
	w.receive(gone)
	c, err := w.in.Case(file("n", "f", "x", "1"), false)
	w.ok(err)
	if c.Holder == nil || c.Holder.Base.Item != "x" || !c.HolderOpen || !c.HolderLeaves || !c.HolderDiff.Place || c.Sending {
		t.Errorf("%+v", c)
	}
	_, err = w.out.Begin(w.attempt("move", "/f/X"))
	w.ok(err)
	if c, err = w.in.Case(file("n", "f", "x", "1"), false); err != nil || !c.Sending {
		t.Errorf("%+v %v", c, err)
	}
	w.ok(w.out.Forget(w.attempt("move", "/f/X")))
	w.rule(func(cache.Case) cache.Ruling { return cache.Ruling{Verb: cache.Ignore} })
}

func TestCaseCountsBelow(t *testing.T) {
	w := newWorld(t, cache.Options{}, fItem, folder("g", "f", "g"), file("y", "g", "y", "1"), xItem)
	w.write("/f/g/y", "22")
	w.write("/x", "22")
	w.create("/f/new", "1")
	_, err := w.tr.Hold(w.at("/f/g/y").Ino)
	w.ok(err)
	defer w.tr.Unhold(w.at("/f/g/y").Ino)
	c, err := w.in.Case(tombstone("f"), false)
	w.ok(err)
	w.equal("dirty", c.DirtyBelow, 2)
	w.equal("open", c.OpenBelow, 1)
}

func TestApplyStale(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	w.receive(changed(xItem, "1"))
	c, err := w.in.Case(changed(xItem, "1"), false)
	w.ok(err)
	w.write("/x", "22")
	w.is(w.in.Apply(c, cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes}), cache.ErrStale)
	c, err = w.in.Case(changed(xItem, "1"), false)
	w.ok(err)
	n, err := w.tr.Hold(c.Node.Ino)
	w.ok(err)
	w.is(w.in.Apply(c, cache.Ruling{Verb: cache.Agree}), cache.ErrStale)
	w.tr.Unhold(n.Ino)
	w.equal("bytes", w.body("/x"), "22")
	w.rule(func(cache.Case) cache.Ruling { return cache.Ruling{Verb: cache.Ignore} })
}

func TestApplyVerbs(t *testing.T) {
	agree := cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true}
	moved := changed(xItem, "12345")
	moved.Parent, moved.Name = "f", "X"
	conflict := "x (conflict host 2026-04-14 2106)"
	for name, c := range map[string]struct {
		before func(w *world)
		item   graph.Item
		ruling cache.Ruling
		after  func(w *world)
	}{
		"add": {nil, file("n", "f", "n", "123"), cache.Ruling{Verb: cache.Add}, func(w *world) {
			w.equal("item", w.item("/f/n"), "n")
			w.equal("size", w.at("/f/n").Size, 3)
		}},
		"add, new file of that name aside": {func(w *world) { w.create("/f/N", "mine") },
			file("n", "f", "n", "123"), cache.Ruling{Verb: cache.Add, Holder: cache.Aside, Report: "conflict"}, func(w *world) {
				w.equal("item", w.item("/f/n"), "n")
				w.equal("ours", w.body("/f/N (conflict host 2026-04-14 2106)"), "mine")
				w.equal("reports", w.reports(), "conflict /f/N (conflict host 2026-04-14 2106)")
			}},
		"add, ours is local-only": {func(w *world) { w.create("/.DS_Store", "mine") },
			file("n", root, ".DS_Store", "123"), cache.Ruling{Verb: cache.Add, Holder: cache.Aside}, func(w *world) {
				w.equal("ours", w.body("/.DS_Store"), "mine")
			}},
		"agree, their bytes": {nil, changed(xItem, "22"), agree, func(w *world) {
			n := w.at("/x")
			w.equal("size", n.Size, 2)
			w.equal("differs", w.diff("/x"), "")
			w.equal("past", n.Base.Past, "[x-1]")
		}},
		"agree, their bytes over local work": {func(w *world) { w.write("/x", "mine") }, changed(xItem, "22"), agree, func(w *world) {
			w.equal("differs", w.diff("/x"), "")
			_, err := w.s.Content().Info(uint64(w.at("/x").Ino))
			w.is(err, cache.ErrNotExist)
		}},
		"agree, our bytes": {func(w *world) { w.write("/x", "mine") }, changed(xItem, "22"), cache.Ruling{Verb: cache.Agree}, func(w *world) {
			w.equal("differs", w.diff("/x"), "bytes time")
			w.equal("etag", w.at("/x").Base.ETag, "x-2")
			w.equal("bytes", w.body("/x"), "mine")
		}},
		"agree, same bytes": {func(w *world) { w.write("/x", "22") }, changed(xItem, "22"),
			cache.Ruling{Verb: cache.Agree, Bytes: cache.SameBytes, ModTime: true}, func(w *world) {
				w.equal("differs", w.diff("/x"), "")
				i, err := w.s.Content().Info(uint64(w.at("/x").Ino))
				if err != nil || i.Local || !i.Complete {
					w.Errorf("body %+v %v", i, err)
				}
			}},
		"agree, their place": {nil, moved, cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true}, func(w *world) {
			w.equal("differs", w.diff("/f/X"), "")
			w.none("/x")
		}},
		"agree, our place": {func(w *world) { w.mv("/x", "/y") }, moved, cache.Ruling{Verb: cache.Agree, ModTime: true}, func(w *world) {
			w.equal("differs", w.diff("/y"), "name place")
		}},
		"agree, the holder parked": {nil, file("x", root, "y", "12345"), cache.Ruling{Verb: cache.Agree, Place: true, Holder: cache.Park}, func(w *world) {
			w.equal("there", w.item("/y"), "x")
			w.equal("parked is clean", w.diff("/.duskfs-y.tmp"), "")
		}},
		"agree, the renamed holder aside": {func(w *world) { w.mv("/y", "/z") }, file("x", root, "z", "12345"),
			cache.Ruling{Verb: cache.Agree, Place: true, Holder: cache.Park}, func(w *world) {
				w.equal("there", w.item("/z"), "x")
				w.equal("aside", w.item("/z (conflict host 2026-04-14 2106)"), "y")
			}},
		"split": {func(w *world) { w.write("/x", "mine") }, changed(xItem, "22"),
			cache.Ruling{Verb: cache.Split, Report: "conflict"}, func(w *world) {
				w.equal("theirs", w.diff("/x"), "")
				w.equal("size", w.at("/x").Size, 2)
				w.equal("ours", w.body("/"+conflict), "mine")
				w.equal("ours is", w.diff("/"+conflict), "new bytes")
				w.equal("reports", w.reports(), "conflict /"+conflict)
				list, err := w.s.Reports(w.d.Num).Conflicts()
				w.ok(err)
				w.equal("conflicts", len(list), 1)
				w.rm("/" + conflict)
				list, err = w.s.Reports(w.d.Num).Conflicts()
				w.ok(err)
				w.equal("conflicts once ours is removed", len(list), 0)
			}},
		"split where both moved": {func(w *world) { w.write("/x", "mine"); w.mv("/x", "/ours") }, moved,
			cache.Ruling{Verb: cache.Split}, func(w *world) {
				w.equal("theirs", w.item("/f/X"), "x")
				w.equal("ours", w.body("/ours (conflict host 2026-04-14 2106)"), "mine")
			}},
		"drop": {nil, tombstone("x"), cache.Ruling{Verb: cache.Drop}, func(w *world) {
			w.none("/x")
			w.equal("gone", w.gone(), "")
		}},
		"drop what was renamed": {func(w *world) { w.mv("/x", "/r") }, tombstone("x"), cache.Ruling{Verb: cache.Drop, Report: "gone"}, func(w *world) {
			w.none("/r")
			w.equal("reports", w.reports(), "gone /r")
		}},
		"drop a clean folder": {nil, tombstone("f"), cache.Ruling{Verb: cache.Drop}, func(w *world) {
			w.none("/f")
			p, err := w.out.Pending()
			w.ok(err)
			w.equal("pending", p.Items, 0)
		}},
		"drop a folder with unsent work": {func(w *world) {
			w.write("/f/g/written", "mine")
			w.create("/f/new", "mine")
			w.mv("/y", "/f/h/y")
			w.mv("/f/h", "/h")
			w.mkdir("/f/.Trash-1")
			w.create("/f/.Trash-1/t", "1")
			w.rm("/f/removed")
		}, tombstone("f"), cache.Ruling{Verb: cache.Drop, Report: "revived"}, func(w *world) {
			w.equal("folder", w.diff("/f"), "new")
			w.equal("folder between", w.diff("/f/g"), "new")
			w.equal("written", w.diff("/f/g/written"), "new bytes")
			w.equal("new", w.diff("/f/new"), "new bytes")
			w.none("/f/g/clean")
			w.none("/f/.Trash-1")
			w.equal("moved out", w.item("/h/y"), "y")
			w.equal("gone", w.gone(), "")
			w.equal("reports", w.reports(), "revived /f")
		}},
		"drop a folder into which was moved": {func(w *world) { w.mv("/y", "/f/g/y") }, tombstone("f"), cache.Ruling{Verb: cache.Drop}, func(w *world) {
			w.equal("moved in", w.item("/f/g/y"), "y")
			w.equal("differs", w.diff("/f/g/y"), "place")
			w.equal("its folder", w.diff("/f/g"), "new")
			w.none("/f/h")
		}},
		"drop a folder moved here": {func(w *world) { w.mv("/f", "/e/h") }, tombstone("f"), cache.Ruling{Verb: cache.Drop}, func(w *world) {
			w.none("/e/h")
		}},
		"revive": {func(w *world) { w.write("/x", "mine") }, tombstone("x"), cache.Ruling{Verb: cache.Revive, Report: "revived"}, func(w *world) {
			w.equal("differs", w.diff("/x"), "new bytes")
			w.equal("reports", w.reports(), "revived /x")
		}},
		"restore": {func(w *world) { w.rm("/x") }, changed(xItem, "22"), cache.Ruling{Verb: cache.Restore, Report: "restored"}, func(w *world) {
			w.equal("differs", w.diff("/x"), "")
			w.equal("gone", w.gone(), "")
		}},
		"restore beside a new file": {func(w *world) { w.rm("/x"); w.now = w.now.Add(2 * time.Minute); w.create("/x", "mine") }, changed(xItem, "22"),
			cache.Ruling{Verb: cache.Restore, Holder: cache.Aside}, func(w *world) {
				w.equal("theirs", w.item("/x"), "x")
				w.equal("ours", w.body("/x (conflict host 2026-04-14 2108)"), "mine")
			}},
		"forget": {func(w *world) { w.rm("/x"); w.ok(w.out.Deleted(cache.Attempt{Item: "x"})) }, tombstone("x"), cache.Ruling{Verb: cache.Forget}, func(w *world) {
			c, err := w.in.Case(xItem, false)
			w.ok(err)
			if c.Gone != nil {
				w.Errorf("still known: %+v", c.Gone)
			}
		}},
		"take base, same bytes": {func(w *world) { w.create("/n", "123") }, file("n", root, "n", "123"),
			cache.Ruling{Verb: cache.TakeBase, Bytes: cache.SameBytes, ModTime: true}, func(w *world) {
				w.equal("item", w.item("/n"), "n")
				w.equal("differs", w.diff("/n"), "")
			}},
		"take base, a folder": {func(w *world) { w.mkdir("/N"); w.create("/N/a", "1") }, folder("n", root, "n"),
			cache.Ruling{Verb: cache.TakeBase}, func(w *world) {
				w.equal("item", w.item("/N"), "n")
				w.equal("differs", w.diff("/N"), "name")
				w.equal("inside", w.diff("/N/a"), "new bytes")
			}},
		"ignore": {nil, changed(xItem, "22"), cache.Ruling{Verb: cache.Ignore}, func(w *world) {
			w.equal("etag", w.at("/x").Base.ETag, "x-1")
		}},
		"undo": {func(w *world) { w.mv("/f", "/f2"); w.mv("/e", "/f2/e") }, folder("f", "e", "f"), cache.Ruling{Verb: cache.Undo, Report: "undone"}, func(w *world) {
			w.equal("the remote's", w.item("/e/f"), "f")
			w.equal("differs", w.diff("/e/f")+w.diff("/e"), "")
			w.equal("reports", w.reports(), "undone /e/f")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cache.Options{Host: "host"}, xItem, file("y", root, "y", "1"), fItem,
				folder("g", "f", "g"), folder("h", "f", "h"), file("w", "g", "written", "1"), file("c", "g", "clean", "1"),
				file("r", "f", "removed", "1"), folder("e", root, "e"))
			if c.before != nil {
				c.before(w)
			}
			if c.item.ETag == "f-1" {
				c.item.ETag = "f-2"
			}
			w.ruled(c.item, c.ruling)
			c.after(w)
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, fItem)
	w.mkdir("/made")
	for name, c := range map[string]struct {
		item graph.Item
		verb cache.Verb
	}{
		"split of what is not written": {changed(xItem, "1"), cache.Split},
		"add where a name is taken":    {file("n", root, "x", "1"), cache.Add},
		"add to nowhere":               {file("n", "nowhere", "x", "1"), cache.Add},
		"add of an unsafe name":        {file("n", root, "a/b", "1"), cache.Add},
		"agree on nothing":             {file("n", root, "n", "1"), cache.Agree},
		"file takes a folder's base":   {file("n", root, "made", "1"), cache.TakeBase},
		"revive of bytes not here":     {tombstone("x"), cache.Revive},
	} {
		c0, err := w.in.Case(c.item, true)
		w.ok(err)
		if err := w.in.Apply(c0, cache.Ruling{Verb: c.verb}); err == nil || errors.Is(err, cache.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWatch(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem, fItem)
	var events []string
	cancel := w.tr.Watch(func(e cache.Event) {
		events = append(events, fmt.Sprintf("%d %t %d %s", e.Ino, e.Bytes, e.Parent, e.Name))
	})
	x, f := w.at("/x").Ino, w.at("/f").Ino
	w.create("/own", "1")
	moved := changed(xItem, "22")
	moved.Parent = "f"
	w.ruled(moved, cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, Place: true})
	w.ruled(tombstone("x"), cache.Ruling{Verb: cache.Drop})
	w.equal("events", events, []string{
		fmt.Sprintf("0 false %d x", w.d.Root), fmt.Sprintf("0 false %d x", f), fmt.Sprintf("%d true 0 ", x),
		fmt.Sprintf("%d false %d x", x, f)})
	cancel()
	w.ruled(tombstone("f"), cache.Ruling{Verb: cache.Drop})
	w.equal("after cancel", len(events), 4)
}

// A first listing of many names need not be told name by name.
func TestNamesInAFolderThatNobodyHasSeenAreNotTold(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	d := cachetest.AddDrive(t, s, "d1")
	var told []string
	defer s.Tree().Watch(func(e cache.Event) { told = append(told, e.Name) })()
	for _, c := range []struct {
		name string
		item graph.Item
		want string
	}{
		{"the first listing", xItem, ""},
		{"a name more, in a folder that is known", fItem, "f"},
	} {
		if err := s.Inbox(d.Num).List(d.Root, []graph.Item{c.item}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(told, " "); got != c.want {
			t.Errorf("%s: told of %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSentDeletionsAreForgottenAfterADay(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	w.rm("/x")
	w.ok(w.out.Deleted(cache.Attempt{Item: "x"}))
	gone := func() bool {
		t.Helper()
		w.rule(func(cache.Case) cache.Ruling { return cache.Ruling{Verb: cache.Ignore} })
		c, err := w.in.Case(xItem, false)
		w.ok(err)
		return c.Gone != nil
	}
	w.now = w.now.Add(23 * time.Hour)
	w.equal("within a day", gone(), true)
	w.now = w.now.Add(2 * time.Hour)
	w.equal("after a day", gone(), false)
}

// More pending deletions than one transaction holds go with the folder that they were in.
func TestDroppedFolderTakesAllPendingDeletionsAlong(t *testing.T) {
	items := []graph.Item{fItem, folder("g", "f", "g")}
	for n := range 600 {
		items = append(items, file(graph.ItemID(fmt.Sprintf("i%d", n)), "g", fmt.Sprint(n), "1"))
	}
	w := newWorld(t, cache.Options{}, items...)
	for n := range 600 {
		w.rm(fmt.Sprintf("/f/g/%d", n))
	}
	w.ruled(tombstone("f"), cache.Ruling{Verb: cache.Drop})
	w.equal("pending deletions", w.gone(), "")
}

// A folder that the inbox parked for another's sake, and whose deletion follows, has unsent work in it:
// it gets a name again that people know.
func TestParkedFolderThatIsRevivedHasANameAgain(t *testing.T) {
	w := newWorld(t, cache.Options{Host: "host"}, fItem, file("g", root, "g", "1"))
	w.mkdir("/f/new")
	incoming := folder("h", root, "F")
	w.receive(incoming, tombstone("f"))
	w.rule(func(c cache.Case) cache.Ruling {
		if c.Incoming.ID == "h" {
			return cache.Ruling{Verb: cache.Add, Holder: cache.Park}
		}
		return cache.Ruling{Verb: cache.Drop, Report: "revived"}
	})
	w.equal("the new one", w.item("/F"), "h")
	list, err := w.tr.List(w.d.Root, 0, 10)
	w.ok(err)
	for _, n := range list {
		if strings.Contains(n.Name, ".duskfs-") {
			t.Errorf("%s is left", n.Name)
		}
	}
	w.equal("it is new", w.diff("/f (conflict host 2026-04-14 2106)"), "new")
}

// B went into A here, and A into a folder there that was in B and is removed here.
func TestCircleThroughARemovedFolder(t *testing.T) {
	a, b, c := folder("a", root, "a"), folder("b", root, "b"), folder("c", "b", "c")
	w := newWorld(t, cache.Options{Host: "host"}, a, b, c)
	w.rm("/b/c")
	w.mv("/b", "/a/b")
	moved := a
	moved.Parent, moved.ETag = "c", "a-2"
	w.receive(moved)
	w.rule(func(c cache.Case) cache.Ruling {
		if !c.Cycle {
			t.Error("no circle is seen")
		}
		return cache.Ruling{Verb: cache.Undo, Report: "undone"}
	})
	w.equal("a", w.item("/b/c/a"), "a")
	w.equal("gone", w.gone(), "")
	w.equal("differs", w.diff("/b")+w.diff("/b/c")+w.diff("/b/c/a"), "")
}

// Here B goes from D into A and D is removed; there A goes into B. B cannot go home.
func TestCircleWhoseHomeIsRemoved(t *testing.T) {
	a, d, b := folder("a", root, "a"), folder("d", root, "d"), folder("b", "d", "b")
	w := newWorld(t, cache.Options{Host: "host"}, a, d, b)
	w.mv("/d/b", "/a/b")
	w.rm("/d")
	moved := a
	moved.Parent, moved.ETag = "b", "a-2"
	w.ruled(moved, cache.Ruling{Verb: cache.Undo, Report: "undone"})
	w.equal("a", w.item("/b/a"), "a")
	w.equal("differs", w.diff("/b")+w.diff("/b/a"), "place")
}

// What was moved into a folder that goes lives, and what is in it; what was moved out of it is asked for.
func TestDroppedFolderTakesOnlyItsOwn(t *testing.T) {
	w := newWorld(t, cache.Options{}, fItem, folder("g", root, "g"), file("x", "g", "x", "1"),
		file("y", "f", "y", "1"), file("z", "f", "z", "1"))
	w.mv("/g", "/f/g")
	w.mv("/f/y", "/y")
	w.receive(tombstone("f"))
	w.rule(func(c cache.Case) cache.Ruling {
		if c.Incoming.ID != "f" {
			return cache.Ruling{Verb: cache.Wait}
		}
		return cache.Ruling{Verb: cache.Drop, Report: "revived"}
	})
	w.none("/f/z")
	w.equal("moved in", w.item("/f/g")+" "+w.item("/f/g/x"), "g x")
	w.equal("its folder", w.diff("/f"), "new")
	var asked []graph.ItemID
	w.ok(w.in.Cases(func(c cache.Case) bool {
		asked = append(asked, c.Incoming.ID)
		return true
	}))
	w.equal("asked for", fmt.Sprint(asked), "[y]")
}

// A deletion that stands follows its item to where somebody has moved it.
func TestPendingDeletionFollowsItsItem(t *testing.T) {
	g := file("g", "f", "g", "1")
	w := newWorld(t, cache.Options{}, fItem, g)
	w.rm("/f/g")
	w.rm("/f")
	moved := g
	moved.Parent, moved.ETag = root, "g-2"
	w.ruled(moved, cache.Ruling{Verb: cache.Ignore})
	v, err := w.out.View()
	w.ok(err)
	w.equal("in the folder", len(v.Below["f"]), 0)
	w.equal("tag", v.Gone["g"].Base.ETag, "g-2")
}
