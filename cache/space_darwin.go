package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve takes room on the disk for a file of n bytes, without writing them.
func reserve(f *os.File, n int64) error {
	err := unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &unix.Fstore_t{
		Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: n,
	})
	if err != nil {
		return err
	}
	return f.Truncate(n)
}
