package fstest_test

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/fs/fstest"
)

// TestDamagedBytesAreNeverServed alters, behind the back of the store, the bytes of a file that was
// fetched whole, and reads it through a mount.
func TestDamagedBytesAreNeverServed(t *testing.T) {
	data := bytes.Repeat([]byte("remote bytes "), 30_000)
	for _, c := range []struct {
		what  string
		alter func(path string) error
	}{
		{"cut short", func(p string) error { return os.Truncate(p, 1000) }},
		{"made longer", func(p string) error { return os.Truncate(p, int64(len(data))+1) }},
		{"flipped", func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 64), 5000)
			return err
		}},
		{"flipped, with the old time", func(p string) error {
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0}, 5000)
			return errors.Join(err, f.Close(), os.Chtimes(p, time.Time{}, st.ModTime()))
		}},
		{"gone", os.Remove},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := fstest.NewWorld(t, func(w *fstest.World, _ *fs.Options) { w.Remote.Put("/f", data) })
			direct := fstest.Direct(w.FS, fs.Caller{})
			f, err := direct.Open("/f", os.O_RDONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(data))
			if _, err := f.ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			st, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.alter(bodyOf(t, w, st.Ino)); err != nil {
				t.Fatal(err)
			}
			_, root := w.Mount(t)
			got, err = os.ReadFile(filepath.Join(root, "f"))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes, %v: not what the remote has", len(got), err)
			}
		})
	}
}

// bodyOf finds where the store keeps the bytes of a file.
func bodyOf(t *testing.T, w *fstest.World, ino uint64) (found string) {
	t.Helper()
	name := strconv.FormatUint(ino, 10)
	err := filepath.WalkDir(w.State, func(p string, d iofs.DirEntry, err error) error {
		if err == nil && d.Name() == name && d.Type().IsRegular() {
			found = p
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no body %s: %v", name, err)
	}
	return found
}
