package cache_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
)

// texts reads all files under a folder.
func texts(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "ballast" {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestACopyOfAStoreHoldsWhatIsUnsent(t *testing.T) {
	w := newWorld(t, cache.Options{}, file("a", root, "a", "1"), file("b", root, "b", "22"))
	mine := w.create("/mine", "unsent")
	w.hydrate("/b", "22")
	to := filepath.Join(t.TempDir(), "copy")
	var used *cache.InUseError
	if err := cache.CopyStore(t.Context(), w.dir, to); !errors.As(err, &used) || used.PID != os.Getpid() {
		t.Errorf("a store that is open was copied: %v", err)
	}
	w.crash()
	from := filepath.Join(t.TempDir(), "killed")
	w.ok(os.CopyFS(from, os.DirFS(w.dir)))
	before := texts(t, from)
	to = filepath.Join(t.TempDir(), "copy")
	w.ok(cache.CopyStore(t.Context(), from, to))

	w.s = cachetest.OpenDir(t, to, w.o)
	w.open()
	w.equal("body", w.body("/mine"), "unsent")
	if n := w.at("/mine"); n.Ino != mine.Ino || n.Size != mine.Size {
		t.Errorf("%+v, was %+v", n, mine)
	}
	w.at("/a")
	if _, err := w.s.Content().Info(uint64(w.at("/b").Ino)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what can be fetched again was copied: %v", err)
	}
	w.write("/mine", "another")
	w.mkdir("/folder")
	if !maps.Equal(texts(t, from), before) {
		t.Error("the store that was copied is not as it was")
	}
}

func TestACopyOfNoStoreIsFresh(t *testing.T) {
	t.Parallel()
	to := filepath.Join(t.TempDir(), "copy")
	if err := cache.CopyStore(t.Context(), filepath.Join(t.TempDir(), "none"), to); err != nil {
		t.Fatal(err)
	}
	drives, err := cachetest.OpenDir(t, to, cache.Options{}).Drives()
	if err != nil || len(drives) != 0 {
		t.Errorf("%v %v", drives, err)
	}
}
