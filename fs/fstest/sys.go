package fstest

import (
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
)

// Sys are the calls that a behaviour is written in. Paths begin with a slash, at the root of the
// drive. Errors are a syscall.Errno, wrapped at most.
type Sys interface {
	Open(path string, flags int, mode uint32) (File, error)
	Mkdir(path string, mode uint32) error
	Unlink(path string) error
	Rmdir(path string) error
	Rename(from, to string, flags cache.RenameFlags) error
	Stat(path string) (Stat, error)
	Truncate(path string, size int64) error
	Chmod(path string, mode uint32) error
	Chtimes(path string, atime, mtime time.Time) error
	OpenDir(path string) (Dir, error)
	Chown(path string, uid, gid int) error
	Xattr(path, name string) ([]byte, error)
	Xattrs(path string) ([]string, error)
	SetXattr(path, name string, value []byte, flags cache.XattrFlags) error
	RemoveXattr(path, name string) error
	// Free returns the bytes that statfs says are free.
	Free(path string) (int64, error)
}

// File is an open file with a position, like a descriptor.
type File interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Stat() (Stat, error)
	Sync() error
	// Extent is lseek(2) with SEEK_DATA or SEEK_HOLE.
	Extent(off int64, data bool) (int64, error)
	Allocate(how content.Allocation, off, n int64) error
	// CopyFrom is copy_file_range(2).
	CopyFrom(src File, off, at, n int64) (int64, error)
	Close() error
}

// Dir is an open folder.
type Dir interface {
	// Next returns some more names, none at the end. "." and ".." are left out.
	Next() ([]string, error)
	Stat() (Stat, error)
	Close() error
}

// Stat is what behaviours look at.
type Stat struct {
	Ino      uint64
	Dir      bool
	Mode     uint32
	Nlink    uint64
	UID, GID uint32
	Size     int64
	Blocks   int64
	Mtime    time.Time
	Ctime    time.Time
}
