package fstest

import (
	"bytes"
	"encoding/binary"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
)

// Mounted makes system calls on a folder.
func Mounted(root string) Sys { return mounted(root) }

type mounted string

func (m mounted) path(p string) string { return string(m) + p }

// again repeats a call that a signal of Go's scheduler interrupted.
func again(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

func (m mounted) Open(path string, flags int, mode uint32) (File, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Open(m.path(path), flags|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &mountedFile{os.NewFile(uintptr(fd), path)}, nil
}

func (m mounted) Mkdir(path string, mode uint32) error {
	return again(func() error { return unix.Mkdir(m.path(path), mode) })
}

func (m mounted) Unlink(path string) error {
	return again(func() error { return unix.Unlink(m.path(path)) })
}

func (m mounted) Rmdir(path string) error {
	return again(func() error { return unix.Rmdir(m.path(path)) })
}

func (m mounted) Rename(from, to string, flags cache.RenameFlags) error {
	var f uint
	if flags&cache.NoReplace != 0 {
		f |= unix.RENAME_NOREPLACE
	}
	if flags&cache.Exchange != 0 {
		f |= unix.RENAME_EXCHANGE
	}
	return again(func() error {
		return unix.Renameat2(unix.AT_FDCWD, m.path(from), unix.AT_FDCWD, m.path(to), f)
	})
}

func (m mounted) Stat(path string) (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Lstat(m.path(path), &st) })
	return statOf(&st), err
}

func statOf(st *unix.Stat_t) Stat {
	return Stat{Ino: st.Ino, Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, Mode: st.Mode & 0o7777,
		Nlink: uint64(st.Nlink), UID: st.Uid, GID: st.Gid, Size: st.Size, Blocks: st.Blocks,
		Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix())}
}

func (m mounted) Truncate(path string, size int64) error {
	return again(func() error { return unix.Truncate(m.path(path), size) })
}

func (m mounted) Chmod(path string, mode uint32) error {
	return again(func() error { return unix.Chmod(m.path(path), mode) })
}

func (m mounted) Chtimes(path string, atime, mtime time.Time) error {
	ts := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
	return again(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, m.path(path), ts, 0) })
}

func (m mounted) Free(path string) (int64, error) {
	var st unix.Statfs_t
	err := again(func() error { return unix.Statfs(m.path(path), &st) })
	return int64(st.Bavail) * st.Bsize, err
}

func (m mounted) OpenDir(path string) (Dir, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Open(m.path(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	return mountedDir(fd), err
}

type mountedDir int

func (d mountedDir) Next() ([]string, error) {
	buf := make([]byte, 4096)
	for {
		var n int
		err := again(func() (err error) {
			n, err = unix.ReadDirent(int(d), buf)
			return err
		})
		if err != nil || n == 0 {
			return nil, err
		}
		if names := dirents(buf[:n]); len(names) > 0 {
			return names, nil
		}
	}
}

// dirents takes the names out of what getdents64(2) gives.
func dirents(b []byte) (names []string) {
	const header = 19 // ino, offset, length, type
	for len(b) > header {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		name, _, _ := bytes.Cut(b[header:size], []byte{0})
		if s := string(name); s != "." && s != ".." {
			names = append(names, s)
		}
		b = b[size:]
	}
	return names
}

func (d mountedDir) Stat() (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(int(d), &st) })
	return statOf(&st), err
}

func (d mountedDir) Close() error { return unix.Close(int(d)) }

type mountedFile struct{ *os.File }

func (f *mountedFile) Stat() (Stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(int(f.Fd()), &st) })
	return statOf(&st), err
}

// WriteAt is pwrite(2), which os.File refuses for files opened with O_APPEND.
func (f *mountedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = again(func() (err error) {
		n, err = syscall.Pwrite(int(f.Fd()), p, off)
		return err
	})
	return n, err
}

func (f *mountedFile) Extent(off int64, data bool) (at int64, err error) {
	whence := unix.SEEK_HOLE
	if data {
		whence = unix.SEEK_DATA
	}
	err = again(func() (err error) {
		at, err = unix.Seek(int(f.Fd()), off, whence)
		return err
	})
	return at, err
}

func (f *mountedFile) Allocate(how content.Allocation, off, n int64) error {
	mode := uint32(0)
	for flag, bits := range map[content.Allocation]uint32{
		content.KeepSize:  unix.FALLOC_FL_KEEP_SIZE,
		content.PunchHole: unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE,
		content.ZeroRange: unix.FALLOC_FL_ZERO_RANGE,
	} {
		if how&flag != 0 {
			mode |= bits
		}
	}
	return again(func() error { return unix.Fallocate(int(f.Fd()), mode, off, n) })
}

func (f *mountedFile) CopyFrom(src File, off, at, n int64) (done int64, err error) {
	err = again(func() error {
		k, err := unix.CopyFileRange(int(src.(*mountedFile).Fd()), &off, int(f.Fd()), &at, int(n), 0)
		done = int64(k)
		return err
	})
	return done, err
}

func (m mounted) Chown(path string, uid, gid int) error {
	return again(func() error { return unix.Lchown(m.path(path), uid, gid) })
}

func (m mounted) Xattr(path, name string) ([]byte, error) {
	buf := make([]byte, cache.MaxXattr)
	n := 0
	err := again(func() (err error) {
		n, err = unix.Lgetxattr(m.path(path), name, buf)
		return err
	})
	return buf[:max(n, 0)], err
}

func (m mounted) Xattrs(path string) (names []string, err error) {
	buf := make([]byte, 64<<10)
	n := 0
	err = again(func() (err error) {
		n, err = unix.Llistxattr(m.path(path), buf)
		return err
	})
	for name := range bytes.SplitSeq(buf[:max(n, 0)], []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names, err
}

func (m mounted) SetXattr(path, name string, value []byte, flags cache.XattrFlags) error {
	f := 0
	if flags&cache.XattrCreate != 0 {
		f |= unix.XATTR_CREATE
	}
	if flags&cache.XattrReplace != 0 {
		f |= unix.XATTR_REPLACE
	}
	return again(func() error { return unix.Lsetxattr(m.path(path), name, value, f) })
}

func (m mounted) RemoveXattr(path, name string) error {
	return again(func() error { return unix.Lremovexattr(m.path(path), name) })
}
