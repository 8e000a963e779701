package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// CopyLocals copies the bodies of local work, and those that may be, into another folder of bodies, which nobody may
// have open. It writes nothing in this one.
func (s *Store) CopyLocals(ctx context.Context, to string) error {
	there := &Store{dir: to}
	return s.Locals(ctx, func(i Info) error {
		path := there.path(i.Ino)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		// The sidecar claims nothing that is not there.
		if err := errors.Join(CopyFile(i.File, path), os.Chtimes(path, i.ModTime, i.ModTime)); err != nil {
			return fmt.Errorf("copy local work %d: %w", i.Ino, err)
		}
		return CopyFile(i.File+sidecarSuffix, path+sidecarSuffix)
	})
}

// CopyFile copies the bytes of a file into a new one (0600), leaving out what is zero where it can.
func CopyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	part := make([]byte, 64<<10)
	for size := int64(0); ; {
		n, err := io.ReadFull(in, part)
		if len(bytes.TrimLeft(part[:n], "\x00")) > 0 {
			if _, err := out.WriteAt(part[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return out.Truncate(size)
		case err != nil:
			return err
		}
	}
}
