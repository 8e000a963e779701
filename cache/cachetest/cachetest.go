// Package cachetest gives tests a store that checks its own invariants when the test ends.
package cachetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// Open opens a store in a folder of the test. When the test ends it is checked, any finding failing
// the test, and closed.
func Open(t testing.TB, o cache.Options) *cache.Store {
	t.Helper()
	return OpenDir(t, t.TempDir(), o)
}

// OpenDir is Open in a folder of the caller's.
func OpenDir(t testing.TB, dir string, o cache.Options) *cache.Store {
	t.Helper()
	s, err := cache.Open(dir, o)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		Check(t, s)
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// Check fails the test if an invariant of the store does not hold.
func Check(t testing.TB, s *cache.Store) {
	t.Helper()
	findings, err := s.Check(context.Background())
	if err != nil {
		t.Errorf("check the store: %v", err)
	}
	for _, f := range findings {
		t.Errorf("the store's check finds: %s", f)
	}
}

// RootItem is the item of the root folder of drives made by AddDrive.
const RootItem graph.ItemID = "root"

// AddDrive makes a drive known whose root is RootItem, as yet unlisted.
func AddDrive(t testing.TB, s *cache.Store, id graph.DriveID) cache.DriveInfo {
	t.Helper()
	d, err := s.AddDrive(graph.Drive{ID: id, Name: string(id), Type: "business"},
		graph.Item{ID: RootItem, Name: "root", Type: graph.Folder, Root: true, ETag: "root-1"})
	if err != nil {
		t.Fatalf("add drive %s: %v", id, err)
	}
	return d
}

// Enumerate gives a drive the items as its first full enumeration; the root goes without saying.
// The drive is followed afterwards.
func Enumerate(t testing.TB, s *cache.Store, d cache.DriveNum, items ...graph.Item) {
	t.Helper()
	in := s.Inbox(d)
	now := time.Now()
	if err := in.Begin(true, now); err != nil {
		t.Fatalf("begin the enumeration: %v", err)
	}
	if err := in.Receive(graph.Page{Items: items, Next: "enumerated", Done: true}); err != nil {
		t.Fatalf("receive the items: %v", err)
	}
	if err := in.Enumerated(now); err != nil {
		t.Fatalf("end the enumeration: %v", err)
	}
	if n, err := in.Waiting(); err != nil || n != 0 {
		t.Fatalf("%d of the items could not be placed (error %v)", n, err)
	}
}

// Folder is a folder item.
func Folder(id, parent graph.ItemID, name string) graph.Item {
	return graph.Item{ID: id, Parent: parent, Name: name, Type: graph.Folder, ETag: string(id) + "-1", ModTime: Time}
}

// File is a file item with the given bytes.
func File(id, parent graph.ItemID, name, body string) graph.Item {
	h := graph.NewQuickXor()
	fmt.Fprint(h, body)
	return graph.Item{
		ID: id, Parent: parent, Name: name, Type: graph.File, Size: int64(len(body)),
		ETag: string(id) + "-1", CTag: "c" + string(id) + "-1", Hash: graph.HashOf(h), ModTime: Time,
	}
}

// Time is the modification time of the items that this package makes.
var Time = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
