package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve takes room on the disk for a file of n bytes, without writing them.
func reserve(f *os.File, n int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, n) }
