package fstest

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/cache"
)

// folders are behaviours of names and folders.
var folders = []Behaviour{
	{"a folder lists what is in it", func(t *testing.T, e Env) {
		e.mkdir(t, "d")
		e.write(t, "d/b", []byte("1"))
		e.write(t, "d/a", []byte("2"))
		e.mkdir(t, "d/c")
		got := e.names(t, "d")
		slices.Sort(got)
		if !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %v", got)
		}
		works(t, "unlink", e.Sys.Unlink(e.Dir+"/d/a"))
		works(t, "rmdir", e.Sys.Rmdir(e.Dir+"/d/c"))
		if got := e.names(t, "d"); !slices.Equal(got, []string{"b"}) {
			t.Errorf("got %v after removals", got)
		}
	}},
	{"a folder that is not empty is not removed", func(t *testing.T, e Env) {
		e.mkdir(t, "d")
		e.write(t, "d/f", nil)
		fails(t, "rmdir", e.Sys.Rmdir(e.Dir+"/d"), syscall.ENOTEMPTY)
		e.has(t, "d/f", nil)
		works(t, "unlink", e.Sys.Unlink(e.Dir+"/d/f"))
		works(t, "rmdir", e.Sys.Rmdir(e.Dir+"/d"))
		e.gone(t, "d")
	}},
	{"the wrong kind is refused", func(t *testing.T, e Env) {
		e.mkdir(t, "d")
		e.write(t, "f", nil)
		fails(t, "unlink of a folder", e.Sys.Unlink(e.Dir+"/d"), syscall.EISDIR)
		fails(t, "rmdir of a file", e.Sys.Rmdir(e.Dir+"/f"), syscall.ENOTDIR)
		_, err := e.Sys.Open(e.Dir+"/d", wronly, 0)
		fails(t, "open a folder for writing", err, syscall.EISDIR)
		_, err = e.Sys.Open(e.Dir+"/f/x", rdonly, 0)
		fails(t, "look into a file", err, syscall.ENOTDIR)
		fails(t, "folder over a file", e.rename("d", "f"), syscall.ENOTDIR)
		fails(t, "file over a folder", e.rename("f", "d"), syscall.EISDIR)
		fails(t, "truncate a folder", e.Sys.Truncate(e.Dir+"/d", 0), syscall.EISDIR)
		fails(t, "mkdir over a file", e.Sys.Mkdir(e.Dir+"/f", 0o755), syscall.EEXIST)
	}},
	{"folders move with the files open in them", func(t *testing.T, e Env) {
		e.mkdir(t, "a")
		e.mkdir(t, "a/sub")
		e.mkdir(t, "target")
		f := e.open(t, "a/sub/f", rdwr|creat)
		f.Write([]byte("one "))
		works(t, "rename", e.rename("a", "target/b"))
		f.Write([]byte("two"))
		e.has(t, "target/b/sub/f", []byte("one two"))
		e.gone(t, "a")
		fails(t, "into itself", e.rename("target", "target/b/target"), syscall.EINVAL)
	}},
	{"rename replaces an empty folder only", func(t *testing.T, e Env) {
		e.mkdir(t, "new")
		e.write(t, "new/f", []byte("x"))
		e.mkdir(t, "empty")
		e.mkdir(t, "full")
		e.write(t, "full/g", []byte("y"))
		fails(t, "over a full folder", e.rename("new", "full"), syscall.ENOTEMPTY)
		works(t, "over an empty folder", e.rename("new", "empty"))
		e.has(t, "empty/f", []byte("x"))
	}},
	{"rename flags are honoured", func(t *testing.T, e Env) {
		e.write(t, "a", []byte("A"))
		e.write(t, "b", []byte("B"))
		full := func(n string) string { return e.Dir + "/" + n }
		fails(t, "NOREPLACE", e.Sys.Rename(full("a"), full("b"), cache.NoReplace), syscall.EEXIST)
		e.has(t, "b", []byte("B"))
		works(t, "EXCHANGE", e.Sys.Rename(full("a"), full("b"), cache.Exchange))
		e.has(t, "a", []byte("B"))
		e.has(t, "b", []byte("A"))
		fails(t, "EXCHANGE with nothing", e.Sys.Rename(full("a"), full("none"), cache.Exchange), syscall.ENOENT)
		works(t, "NOREPLACE of a free name", e.Sys.Rename(full("a"), full("c"), cache.NoReplace))
		e.has(t, "c", []byte("B"))
		e.mkdir(t, "d")
		e.write(t, "d/inside", []byte("I"))
		works(t, "EXCHANGE of file and folder", e.Sys.Rename(full("d"), full("b"), cache.Exchange))
		e.has(t, "b/inside", []byte("I"))
		e.has(t, "d", []byte("A"))
	}},
	{"a rename to its own name does nothing", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("x"))
		works(t, "rename", e.rename("f", "f"))
		e.has(t, "f", []byte("x"))
		fails(t, "rename of nothing", e.rename("none", "f"), syscall.ENOENT)
	}},
	{"names that differ in case only are one name", func(t *testing.T, e Env) {
		e.write(t, "Readme.txt", []byte("x"))
		_, err := e.Sys.Open(e.Dir+"/README.TXT", wronly|creat, 0o644)
		fails(t, "create", err, syscall.EEXIST)
		fails(t, "mkdir", e.Sys.Mkdir(e.Dir+"/readme.TXT", 0o755), syscall.EEXIST)
		e.write(t, "other", []byte("y"))
		fails(t, "rename", e.rename("other", "README.txt"), syscall.EEXIST)
		e.has(t, "other", []byte("y"))
		e.gone(t, "README.txt") // lookup is exact
		works(t, "case-only rename", e.rename("Readme.txt", "README.txt"))
		e.has(t, "README.txt", []byte("x"))
		e.gone(t, "Readme.txt")
	}},
	{"names that the service refuses are refused at once", func(t *testing.T, e Env) {
		e.write(t, "good", []byte("x"))
		for _, bad := range []string{"a:b", "a*b", "q?", `a"b`, "a<b", "a>b", "a|b", `a\b`, " lead", "trail ", "CON", "nul.txt", "dot."} {
			_, err := e.Sys.Open(e.Dir+"/"+bad, wronly|creat, 0o644)
			if err == nil {
				t.Logf("%q is allowed", bad)
				continue
			}
			fails(t, "create "+bad, err, syscall.EINVAL)
			fails(t, "mkdir "+bad, e.Sys.Mkdir(e.Dir+"/"+bad, 0o755), syscall.EINVAL)
			fails(t, "rename to "+bad, e.rename("good", bad), syscall.EINVAL)
		}
		_, err := e.Sys.Open(e.Dir+"/a:b", wronly|creat, 0o644)
		fails(t, "create a:b", err, syscall.EINVAL)
		_, err = e.Sys.Open(e.Dir+"/"+strings.Repeat("n", 256), wronly|creat, 0o644)
		fails(t, "create a name of 256", err, syscall.ENAMETOOLONG)
	}},
	{"a path of more than 400 characters is refused", func(t *testing.T, e Env) {
		path := ""
		var err error
		for range 10 {
			path += "/" + strings.Repeat("p", 99)
			if err = e.Sys.Mkdir(e.Dir+path, 0o755); err != nil {
				break
			}
		}
		fails(t, "mkdir", err, syscall.ENAMETOOLONG)
	}},
	{"a removed folder that is open is still described", func(t *testing.T, e Env) {
		e.mkdir(t, "d")
		ino := e.stat(t, "d").Ino
		d, err := e.Sys.OpenDir(e.Dir + "/d")
		works(t, "opendir", err)
		defer d.Close()
		works(t, "rmdir", e.Sys.Rmdir(e.Dir+"/d"))
		st, err := d.Stat()
		works(t, "fstat", err)
		if st.Ino != ino || !st.Dir || st.Nlink != 0 {
			t.Errorf("attributes %+v", st)
		}
	}},
	{"inos are stable and differ", func(t *testing.T, e Env) {
		e.write(t, "a", nil)
		e.write(t, "b", nil)
		a, b := e.stat(t, "a"), e.stat(t, "b")
		works(t, "rename", e.rename("a", "c"))
		if c := e.stat(t, "c"); c.Ino != a.Ino || a.Ino == b.Ino || a.Ino < 2 {
			t.Errorf("inos: a %d b %d c %d", a.Ino, b.Ino, c.Ino)
		}
	}},
	{"a new file below a setgid folder has its group", func(t *testing.T, e Env) {
		e.mkdir(t, "d")
		works(t, "chmod", e.Sys.Chmod(e.Dir+"/d", 0o2755))
		e.mkdir(t, "d/sub")
		if st := e.stat(t, "d/sub"); st.Mode&0o2000 == 0 {
			t.Errorf("mode of a folder in it is %o", st.Mode)
		}
	}},
}
