//go:build !linux

package content

import (
	"errors"
	"os"
)

// allocate makes the file long enough; holes it cannot make.
func allocate(f *os.File, how Allocation, off, n int64) error {
	if how&(PunchHole|ZeroRange) != 0 {
		return errors.ErrUnsupported
	}
	st, err := f.Stat()
	if err != nil || how&KeepSize != 0 || st.Size() >= off+n {
		return err
	}
	return f.Truncate(off + n)
}

func copyRange(to *os.File, at int64, from *os.File, off, n int64) (int64, error) {
	return copyBytes(to, at, from, off, n)
}
