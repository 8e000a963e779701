package fstest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
)

// seeds of random lives; one that found a mistake stays here for ever.
var seeds = []uint64{1, 2, 3, 4}

const calls = 700

// TestRandomCallsAnswerAsTheNativeFileSystem compares with the file system that the tests run on,
// starting with files of the remote of which nothing is here yet.
func TestRandomCallsAnswerAsTheNativeFileSystem(t *testing.T) {
	syscall.Umask(0o022)
	fill := func(t *testing.T, w *fstest.World, dir string) {
		for i, name := range []string{"f0", "f1", "d1/f2", "d1/e/f0"} {
			data := make([]byte, 3000*(i+1))
			for k := range data {
				data[k] = byte(k * (i + 3))
			}
			w.Remote.Put("/"+name, data)
			p := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("direct seed ", seed), func(t *testing.T) {
			dir := t.TempDir()
			w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { fill(t, w, dir) })
			fstest.Compare(t, seed, calls, fstest.Direct(w.FS, fs.Caller{}), fstest.Mounted(dir), false)
		})
		t.Run(fmt.Sprint("mounted seed ", seed), func(t *testing.T) {
			dir := t.TempDir()
			w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { fill(t, w, dir) })
			_, root := w.Mount(t)
			fstest.Compare(t, seed, calls, fstest.Mounted(root), fstest.Mounted(dir), true)
		})
	}
}
