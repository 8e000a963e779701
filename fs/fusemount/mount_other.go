//go:build !linux

package fusemount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// The kernel extension of macOS knows none of the capabilities asked for on Linux.
const (
	capabilities = 0
	noOpenDir    = 0
)

// detach unmounts; with lazy, by force: macOS has no other way to get rid of a busy mount.
func detach(point string, lazy bool) error {
	args := []string{point}
	if lazy {
		args = []string{"-f", point}
	}
	var out bytes.Buffer
	c := exec.Command("/sbin/umount", args...)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

func abort(uint64) error { return errors.ErrUnsupported }

// mounted reports whether a folder is the root of a mount.
func mounted(point string) (bool, error) {
	var here, above syscall.Stat_t
	if err := syscall.Stat(point, &here); err != nil {
		return false, err
	}
	if err := syscall.Stat(filepath.Dir(point), &above); err != nil {
		return false, err
	}
	return here.Dev != above.Dev, nil
}

// advice says what to do when mounting fails.
func advice() string {
	if _, err := os.Stat("/Library/Filesystems/macfuse.fs"); err != nil {
		return " (macFUSE is not installed: see docs/MACOS.md)"
	}
	return ""
}
