package fusemount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// capabilities are asked for beyond go-fuse's own choice: folders need no OPENDIR, after which the
// kernel keeps what it has read of them; O_TRUNC comes with OPEN; setuid and setgid bits go here when a
// file is written, so that the kernel does not ask for security.capability before every write.
const capabilities = fuse.CAP_NO_OPENDIR_SUPPORT | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_HANDLE_KILLPRIV_V2

const noOpenDir = fuse.CAP_NO_OPENDIR_SUPPORT

// fuseMagic is what statfs says of a FUSE mount (linux/magic.h).
const fuseMagic = 0x65735546

// detach unmounts; lazily, if programs still use it.
func detach(point string, lazy bool) error {
	flags, arg := 0, "-u"
	if lazy {
		flags, arg = unix.MNT_DETACH, "-uz"
	}
	err := unix.Unmount(point, flags|unix.UMOUNT_NOFOLLOW)
	if err == nil || !errors.Is(err, unix.EPERM) {
		return err
	}
	bin, lookErr := fusermount()
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	var out bytes.Buffer
	c := exec.Command(bin, arg, "--", point)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", bin, arg, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// fusermount finds the helper with which somebody other than root may unmount, in the system's
// folders alone.
func fusermount() (string, error) {
	for _, dir := range []string{"/usr/bin", "/bin", "/usr/local/bin"} {
		for _, name := range []string{"fusermount3", "fusermount"} {
			p := filepath.Join(dir, name)
			if st, err := os.Stat(p); err == nil && st.Mode()&0o111 != 0 {
				return p, nil
			}
		}
	}
	return "", errors.New("fusermount3 is not installed: install the package fuse3")
}

// connections is where the kernel lets one cut the connections of mounts, if that is mounted.
const connections = "/sys/fs/fuse/connections"

// abort cuts the connection of a mount to the kernel.
func abort(dev uint64) (err error) {
	dir := connections
	if _, statErr := os.Stat(filepath.Join(dir, connection(dev))); statErr != nil {
		// Containers often have no such mount: root can make one for the moment.
		if dir, err = os.MkdirTemp("", "duskfs-fusectl-"); err != nil {
			return err
		}
		defer os.Remove(dir)
		if err := unix.Mount("fusectl", dir, "fusectl", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("cutting the connection: %s is not there, and: %w", connections, err)
		}
		defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	}
	return os.WriteFile(filepath.Join(dir, connection(dev), "abort"), []byte("1"), 0)
}

// connection is the name of a mount's connection.
func connection(dev uint64) string { return strconv.FormatUint(uint64(unix.Minor(dev)), 10) }

// mounted reports whether a FUSE file system is mounted at a folder.
func mounted(point string) (bool, error) {
	var fsys unix.Statfs_t
	if err := unix.Statfs(point, &fsys); err != nil {
		return false, err
	}
	if fsys.Type != fuseMagic {
		return false, nil
	}
	return apart(point)
}

// Within reports whether a file or folder lies in a mount of duskfs, whoever serves it.
func Within(path string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	dev := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		if f := strings.Fields(before); len(f) > 2 && f[2] == dev {
			return strings.HasPrefix(after, "fuse."+typeName+" "), nil
		}
	}
	return false, nil
}

// Missing says what this machine lacks for mounting; nil if nothing.
func Missing() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return errors.New("there is no /dev/fuse: load the module fuse, or give the container that device")
	}
	_, err := fusermount()
	return err
}

// answerWait is how long a mount is waited for that is asked whether its daemon is there.
const answerWait = 2 * time.Second

// Dead lists the mountpoints of duskfs whose daemon is gone. One that does not answer is not among
// them.
func Dead() []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var points []string
	for line := range strings.Lines(string(table)) {
		// ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE SOURCE OPTIONS (proc_pid_mountinfo(5))
		left, right, _ := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if len(f) < 5 || !strings.HasPrefix(right, "fuse."+typeName+" ") {
			continue
		}
		point := unescape(f[4])
		gone := make(chan bool, 1)
		go func() { // it ends when the daemon answers or does
			var fsys unix.Statfs_t
			err := unix.Statfs(point, &fsys)
			gone <- errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
		}()
		select {
		case is := <-gone:
			if is {
				points = append(points, point)
			}
		case <-time.After(answerWait):
		}
	}
	return points
}

// unescape undoes how the kernel writes spaces and the like in its tables: as \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Flags of renameat2(2).
const (
	renameNoReplace = unix.RENAME_NOREPLACE
	renameExchange  = unix.RENAME_EXCHANGE
)

// Flags of setxattr(2).
const (
	xattrCreate  = unix.XATTR_CREATE
	xattrReplace = unix.XATTR_REPLACE
)

func position(*fuse.SetXAttrIn) uint32 { return 0 }
