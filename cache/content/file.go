package content

import (
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// File is an open body. Several opens of one ino share it; each wants a Close. It is safe for
// concurrent use.
type File struct {
	b      *body
	closed atomic.Bool
}

// newFile makes one more File of a body that it is already counted as a user of.
func newFile(b *body) *File {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files++
	return &File{b: b}
}

// ReadAt reads like io.ReaderAt. ErrMissing if a byte of the range, within the size, is not here.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	b := f.b
	b.mu.RLock()
	defer b.mu.RUnlock()
	end := min(off+int64(len(p)), b.size.Load())
	if !b.local && off >= 0 && off < end && !b.have.covers(span{off, end}) {
		return 0, ErrMissing
	}
	return b.data.ReadAt(p, off)
}

// WriteAt writes like io.WriterAt, growing the body as needed. ErrSealed; ErrNoSpace before
// anything is written.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	b := f.b
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.sealed {
		return 0, ErrSealed
	}
	return b.put(p, off)
}

// Append writes at the end, wherever that is at this moment, and returns where that was. ErrSealed
// and ErrNoSpace as WriteAt. If not all of p could be written, the body ends where it did before.
func (f *File) Append(p []byte) (off int64, err error) {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return 0, ErrSealed
	}
	off = b.size.Load()
	if n, err := b.put(p, off); err != nil {
		if n > 0 {
			if terr := b.data.Truncate(off); terr == nil {
				b.size.Store(off)
			}
		}
		return off, err
	}
	return off, nil
}

// put writes local work. The caller has mu, and the body is not sealed.
func (b *body) put(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := b.store.space.take(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := b.data.WriteAt(p, off)
	b.grow(off + int64(n))
	return n, noSpace(err)
}

// Truncate sets the size; what is added reads as zeros. ErrSealed.
func (f *File) Truncate(size int64) error {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return ErrSealed
	}
	if err := b.data.Truncate(size); err != nil {
		return noSpace(err)
	}
	b.size.Store(size)
	return nil
}

// Complete reports whether all bytes are here.
func (f *File) Complete() bool {
	f.b.mu.RLock()
	defer f.b.mu.RUnlock()
	return f.b.complete()
}

// Size returns the size in bytes.
func (f *File) Size() int64 { return f.b.size.Load() }

// ModTime returns when the bytes of local work last changed, or what SetModTime said; of a clean
// body the time that it was opened with.
func (f *File) ModTime() time.Time {
	b := f.b
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.local {
		return b.mtime
	}
	return b.dataTime()
}

// dataTime returns the modification time of the data, zero if the disk does not tell.
func (b *body) dataTime() time.Time {
	st, err := b.data.Stat()
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// SetModTime sets the time of local work, sealed or not: a Snapshot keeps the time that it was
// taken with. The time of a clean body lives in the node; here it is remembered for Unseal.
func (f *File) SetModTime(t time.Time) error {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.local {
		b.mtime = t
		return nil
	}
	return b.setTime(t)
}

// Blocks returns the space that the body takes, in units of 512 bytes. It is never 0 for a body
// that has bytes, fetched or not: programs that see 0 take a file for all zeros.
func (f *File) Blocks() int64 {
	n := int64(0)
	if st, err := f.b.data.Stat(); err == nil {
		n = blocksOf(st)
	}
	if n == 0 && f.Size() > 0 {
		return 1
	}
	return n
}

func blocksOf(st os.FileInfo) int64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Blocks
	}
	return (st.Size() + 511) / 512
}

// Sync makes the bytes, and what is known of them, survive a power cut.
func (f *File) Sync() error {
	b := f.b
	b.mu.RLock()
	local, here := b.local, b.have.total()
	b.mu.RUnlock()
	if err := b.data.Sync(); err != nil {
		return noSpace(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.durable && !b.behind {
		return nil
	}
	// Bytes that a fetch brought meanwhile were perhaps not synced.
	return b.write(b.local == local && b.have.total() == here)
}

// Fd returns the descriptor of the sparse file, valid until Close.
func (f *File) Fd() uintptr { return f.b.data.Fd() }

// Close ends this use of the body. With the last File of a body its fetches end too.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return os.ErrClosed
	}
	b := f.b
	b.mu.Lock()
	b.files--
	last := b.files == 0
	b.mu.Unlock()
	if last {
		b.stopFetchesIfUnused()
	}
	return b.store.release(b)
}

var (
	_ io.ReaderAt = (*File)(nil)
	_ io.WriterAt = (*File)(nil)
)
