package mirror_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestTheFirstRunTakesAll(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/a.txt", "a")
	w.put("/docs/deep/b.txt", "b")
	w.put("/empty.txt", "")
	_, err := w.far.Mkdir("/nothing in it")
	w.ok(err)
	r := w.sync()
	w.equal()
	if r.Added != 3 || r.Total != 3 || r.Fetched != 3 || r.Report == "" {
		t.Errorf("%+v", r)
	}
	info, err := w.far.Stat("/docs/deep/b.txt")
	w.ok(err)
	st, err := os.Stat(filepath.Join(w.o.Folder, "data/docs/deep/b.txt"))
	w.ok(err)
	if !st.ModTime().Equal(info.ModTime) {
		t.Errorf("dated %v, want %v", st.ModTime(), info.ModTime)
	}
	rep := w.last()
	if x := rep.Changes.Added["docs/deep/b.txt"]; x.FilePath != "copy/data/docs/deep/b.txt" || x.Item != info.ID || x.Size != 1 || x.Hash != info.Hash {
		t.Errorf("%+v", x)
	}
	if rep.Schema != 1 || rep.Drive.ID != w.far.ID() || rep.Partial || filepath.Base(r.Report) != "sync_changes_"+rep.Timestamp+".json" {
		t.Errorf("%+v", rep)
	}
}

func TestARunWithoutChangesAsksOnce(t *testing.T) {
	w := library(t, graphtest.Options{})
	for _, p := range []string{"/a", "/b/c", "/b/d/e"} {
		w.put(p, p)
	}
	w.sync()
	w.s.ResetCounts()
	n := len(w.s.Log(0))
	r := w.sync()
	if log := w.s.Log(n); len(log) != 1 || log[0].Kind != graphtest.OpDelta {
		t.Errorf("asked %v", log)
	}
	if r.Report != "" || len(w.reports()) != 1 || r.Total != 3 {
		t.Errorf("%+v", r)
	}
	w.o.AlwaysReport = true
	if r = w.sync(); r.Report == "" || w.last().Summary.TotalFiles != 3 {
		t.Errorf("%+v", r)
	}
}

func TestEveryKindOfChange(t *testing.T) {
	for _, c := range []struct {
		about                               string
		do                                  func(w *world)
		added, modified, deleted, only, got int
	}{
		{"a new file", func(w *world) { w.put("/new.txt", "n") }, 1, 0, 0, 0, 1},
		{"other bytes", func(w *world) { w.put("/a.txt", "other") }, 0, 1, 0, 0, 1},
		{"a file that is gone", func(w *world) { w.ok(w.far.Delete("/a.txt")) }, 0, 0, 1, 0, 0},
		{"a folder that is gone", func(w *world) { w.ok(w.far.Delete("/d")) }, 0, 0, 3, 0, 0},
		{"a new name", func(w *world) { w.move("/a.txt", "/b.txt") }, 1, 0, 1, 0, 0},
		{"another folder", func(w *world) { w.move("/a.txt", "/d/a.txt") }, 1, 0, 1, 0, 0},
		{"a folder with a new name", func(w *world) { w.move("/d", "/e") }, 3, 0, 3, 0, 0},
		{"a folder in another one", func(w *world) { w.move("/d/sub", "/other/sub") }, 2, 0, 2, 0, 0},
		{"a new name and other bytes", func(w *world) { w.move("/a.txt", "/b.txt"); w.put("/b.txt", "xx") }, 1, 0, 1, 0, 1},
		{"two that change places", func(w *world) {
			w.move("/a.txt", "/x")
			w.move("/d/1.txt", "/a.txt")
			w.move("/x", "/d/1.txt")
		}, 0, 2, 0, 0, 0},
		{"a file in the place of another", func(w *world) { w.ok(w.far.Delete("/a.txt")); w.put("/a.txt", "anew") }, 0, 1, 0, 0, 1},
		{"a folder in the place of a file", func(w *world) { w.ok(w.far.Delete("/a.txt")); w.put("/a.txt/in", "i") }, 1, 0, 1, 0, 1},
		{"a file in the place of a folder", func(w *world) { w.ok(w.far.Delete("/d")); w.put("/d", "file") }, 1, 0, 3, 0, 1},
		{"another letter case", func(w *world) { w.move("/a.txt", "/A.txt") }, 1, 0, 1, 0, 0},
		{"a time alone", func(w *world) { w.ok(w.far.Touch("/a.txt", time.Unix(1e9, 0))) }, 0, 0, 0, 0, 1},
		{"a person may see it", func(w *world) { w.ok(w.far.Grant("/a.txt", graphtest.Grant{User: w.s.Me().UPN})) }, 0, 0, 0, 1, 0},
		{"a group may see a folder", func(w *world) { w.ok(w.far.Grant("/d", graphtest.Grant{Group: "AI Team", Role: "write"})) }, 0, 0, 0, 3, 0},
		{"everybody may see everything", func(w *world) { w.ok(w.far.Grant("/", graphtest.Grant{Link: "anonymous"})) }, 0, 0, 0, 4, 0},
		{"bytes and permissions", func(w *world) {
			w.put("/a.txt", "other")
			w.ok(w.far.Grant("/a.txt", graphtest.Grant{SiteGroup: "Visitors"}))
		}, 0, 1, 0, 0, 1},
		{"into a folder that others may see", func(w *world) {
			w.ok(w.far.Grant("/open", graphtest.Grant{Group: "All"}))
			w.move("/d", "/open/d")
		}, 3, 0, 3, 0, 0},
	} {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			w := library(t, graphtest.Options{})
			w.put("/a.txt", "a")
			for _, p := range []string{"/d/1.txt", "/d/sub/2.txt", "/d/sub/3.txt"} {
				w.put(p, p)
			}
			for _, p := range []string{"/other", "/open"} {
				_, err := w.far.Mkdir(p)
				w.ok(err)
			}
			w.sync()
			w.equal()
			c.do(w)
			r := w.sync()
			w.equal()
			w.equalTimes()
			if r.Added != c.added || r.Modified != c.modified || r.Deleted != c.deleted || r.PermissionsOnly != c.only || r.Fetched != c.got {
				t.Errorf("%+v", r)
			}
			if r = w.sync(); r.Report != "" || r.Fetched != 0 {
				t.Errorf("the next run: %+v", r)
			}
		})
	}
}

