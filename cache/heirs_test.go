package cache_test

import (
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
)

// How programs save, and whose item the file has afterwards.
func TestHeirs(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world)
		item string // of /doc.txt, "" for a new item
		gone string
	}{
		"write aside, rename over": {func(w *world) {
			w.create("/tmp1", "new")
			w.mv("/tmp1", "/doc.txt")
		}, "doc", ""},
		"write aside elsewhere, rename over": {func(w *world) {
			w.create("/dir/tmp1", "new")
			w.mv("/dir/tmp1", "/doc.txt")
		}, "doc", ""},
		"remove, create": {func(w *world) {
			w.rm("/doc.txt")
			w.create("/doc.txt", "new")
		}, "doc", ""},
		"remove, create in another case": {func(w *world) {
			w.rm("/doc.txt")
			w.create("/Doc.txt", "new")
			w.mv("/Doc.txt", "/doc.txt")
		}, "doc", ""},
		"remove, wait, create": {func(w *world) {
			w.rm("/doc.txt")
			w.now = w.now.Add(61 * time.Second)
			w.create("/doc.txt", "new")
		}, "", "doc"},
		"remove, wait a minute, create": {func(w *world) {
			w.rm("/doc.txt")
			w.now = w.now.Add(time.Minute)
			w.create("/doc.txt", "new")
		}, "doc", ""},
		"exchange of two that are there": {func(w *world) {
			_, err := w.rename("/doc.txt", "/other.txt", cache.Exchange)
			w.ok(err)
			w.equal("the other", w.item("/other.txt"), "doc")
		}, "other", ""},
		"a folder in its way under a backup's name, create": {func(w *world) {
			w.mkdir("/doc.txt~")
			w.hydrate("/doc.txt", "12345")
			w.mv("/doc.txt", "/doc.txt~/doc.txt")
			w.create("/doc.txt", "new")
			w.equal("the old one", w.item("/doc.txt~/doc.txt"), "doc")
		}, "", ""},
		"backup, create, remove backup": {func(w *world) {
			w.mv("/doc.txt", "/doc.txt~")
			w.create("/doc.txt", "new")
			w.rm("/doc.txt~")
		}, "doc", ""},
		"backup that is complete, create": {func(w *world) {
			w.hydrate("/doc.txt", "12345")
			w.mv("/doc.txt", "/doc.txt~")
			w.create("/doc.txt", "new")
			w.equal("the backup", w.diff("/doc.txt~"), "new bytes")
			w.equal("its bytes", w.body("/doc.txt~"), "12345")
		}, "doc", ""},
		"backup that is not complete, create": {func(w *world) {
			w.mv("/doc.txt", "/doc.txt~")
			w.create("/doc.txt", "new")
			w.equal("the backup", w.item("/doc.txt~"), "doc")
		}, "", ""},
		"written backup, create": {func(w *world) {
			w.write("/doc.txt", "mine")
			w.mv("/doc.txt", "/doc.bak")
			w.create("/doc.txt", "new")
			w.equal("its bytes", w.body("/doc.bak"), "mine")
		}, "doc", ""},
		"moved away, create": {func(w *world) {
			w.hydrate("/doc.txt", "12345")
			w.mv("/doc.txt", "/dir/doc.txt")
			w.create("/doc.txt", "new")
			w.equal("the old one", w.item("/dir/doc.txt"), "doc")
		}, "", ""},
		"renamed, create": {func(w *world) {
			w.hydrate("/doc.txt", "12345")
			w.mv("/doc.txt", "/doc 2025.txt")
			w.create("/doc.txt", "new")
			w.equal("the old one", w.item("/doc 2025.txt"), "doc")
		}, "", ""},
		"to a local-only name, create": {func(w *world) {
			w.hydrate("/doc.txt", "12345")
			w.mv("/doc.txt", "/~WRL0001.tmp")
			w.create("/doc.txt", "new")
		}, "doc", ""},
		"Word: new aside, old to local-only name, new in, old removed": {func(w *world) {
			w.create("/~WRD0000.tmp", "new")
			w.mv("/doc.txt", "/~WRL0001.tmp")
			w.mv("/~WRD0000.tmp", "/doc.txt")
			w.rm("/~WRL0001.tmp")
		}, "doc", ""},
		"exchange with a new file, old removed": {func(w *world) {
			w.create("/tmp1", "new")
			_, err := w.rename("/tmp1", "/doc.txt", cache.Exchange)
			w.ok(err)
			w.equal("before the old one is removed", w.item("/doc.txt"), "")
			w.rm("/tmp1")
		}, "doc", ""},
		"a based file over it keeps its own": {func(w *world) {
			w.mv("/other.txt", "/doc.txt")
		}, "other", "doc"},
		"a folder takes nothing from a file": {func(w *world) {
			w.rm("/doc.txt")
			w.mkdir("/doc.txt")
		}, "", "doc"},
		"remove, rename a based file in, remove, create": {func(w *world) {
			w.rm("/doc.txt")
			w.mv("/other.txt", "/doc.txt")
			w.rm("/doc.txt")
			w.create("/doc.txt", "new")
		}, "doc", "other"},
		"nothing of a deletion that was sent": {func(w *world) {
			w.rm("/doc.txt")
			w.ok(w.out.Deleted(cache.Attempt{Item: "doc"}))
			w.create("/doc.txt", "new")
		}, "", ""},
		"nothing of a deletion under way": {func(w *world) {
			w.rm("/doc.txt")
			_, err := w.out.Begin(cache.Attempt{Item: "doc"})
			w.ok(err)
			w.create("/doc.txt", "new")
		}, "", "doc"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cache.Options{}, file("doc", root, "doc.txt", "12345"),
				file("other", root, "other.txt", "1"), folder("dir", root, "dir"))
			c.do(w)
			w.equal("item", w.item("/doc.txt"), c.item)
			w.equal("gone", w.gone(), c.gone)
		})
	}
}

