package cache_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
)

// tabled makes a store with rows in tables, among them older forms of some, and returns its folder after a good end.
func tabled(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := cache.Open(dir, cache.Options{Probe: probeOutside})
	if err != nil {
		t.Fatal(err)
	}
	d := filled(t, s)
	for range 2 { // each ends with a table
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = cache.Open(dir, cache.Options{Probe: probeOutside}); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			name := fmt.Sprintf("%03d", 3*i)
			n, err := s.Tree().Lookup(d.Root, name)
			if err != nil {
				t.Fatal(err)
			}
			mode := n.Mode ^ 0o111
			if _, err := s.Tree().SetAttr(n.Ino, cache.Attr{Mode: &mode}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// answers are what a store says of all its files: by name and by listing.
func answers(s *cache.Store) (list []string, failed error) {
	drives, err := s.Drives()
	if err != nil {
		return nil, err
	}
	root := drives[0].Root
	for i := range 300 {
		name := fmt.Sprintf("%03d", i)
		n, err := s.Tree().Lookup(root, name)
		if err != nil {
			failed = err
			list = append(list, name+" "+kindOf(err))
			continue
		}
		list = append(list, fmt.Sprintf("%s %o %d %s", n.Name, n.Mode, n.Size, n.Base.Item))
	}
	nodes, err := s.Tree().List(root, 0, 1000)
	if err != nil {
		return append(list, "listing: "+kindOf(err)), err
	}
	for _, n := range nodes {
		list = append(list, fmt.Sprintf("%s %o", n.Name, n.Mode))
	}
	return list, failed
}

func kindOf(err error) string {
	if errors.Is(err, cache.ErrDamaged) {
		return "damaged"
	}
	return err.Error()
}

func tables(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "rows", "*.sst"))
	if err != nil || len(list) < 2 {
		t.Fatalf("tables: %v, %v", list, err)
	}
	return list
}

// flip changes a byte in its place.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	b[0] ^= 0x55
	_, werr := f.WriteAt(b, off)
	if err := errors.Join(err, werr, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Rows that are damaged while they are in use are never taken for rows that are not there, nor for what they were before.
// The rest goes on, and the next start finds out what is wrong though this one ends well.
func TestRowsDamagedWhileInUseAreAnErrorAndNoticedAtTheNextStart(t *testing.T) {
	t.Parallel()
	from := tabled(t)
	s, err := cache.Open(copyOf(t, from), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := answers(s)
	if err != nil || len(want) != 600 {
		t.Fatalf("%d answers, %v", len(want), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	met, whole := 0, 0
	for nth, name := range tables(t, from) {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		for off := int64(100); off < st.Size(); off += max(1, st.Size()/6) {
			dir := copyOf(t, from)
			var log strings.Builder
			s, err := cache.Open(dir, cache.Options{Probe: probeOutside, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			flip(t, filepath.Join(dir, "rows", filepath.Base(name)), off)
			s.LookNow()
			got, failed := answers(s)
			again, _ := answers(s)
			at := fmt.Sprintf("table %d, byte %d of %d", nth, off, st.Size())
			if !slices.Equal(got, again) {
				t.Errorf("%s: two answers", at)
			}
			for i, line := range got {
				if i < 300 && line != want[i] && !strings.HasSuffix(line, " damaged") {
					t.Errorf("%s: %q, want %q", at, line, want[i])
				}
			}
			if failed == nil && !slices.Equal(got, want) {
				t.Errorf("%s: other answers, and no error", at)
			}
			if failed != nil {
				met++
			} else {
				whole++
			}
			if s.Doubt() == "" {
				t.Errorf("%s: nobody doubts it", at)
			}
			s.Upkeep() // compacts nothing of it
			if err := s.Close(); err != nil {
				t.Errorf("%s: close: %v", at, err)
			}
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%s: it is said %d times: %s", at, n, &log)
			}
			if st, err := os.Stat(filepath.Join(dir, "doubt")); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", at, st, err)
			}
			if s, err = cache.Open(dir, cache.Options{Probe: probeOutside}); err != nil {
				t.Errorf("%s: the next start: %v", at, err)
				continue
			}
			if damages, err := cache.Damages(dir); err != nil || len(damages) != 1 {
				t.Errorf("%s: at the next start: %v, %v", at, damages, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "doubt")); err == nil {
				t.Errorf("%s: the mark is still there", at)
			}
			os.RemoveAll(dir)
		}
	}
	if met < 6 || whole < 1 {
		t.Errorf("%d damages hid something, and %d nothing: the test does not harm what counts", met, whole)
	}
}

// A table that became shorter kills nobody.
func TestATableThatIsCutWhileInUseIsAnError(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, tabled(t))
	s, err := cache.Open(dir, cache.Options{Probe: probeOutside, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables(t, dir) {
		if err := os.Truncate(name, 40); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody has looked yet when it is met.
	drives, err := s.Drives()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tree().Lookup(drives[0].Root, "001"); !errors.Is(err, cache.ErrDamaged) {
		t.Errorf("lookup: %v", err)
	}
	if _, err := s.Tree().Create(drives[0].Root, "new", cache.New{}); !errors.Is(err, cache.ErrDamaged) {
		t.Errorf("create: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if s, err = cache.Open(dir, cache.Options{Probe: probeOutside}); err != nil {
		t.Fatal(err)
	}
	if damages, err := cache.Damages(dir); err != nil || len(damages) != 1 {
		t.Errorf("%v, %v", damages, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Bytes that the disk itself has lost, of which the file does not tell, are met when the rows are read whole.
func TestRowsAreReadWholeOnceTheyAreInUse(t *testing.T) {
	t.Parallel()
	dir := copyOf(t, tabled(t))
	name := tables(t, dir)[0]
	s, err := cache.Open(dir, cache.Options{Probe: probeOutside})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, name, st.Size()/2)
	forgive(t, dir)
	if s, err = cache.Open(dir, cache.Options{Probe: probeOutside}); err != nil {
		t.Fatal(err)
	}
	if damages, err := cache.Damages(dir); err != nil || len(damages) != 0 || s.Doubt() != "" {
		t.Fatalf("the test does not hide what it did: %v, %v", damages, err)
	}
	s.Upkeep()
	if s.Doubt() == "" {
		t.Error("nobody has noticed")
	}
	if _, err := s.VerifyRows(); !errors.Is(err, cache.ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// forgive makes the record of a good end one of the files as they are.
func forgive(t *testing.T, dir string) {
	t.Helper()
	if err := cache.LeaveClean(dir); err != nil {
		t.Fatal(err)
	}
}
