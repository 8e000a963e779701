package cache_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/cache"
)

func openLedger(t *testing.T, dir string) *cache.Ledger {
	t.Helper()
	l, err := cache.OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func valueOf(t *testing.T, l *cache.Ledger, key string) []byte {
	t.Helper()
	v, err := l.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestALedgerKeepsItsRowsInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	l := openLedger(t, dir)
	const n = 2500
	for i := range n {
		if err := l.Set(cache.Row{Key: fmt.Sprintf("a/%05d", (i*7)%n), Value: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Set(cache.Row{Key: "b/other", Value: []byte{}}, cache.Row{Key: "a/00007"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Sync(), l.Close()); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	defer l.Close()
	i := 0
	for r, err := range l.Scan("a/") {
		if err != nil {
			t.Fatal(err)
		}
		if i == 7 {
			i++
		}
		if want := fmt.Sprintf("a/%05d", i); r.Key != want {
			t.Fatalf("row %s, want %s", r.Key, want)
		}
		if i%500 == 0 { // a loop may write
			if err := l.Set(cache.Row{Key: r.Key, Value: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		i++
	}
	if i != n {
		t.Errorf("%d rows", i)
	}
	if v := valueOf(t, l, "a/00500"); string(v) != "x" {
		t.Errorf("got %q", v)
	}
	if v := valueOf(t, l, "b/other"); v == nil || len(v) > 0 {
		t.Errorf("an empty value: %v", v)
	}
	if v := valueOf(t, l, "a/00007"); v != nil {
		t.Errorf("a row that was taken away: %v", v)
	}
}

func TestALedgerHasOneUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l")
	l := openLedger(t, dir)
	defer l.Close()
	var busy *cache.InUseError
	if _, err := cache.OpenLedger(dir); !errors.As(err, &busy) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := cache.SketchLedger(dir, t.TempDir()); !errors.As(err, &busy) {
		t.Errorf("sketched while in use: %v", err)
	}
}

// filesOf reads all files of a folder, by name.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

func rowsOf(t *testing.T, l *cache.Ledger, prefix string) string {
	t.Helper()
	text := ""
	for r, err := range l.Scan(prefix) {
		if err != nil {
			t.Fatal(err)
		}
		text += r.Key + "=" + string(r.Value) + " "
	}
	return text
}

// tryLedger changes a sketch, and looks at what it has before and after.
func tryLedger(t *testing.T, l *cache.Ledger) {
	t.Helper()
	if got := rowsOf(t, l, "k"); got != "k1=1 k2=2 k3=3 k4= " {
		t.Errorf("it begins with %s", got)
	}
	if err := l.Set(cache.Row{Key: "k2"}, cache.Row{Key: "k3", Value: []byte("new")}, cache.Row{Key: "k0", Value: []byte("0")}); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, l, "k"); got != "k0=0 k1=1 k3=new k4= " {
		t.Errorf("after a change it has %s", got)
	}
	if v := valueOf(t, l, "k2"); v != nil {
		t.Errorf("a row that was taken away: %q", v)
	}
	if v := valueOf(t, l, "k3"); string(v) != "new" {
		t.Errorf("a row that was changed: %q", v)
	}
	if v := valueOf(t, l, "k1"); string(v) != "1" {
		t.Errorf("a row of the base: %q", v)
	}
	if v := valueOf(t, l, "k4"); v == nil || len(v) > 0 {
		t.Errorf("a row of the base without bytes: %v", v)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func fourRows() []cache.Row {
	return []cache.Row{{Key: "k1", Value: []byte("1")}, {Key: "k2", Value: []byte("2")}, {Key: "k3", Value: []byte("3")}, {Key: "k4", Value: []byte{}}}
}

func TestASketchOfALedgerWritesNothingInIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l#1?")
	l := openLedger(t, dir)
	if err := errors.Join(l.Set(fourRows()...), l.Close()); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	tmp := t.TempDir()
	s, err := cache.SketchLedger(dir, tmp)
	if err != nil {
		t.Fatal(err)
	}
	var busy *cache.InUseError
	if _, err := cache.OpenLedger(dir); !errors.As(err, &busy) {
		t.Errorf("opened while it is read: %v", err)
	}
	tryLedger(t, s)
	if after := filesOf(t, dir); !maps.Equal(before, after) {
		t.Errorf("it was written to")
	}
	none := filepath.Join(t.TempDir(), "none")
	if s, err = cache.SketchLedger(none, t.TempDir()); err != nil {
		t.Fatalf("of a ledger that is not there: %v", err)
	}
	if got := rowsOf(t, s, "k"); got != "" {
		t.Errorf("it has %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

func TestManyRowsOfASketchComeInOrder(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	const n = 2500
	for i := range n {
		if err := l.Set(cache.Row{Key: fmt.Sprintf("k%05d", i), Value: []byte("old")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := cache.SketchLedger(dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range n { // of three rows one is taken away, one is other, one stays
		r := cache.Row{Key: fmt.Sprintf("k%05d", i)}
		if i%3 == 2 {
			continue
		}
		if i%3 == 1 {
			r.Value = []byte("new")
		}
		if err := s.Set(r); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	for r, err := range s.Scan("k") {
		for i%3 == 0 {
			i++
		}
		if want := fmt.Sprintf("k%05d=%s", i, []string{1: "new", 2: "old"}[i%3]); err != nil || r.Key+"="+string(r.Value) != want {
			t.Fatalf("%s=%s, want %s, %v", r.Key, r.Value, want, err)
		}
		i++
	}
	if i != n-1 && i != n {
		t.Errorf("it ends at %d", i)
	}
}

// TestALedgerOutlivesAKill writes in a process that is killed, and reads the rows with and without a sketch.
func TestALedgerOutlivesAKill(t *testing.T) {
	const env = "DUSKFS_TEST_LEDGER"
	if dir := os.Getenv(env); dir != "" {
		l := openLedger(t, dir)
		if err := errors.Join(l.Set(cache.Row{Key: "a", Value: []byte("x")}), l.Sync(), l.Set(fourRows()...)); err != nil {
			t.Fatal(err)
		}
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		_ = self.Kill()
		select {}
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestALedgerOutlivesAKill$")
	child.Env = append(os.Environ(), env+"="+dir)
	if out, err := child.CombinedOutput(); child.ProcessState.Success() || child.ProcessState.Exited() {
		t.Fatalf("the child was not killed: %v %s", err, out)
	}
	before := filesOf(t, dir)
	if before["rows.db-wal"] == "" {
		t.Fatal("the kill left no log")
	}
	s, err := cache.SketchLedger(dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tryLedger(t, s)
	if after := filesOf(t, dir); !maps.Equal(before, after) {
		t.Error("the sketch wrote to it")
	}
	l := openLedger(t, dir)
	defer l.Close()
	if got := rowsOf(t, l, "a") + rowsOf(t, l, "k"); got != "a=x k1=1 k2=2 k3=3 k4= " {
		t.Errorf("it has %s", got)
	}
}

func TestADamagedLedgerIsSaidToBe(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rows.db"), make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.OpenLedger(dir); !errors.Is(err, cache.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestALedgerIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second finds it made
		l := openLedger(t, dir)
		if err := l.Set(fourRows()...); err != nil {
			t.Fatal(err)
		}
		ownersAlone(t, dir)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func ownersAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if st, err := e.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), st.Mode(), err)
		}
		if strings.HasSuffix(e.Name(), "-shm") { // it kills who writes to it on a full disk
			t.Errorf("%s is mapped", e.Name())
		}
	}
}
