package fstest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
	"github.com/duskfs/duskfs/fs/fusemount"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

var (
	seeds = flag.Int("seeds", 4, "how many seeds of random calls to compare with the native file system")
	first = flag.Uint64("first", 1, "the first of these seeds")
	calls = flag.Int("calls", 700, "how many calls of each seed")
)

// given are the files that both sides have before the first call.
func given() map[string][]byte {
	all := map[string][]byte{}
	for i, name := range []string{"/f0", "/f1", "/d1/f2", "/d1/e/f0"} {
		data := make([]byte, 3000*(i+1))
		for k := range data {
			data[k] = byte(k * (i + 3))
		}
		all[name] = data
	}
	return all
}

// native makes a folder of the native file system that holds what is given.
func native(t *testing.T) string {
	dir := t.TempDir()
	for name, data := range given() {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRandomCallsAnswerAsTheNativeFileSystem compares with the file system that the tests run on,
// starting with files of the remote of which nothing is here yet.
func TestRandomCallsAnswerAsTheNativeFileSystem(t *testing.T) {
	syscall.Umask(0o022)
	fill := func(w *fstest.World, _ *fs.Options) {
		for name, data := range given() {
			w.Remote.Put(name, data)
		}
	}
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint("direct seed ", seed), func(t *testing.T) {
			w := fstest.NewWorld(t, fill)
			fstest.Compare(t, seed, *calls, fstest.Direct(w.FS, fs.Caller{}), fstest.Mounted(native(t)), false)
		})
		t.Run(fmt.Sprint("mounted seed ", seed), func(t *testing.T) {
			_, root := fstest.NewWorld(t, fill).Mount(t)
			fstest.Compare(t, seed, *calls, fstest.Mounted(root), fstest.Mounted(native(t)), true)
		})
	}
}

// service is a drive of the emulator as the file system needs it.
type service struct {
	graph.Service
	engine *flush.Engine
}

// List is the engine's, which alone applies what the service says.
func (s service) List(ctx context.Context, folder cache.Ino) error { return s.engine.List(ctx, folder) }

// mount mounts the world's store as the daemon does. end unmounts it.
func mount(t *testing.T, w *simtest.World) (root string, end func()) {
	t.Helper()
	info, err := w.Store.Drive(w.Num)
	must(t, err)
	files, err := fs.New(fs.Options{
		Tree: w.Store.Tree(), Content: w.Store.Content(), Sync: w.Store.Sync, WantRefresh: w.Engine.Want,
		Drives: []fs.Drive{{Info: info, Name: "OneDrive", Remote: service{w.Near, w.Engine}}},
		UID:    uint32(os.Getuid()), GID: uint32(os.Getgid()),
	})
	must(t, err)
	m, err := fusemount.New(t.Context(), fusemount.Options{FS: files, Mountpoint: t.TempDir()})
	must(t, err)
	return m.Mountpoint(), sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, errors.Join(m.Unmount(ctx), files.Close()))
	})
}

// TestRandomCallsOutliveFlushWipeAndMount compares as TestRandomCallsAnswerAsTheNativeFileSystem does, on a
// drive of the emulator. The calls come in five parts. After each, all is compared; then there may be a flush,
// and a mount anew, with the local state or after its loss; all is compared again, and the calls go on.
func TestRandomCallsOutliveFlushWipeAndMount(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse: nothing can be mounted here")
	}
	syscall.Umask(0o022)
	const parts = 5
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := simtest.New(t, graphtest.Options{}, func(far *graphtest.Drive) {
				for name, data := range given() {
					_, err := far.Put(name, data)
					must(t, err)
				}
			})
			model := fstest.Mounted(native(t))
			root, end := mount(t, w)
			defer func() { end() }()
			for part := range uint64(parts) {
				fstest.Compare(t, seed*parts+part, *calls/parts, fstest.Mounted(root), model, true)
				if t.Failed() {
					return
				}
				switch rnd := seed + part; {
				case rnd%5 == 0: // nothing but the handles ends
				case rnd%5 == 1:
					w.Flush()
				case rnd%5 == 2:
					end()
					root, end = mount(t, w)
				case rnd%5 == 3:
					w.Flush()
					end()
					root, end = mount(t, w)
				default:
					w.Flush()
					end()
					w.Open(simtest.Folder(t))
					w.Refresh()
					root, end = mount(t, w)
				}
				fstest.Compare(t, 0, 0, fstest.Mounted(root), model, true)
				if t.Failed() {
					t.Logf("after part %d", part)
					return
				}
			}
			w.Flush()
			w.Equal()
			w.Quiet()
		})
	}
}
