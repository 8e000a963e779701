package content

import (
	"errors"
	"io"
	"os"
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
