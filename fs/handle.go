package fs

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
)

// Caller is who asks.
type Caller struct {
	UID, GID uint32
}

// Handle is an open file. All methods are safe for concurrent use; none may be called after
// Release.
type Handle struct {
	fs       *FS
	b        *body
	flags    int
	released atomic.Bool
}

// Open opens a file by its ino with flags of open(2), of which O_TRUNC, O_APPEND and the access
// mode count. ESTALE if it is gone.
func (f *FS) Open(ctx context.Context, ino cache.Ino, flags int) (*Handle, error) {
	if f.virtual(ino) {
		return nil, syscall.EISDIR
	}
	b, err := f.acquire(f.inner(ino))
	if err != nil {
		return nil, err
	}
	h := &Handle{fs: f, b: b, flags: flags}
	if h.writes() || flags&syscall.O_TRUNC != 0 {
		err = h.openForWriting(ctx)
	}
	if err != nil {
		f.release(b)
		return nil, err
	}
	return h, nil
}

func (h *Handle) openForWriting(ctx context.Context) error {
	if h.b.drive.readOnly() {
		return syscall.EROFS
	}
	if h.flags&syscall.O_TRUNC != 0 {
		if err := h.fs.truncate(ctx, h.b, 0); err != nil {
			return err
		}
	}
	if h.writes() {
		h.b.writers.Add(1)
	}
	return nil
}

// Create makes a file and opens it. A file that exists is opened instead, unless flags have O_EXCL
// or its name is only similar (EEXIST).
func (f *FS) Create(ctx context.Context, parent cache.Ino, name string, flags int, mode uint32, c Caller) (*Handle, Attr, error) {
	n, err := f.make(ctx, parent, name, cache.New{Mode: mode, UID: c.UID, GID: c.GID})
	if errors.Is(err, cache.ErrExist) && flags&syscall.O_EXCL == 0 {
		old, lookErr := f.Lookup(ctx, parent, name)
		if lookErr != nil {
			return nil, Attr{}, err
		}
		h, openErr := f.Open(ctx, old.Ino, flags)
		if openErr != nil {
			return nil, Attr{}, openErr
		}
		a, attrErr := f.GetAttr(ctx, old.Ino)
		if attrErr != nil {
			h.Release()
		}
		return h, a, attrErr
	}
	if err != nil {
		return nil, Attr{}, err
	}
	b, err := f.adopt(n, f.drives[n.Drive])
	if err != nil {
		if _, undo := f.tree.Remove(n.Parent, n.Name, false); undo != nil {
			err = errors.Join(err, undo)
		}
		return nil, Attr{}, err
	}
	h := &Handle{fs: f, b: b, flags: flags}
	if h.writes() {
		b.writers.Add(1)
	}
	return h, f.attr(n, b), nil
}

func (h *Handle) writes() bool { return h.flags&syscall.O_ACCMODE != syscall.O_RDONLY }

// Ino names the file.
func (h *Handle) Ino() cache.Ino { return h.fs.outer(h.b.ino) }

// ReadAt reads like io.ReaderAt, fetching what is not here. ESTALE if the remote has other bytes
// by now, EINTR if ctx ends.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if h.flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		return 0, syscall.EBADF
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	return h.fs.read(ctx, h.b, p, off)
}

// ReadCached is ReadAt for the kernel, which also reads for the pages of a file that is open for
// writing alone.
func (h *Handle) ReadCached(ctx context.Context, p []byte, off int64) (int, error) {
	return h.fs.read(ctx, h.b, p, off)
}

func (f *FS) read(ctx context.Context, b *body, p []byte, off int64) (int, error) {
	for range 10 {
		n, err := b.file.ReadAt(p, off)
		if !errors.Is(err, content.ErrMissing) {
			return n, err
		}
		want := min(int64(len(p)), b.file.Size()-off)
		if err := f.hydrate(ctx, b, off, want); err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// WriteAt writes at off, or at the end if the file was opened with O_APPEND.
func (h *Handle) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if h.flags&syscall.O_APPEND == 0 {
		return h.WriteCached(ctx, p, off)
	}
	if !h.writes() {
		return 0, syscall.EBADF
	}
	size := h.b.file.Size() + int64(len(p))
	if size > MaxFile {
		return 0, syscall.EFBIG
	}
	if err := h.fs.room(h.b, size); err != nil {
		return 0, err
	}
	err := h.fs.modify(ctx, h.b, func() error {
		_, err := h.b.file.Append(p)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteCached is WriteAt for pages that the kernel writes back: they have a place of their own
// even in a file opened with O_APPEND.
func (h *Handle) WriteCached(ctx context.Context, p []byte, off int64) (n int, err error) {
	switch {
	case !h.writes():
		return 0, syscall.EBADF
	case off < 0:
		return 0, syscall.EINVAL
	case off+int64(len(p)) > MaxFile:
		return 0, syscall.EFBIG
	}
	if err := h.fs.room(h.b, off+int64(len(p))); err != nil {
		return 0, err
	}
	err = h.fs.modify(ctx, h.b, func() (err error) {
		n, err = h.b.file.WriteAt(p, off)
		return err
	})
	return n, err
}

// Truncate sets the size.
func (h *Handle) Truncate(ctx context.Context, size int64) error {
	if !h.writes() {
		return syscall.EINVAL
	}
	return h.fs.resize(ctx, h.b, size)
}

// Attr returns the attributes of the open file, also after it was removed.
func (h *Handle) Attr(ctx context.Context) (Attr, error) {
	return h.fs.GetAttr(ctx, h.b.ino)
}

// Sync makes what was written so far safe on this machine.
func (h *Handle) Sync(ctx context.Context) error {
	if err := h.fs.record(h.b); err != nil {
		return err
	}
	if err := h.b.file.Sync(); err != nil {
		return err
	}
	return h.fs.sync()
}

// Flush is called when a descriptor of the handle is closed: size and time are recorded.
func (h *Handle) Flush(ctx context.Context) error { return h.fs.record(h.b) }

// Release ends the handle. A second call does nothing.
func (h *Handle) Release() {
	if h.released.Swap(true) {
		return
	}
	if h.writes() {
		h.b.writers.Add(-1)
	}
	h.fs.release(h.b)
}

// Fd returns a descriptor from which n bytes at off can be read as they are, if all the bytes of
// the file are here. It is valid until Release.
func (h *Handle) Fd() (fd uintptr, ok bool) {
	if !h.b.file.Complete() {
		return 0, false
	}
	return h.b.file.Fd(), true
}

// MayBeMapped reports whether programs may have written to the file through memory maps, of which
// nothing is known here before the kernel writes them back.
func (h *Handle) MayBeMapped() bool { return h.b.writers.Load() > 0 && h.b.file.Complete() }

// Writing reports whether some handle has the file open for writing.
func (f *FS) Writing(ino cache.Ino) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.bodies[f.inner(ino)]
	return b != nil && b.writers.Load() > 0
}
