package mirror

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt is when a file was last written or renamed: its modification time may be that of the remote.
func changedAt(st fs.FileInfo) time.Time {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return time.Unix(sys.Ctim.Unix())
	}
	return st.ModTime()
}
