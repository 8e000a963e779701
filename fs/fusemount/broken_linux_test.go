package fusemount_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
)

// childBroken mounts a store that panics with its lock held, makes it do so, and says when the mount noticed. Nothing
// can be closed after that.
func childBroken(dir string) error {
	var wild atomic.Bool
	store, err := cache.Open(filepath.Join(dir, "state"), cache.Options{Now: func() time.Time {
		// Changes ask with the store's lock held.
		if strings.Contains(string(debug.Stack()), "(*Store).commit") && wild.Swap(false) {
			panic("time is out of joint")
		}
		return time.Now()
	}})
	if err != nil {
		return err
	}
	d, err := store.AddDrive(graph.Drive{ID: "d", Name: "D"}, graph.Item{ID: "root", Type: graph.Folder, Root: true})
	if err != nil {
		return err
	}
	in := store.Inbox(d.Num)
	if err := errors.Join(in.Begin(true, time.Now()), in.Receive(graph.Page{Next: "n", Done: true}), in.Enumerated(time.Now())); err != nil {
		return err
	}
	files, err := fs.New(fs.Options{Tree: store.Tree(), Content: store.Content(), Drives: []fs.Drive{{Info: d}}})
	if err != nil {
		return err
	}
	broken := make(chan struct{})
	m, err := fusemount.New(context.Background(), fusemount.Options{
		FS: files, Mountpoint: filepath.Join(dir, "m"), Broken: func() { close(broken) }, BrokenAfter: 100 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(m.Mountpoint(), "before"), 0o755); err != nil {
		return err
	}
	wild.Store(true)
	fmt.Println("mkdir:", errors.Is(os.Mkdir(filepath.Join(m.Mountpoint(), "x"), 0o755), syscall.EIO))
	select {
	case <-broken:
	case <-time.After(10 * time.Second):
		return errors.New("nobody noticed")
	}
	if err := m.Detach(); err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, "m", "before"))
	fmt.Println("detached:", errors.Is(err, os.ErrNotExist))
	return nil
}

func TestAPanicThatKeepsALockEndsTheMount(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := child("broken", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"mkdir: true", "detached: true", "time is out of joint", "has left a lock taken"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	// Nothing that was there before is lost.
	s, err := cache.Open(filepath.Join(dir, "state"), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	drive, err := s.Drive(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tree().Lookup(drive.Root, "before"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
