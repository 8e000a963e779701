package fstest

import (
	"bytes"
	"errors"
	"math"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/fs"
	"github.com/duskfs/duskfs/graph"
)

// spaces are behaviours of the room that files take: holes, allocation, copies, quota.
var spaces = []Behaviour{
	{"what is not here yet is data", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/f", make([]byte, 1<<20))
		f := e.open(t, "f", rdonly)
		if at, err := f.Extent(0, true); at != 0 || err != nil {
			t.Errorf("data begins at %d, %v", at, err)
		}
		if at, err := f.Extent(0, false); at != 1<<20 || err != nil {
			t.Errorf("the hole begins at %d, %v", at, err)
		}
		_, err := f.Extent(1<<20, true)
		fails(t, "data at the end", err, syscall.ENXIO)
		if st := e.stat(t, "f"); st.Blocks < 1 || st.Blocks > 8 {
			t.Errorf("a file of which nothing is here takes %d blocks", st.Blocks)
		}
	}},
	{"du tells what is here", func(t *testing.T, e Env) {
		e.Remote.Put(e.Dir+"/f", pattern(1<<20))
		if st := e.stat(t, "f"); st.Blocks != 1 {
			t.Errorf("before: %d blocks", st.Blocks)
		}
		e.read(t, "f")
		Await(t, "the blocks of a file that was read", func() bool {
			return e.stat(t, "f").Blocks*512 >= 1<<20
		})
	}},
	{"holes stay holes", func(t *testing.T, e Env) {
		f := e.open(t, "f", rdwr|creat)
		f.WriteAt([]byte("end"), 8<<20)
		at, err := f.Extent(0, true)
		if err != nil || at > 8<<20 {
			t.Errorf("data begins at %d, %v", at, err)
		}
		if at, err := f.Extent(8<<20, false); at != 8<<20+3 || err != nil {
			t.Errorf("the hole at the end begins at %d, %v", at, err)
		}
		if b := readAt(t, f, 8<<20-3, 6); !bytes.Equal(b, []byte("\x00\x00\x00end")) {
			t.Errorf("read %q", b)
		}
	}},
	{"allocation makes room, longer files and holes", func(t *testing.T, e Env) {
		f := e.open(t, "f", rdwr|creat)
		f.WriteAt(pattern(64<<10), 0)
		err := f.Allocate(0, 32<<10, 64<<10)
		if errors.Is(err, syscall.EOPNOTSUPP) {
			t.Skip("the disk below cannot allocate")
		}
		works(t, "allocate", err)
		if st, _ := f.Stat(); st.Size != 96<<10 {
			t.Errorf("size %d", st.Size)
		}
		works(t, "allocate beyond the end", f.Allocate(content.KeepSize, 96<<10, 32<<10))
		if st, _ := f.Stat(); st.Size != 96<<10 {
			t.Errorf("size %d", st.Size)
		}
		works(t, "punch", f.Allocate(content.PunchHole, 4096, 8192))
		want := append(pattern(64<<10), make([]byte, 32<<10)...)
		clear(want[4096 : 4096+8192])
		e.has(t, "f", want)
		ro := e.open(t, "f", rdonly)
		fails(t, "of a reader", ro.Allocate(0, 0, 10), syscall.EBADF)
		fails(t, "too much", f.Allocate(0, fs.MaxFile, 1), syscall.EFBIG)
	}},
	{"a copy inside the drive brings what is missing and no more", func(t *testing.T, e Env) {
		data := pattern(200_000)
		e.Remote.Put(e.Dir+"/r/src", data)
		e.Remote.Put(e.Dir+"/s/old", bytes.Repeat([]byte("o"), 1000))
		src, dst := e.open(t, "r/src", rdonly), e.open(t, "r/dst", rdwr|creat)
		for off := int64(0); ; {
			n, err := dst.CopyFrom(src, off, off, math.MaxInt32)
			works(t, "copy", err)
			if n == 0 {
				break
			}
			off += n
		}
		e.has(t, "r/dst", data)
		// Onto a remote file, which keeps the rest.
		old := e.open(t, "s/old", rdwr)
		if n, err := old.CopyFrom(src, 100, 500, 200); n != 200 || err != nil {
			t.Fatalf("copied %d, %v", n, err)
		}
		want := bytes.Repeat([]byte("o"), 1000)
		copy(want[500:], data[100:300])
		e.has(t, "s/old", want)
		_, err := src.CopyFrom(dst, 0, 0, 10)
		fails(t, "into a reader", err, syscall.EBADF)
	}},
	{"bytes beyond the quota are refused when they are written", func(t *testing.T, e Env) {
		w := e.Another(func(w *World, o *fs.Options) {
			o.Drives[0].Space = func() (graph.Quota, int64) {
				p, err := w.Store.Outbox(w.Drive.Num).Pending()
				works(t, "pending", err)
				return graph.Quota{Total: 1 << 20, Used: 1<<20 - 10_000, Remaining: 10_000}, p.Bytes
			}
		})
		f := w.open(t, "f", rdwr|creat)
		if n, err := f.WriteAt(make([]byte, 8000), 0); n != 8000 || err != nil {
			t.Fatalf("what fits: %d, %v", n, err)
		}
		if _, err := f.WriteAt(make([]byte, 4000), 0); err != nil {
			t.Errorf("overwriting: %v", err)
		}
		n, err := f.WriteAt(make([]byte, 8000), 8000)
		if err == nil && n < 8000 { // the kernel cuts at pages; what fits is written
			_, err = f.WriteAt(make([]byte, 8000), 8000+int64(n))
		}
		fails(t, "too much", err, syscall.EDQUOT)
		fails(t, "too long", f.Truncate(1<<20), syscall.EDQUOT)
		if st, err := f.Stat(); err != nil || st.Size > 10_000 {
			t.Errorf("size %d, %v", st.Size, err)
		}
	}},
	{"modes of a read-only drive say so", func(t *testing.T, e Env) {
		w := e.Another(func(w *World, o *fs.Options) {
			w.Remote.Put("/f", []byte("x"))
			o.Drives[0].ReadOnly = true
		})
		if st := w.stat(t, "f"); st.Mode&0o222 != 0 {
			t.Errorf("mode %o", st.Mode)
		}
		fails(t, "setxattr", w.Sys.SetXattr("/f", "user.a", nil, 0), syscall.EROFS)
	}},
}

// readAt reads some bytes of an open file.
func readAt(t *testing.T, f File, off int64, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	k, err := f.ReadAt(b, off)
	if err != nil || k != n {
		t.Fatalf("read: %d, %v", k, err)
	}
	return b
}
