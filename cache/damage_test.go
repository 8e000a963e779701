package cache_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

// probeVariable makes this test binary a process that looks at the rows of a store.
const probeVariable = "DUSKFS_TEST_PROBE"

func TestMain(m *testing.M) {
	dir := os.Getenv(probeVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := cache.Probe(dir); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	os.Exit(0)
}

// probeOutside is a Probe in a process of its own: whatever ends it is damage.
func probeOutside(dir string) error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), probeVariable+"="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %v: %.200s", cache.ErrDamaged, err, out)
	}
	return nil
}

// filled adds a drive with the files "000" to "299".
func filled(t *testing.T, s *cache.Store) cache.DriveInfo {
	t.Helper()
	d := cachetest.AddDrive(t, s, "d1")
	var items []graph.Item
	for i := range 300 {
		items = append(items, file(graph.ItemID(fmt.Sprint("i", i)), root, fmt.Sprintf("%03d", i), "1"))
	}
	cachetest.Enumerate(t, s, d.Num, items...)
	return d
}

// lived makes a store that has files of the remote, an unsent file and rows of every kind of file
// that badger keeps, and returns its folder after a good end, and as it is after a kill.
func lived(t *testing.T) (clean, killed string) {
	clean, killed = filepath.Join(t.TempDir(), "clean"), filepath.Join(t.TempDir(), "killed")
	s, err := cache.Open(clean, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := filled(t, s)
	if err := s.Close(); err != nil { // from here on there is a table
		t.Fatal(err)
	}
	if s, err = cache.Open(clean, cache.Options{}); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, s: s, d: d, dir: clean}
	w.open()
	w.create("/draft", "mine")
	w.ok(second(w.tr.Rename(d.Root, "draft", d.Root, "mine", 0)))
	// More than a kilobyte goes into badger's log of values.
	w.ok(w.tr.SetXattr(w.at("/mine").Ino, "user.long", []byte(strings.Repeat("long", 1000)), 0))
	if out, err := exec.Command("cp", "-a", clean, killed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.ok(s.Close())
	return clean, killed
}

func second[T any](_ T, err error) error { return err }

// shown lists what a store shows, with the parts that come from every kind of row.
func shown(t *testing.T, s *cache.Store) (list []string) {
	t.Helper()
	drives, err := s.Drives()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drives {
		nodes, err := s.Tree().List(d.Root, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			v, err := s.Tree().Xattr(n.Ino, "user.long")
			if err != nil && !errors.Is(err, cache.ErrNoXattr) {
				t.Fatal(err)
			}
			m, err := s.Tree().Lookup(d.Root, n.Name)
			if err != nil || m.Ino != n.Ino {
				t.Fatalf("%s: %+v, %v", n.Name, m, err)
			}
			list = append(list, fmt.Sprintf("%s %d %s", n.Name, n.Size, v))
		}
	}
	slices.Sort(list)
	return list
}

// Whatever happens to a file of the rows, either everything is still there, or the damage is noticed:
// then the state is moved aside, and the unsent file is found in it and can be copied out.
func TestDamagedRowsAreNoticedAndUnsentWorkIsKept(t *testing.T) {
	t.Parallel() // it waits for other processes
	clean, killed := lived(t)
	was, err := cache.Open(copyOf(t, clean), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := shown(t, was)
	if len(want) != 301 || len(want[300]) < 4000 {
		t.Fatalf("%d files, the last %.60q", len(want), want[300])
	}
	if err := was.Close(); err != nil {
		t.Fatal(err)
	}
	flip := func(at func(size int64) int64) func(string) error {
		return func(p string) error {
			f, err := os.OpenFile(p, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			st, err := f.Stat()
			if err != nil {
				return err
			}
			b := make([]byte, 1)
			off := at(st.Size())
			if _, err := f.ReadAt(b, off); err != nil {
				return err
			}
			b[0] ^= 0x55
			_, err = f.WriteAt(b, off)
			return errors.Join(err, f.Close())
		}
	}
	harms := []struct {
		what string
		do   func(path string) error
	}{
		{"gone", os.Remove},
		{"cut to 40 bytes", func(p string) error { return os.Truncate(p, 40) }},
		{"flipped at 30", flip(func(size int64) int64 { return min(30, size-1) })},
		{"flipped at 700", flip(func(size int64) int64 { return min(700, size-1) })},
		{"flipped in the middle", flip(func(size int64) int64 { return size / 2 })},
	}
	noticed := 0
	for how, from := range map[string]string{"clean": clean, "killed": killed} {
		files, err := os.ReadDir(filepath.Join(from, "rows"))
		if err != nil || len(files) < 4 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			st, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range harms {
				if st.Size() == 0 && h.what != "gone" {
					continue
				}
				dir := copyOf(t, from)
				path := filepath.Join(dir, "rows", f.Name())
				if err := h.do(path); err != nil {
					t.Fatalf("%s %s: %v", f.Name(), h.what, err)
				}
				name := fmt.Sprintf("%s, %s %s", how, f.Name(), h.what)
				s, err := cache.Open(dir, cache.Options{Probe: probeOutside})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				damages, err := cache.Damages(dir)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case len(damages) == 1:
					noticed++
					mineIsKept(t, name, dir, damages[0])
					if drives, err := s.Drives(); err != nil || len(drives) != 0 {
						t.Errorf("%s: the new store has drives: %v, %v", name, drives, err)
					}
					cachetest.Enumerate(t, s, cachetest.AddDrive(t, s, "d1").Num, file("i0", root, "000", "1"))
				case !slices.Equal(shown(t, s), want):
					t.Errorf("%s: it is not noticed, and %d of %d files are there", name, len(shown(t, s)), len(want))
				}
				cachetest.Check(t, s)
				if err := s.Close(); err != nil {
					t.Errorf("%s: close: %v", name, err)
				}
				os.RemoveAll(dir)
			}
		}
	}
	if noticed < 15 {
		t.Errorf("%d damages were noticed: the test does not harm what counts", noticed)
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "state")
	// -a keeps times, not inodes: a copy is looked at once.
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

func mineIsKept(t *testing.T, name, dir string, d cache.Damage) {
	t.Helper()
	if d.Why == "" || d.Rescued || len(d.Unsent) != 1 {
		t.Errorf("%s: %+v", name, d)
		return
	}
	all, err := cache.UnsentWork(dir)
	if err != nil || len(all) != 1 || all[0].Path != "/mine" || all[0].Drive != "d1" {
		t.Errorf("%s: unsent: %+v, %v", name, all, err)
		return
	}
	if err := d.Remove(); err == nil {
		t.Errorf("%s: unsent work was removed", name)
	}
	to := t.TempDir()
	out, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for i, had := range []bool{false, true} {
		r, err := all[0].Rescue(out, "Documents")
		if err != nil || r.To != "Documents/mine" || r.Had != had {
			t.Errorf("%s: rescue %d: %+v, %v", name, i, r, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(to, "Documents/mine")); err != nil || string(b) != "mine" {
		t.Errorf("%s: rescued %q, %v", name, b, err)
	}
	if err := d.MarkRescued(); err != nil {
		t.Error(err)
	}
	if all, err := cache.UnsentWork(dir); err != nil || len(all) != 0 {
		t.Errorf("%s: after the rescue: %+v, %v", name, all, err)
	}
}

// What the sidecar says of a file follows it, and the folders above it, wherever they are moved.
func TestUnsentWorkIsFoundUnderItsLastName(t *testing.T) {
	w := newWorld(t, cache.Options{}, xItem)
	w.mkdir("/a")
	w.mkdir("/a/b")
	w.create("/a/b/~WRD1.tmp", "report")
	w.write("/x", "22")
	w.ok(second(w.tr.Rename(w.at("/a/b").Ino, "~WRD1.tmp", w.at("/a/b").Ino, "Report.docx", 0)))
	w.ok(second(w.tr.Rename(w.at("/a").Ino, "b", w.d.Root, "c", 0)))
	w.ok(second(w.tr.Rename(w.d.Root, "x", w.at("/c").Ino, "y", 0)))
	all, err := cache.UnsentWork(w.dir)
	w.ok(err)
	var paths []string
	for _, u := range all {
		paths = append(paths, u.Path)
	}
	w.equal("paths", strings.Join(paths, " "), "/c/Report.docx /c/y")
}

// A sidecar that is damaged costs neither the start after a kill nor the bytes.
func TestADamagedSidecarIsNoReasonNotToStart(t *testing.T) {
	w := newWorld(t, cache.Options{})
	n := w.create("/new", "mine")
	dir := copyOf(t, w.dir)
	side := filepath.Join(dir, "bodies", fmt.Sprintf("%02x", n.Ino%256), fmt.Sprint(n.Ino)+".json")
	w.ok(os.Truncate(side, 5))
	all, err := cache.UnsentWork(dir)
	if err != nil || len(all) != 1 || !all[0].Doubtful {
		t.Errorf("before the start: %+v, %v", all, err)
	}
	s, err := cache.Open(dir, w.o)
	w.ok(err)
	all, err = cache.UnsentWork(dir)
	if err != nil || len(all) != 1 || !all[0].Doubtful {
		t.Fatalf("after it: %+v, %v", all, err)
	}
	if b, err := os.ReadFile(all[0].File); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	w.ok(s.Close())
}
