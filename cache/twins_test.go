package cache_test

import (
	"fmt"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// twinned has the file "x" and its twin "X", item "y".
func twinned(t *testing.T) (w *world, shown string) {
	t.Helper()
	w = newWorld(t, cache.Options{Host: "host"}, xItem, fItem)
	w.ruled(file("y", root, "X", "1"), cache.Ruling{Verb: cache.Add, Holder: cache.Beside})
	return w, "/" + name.Twin("X", 0)
}

func TestATwinDiffersInNothing(t *testing.T) {
	w, shown := twinned(t)
	w.equal("the first", w.item("/x"), "x")
	w.equal("the twin", w.item(shown), "y")
	w.equal("differs", w.diff("/x")+w.diff(shown), "")
	w.equal("reports", w.reports(), "")
	// What only repeats is not stored, in the feed and in a listing, and news of it are not taken for a rename.
	y := file("y", root, "X", "1")
	w.receive(y)
	w.ok(w.in.List(w.d.Root, []graph.Item{xItem, y}))
	n, err := w.in.Waiting()
	w.ok(err)
	w.equal("waiting", n, 0)
	w.ruled(changed(y, "22"), cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true})
	w.equal("the twin", fmt.Sprintf("%s %d %s", w.item(shown), w.at(shown).Size, w.diff(shown)), "y 2 ")
	alone, err := w.in.Alone()
	w.ok(err)
	w.equal("alone", len(alone), 0)
	// A third of the same spelling still has a name.
	w.ruled(file("z", root, "X", "1"), cache.Ruling{Verb: cache.Add, Holder: cache.Beside})
	w.equal("the third", w.item("/"+name.Twin("X", 1)), "z")
}

func TestTheHolderYieldsToTheElder(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	ino := w.at("/x").Ino
	w.write("/x", "ours")
	seq := w.at("/x").Seq
	w.ruled(file("y", root, "X", "1"), cache.Ruling{Verb: cache.Add, Holder: cache.Yield})
	shown := "/" + name.Twin("x", 0)
	w.equal("the elder", w.item("/X"), "y")
	w.equal("the first", fmt.Sprintf("%d %d %s %s", w.at(shown).Ino, w.at(shown).Seq, w.item(shown), w.diff(shown)), fmt.Sprintf("%d %d x bytes time", ino, seq))
}

// A twin is alone once nothing has its plain name any more, here and there.
func TestATwinIsAloneOnceTheOtherIsGoneThereToo(t *testing.T) {
	alone := func(w *world) string {
		t.Helper()
		list, err := w.in.Alone()
		w.ok(err)
		return fmt.Sprint(list)
	}
	for what, c := range map[string]struct {
		here, there func(w *world)
	}{
		"deleted": {func(w *world) { w.rm("/x") }, func(w *world) { w.ok(w.out.Deleted(cache.Attempt{Item: "x"})) }},
		"renamed": {func(w *world) { w.mv("/x", "/a") }, func(w *world) {
			i := xItem
			i.Name, i.ETag = "a", "x-2"
			n := w.at("/a")
			_, err := w.out.Commit(cache.Attempt{Op: "move", Ino: n.Ino, Item: "x", Seq: n.Seq, Parent: root, Name: "a"}, i)
			w.ok(err)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			w, shown := twinned(t)
			w.equal("with the other", alone(w), "[]")
			c.here(w)
			w.equal("while that is not sent", alone(w), "[]")
			news := file("y", root, "X", "1")
			news.ETag = "y-2"
			w.ruled(news, cache.Ruling{Verb: cache.Agree})
			w.equal("the twin", w.item(shown), "y")
			c.there(w)
			w.equal("without the other", alone(w), "[y]")
			w.ruled(file("y", root, "X", "1"), cache.Ruling{Verb: cache.Agree, Place: true})
			w.equal("the twin", w.item("/X"), "y")
			w.equal("differs", w.diff("/X"), "")
			w.equal("alone", alone(w), "[]")
			w.none(shown)
		})
	}
}

