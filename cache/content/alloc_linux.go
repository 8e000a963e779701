package content

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func allocate(f *os.File, how Allocation, off, n int64) error {
	mode := uint32(0)
	if how&KeepSize != 0 {
		mode |= unix.FALLOC_FL_KEEP_SIZE
	}
	if how&PunchHole != 0 {
		mode |= unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	}
	if how&ZeroRange != 0 {
		mode |= unix.FALLOC_FL_ZERO_RANGE
	}
	for {
		err := unix.Fallocate(int(f.Fd()), mode, off, n)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// copyRange copies inside the kernel. Where that is refused it reads and writes.
func copyRange(to *os.File, at int64, from *os.File, off, n int64) (int64, error) {
	done := int64(0)
	for done < n {
		src, dst := off+done, at+done
		k, err := unix.CopyFileRange(int(from.Fd()), &src, int(to.Fd()), &dst, int(n-done), 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil && done == 0 && !errors.Is(err, unix.ENOSPC):
			return copyBytes(to, at, from, off, n)
		case err != nil || k == 0:
			return done, err
		default:
			done += int64(k)
		}
	}
	return done, nil
}
