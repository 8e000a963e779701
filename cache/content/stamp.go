package content

import (
	"os"
	"syscall"
)

// StampOf returns what a file shows of having been changed: when its bytes and when it itself were
// changed last, in Unix nanoseconds, and its inode. Zero where the disk does not tell.
func StampOf(st os.FileInfo) (modified, changed int64, inode uint64) {
	modified = st.ModTime().UnixNano()
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		changed, inode = changeTime(sys), sys.Ino
	}
	return modified, changed, inode
}

// untouched reports whether a file is still the one, and as it was, when the sidecar was written.
func (c sidecar) untouched(st os.FileInfo) bool {
	modified, changed, inode := StampOf(st)
	return modified == c.Stamp && changed == c.Changed && inode == c.Inode
}
