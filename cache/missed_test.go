package cache_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// A file was made there, the answer was lost, and it was moved before anybody looked: what comes in elsewhere with its
// bytes and its time is it, and nothing else is.
func TestWhatComesInCanBeWhatAMissedStepMade(t *testing.T) {
	for _, c := range []struct {
		about string
		in    func(i graph.Item) graph.Item
		do    func(w *world) // after the step
		is    bool
	}{
		{about: "moved", is: true},
		{about: "renamed", in: func(i graph.Item) graph.Item { i.Parent, i.Name = root, "b"; return i }, is: true},
		{about: "renamed here too", do: func(w *world) { w.mv("/a", "/c") }, is: true},
		{about: "written here since", do: func(w *world) { w.write("/a", "more") }, is: true},
		{about: "times of whole seconds", in: func(i graph.Item) graph.Item { i.ModTime = i.ModTime.Truncate(time.Second); return i }, is: true},
		{about: "made at another time", in: func(i graph.Item) graph.Item { i.Created = i.Created.Add(-time.Second); return i }},
		{about: "nobody knows when it was made", in: func(i graph.Item) graph.Item { i.Created = time.Time{}; return i }},
		{about: "another time", in: func(i graph.Item) graph.Item { i.ModTime = i.ModTime.Add(time.Second); return i }},
		{about: "other bytes", in: func(i graph.Item) graph.Item { i.Hash = file("z", root, "z", "xyz").Hash; return i }},
		{about: "no hash", in: func(i graph.Item) graph.Item { i.Hash = ""; return i }},
		{about: "gone again", in: func(i graph.Item) graph.Item { i.Deleted = true; return i }},
		{about: "a folder", in: func(i graph.Item) graph.Item { i.Type = graph.Folder; return i }},
		{about: "made once more meanwhile", do: func(w *world) {
			w.push(w.attempt("create", "/a"), w.answer("second", root, "a", "abc", "e2"))
		}},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := newWorld(t, cache.Options{}, folder("f", root, "f"))
			w.create("/a", "abc")
			ino := w.at("/a").Ino
			a := w.attempt("create", "/a")
			in := w.made(&a, "made", "f", "a", "e1")
			w.seal(a)
			_, err := w.out.Begin(a)
			w.ok(err)
			w.ok(w.out.Missed(a))
			steps, err := w.out.Attempts()
			w.ok(err)
			w.equal("steps under way", len(steps), 0)
			if c.do != nil {
				c.do(w)
			}
			if c.in != nil {
				in = c.in(in)
			}
			w.receive(in)
			w.ok(w.in.Claim())
			n, err := w.tr.Get(ino)
			w.ok(err)
			if is := n.Base != nil && n.Base.Item == "made"; is != c.is {
				t.Fatalf("taken for what the step made: %v", is)
			}
			if c.is && (n.Base.Parent != root || n.Base.Name != "a" || n.Base.ETag != "e1") {
				t.Errorf("base %+v", n.Base)
			}
			w.receive(w.made(&a, "late", "f", "late", "e3"))
			w.ok(w.in.Claim())
			if m, err := w.tr.Get(ino); err != nil || m.Seq != n.Seq {
				t.Errorf("a step that is forgotten takes %+v, %v", m.Base, err)
			}
		})
	}
}

// made is what the service says of a file that a step has made of "abc" just now, which is somewhere.
func (w *world) made(a *cache.Attempt, id, parent graph.ItemID, name, etag string) graph.Item {
	i := w.answer(id, parent, name, "abc", etag)
	i.Created, a.Created, a.Hash = w.now.Truncate(time.Second), w.now.Truncate(time.Second), i.Hash
	return i
}

// Two copies of a file were sent in the same second: each gets what lies most like it.
func TestCopiesThatWereMissedAreNotTakenForEachOther(t *testing.T) {
	for _, c := range []struct {
		about    string
		in       map[graph.ItemID]string // folder f or root, and name
		a, b     graph.ItemID
		underWay bool // that of b
	}{
		{about: "both were moved", in: map[graph.ItemID]string{"1": "f/b", "2": "f/a"}, a: "2", b: "1"},
		{about: "one was never made, the other late", in: map[graph.ItemID]string{"1": "/b"}, b: "1"},
		{about: "one was never made, the other was moved", in: map[graph.ItemID]string{"1": "f/b"}, b: "1"},
		{about: "one was moved, the other late", in: map[graph.ItemID]string{"1": "/b", "2": "f/x"}, a: "2", b: "1"},
		{about: "one was never made, the other is under way", in: map[graph.ItemID]string{"1": "/b"}, underWay: true},
		{about: "one was moved, the other is under way", in: map[graph.ItemID]string{"1": "/b", "2": "f/x"}, a: "2", underWay: true},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := newWorld(t, cache.Options{}, folder("f", root, "f"))
			steps := map[string]cache.Attempt{}
			for _, name := range []string{"a", "b"} {
				w.create("/"+name, "abc")
				step := w.attempt("create", "/"+name)
				w.made(&step, "", "", "", "")
				_, err := w.out.Begin(step)
				w.ok(err)
				if steps[name] = step; name == "a" || !c.underWay {
					w.ok(w.out.Missed(step))
				}
			}
			for id, at := range c.in {
				parent, name, _ := strings.Cut(at, "/")
				if parent == "" {
					parent = string(root)
				}
				step := steps["a"]
				w.receive(w.made(&step, id, graph.ItemID(parent), name, "e"+string(id)))
			}
			w.ok(w.in.Claim())
			w.equal("item of a", w.item("/a"), c.a)
			w.equal("item of b", w.item("/b"), c.b)
		})
	}
}

// What was removed here while it was made there is to be deleted, wherever it is by now.
func TestWhatAMissedStepMadeCanBeRemovedByNow(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("f", root, "f"))
	w.create("/a", "abc")
	a := w.attempt("create", "/a")
	in := w.made(&a, "made", "f", "a", "e1")
	w.ok(w.out.Missed(a))
	w.rm("/a")
	w.receive(in)
	w.ok(w.in.Claim())
	w.equal("gone", w.gone(), "made")
}

// A program has saved by rename meanwhile, and its temporary file turns out to have been made there: it goes. Moved by
// somebody it stays.
func TestWhatAMissedStepMadeIsOfNoUseToAnHeir(t *testing.T) {
	for _, moved := range []bool{false, true} {
		t.Run(fmt.Sprint("moved: ", moved), func(t *testing.T) {
			w := newWorld(t, cache.Options{}, folder("f", root, "f"), xItem)
			w.create("/tmp", "abc")
			a := w.attempt("create", "/tmp")
			in, gone := w.made(&a, "made", root, "tmp", "e1"), "made"
			if moved {
				in.Parent, gone = "f", ""
			}
			w.ok(w.out.Missed(a))
			w.mv("/tmp", "/x")
			w.receive(in)
			w.ok(w.in.Claim())
			w.equal("item", w.item("/x"), "x")
			w.equal("gone", w.gone(), gone)
		})
	}
}
