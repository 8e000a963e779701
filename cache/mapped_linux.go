package cache

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mappedFiles is how many bytes of mapped files are in memory as part of this process; ok is false where nobody knows.
func mappedFiles() (n int64, ok bool) {
	b, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(b)
	if err != nil || len(fields) < 3 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[2]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}

// pageOut has the kernel take from memory what this process has mapped of the files of a folder with an ending. They are
// read again when they are wanted; nothing else changes, even if a file is unmapped meanwhile and something else is in
// its place. Kernels before 5.4 do nothing.
func pageOut(dir, ending string) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text() // from-to rwxs offset device inode path
		at := strings.IndexByte(line, '/')
		if at < 0 || filepath.Ext(line) != ending || filepath.Dir(line[at:]) != dir {
			continue
		}
		from, to, _ := strings.Cut(line[:strings.IndexByte(line, ' ')], "-")
		begin, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			continue
		}
		end, err := strconv.ParseUint(to, 16, 64)
		if err != nil {
			continue
		}
		// It is advice: what is not taken does no harm.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(begin), uintptr(end-begin), unix.MADV_PAGEOUT)
	}
}