// What was made here under the name that a twin gets back was never there: it steps aside, since the service would refuse it.
func TestWhatHasTheNameOfATwinThatIsAloneStepsAside(t *testing.T) {
	w, shown := twinned(t)
	w.rm("/x")
	w.ok(w.out.Deleted(cache.Attempt{Item: "x"}))
	w.mkdir("/x")
	list, err := w.in.Alone()
	w.ok(err)
	w.equal("alone", fmt.Sprint(list), "[y]")
	w.ruled(file("y", root, "X", "1"), cache.Ruling{Verb: cache.Agree, Place: true, Holder: cache.Aside, Report: "conflict"})
	w.equal("the twin", w.item("/X"), "y")
	w.none(shown)
}

func TestATwinThatLosesItsItemIsNoTwin(t *testing.T) {
	t.Run("deleted there", func(t *testing.T) {
		w, shown := twinned(t)
		w.write(shown, "ours")
		w.ruled(tombstone("y"), cache.Ruling{Verb: cache.Revive, Report: "revived"})
		w.none(shown)
		w.equal("beside", w.diff("/X (conflict host 2026-04-14 2106)"), "new bytes")
	})
	t.Run("changed on both sides", func(t *testing.T) {
		w, shown := twinned(t)
		w.write(shown, "ours")
		w.ruled(changed(file("y", root, "X", "1"), "22"), cache.Ruling{Verb: cache.Split, Report: "conflict"})
		w.equal("theirs", w.item(shown), "y")
		w.equal("ours", w.diff("/X (conflict host 2026-04-14 2106)"), "new bytes")
	})
}

func TestAStepKeepsATwinOne(t *testing.T) {
	w, shown := twinned(t)
	n := w.at(shown)
	a := cache.Attempt{Op: "move", Ino: n.Ino, Item: "y", Seq: n.Seq, Parent: "f", Name: name.Twin("X", 0)}
	w.mv(shown, "/f"+shown)
	n = w.at("/f" + shown)
	a.Seq = n.Seq
	moved := file("y", "f", "X", "1")
	moved.ETag = "y-2"
	_, err := w.out.Begin(a)
	w.ok(err)
	_, err = w.out.Commit(a, moved)
	w.ok(err)
	w.equal("differs", w.diff("/f"+shown), "")
	alone, err := w.in.Alone()
	w.ok(err)
	w.equal("alone in the other folder", fmt.Sprint(alone), "[y]")
}

func TestTwinsInAListing(t *testing.T) {
	for _, order := range [][]graph.ItemID{{"a", "b", "c"}, {"c", "b", "a"}, {"b", "c", "a"}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			w := newWorld(t, cache.Options{}, fItem)
			names := map[graph.ItemID]string{"a": "Name.txt", "b": "name.txt", "c": "NAME.txt"}
			var items []graph.Item
			for _, id := range order {
				items = append(items, file(id, "f", names[id], "1"))
			}
			w.ok(w.in.List(w.at("/f").Ino, items))
			n, err := w.in.Waiting()
			w.ok(err)
			w.equal("waiting", n, 0)
			w.equal("a", w.item("/f/Name.txt"), "a")
			w.equal("b", w.item("/f/"+name.Twin("name.txt", 0)), "b")
			w.equal("c", w.item("/f/"+name.Twin("NAME.txt", 0)), "c")
		})
	}
	// One that is not in the listing may be gone: what claims its name waits to be looked at.
	w := newWorld(t, cache.Options{}, fItem, file("a", "f", "Name.txt", "1"))
	w.ok(w.in.List(w.at("/f").Ino, []graph.Item{file("b", "f", "name.txt", "1")}))
	n, err := w.in.Waiting()
	w.ok(err)
	w.equal("waiting", n, 1)
	w.none("/f/" + name.Twin("name.txt", 0))
}
