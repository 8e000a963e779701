package fstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
)

// Compare makes count random calls on a folder of two file systems, one of them trusted, and fails
// the test where they answer differently. Both folders hold the same. Of a call with several
// things wrong the kernel chooses what to complain of, so without a kernel it only counts that both
// refuse: errnos false.
func Compare(t *testing.T, seed uint64, count int, sys, model Sys, errnos bool) {
	c := &comparison{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), sys: sys, model: model, errnos: errnos}
	defer c.closeAll()
	for i := 0; i < count && !t.Failed(); i++ {
		c.step()
	}
	c.closeAll()
	if !t.Failed() {
		c.tree("")
	}
	if t.Failed() {
		for _, s := range c.log[max(0, len(c.log)-25):] {
			t.Log(s)
		}
		t.Logf("seed %d, after %d calls", seed, len(c.log))
	}
}

type comparison struct {
	t          *testing.T
	rnd        *rand.Rand
	sys, model Sys
	errnos     bool
	open       []pair
	log        []string
}

// pair is a file open in both.
type pair struct{ sys, model File }

var folderNames = []string{"", "/d1", "/d2", "/d1/e"}

// path picks one of few, so that calls meet.
func (c *comparison) path() string {
	dir := folderNames[c.rnd.IntN(len(folderNames))]
	if c.rnd.IntN(5) == 0 {
		return folderNames[1+c.rnd.IntN(len(folderNames)-1)]
	}
	return fmt.Sprintf("%s/f%d", dir, c.rnd.IntN(5))
}

// both makes a call on both and compares the errors. It reports whether it worked.
func (c *comparison) both(what string, call func(Sys) error) bool {
	c.log = append(c.log, what)
	got, want := call(c.sys), call(c.model)
	var g, w syscall.Errno
	errors.As(got, &g)
	errors.As(want, &w)
	if c.errnos && g != w || (got == nil) != (want == nil) {
		c.t.Errorf("%s: got %v, want %v", what, got, want)
	}
	return got == nil && want == nil
}

func (c *comparison) step() {
	p := c.path()
	switch c.rnd.IntN(17) {
	case 0, 1, 2:
		c.openOne(p)
	case 3, 4:
		c.write()
	case 5:
		c.read()
	case 6:
		c.closeOne()
	case 7:
		c.both("mkdir "+p, func(s Sys) error { return s.Mkdir(p, 0o755) })
	case 8:
		c.both("unlink "+p, func(s Sys) error { return s.Unlink(p) })
	case 9:
		c.both("rmdir "+p, func(s Sys) error { return s.Rmdir(p) })
	case 10, 11:
		to := c.path()
		flags := []cache.RenameFlags{0, 0, 0, cache.NoReplace, cache.Exchange}[c.rnd.IntN(5)]
		c.both(fmt.Sprintf("rename %s %s %d", p, to, flags), func(s Sys) error {
			return s.Rename(p, to, flags)
		})
	case 12:
		size := c.rnd.Int64N(20_000)
		c.both(fmt.Sprintf("truncate %s %d", p, size), func(s Sys) error { return s.Truncate(p, size) })
	case 13:
		c.stat(p)
	case 14:
		c.copy()
	case 15:
		c.allocate()
	case 16:
		if i, p := c.handle(); p != nil {
			c.onBoth(fmt.Sprintf("fsync of handle %d", i), p, func(f File) error { return f.Sync() })
		}
	}
}

// copy is copy_file_range(2) between two files, whole: either side may give less at a time.
func (c *comparison) copy() {
	i, from := c.handle()
	if from == nil {
		return
	}
	k, to := c.handle()
	a, errA := from.model.Stat()
	b, errB := to.model.Stat()
	if errA != nil || errB != nil || a.Ino == b.Ino {
		return // ranges that meet are the kernel's to refuse
	}
	off, at, n := c.rnd.Int64N(10_000), c.rnd.Int64N(10_000), 1+c.rnd.Int64N(9000)
	all := func(to, from File) error {
		for left := n; left > 0; {
			done, err := to.CopyFrom(from, off+n-left, at+n-left, left)
			if err != nil || done == 0 {
				return err
			}
			left -= done
		}
		return nil
	}
	c.both(fmt.Sprintf("copy of %d from %d of handle %d to %d of handle %d", n, off, i, at, k), func(s Sys) error {
		if s == c.sys {
			return all(to.sys, from.sys)
		}
		return all(to.model, from.model)
	})
}

// allocate is fallocate(2) in the ways that every disk knows.
func (c *comparison) allocate() {
	i, p := c.handle()
	if p == nil {
		return
	}
	how := []content.Allocation{0, content.KeepSize, content.PunchHole}[c.rnd.IntN(3)]
	off, n := c.rnd.Int64N(12_000), 1+c.rnd.Int64N(9000)
	c.onBoth(fmt.Sprintf("fallocate %d of %d at %d of handle %d", how, n, off, i), p, func(f File) error {
		return f.Allocate(how, off, n)
	})
}

