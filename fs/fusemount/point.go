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
	if _, err := os.Stat(point); !dead(err) {
		return false, nil
	}
	_, err = prepare(point)
	return err == nil, err
}

// dead reports whether an error of stat means a mount whose daemon is gone. While a killed daemon is
// still being torn down, the kernel says that the request was aborted.
func dead(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ECONNABORTED)
}
