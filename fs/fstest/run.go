package fstest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
)

// Env is what a behaviour has to work with: a world that it shares with the others, and a folder
// of its own, which the remote has and nobody has looked into yet.
type Env struct {
	*World
	Sys Sys
	Dir string
	// Another makes a world of its own, for behaviours that cannot share one.
	Another func(edit func(*World, *fs.Options)) Env
}

// Behaviour is one thing that must hold.
type Behaviour struct {
	Name string
	Test func(*testing.T, Env)
}

// Factory makes the calls for a world: [Direct], or [Mounted] on a mount of it.
type Factory func(t *testing.T, w *World) Sys

// Run tries every behaviour with the calls that f makes.
func Run(t *testing.T, f Factory) {
	all := append(append(append([]Behaviour(nil), files...), folders...), remotes...)
	all = append(append(all, attributes...), spaces...)
	w := NewWorld(t, func(w *World, _ *fs.Options) {
		for _, b := range all {
			w.Remote.Mkdir(folderOf(b))
		}
	})
	sys := f(t, w)
	for _, b := range all {
		t.Run(b.Name, func(t *testing.T) {
			b.Test(t, Env{World: w, Sys: sys, Dir: folderOf(b), Another: func(edit func(*World, *fs.Options)) Env {
				w := NewWorld(t, edit)
				return Env{World: w, Sys: f(t, w)}
			}})
		})
	}
}

func folderOf(b Behaviour) string { return "/" + strings.ReplaceAll(b.Name, " ", "-") }

// open opens a file of the behaviour's folder until the test ends.
func (e Env) open(t *testing.T, name string, flags int) File {
	t.Helper()
	f, err := e.Sys.Open(e.Dir+"/"+name, flags, 0o644)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (e Env) write(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := e.Sys.Open(e.Dir+"/"+name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o644)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	if n, err := f.Write(b); n != len(b) || err != nil {
		t.Fatalf("write %s: %d, %v", name, n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatalf("close %s: %v", name, err)
	}
}

func (e Env) read(t *testing.T, name string) []byte {
	t.Helper()
	f, err := e.Sys.Open(e.Dir+"/"+name, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return b
}

// has checks the whole content of a file and its size.
func (e Env) has(t *testing.T, name string, want []byte) {
	t.Helper()
	if got := e.read(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s holds %s, want %s", name, brief(got), brief(want))
	}
	if st := e.stat(t, name); st.Size != int64(len(want)) {
		t.Errorf("size of %s is %d, want %d", name, st.Size, len(want))
	}
}

func (e Env) stat(t *testing.T, name string) Stat {
	t.Helper()
	st, err := e.Sys.Stat(e.Dir + "/" + name)
	if err != nil {
		t.Fatalf("stat %s: %v", name, err)
	}
	return st
}

// gone checks that there is no such name.
func (e Env) gone(t *testing.T, name string) {
	t.Helper()
	_, err := e.Sys.Stat(e.Dir + "/" + name)
	fails(t, "stat "+name, err, syscall.ENOENT)
}

func (e Env) mkdir(t *testing.T, name string) {
	t.Helper()
	works(t, "mkdir "+name, e.Sys.Mkdir(e.Dir+"/"+name, 0o755))
}

func (e Env) rename(from, to string) error { return e.Sys.Rename(e.Dir+"/"+from, e.Dir+"/"+to, 0) }

// names lists a folder.
func (e Env) names(t *testing.T, name string) []string {
	t.Helper()
	d, err := e.Sys.OpenDir(e.Dir + "/" + name)
	if err != nil {
		t.Fatalf("opendir %s: %v", name, err)
	}
	defer d.Close()
	var all []string
	for {
		some, err := d.Next()
		if err != nil {
			t.Fatalf("readdir %s: %v", name, err)
		}
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
	}
}

// wholeOf reads an open file from the start.
func wholeOf(t *testing.T, f File) []byte {
	t.Helper()
	var out []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := f.ReadAt(buf, int64(len(out)))
		out = append(out, buf[:n]...)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
	}
}

// Await waits until something is so that happens by itself, in another program or in the kernel.
func Await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func works(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func fails(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func brief(b []byte) string {
	if len(b) > 40 {
		return strings.ToValidUTF8(string(b[:40]), "?") + "…"
	}
	return "“" + string(b) + "”"
}

// pattern makes bytes that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + i>>16*31)
	}
	return b
}

// writing reports whether the file system still has a file open for writing: the kernel tells it of
// a close a little later.
func (e Env) writing(t *testing.T, name string) bool {
	t.Helper()
	return e.FS.Writing(cache.Ino(e.stat(t, name).Ino))
}
