// Package fstest holds what a mounted drive must do, as tests that run on package fs directly and
// again on a real mount of it.
package fstest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
)

// World is a store with one drive, its remote, and a file system on them.
type World struct {
	Store  *cache.Store
	State  string // the folder of the store
	Drive  cache.DriveInfo
	Remote *Remote
	FS     *fs.FS
	mac    bool
}

// NewWorld makes a world that ends, and is checked, with the test. edit may change the options of
// its file system, and fill the remote.
func NewWorld(t testing.TB, edit func(*World, *fs.Options)) *World {
	t.Helper()
	return newWorld(t, false, edit)
}

// NewMac is NewWorld as it is on a Mac: names are found in any letter case, and a mount remembers nothing for
// longer than a second and tells the kernel nothing.
func NewMac(t testing.TB, edit func(*World, *fs.Options)) *World {
	t.Helper()
	return newWorld(t, true, edit)
}

func newWorld(t testing.TB, caseBlind bool, edit func(*World, *fs.Options)) *World {
	t.Helper()
	state := t.TempDir()
	store := cachetest.OpenDir(t, state, cache.Options{Host: "TESTHOST", CaseBlind: caseBlind})
	w := &World{Store: store, State: state, Remote: newRemote(), mac: caseBlind}
	t.Cleanup(func() {
		if w.FS == nil {
			return
		}
		if err := w.FS.Close(); err != nil {
			t.Errorf("closing the file system: %v", err)
		}
	})
	var err error
	w.Drive, err = store.AddDrive(graph.Drive{
		ID: "drive", Name: "Documents", Type: "business",
		Quota: graph.Quota{Total: 1 << 40, Used: 1 << 30, Remaining: 1<<40 - 1<<30},
	}, w.Remote.root())
	if err != nil {
		t.Fatal(err)
	}
	w.Remote.store, w.Remote.num = store, w.Drive.Num
	o := fs.Options{
		Tree: store.Tree(), Content: store.Content(), Sync: store.Sync,
		Drives: []fs.Drive{{Info: w.Drive, Name: "Documents", Remote: w.Remote}},
		UID:    uint32(os.Getuid()), GID: uint32(os.Getgid()),
		CaseBlind: caseBlind,
	}
	if edit != nil {
		edit(w, &o)
	}
	if w.FS, err = fs.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

// Mount mounts the world's file system until the test ends, and returns where. It skips the test
// only where there is no FUSE.
func (w *World) Mount(t testing.TB) (*fusemount.Mount, string) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, err := fusemount.New(ctx, fusemount.Options{FS: w.FS, Mountpoint: t.TempDir(), Forgetful: w.mac})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.Unmount(ctx); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return m, m.Mountpoint()
}
