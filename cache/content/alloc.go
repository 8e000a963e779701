package content

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Extent returns where data, or a hole, begins at or after off, as lseek(2) does with SEEK_DATA and
// SEEK_HOLE: syscall.ENXIO at or after the end. What was not fetched yet is data: whoever copies
// nothing but data must not take it for zeros.
func (f *File) Extent(off int64, data bool) (int64, error) {
	b := f.b
	b.mu.RLock()
	defer b.mu.RUnlock()
	size := b.size.Load()
	if off < 0 || off >= size {
		return 0, syscall.ENXIO
	}
	if !b.local {
		if data {
			return off, nil
		}
		return size, nil
	}
	whence := unix.SEEK_HOLE
	if data {
		whence = unix.SEEK_DATA
	}
	// The position of the descriptor is nobody's: all others name theirs.
	return unix.Seek(int(b.data.Fd()), off, whence)
}

// Allocation says what Allocate does.
type Allocation uint

const (
	// KeepSize leaves the size alone.
	KeepSize Allocation = 1 << iota
	// PunchHole makes a hole; it implies KeepSize.
	PunchHole
	// ZeroRange makes bytes zero.
	ZeroRange
)

// Allocate takes room for n bytes from off, or gives it back, as fallocate(2) does. ErrSealed;
// ErrNoSpace; errors.ErrUnsupported where the disk cannot.
func (f *File) Allocate(how Allocation, off, n int64) error {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return ErrSealed
	}
	if how&PunchHole == 0 {
		if err := b.store.space.take(n); err != nil {
			return err
		}
	}
	if err := allocate(b.data, how, off, n); err != nil {
		return noSpace(err)
	}
	if how&(KeepSize|PunchHole) == 0 {
		b.grow(off + n)
	}
	return nil
}

// CopyFrom copies n bytes from off of another body, or of this one, to at, sharing the blocks where
// the disk can. ErrMissing if the bytes to copy are not here; ErrSealed; ErrNoSpace. It may copy
// less than n, and copies nothing beyond the end of src.
func (f *File) CopyFrom(src *File, off, at, n int64) (int64, error) {
	// Two bodies at once: in the order of their inos, so that two copies the other way round wait
	// for each other at most once.
	first, second := f.b, src.b
	if second.ino < first.ino {
		first, second = second, first
	}
	first.mu.RLock()
	defer first.mu.RUnlock()
	if second != first {
		second.mu.RLock()
		defer second.mu.RUnlock()
	}
	from, to := src.b, f.b
	n = min(n, from.size.Load()-off)
	switch {
	case to.sealed:
		return 0, ErrSealed
	case n <= 0:
		return 0, nil
	case !from.local && !from.have.covers(span{off, off + n}):
		return 0, ErrMissing
	}
	if err := to.store.space.take(n); err != nil {
		return 0, err
	}
	done, err := copyRange(to.data, at, from.data, off, n)
	to.grow(at + done)
	if done > 0 {
		err = nil
	}
	return done, noSpace(err)
}

// copyBytes copies by reading and writing.
func copyBytes(to *os.File, at int64, from *os.File, off, n int64) (done int64, err error) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for done < n {
		part := buf[:min(n-done, chunk)]
		k, err := from.ReadAt(part, off+done)
		if k > 0 {
			w, werr := to.WriteAt(part[:k], at+done)
			done += int64(w)
			err = errors.Join(werr, err)
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Here counts the bytes that are here.
func (f *File) Here() int64 {
	b := f.b
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.local {
		return b.size.Load()
	}
	return b.have.total()
}

// Blocks returns the space that the body of an ino takes on the disk, in units of 512 bytes, without
// opening it: 0 if there is none.
func (s *Store) Blocks(ino uint64) int64 {
	st, err := os.Lstat(s.path(ino))
	if err != nil {
		return 0
	}
	return blocksOf(st)
}
