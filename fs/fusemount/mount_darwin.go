package fusemount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The kernel extension of macOS knows none of the capabilities asked for on Linux. go-fuse asks for
// swapping by itself.
const (
	capabilities = fuse.CAP_RENAME_EXCL
	noOpenDir    = 0
)

// Flags of renamex_np(2), which the kernel extension hands over as they are.
const (
	renameNoReplace = unix.RENAME_EXCL
	renameExchange  = unix.RENAME_SWAP
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
func mounted(point string) (bool, error) { return apart(point) }

// Within reports whether a file or folder lies in a mount of duskfs, whoever serves it.
func Within(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	return unix.ByteSliceToString(st.Mntfromname[:]) == typeName, nil
}

// Missing says what this machine lacks for mounting; nil if nothing.
func Missing() error {
	if _, err := os.Stat("/Library/Filesystems/macfuse.fs"); err != nil {
		return errors.New("macFUSE is not installed: see docs/MACOS.md")
	}
	return nil
}

// Dead lists the mountpoints of duskfs whose daemon is gone. macOS takes those away by itself.
func Dead() []string { return nil }

// Flags of setxattr(2).
const (
	xattrCreate  = unix.XATTR_CREATE
	xattrReplace = unix.XATTR_REPLACE
)

func position(in *fuse.SetXAttrIn) uint32 { return in.Position }
