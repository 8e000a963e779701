package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAnAsideIsFoundAndASweptOneIsGone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := NewRegistry(filepath.Join(t.TempDir(), "state"))
	other := NewRegistry(filepath.Join(t.TempDir(), "state"))
	aside := func(r Registry) *Aside {
		t.Helper()
		a, err := r.Aside()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	is := func(what string, a *Aside, want error) {
		t.Helper()
		if _, err := os.Stat(a.Dir()); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	first, killed, foreign := aside(r), aside(r), aside(other)
	l, unregister, err := NewRegistry(first.Dir()).Listen(t.Context(), "/mnt/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Aside{killed, foreign} { // as the kernel does
		if err := a.lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
	live, err := r.List(t.Context())
	if err != nil || len(live) != 1 || live[0].Mount != "/mnt/a" {
		t.Errorf("found %v, %v", live, err)
	}
	if live, err := other.List(t.Context()); err != nil || len(live) != 0 {
		t.Errorf("another state folder has %v, %v", live, err)
	}
	second := aside(r)
	is("in use", first, nil)
	is("made now", second, nil)
	is("of one that was killed", killed, fs.ErrNotExist)
	is("of another state folder", foreign, nil)
	unregister()
	if err := errors.Join(l.Close(), first.Remove(), second.Remove()); err != nil {
		t.Fatal(err)
	}
	is("removed", first, fs.ErrNotExist)
}
