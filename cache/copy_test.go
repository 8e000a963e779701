package cache_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

func aCopy(t *testing.T, s *cache.Store, folder string) *cache.Copy {
	t.Helper()
	c, err := s.Copy(cache.CopyKey{Drive: "b!1", Folder: folder, Target: "/backup"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACopyKeepsItsRows(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	c, other := aCopy(t, s, "/up"), aCopy(t, s, "/up2")
	at := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	row := cache.CopyRow{
		Path: "a/é #%.txt", Stamp: cache.Stamp{Size: 5, Mtime: at, Ctime: at.Add(1), Inode: 7}, Hash: "q", Theirs: true, Epoch: 3,
		Base: &cache.Base{Item: "i1", Parent: "p", Name: "copy.txt", ETag: "e", CTag: "c", Hash: "h", Size: 5, ModTime: at, Past: []string{"d"}, At: at},
	}
	if err := c.Put(row, cache.CopyRow{Path: "a", Dir: true}, cache.CopyRow{Path: "a.txt"}, cache.CopyRow{Path: ""}); err != nil {
		t.Fatal(err)
	}
	got, ok, err := c.Get(row.Path)
	if err != nil || !ok || fmt.Sprintf("%+v %+v", got, *got.Base) != fmt.Sprintf("%+v %+v", withBase(row, got.Base), *row.Base) {
		t.Errorf("got %+v (%v, %v), want %+v", got, ok, err, row)
	}
	if r, ok, err := c.Find("i1"); err != nil || !ok || r.Path != row.Path {
		t.Errorf("by item: %+v, %v, %v", r, ok, err)
	}
	if _, ok, _ := other.Get(row.Path); ok {
		t.Error("another copy has the row too")
	}
	var paths []string
	for after := ""; ; {
		list, err := c.Rows("", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			paths = append(paths, r.Path)
		}
		if len(list) < 2 {
			break
		}
		after = list[len(list)-1].Path
	}
	if want := []string{"", "a", "a.txt", row.Path}; !slices.Equal(paths, want) {
		t.Errorf("paths %q, want %q", paths, want)
	}
	if err := c.Drop("a"); err != nil {
		t.Fatal(err)
	}
	if list, _ := c.Rows("", "", 10); len(list) != 2 {
		t.Errorf("left: %+v", list)
	}
	if _, ok, _ := c.Find("i1"); ok {
		t.Error("the item of a dropped row is found")
	}
}

func withBase(r cache.CopyRow, b *cache.Base) cache.CopyRow { r.Base = b; return r }

func TestAnItemIsOfOneRow(t *testing.T) {
	s := cachetest.Open(t, cache.Options{})
	c := aCopy(t, s, "/up")
	for _, p := range []string{"a", "b"} {
		if err := c.Put(cache.CopyRow{Path: p, Base: &cache.Base{Item: "i"}}); err != nil {
			t.Fatal(err)
		}
	}
	if r, _, _ := c.Get("a"); r.Base != nil {
		t.Error("two rows have one item")
	}
	if r, ok, _ := c.Find("i"); !ok || r.Path != "b" {
		t.Errorf("the item is of %q", r.Path)
	}
	// The one that lost it drops without taking it from the other.
	if err := c.Drop("a"); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := c.Find("i"); !ok {
		t.Error("the item is not found any more")
	}
}

func TestStepsOfACopySurvive(t *testing.T) {
	dir := t.TempDir()
	s, err := cache.Open(dir, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := aCopy(t, s, "/up")
	stamp := cache.Stamp{Size: 3, Mtime: time.Unix(1, 2).UTC(), Inode: 9}
	step := cache.CopyStep{Path: "a", Stamp: stamp, Attempt: cache.Attempt{Op: "create", Name: "a", Size: 3, Session: "https://x"}}
	if err := c.Begin(step); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = cachetest.OpenDir(t, dir, cache.Options{})
	c = aCopy(t, s, "/up")
	steps, err := c.Steps()
	if err != nil || len(steps) != 1 || steps[0].Session != "https://x" || steps[0].Stamp != stamp {
		t.Fatalf("steps %+v, %v", steps, err)
	}
	r, err := c.Commit(steps[0], graph.Item{ID: "i", Name: "a", Size: 3, Type: graph.File})
	if err != nil || r.Base == nil || r.Base.Item != "i" || r.Stamp != stamp {
		t.Errorf("row %+v, %v", r, err)
	}
	if steps, _ := c.Steps(); len(steps) != 0 {
		t.Errorf("steps left: %+v", steps)
	}
	info, err := c.Info()
	if err != nil || info.Folder != "/up" || info.Target != "/backup" {
		t.Errorf("info %+v, %v", info, err)
	}
	info.Link, info.Epoch = "/link", 4
	if err := c.SetInfo(info); err != nil {
		t.Fatal(err)
	}
	if got, _ := aCopy(t, s, "/up").Info(); got.Link != "/link" || got.Epoch != 4 {
		t.Errorf("info %+v", got)
	}
}

func TestALeanStoreOpensWhatAKilledOneLeft(t *testing.T) {
	for _, lean := range []bool{false, true} {
		dir := t.TempDir()
		s, err := cache.Open(dir, cache.Options{Lean: lean})
		if err != nil {
			t.Fatal(err)
		}
		c := aCopy(t, s, "/up")
		var rows []cache.CopyRow
		n := 12_000 // more than a lean table holds, and less than makes the other one a file meanwhile
		if lean {
			n = 2000
		}
		for i := range n {
			rows = append(rows, cache.CopyRow{Path: fmt.Sprintf("a long name to fill the table with/and another one/%06d", i), Hash: graph.Hash(strings.Repeat("x", 300))})
		}
		if err := c.Put(rows...); err != nil {
			t.Fatal(err)
		}
		left := t.TempDir() // what a killed process would leave
		if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, then := range []bool{true, false} {
			s, err := cache.Open(left, cache.Options{Lean: then})
			if err != nil {
				t.Fatalf("lean %v after %v: %v", then, lean, err)
			}
			c := aCopy(t, s, "/up")
			list, err := c.Rows("", "", len(rows)+1)
			if err != nil || len(list) != len(rows) {
				t.Errorf("lean %v after %v: %d rows, %v", then, lean, len(list), err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
