package fstest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duskfs/duskfs/fs"
)

const (
	rdonly   = syscall.O_RDONLY
	wronly   = syscall.O_WRONLY
	rdwr     = syscall.O_RDWR
	creat    = syscall.O_CREAT
	excl     = syscall.O_EXCL
	trunc    = syscall.O_TRUNC
	appendTo = syscall.O_APPEND
)

// files are behaviours of files made here.
var files = []Behaviour{
	{"a file written reads back", func(t *testing.T, e Env) {
		e.write(t, "a.txt", []byte("hello"))
		e.has(t, "a.txt", []byte("hello"))
		e.write(t, "a.txt", []byte("hi"))
		e.has(t, "a.txt", []byte("hi"))
		st := e.stat(t, "a.txt")
		if st.Nlink != 1 || st.Dir || st.Blocks == 0 || time.Since(st.Mtime) > time.Hour {
			t.Errorf("odd attributes: %+v", st)
		}
	}},
	{"an empty file is a file", func(t *testing.T, e Env) {
		e.write(t, "empty", nil)
		e.has(t, "empty", nil)
	}},
	{"big writes read back", func(t *testing.T, e Env) {
		data := pattern(5<<20 + 12345)
		e.write(t, "big", data)
		if got := e.read(t, "big"); !bytes.Equal(got, data) {
			t.Error("other bytes came back")
		}
		if st := e.stat(t, "big"); st.Size != int64(len(data)) || st.Blocks < int64(len(data))/512 {
			t.Errorf("size %d blocks %d", st.Size, st.Blocks)
		}
	}},
	{"what is written is seen before close", func(t *testing.T, e Env) {
		f := e.open(t, "f", rdwr|creat)
		f.Write([]byte("one"))
		e.has(t, "f", []byte("one"))
		f.Write([]byte("two"))
		e.has(t, "f", []byte("onetwo"))
		if st, err := f.Stat(); err != nil || st.Size != 6 {
			t.Errorf("fstat: %d, %v", st.Size, err)
		}
	}},
	{"a hole reads as zeros", func(t *testing.T, e Env) {
		f := e.open(t, "f", rdwr|creat)
		_, err := f.WriteAt([]byte("end"), 100_000)
		works(t, "write", err)
		e.has(t, "f", append(make([]byte, 100_000), "end"...))
	}},
	{"exclusive creation happens once", func(t *testing.T, e Env) {
		e.open(t, "lock", wronly|creat|excl)
		_, err := e.Sys.Open(e.Dir+"/lock", wronly|creat|excl, 0o644)
		fails(t, "second creation", err, syscall.EEXIST)
	}},
	{"creation without excl opens what is there", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("old"))
		f := e.open(t, "f", rdwr|creat)
		if got := wholeOf(t, f); string(got) != "old" {
			t.Errorf("holds %q", got)
		}
	}},
	{"truncation makes shorter and longer", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("hello world"))
		works(t, "truncate", e.Sys.Truncate(e.Dir+"/f", 5))
		e.has(t, "f", []byte("hello"))
		works(t, "truncate", e.Sys.Truncate(e.Dir+"/f", 8))
		e.has(t, "f", []byte("hello\x00\x00\x00"))
		f := e.open(t, "f", rdwr)
		works(t, "ftruncate", f.Truncate(2))
		e.has(t, "f", []byte("he"))
		works(t, "ftruncate", f.Truncate(0))
		e.has(t, "f", nil)
	}},
	{"O_TRUNC empties", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("hello world"))
		f := e.open(t, "f", wronly|trunc)
		e.has(t, "f", nil)
		f.Write([]byte("new"))
		e.has(t, "f", []byte("new"))
	}},
	{"two handles append without losing a line", func(t *testing.T, e Env) {
		e.write(t, "log", nil)
		const each = 100
		var wg sync.WaitGroup
		for who := range 2 {
			f := e.open(t, "log", wronly|appendTo)
			wg.Go(func() {
				for i := range each {
					if _, err := f.Write(fmt.Appendf(nil, "writer %d line %03d\n", who, i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		lines := bytes.Split(bytes.TrimSuffix(e.read(t, "log"), []byte("\n")), []byte("\n"))
		seen := map[string]bool{}
		for _, l := range lines {
			seen[string(l)] = true
		}
		if len(lines) != 2*each || len(seen) != 2*each {
			t.Errorf("%d lines, %d different, want %d", len(lines), len(seen), 2*each)
		}
	}},
	{"appending goes to the end whatever was read", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("0123456789"))
		f := e.open(t, "f", rdwr|appendTo)
		io.ReadFull(f, make([]byte, 3))
		f.Write([]byte("X"))
		e.has(t, "f", []byte("0123456789X"))
	}},
	{"an unlinked open file lives on in its handles", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("hello"))
		f := e.open(t, "f", rdwr)
		works(t, "unlink", e.Sys.Unlink(e.Dir+"/f"))
		e.gone(t, "f")
		if got := wholeOf(t, f); string(got) != "hello" {
			t.Errorf("holds %q", got)
		}
		_, err := f.WriteAt([]byte("J"), 0)
		works(t, "write", err)
		if got := wholeOf(t, f); string(got) != "Jello" {
			t.Errorf("holds %q after a write", got)
		}
		st, err := f.Stat()
		works(t, "fstat", err)
		if st.Nlink != 0 || st.Size != 5 {
			t.Errorf("links %d size %d, want 0 and 5", st.Nlink, st.Size)
		}
		e.write(t, "f", []byte("another"))
		if got := wholeOf(t, f); string(got) != "Jello" {
			t.Errorf("holds %q after its name was taken", got)
		}
	}},
	{"rename over an open file leaves its bytes to its handles", func(t *testing.T, e Env) {
		e.write(t, "doc", []byte("old bytes"))
		f := e.open(t, "doc", rdwr)
		e.write(t, "doc.tmp", []byte("new"))
		works(t, "rename", e.rename("doc.tmp", "doc"))
		e.has(t, "doc", []byte("new"))
		e.gone(t, "doc.tmp")
		if got := wholeOf(t, f); string(got) != "old bytes" {
			t.Errorf("the old handle reads %q", got)
		}
		_, err := f.WriteAt([]byte("OLD"), 0)
		works(t, "write to the old handle", err)
		e.has(t, "doc", []byte("new"))
	}},
	{"a renamed open file is written where it is", func(t *testing.T, e Env) {
		f := e.open(t, "a", rdwr|creat)
		f.Write([]byte("one "))
		works(t, "rename", e.rename("a", "b"))
		f.Write([]byte("two"))
		e.has(t, "b", []byte("one two"))
		e.gone(t, "a")
	}},
	{"readers of a file that is replaced all the time find it always", func(t *testing.T, e Env) {
		e.write(t, "doc", []byte("00000"))
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer close(stop)
			for i := range 60 {
				e.write(t, "doc.tmp", fmt.Appendf(nil, "%05d", i))
				if err := e.rename("doc.tmp", "doc"); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for open := true; open; {
			select {
			case <-stop:
				open = false
			default:
			}
			f, err := e.Sys.Open(e.Dir+"/doc", rdonly, 0)
			if err != nil {
				t.Errorf("open: %v", err)
				continue
			}
			b := make([]byte, 10)
			if n, err := f.ReadAt(b, 0); n != 5 {
				t.Errorf("read %d bytes, %v", n, err)
			}
			f.Close()
		}
		wg.Wait()
	}},
	{"a time that is set stays", func(t *testing.T, e Env) {
		want := time.Date(2001, 2, 3, 4, 5, 6, 123_456_000, time.UTC)
		e.write(t, "closed", []byte("x"))
		works(t, "utimes", e.Sys.Chtimes(e.Dir+"/closed", want, want))
		if st := e.stat(t, "closed"); !st.Mtime.Equal(want) {
			t.Errorf("mtime %v, want %v", st.Mtime, want)
		}
		f := e.open(t, "open", rdwr|creat)
		f.Write([]byte("x"))
		works(t, "utimes", e.Sys.Chtimes(e.Dir+"/open", want, want))
		works(t, "close", f.Close())
		if st := e.stat(t, "open"); !st.Mtime.Equal(want) {
			t.Errorf("mtime after close %v, want %v", st.Mtime, want)
		}
		e.write(t, "closed", []byte("y"))
		if st := e.stat(t, "closed"); time.Since(st.Mtime) > time.Hour {
			t.Errorf("mtime after a write is %v", st.Mtime)
		}
		e.mkdir(t, "folder")
		works(t, "utimes", e.Sys.Chtimes(e.Dir+"/folder", want, want))
		if st := e.stat(t, "folder"); !st.Mtime.Equal(want) {
			t.Errorf("mtime of a folder %v, want %v", st.Mtime, want)
		}
	}},
	{"modes are kept", func(t *testing.T, e Env) {
		f, err := e.Sys.Open(e.Dir+"/f", wronly|creat, 0o600)
		works(t, "create", err)
		works(t, "close", f.Close())
		if st := e.stat(t, "f"); st.Mode != 0o600 {
			t.Errorf("mode %o, want 600", st.Mode)
		}
		for _, mode := range []uint32{0o755, 0, 0o4755, 0o644} {
			works(t, "chmod", e.Sys.Chmod(e.Dir+"/f", mode))
			if st := e.stat(t, "f"); st.Mode != mode {
				t.Errorf("mode %o, want %o", st.Mode, mode)
			}
		}
		works(t, "mkdir", e.Sys.Mkdir(e.Dir+"/d", 0o700))
		if st := e.stat(t, "d"); st.Mode != 0o700 || !st.Dir || st.Nlink != 2 {
			t.Errorf("folder: %+v", st)
		}
	}},
	{"a read-only handle does not write, nor the other way round", func(t *testing.T, e Env) {
		e.write(t, "f", []byte("x"))
		_, err := e.open(t, "f", rdonly).WriteAt([]byte("y"), 0)
		fails(t, "write", err, syscall.EBADF)
		_, err = e.open(t, "f", wronly).ReadAt(make([]byte, 1), 0)
		fails(t, "read", err, syscall.EBADF)
	}},
	{"fsync succeeds and keeps the bytes", func(t *testing.T, e Env) {
		f := e.open(t, "f", rdwr|creat)
		f.Write([]byte("safe"))
		works(t, "fsync", f.Sync())
		n, err := e.Store.Tree().Resolve(e.Drive.Root, e.Dir+"/f")
		works(t, "resolve", err)
		if n.Size != 4 {
			t.Errorf("recorded size %d after fsync, want 4", n.Size)
		}
		e.has(t, "f", []byte("safe"))
	}},
	{"beyond the largest size is EFBIG", func(t *testing.T, e Env) {
		f := e.open(t, "f", rdwr|creat)
		_, err := f.WriteAt([]byte("x"), fs.MaxFile)
		fails(t, "write", err, syscall.EFBIG)
		fails(t, "truncate", e.Sys.Truncate(e.Dir+"/f", fs.MaxFile+1), syscall.EFBIG)
		e.has(t, "f", nil)
	}},
	{"a write of a local-only name works like any", func(t *testing.T, e Env) {
		e.write(t, ".DS_Store", []byte("finder"))
		e.write(t, "~$doc.docx", []byte("owner"))
		e.has(t, ".DS_Store", []byte("finder"))
		e.has(t, "~$doc.docx", []byte("owner"))
		works(t, "unlink", e.Sys.Unlink(e.Dir+"/~$doc.docx"))
		e.gone(t, "~$doc.docx")
	}},
}
