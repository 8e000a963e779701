//go:build !linux

package content

import (
	"errors"
	"os"
)

// reflink would need a file that does not exist yet (clonefile); the bytes are copied instead.
func reflink(_, _ *os.File) error { return errors.ErrUnsupported }