// The service's hash does not show that two bytes which are 160 apart have changed places.
func TestOtherBytesOfTheSameHashAreSeen(t *testing.T) {
	w := library(t, graphtest.Options{})
	text := make([]byte, 400)
	for n := range text {
		text[n] = byte(n)
	}
	before := w.put("/a.bin", string(text))
	w.sync()
	text[0], text[160] = text[160], text[0]
	after := w.put("/a.bin", string(text))
	if before.Hash != after.Hash {
		t.Fatal("the hash shows it")
	}
	w.ok(w.far.Touch("/a.bin", time.Unix(1e9, 0)))
	if r := w.sync(); r.Modified != 1 || r.Fetched != 1 {
		t.Errorf("%+v", r)
	}
	w.equal()
	w.equalTimes()
	if r := w.sync(); r.Fetched != 0 || r.Report != "" {
		t.Errorf("%+v", r)
	}
}

func TestAMoveIsToldAtBothEnds(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.put("/d/a.txt", "a")
	w.sync()
	w.move("/d", "/e")
	w.sync()
	c := w.last().Changes
	if x := c.Added["e/a.txt"]; x.MovedFrom != "d/a.txt" || len(c.Deleted["d/a.txt"].Permissions) == 0 {
		t.Errorf("%+v", c)
	}
	w.move("/e/a.txt", "/f.txt")
	w.sync()
	if x := w.last().Changes.Added["f.txt"]; x.MovedFrom != "e/a.txt" {
		t.Errorf("%+v", x)
	}
}

func TestWhatPeopleDoHere(t *testing.T) {
	w := library(t, graphtest.Options{})
	for _, p := range []string{"a.txt", "d/b.txt", "d/c.txt", "d/e.txt"} {
		w.put("/"+p, p)
	}
	w.sync()
	w.local("mine.txt", "mine")
	w.local("d/note", "a note")
	w.local("own/folder/x", "x")
	w.local("a.txt", "changed here")
	w.ok(os.Remove(filepath.Join(w.o.Folder, "data/d/b.txt")))
	w.ok(os.Chtimes(filepath.Join(w.o.Folder, "data/d/c.txt"), time.Time{}, time.Unix(1e9, 0)))
	r := w.sync()
	if r.Restored != 2 || r.Fetched != 2 || r.Added+r.Modified+r.Deleted != 0 {
		t.Errorf("%+v", r)
	}
	rep := w.last()
	saved := rep.Restored["a.txt"].Saved
	if rep.Restored["a.txt"].Reason != "changed" || rep.Restored["d/b.txt"].Reason != "missing" || saved == "" {
		t.Errorf("%+v", rep.Restored)
	}
	here := w.here()
	if here[saved] != sumOf([]byte("changed here")) || here["mine.txt"] != sumOf([]byte("mine")) {
		t.Error("work of somebody here is lost")
	}
	// What is put here is left alone when all around it goes.
	w.ok(w.far.Delete("/d"))
	if r = w.sync(); r.Deleted != 3 {
		t.Errorf("%+v", r)
	}
	left := w.here()
	for _, p := range []string{"mine.txt", "d/note", "own/folder/x", saved} {
		if left[p] != here[p] {
			t.Errorf("%s is gone", p)
		}
	}
	if _, ok := left["d/c.txt"]; ok {
		t.Error("what is gone there is still here")
	}
	if r = w.sync(); r.Report != "" {
		t.Errorf("%+v", r)
	}
}

func TestAFileHereInTheWayIsSetAside(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.sync()
	w.local("same.txt", "same bytes")
	w.local("other.txt", "mine")
	w.local("folder", "a file where a folder comes")
	w.local("file/x", "a folder where a file comes")
	w.put("/same.txt", "same bytes")
	w.put("/other.txt", "theirs")
	w.put("/folder/in.txt", "in")
	w.put("/file", "file")
	r := w.sync()
	if r.Added != 4 || r.Fetched != 3 {
		t.Errorf("%+v", r)
	}
	here := w.here()
	for p, x := range w.last().Restored {
		t.Log(p, x)
		if x.Reason != "in the way" || here[x.Saved] == "" {
			t.Errorf("%s: %+v", p, x)
		}
	}
	var sums []string
	for _, s := range here {
		sums = append(sums, s)
	}
	for _, text := range []string{"mine", "a file where a folder comes", "a folder where a file comes", "theirs", "in", "file"} {
		if !slices.Contains(sums, sumOf([]byte(text))) {
			t.Errorf("%q is lost", text)
		}
	}
}
