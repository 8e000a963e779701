package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duskfs/duskfs/cache/content"
)

// CopyStore copies what a store cannot fetch again, its rows and its bodies of local work, into another folder, which it
// makes. It writes nothing in the first, which need not be writable. A store that another process has open fails with
// *InUseError; of one that does not exist there is nothing to copy.
//
// The copy is opened as a store is after a kill: its rows are looked at first.
func CopyStore(ctx context.Context, from, to string) (err error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	lock, err := lockToRead(from)
	if err != nil {
		return err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	for _, copied := range []func() error{
		func() error { return copyRows(filepath.Join(from, rowsDir), filepath.Join(to, rowsDir)) },
		func() error { return content.CopyFile(filepath.Join(from, headFile), filepath.Join(to, headFile)) },
		func() error {
			bodies, err := content.Look(filepath.Join(from, bodiesDir))
			if err != nil {
				return err
			}
			return bodies.CopyLocals(ctx, filepath.Join(to, bodiesDir))
		},
	} {
		if err := copied(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyRows copies the files of closed rows into another folder, which it makes.
func copyRows(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "LOCK" || !e.Type().IsRegular() {
			continue
		}
		if err := content.CopyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
