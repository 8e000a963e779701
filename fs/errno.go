package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

var (
	errStopped  = errors.New("the mount is being stopped")
	errNoRemote = &graph.Error{Op: "read", Kind: graph.Offline, Message: "no connection to this drive"}
	errNoBody   = errors.New("the bytes of this file are missing from the state folder")
)

// errnos is the table of what programs are told. The first row that fits counts.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{cache.ErrStale, syscall.ESTALE},
	{cache.ErrNotExist, syscall.ENOENT},
	{cache.ErrExist, syscall.EEXIST},
	{cache.ErrNotEmpty, syscall.ENOTEMPTY},
	{cache.ErrIsFolder, syscall.EISDIR},
	{cache.ErrNotFolder, syscall.ENOTDIR},
	{cache.ErrOtherDrive, syscall.EXDEV},
	{cache.ErrInside, syscall.EINVAL},
	{cache.ErrName, syscall.EINVAL},
	{cache.ErrNameTooLong, syscall.ENAMETOOLONG},
	{cache.ErrPathTooLong, syscall.ENAMETOOLONG},
	{cache.ErrNoXattr, errnoNoXattr},
	{cache.ErrXattrTooBig, syscall.E2BIG},
	{cache.ErrRoot, syscall.EBUSY},
	{cache.ErrNoSpace, syscall.ENOSPC},
	{cache.ErrUnlisted, syscall.EIO},
	{content.ErrNoSpace, syscall.ENOSPC},
	// The remote has other bytes by now: looking the name up again finds them.
	{graph.Changed, syscall.ESTALE},
	{graph.NotExist, syscall.ESTALE},
	{graph.Denied, syscall.EACCES},
	{graph.SignIn, syscall.EACCES},
	{graph.Full, syscall.EDQUOT},
	{graph.Locked, syscall.EBUSY},
	// The reader was interrupted by a signal.
	{context.Canceled, syscall.EINTR},
	// Offline, throttled, failed, lost, too slow and everything unexpected is EIO.
}

// Refused reports whether a program was refused a name that the service would not take: people
// should be able to find out why.
func Refused(err error) bool {
	for _, e := range []error{cache.ErrName, cache.ErrNameTooLong, cache.ErrPathTooLong, cache.ErrTwin} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Errno says what a program is told about an error of this package: 0 for nil, EIO for what the
// table does not know.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	for _, row := range errnos {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	return syscall.EIO
}

// stale turns "no such node" into ESTALE for somebody who came with an ino.
func stale(err error) error {
	if errors.Is(err, cache.ErrNotExist) {
		return syscall.ESTALE
	}
	return err
}
