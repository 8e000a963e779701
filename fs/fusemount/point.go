package fusemount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Prepare checks that a folder can be mounted at, before anything else is begun, and returns it
// absolute and free of links. A mount whose daemon was killed is cleared away. Errors say what to do.
func Prepare(path string) (string, error) { return prepare(path) }

// Clear takes away a mount whose daemon was killed, and reports whether there was one.
func Clear(path string) (bool, error) {
	point, err := filepath.Abs(path)
	if err != nil {
		return false, fmt.Errorf("mountpoint %s: %w", path, err)
	}
	if !dead(point) {
		return false, nil
	}
	_, err = prepare(point)
	return err == nil, err
}

// dead reports whether a folder is a mount whose daemon is gone. The kernel may answer stat from
// what it remembers, statfs it never does. While a killed daemon is still being torn down, it says
// that the request was aborted.
func dead(point string) bool {
	_, err := os.Stat(point)
	if err == nil {
		var fsys syscall.Statfs_t
		err = syscall.Statfs(point, &fsys)
	}
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ECONNABORTED)
}
