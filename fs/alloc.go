package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/duskfs/duskfs/cache/content"
)

// Extent returns where data, or a hole, begins at or after off (lseek(2) with SEEK_DATA and
// SEEK_HOLE). ENXIO at the end. What is not here yet is data; nothing is fetched.
func (h *Handle) Extent(ctx context.Context, off int64, data bool) (int64, error) {
	return h.b.file.Extent(off, data)
}

// Allocate is fallocate(2) for what content.Allocation knows.
func (h *Handle) Allocate(ctx context.Context, how content.Allocation, off, n int64) error {
	switch {
	case !h.writes():
		return syscall.EBADF
	case off < 0 || n <= 0:
		return syscall.EINVAL
	case off > MaxFile-n:
		return syscall.EFBIG
	}
	if how&(content.KeepSize|content.PunchHole) == 0 {
		if err := h.fs.room(h.b, off+n); err != nil {
			return err
		}
	}
	err := h.fs.modify(ctx, h.b, func() error { return h.b.file.Allocate(how, off, n) })
	if errors.Is(err, errors.ErrUnsupported) {
		return syscall.EOPNOTSUPP
	}
	return err
}

// copyMax is the most that one CopyFrom copies: seals wait for copies.
const copyMax = 16 << 20

// CopyFrom copies up to n bytes from off of src to at, without their coming through the caller
// (copy_file_range(2)). It may copy less; 0 is the end of src.
func (h *Handle) CopyFrom(ctx context.Context, src *Handle, off, at, n int64) (int64, error) {
	switch {
	case !h.writes() || src.flags&syscall.O_ACCMODE == syscall.O_WRONLY || h.flags&syscall.O_APPEND != 0:
		return 0, syscall.EBADF
	case off < 0 || at < 0 || n < 0:
		return 0, syscall.EINVAL
	}
	n = min(n, copyMax, src.b.file.Size()-off)
	if n <= 0 {
		return 0, nil
	}
	if at > MaxFile-n {
		return 0, syscall.EFBIG
	}
	if err := h.fs.room(h.b, at+n); err != nil {
		return 0, err
	}
	var done int64
	copy := func() (err error) {
		done, err = h.b.file.CopyFrom(src.b.file, off, at, n)
		return err
	}
	for range 10 {
		err := h.fs.modify(ctx, h.b, copy)
		if !errors.Is(err, content.ErrMissing) {
			return done, err
		}
		if err := h.fs.hydrate(ctx, src.b, off, n); err != nil {
			return 0, err
		}
	}
	return 0, syscall.EIO
}
