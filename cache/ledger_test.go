package cache_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if err := cache.CopyLedger(dir, t.TempDir()+"/copy"); !errors.As(err, &busy) {
		t.Errorf("copied while in use: %v", err)
	}
}

func TestACopyOfALedgerStandsAlone(t *testing.T) {
	dir, to := filepath.Join(t.TempDir(), "l"), filepath.Join(t.TempDir(), "copy")
	l := openLedger(t, dir)
	if err := errors.Join(l.Set(cache.Row{Key: "a", Value: []byte("1")}), l.Close(), cache.CopyLedger(dir, to)); err != nil {
		t.Fatal(err)
	}
	c := openLedger(t, to)
	if v := valueOf(t, c, "a"); string(v) != "1" {
		t.Errorf("got %q", v)
	}
	if err := errors.Join(c.Set(cache.Row{Key: "a", Value: []byte("2")}), c.Close()); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	defer l.Close()
	if v := valueOf(t, l, "a"); string(v) != "1" {
		t.Errorf("the copy changed the original: %q", v)
	}
	none := filepath.Join(t.TempDir(), "none")
	if err := cache.CopyLedger(none, filepath.Join(t.TempDir(), "c")); err != nil {
		t.Errorf("a ledger that is not there: %v", err)
	}
}

func TestALedgerIsOpenedAnewWhileItIsRead(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "l"))
	defer l.Close()
	big := make([]byte, 100<<10)
	for i := range 100 {
		if err := l.Set(cache.Row{Key: fmt.Sprintf("k%03d", i), Value: big}); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // 100 MB in all, more than is kept mapped
		n := 0
		for r, err := range l.Scan("k") {
			if err != nil || len(r.Value) != len(big) {
				t.Fatal(err, len(r.Value))
			}
			n++
		}
		if n != 100 {
			t.Fatalf("%d rows", n)
		}
	}
}

// A kill right after badger made a log file leaves it without bytes.
func TestAnEmptyLogFileDoesNotKeepRowsClosed(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		dir := filepath.Join(t.TempDir(), "l")
		l := openLedger(t, dir)
		if err := errors.Join(l.Set(cache.Row{Key: "a", Value: []byte("1")}), l.Close()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "rows", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l = openLedger(t, dir)
		if v := valueOf(t, l, "a"); string(v) != "1" {
			t.Errorf("%s: got %q", name, v)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