func TestFolderMergesIntoItsPlace(t *testing.T) {
	w := newWorld(t, cache.Options{}, folder("p", root, "a.pages"), file("i", "p", "index", "1"), file("j", "p", "old", "1"))
	w.rm("/a.pages/index")
	w.rm("/a.pages/old")
	w.rm("/a.pages")
	w.mkdir("/a.pages")
	w.create("/a.pages/index", "2")
	w.equal("folder", w.item("/a.pages"), "p")
	w.equal("file", w.item("/a.pages/index"), "i")
	w.equal("gone", w.gone(), "j")
}

// A file saved many times over keeps its item.
func TestHeirsRepeatedly(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("doc", root, "doc.txt", "12345"))
	for range 8 {
		w.create("/.doc.tmp", "new")
		w.mv("/doc.txt", "/doc.txt~")
		w.mv("/.doc.tmp", "/doc.txt")
		w.rm("/doc.txt~")
		w.equal("item", w.item("/doc.txt"), "doc")
		w.now = w.now.Add(time.Hour)
	}
	w.equal("gone", w.gone(), "")
}

// A file that is being made there, and becomes the heir of another item meanwhile, keeps that one.
func TestHeirWhileItIsMade(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	n := w.create("/new", "mine")
	a := cache.Attempt{Op: "create", Ino: n.Ino, Seq: n.Seq, Parent: root, Name: "new", Size: 4}
	w.seal(a)
	_, err := w.out.Begin(a)
	w.ok(err)
	w.rm("/x")
	w.mv("/new", "/x")
	_, err = w.out.Commit(a, file("n", root, "new", "mine"))
	w.ok(err)
	w.equal("heir", w.item("/x"), "x")
	w.equal("to be deleted again", w.gone(), "n")
	// Who comes to the place that it was made at has what was made there, and takes nothing else from it.
	w.create("/new", "another")
	w.equal("heir", w.item("/x"), "x")
	w.equal("heir of what was made", w.item("/new"), "n")
	w.equal("to be deleted", w.gone(), "")
}