func (c *comparison) openOne(p string) {
	if len(c.open) > 8 {
		c.closeOne()
	}
	flags := []int{rdonly, wronly, rdwr, rdwr}[c.rnd.IntN(4)]
	for _, f := range []int{creat, creat, trunc, excl | creat, appendTo} {
		if c.rnd.IntN(3) == 0 {
			flags |= f
		}
	}
	if flags&trunc != 0 && flags&syscall.O_ACCMODE == rdonly {
		flags &^= trunc // POSIX leaves open what that does
	}
	if st, err := c.model.Stat(p); err == nil && st.Dir && flags&(syscall.O_ACCMODE|creat) == rdonly {
		return // folders are opened by OpenDir
	}
	var fs []File
	ok := c.both(fmt.Sprintf("open %s %#o", p, flags), func(s Sys) error {
		f, err := s.Open(p, flags, 0o644)
		if err == nil {
			fs = append(fs, f)
		}
		return err
	})
	if ok {
		c.open = append(c.open, pair{fs[0], fs[1]})
		return
	}
	for _, f := range fs {
		f.Close()
	}
}

// handle picks an open file, nil if none is.
func (c *comparison) handle() (int, *pair) {
	if len(c.open) == 0 {
		return 0, nil
	}
	i := c.rnd.IntN(len(c.open))
	return i, &c.open[i]
}

func (c *comparison) onBoth(what string, p *pair, call func(File) error) {
	c.both(what, func(s Sys) error {
		if s == c.sys {
			return call(p.sys)
		}
		return call(p.model)
	})
}

func (c *comparison) write() {
	i, p := c.handle()
	if p == nil {
		return
	}
	data := make([]byte, c.rnd.IntN(9000))
	for k := range data {
		data[k] = byte(c.rnd.Uint32())
	}
	if c.rnd.IntN(2) == 0 {
		c.onBoth(fmt.Sprintf("write of %d to handle %d", len(data), i), p, func(f File) error {
			_, err := f.Write(data)
			return err
		})
		return
	}
	size := c.rnd.Int64N(12_000)
	c.onBoth(fmt.Sprintf("ftruncate of handle %d to %d", i, size), p, func(f File) error { return f.Truncate(size) })
}

func (c *comparison) read() {
	i, p := c.handle()
	if p == nil {
		return
	}
	off, n := c.rnd.Int64N(15_000), 1+c.rnd.IntN(9000) // of 0 bytes Go asks nobody
	var got [][]byte
	c.onBoth(fmt.Sprintf("read of %d at %d of handle %d", n, off, i), p, func(f File) error {
		b := make([]byte, n)
		k, err := f.ReadAt(b, off)
		got = append(got, b[:k])
		if err == io.EOF {
			err = nil
		}
		return err
	})
	if len(got) == 2 && !bytes.Equal(got[0], got[1]) {
		c.t.Errorf("handle %d reads other bytes: %d, want %d", i, len(got[0]), len(got[1]))
	}
	var st []Stat
	c.onBoth(fmt.Sprintf("fstat of handle %d", i), p, func(f File) error {
		s, err := f.Stat()
		st = append(st, s)
		return err
	})
	if st[0].Size != st[1].Size || st[0].Nlink != st[1].Nlink {
		c.t.Errorf("fstat of handle %d: size %d links %d, want %d and %d", i, st[0].Size, st[0].Nlink, st[1].Size, st[1].Nlink)
	}
}

func (c *comparison) closeOne() {
	i, p := c.handle()
	if p == nil {
		return
	}
	c.onBoth(fmt.Sprintf("close of handle %d", i), p, func(f File) error { return f.Close() })
	c.open = slices.Delete(c.open, i, i+1)
}

func (c *comparison) closeAll() {
	for _, p := range c.open {
		p.sys.Close()
		p.model.Close()
	}
	c.open = nil
}

func (c *comparison) stat(p string) {
	var st []Stat
	ok := c.both("stat "+p, func(s Sys) error {
		x, err := s.Stat(p)
		st = append(st, x)
		return err
	})
	if ok && (st[0].Dir != st[1].Dir || !st[0].Dir && st[0].Size != st[1].Size || st[0].Mode != st[1].Mode) {
		c.t.Errorf("stat %s: %+v, want %+v", p, st[0], st[1])
	}
}

// tree compares everything below a folder.
func (c *comparison) tree(p string) {
	var lists [][]string
	c.both("list "+p, func(s Sys) error {
		d, err := s.OpenDir(p)
		if err != nil {
			return err
		}
		defer d.Close()
		var all []string
		for {
			some, err := d.Next()
			if err != nil || len(some) == 0 {
				slices.Sort(all)
				lists = append(lists, all)
				return err
			}
			all = append(all, some...)
		}
	})
	if len(lists) != 2 || !slices.Equal(lists[0], lists[1]) {
		c.t.Errorf("%s holds %v", p, lists)
		return
	}
	for _, name := range lists[0] {
		full := p + "/" + name
		st, err := c.model.Stat(full)
		if err != nil {
			c.t.Error(err)
			return
		}
		c.stat(full)
		if st.Dir {
			c.tree(full)
			continue
		}
		var got [][]byte
		c.both("content of "+full, func(s Sys) error {
			f, err := s.Open(full, rdonly, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			got = append(got, wholeOf(c.t, f))
			return nil
		})
		if len(got) == 2 && !bytes.Equal(got[0], got[1]) {
			c.t.Errorf("%s holds %d other bytes, want %d", full, len(got[0]), len(got[1]))
		}
	}
}
