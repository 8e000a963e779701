package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PrepareState makes the state folder and tries whether it can be written to.
func PrepareState(dir string) error {
	advice := func(err error) error {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("the state folder %s cannot be used: %w; mend that, or set state.dir to another", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return advice(err)
	}
	f, err := os.CreateTemp(dir, ".try-")
	if err != nil {
		return advice(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// apart checks that the state folder is not in the mountpoint, which would hide it.
func apart(point, state string) error {
	if rel, err := filepath.Rel(point, state); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("the state folder %s lies in the mountpoint %s: choose another mountpoint", state, point)
	}
	return nil
}
