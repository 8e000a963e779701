package fusemount

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Prepare checks that a folder can be mounted at, having cleared away a mount whose daemon was
// killed, and returns it absolute and free of links. Its errors say what to do. New does this
// itself; call it to learn of a mistake before anything else is begun.
func Prepare(path string) (string, error) {
	point, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("mountpoint %s: %w", path, err)
	}
	if _, err := Clear(point); err != nil {
		return "", err
	}
	st, err := os.Stat(point)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("mountpoint %s does not exist: make it with mkdir first", point)
	case err != nil:
		return "", fmt.Errorf("mountpoint %s cannot be used: %w", point, err)
	case !st.IsDir():
		return "", fmt.Errorf("mountpoint %s is not a folder: choose an empty folder", point)
	}
	if busy, err := mounted(point); err != nil {
		return "", fmt.Errorf("mountpoint %s cannot be used: %w", point, err)
	} else if busy {
		return "", fmt.Errorf("something is mounted at %s already: unmount it first, or choose another folder", point)
	}
	// A link is resolved, so that unmounting later hits the same folder.
	if real, err := filepath.EvalSymlinks(point); err == nil {
		point = real
	}
	d, err := os.Open(point)
	if err != nil {
		return "", fmt.Errorf("mountpoint %s cannot be read: %w", point, err)
	}
	defer d.Close()
	if names, err := d.Readdirnames(1); len(names) > 0 {
		return "", fmt.Errorf("mountpoint %s is not empty: choose an empty folder, or move away what is in it", point)
	} else if err != nil && err != io.EOF {
		return "", fmt.Errorf("mountpoint %s cannot be read: %w", point, err)
	}
	return point, nil
}

// apart reports whether a folder is on another device than the one above it.
func apart(point string) (bool, error) {
	var here, above syscall.Stat_t
	if err := syscall.Stat(point, &here); err != nil {
		return false, err
	}
	if err := syscall.Stat(filepath.Dir(point), &above); err != nil {
		return false, err
	}
	return here.Dev != above.Dev, nil
}

// Clear takes away a mount whose daemon was killed, and reports whether there was one.
func Clear(path string) (bool, error) {
	point, err := filepath.Abs(path)
	if err != nil {
		return false, fmt.Errorf("mountpoint %s: %w", path, err)
	}
	if !dead(point) {
		return false, nil
	}
	point = behind(point)
	if err := detach(point, true); err != nil {
		return false, fmt.Errorf("%s is a mount whose daemon is gone, and it cannot be cleared away: %w; try: fusermount3 -uz %s", point, err, point)
	}
	return true, nil
}

// behind follows the links that lead to a dead mount, of which nothing can be asked: unmounting follows
// none.
func behind(point string) string {
	for range 40 { // as many as the kernel follows
		target, err := os.Readlink(point)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(point), target)
		}
		point = target
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(point)); err == nil {
		point = filepath.Join(dir, filepath.Base(point))
	}
	return point
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
