package content

import (
	"errors"
	"io"
	"os"
	"time"
)

// Clone copies the sealed bytes into a new file (0600), sharing them with it where the disk can. It
// fails with ErrUnsealed, and leaves no file, if somebody wrote meanwhile; the disk's space counts as
// for WriteAt.
func (s *Snapshot) Clone(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if reflink(f, s.b.data) != nil {
		if err := s.copyTo(f); err != nil {
			return err
		}
	}
	if err := f.Truncate(s.size); err != nil {
		return noSpace(err)
	}
	select {
	case <-s.broken:
		return ErrUnsealed
	default:
		return nil
	}
}

// copyTo copies byte by byte.
func (s *Snapshot) copyTo(f *os.File) error {
	if err := s.b.store.space.take(s.size); err != nil {
		return err
	}
	_, err := io.Copy(f, io.NewSectionReader(s, 0, s.size))
	return noSpace(err)
}

// Frozen is a copy of a body that no writer reaches. It has no name, and is gone with its Close.
type Frozen struct {
	f     *os.File
	size  int64
	mtime time.Time
}

// Freeze makes a copy of the sealed bytes to be read while writers go on. Errors are those of Clone.
func (s *Snapshot) Freeze() (*Frozen, error) {
	path := s.b.store.path(s.b.ino) + frozenSuffix
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // left by a crash
	}
	if err := s.Clone(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err = errors.Join(err, os.Remove(path)); err != nil {
		return nil, err
	}
	return &Frozen{f: f, size: s.size, mtime: s.mtime}, nil
}

// frozenSuffix ends the name that a frozen copy has for a moment.
const frozenSuffix = ".frozen"

// ReadAt reads like io.ReaderAt.
func (z *Frozen) ReadAt(p []byte, off int64) (int, error) { return z.f.ReadAt(p, off) }

// Size returns the size in bytes.
func (z *Frozen) Size() int64 { return z.size }

// ModTime returns the modification time that the body had.
func (z *Frozen) ModTime() time.Time { return z.mtime }

// Broken is never closed.
func (z *Frozen) Broken() <-chan struct{} { return nil }

// Close ends the copy.
func (z *Frozen) Close() error { return z.f.Close() }
