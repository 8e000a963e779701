package simtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// page is what a disk writes at once.
const page = 4096

// Tear makes in to what a power cut leaves of a store that was synced as in synced and got on to be as
// in late: of every page written since, and of every file made or removed since, by chance the one
// state or the other.
func Tear(synced, late, to string, rnd *rand.Rand) error {
	paths := map[string]bool{}
	for _, dir := range []string{synced, late} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			if d.IsDir() {
				return os.MkdirAll(filepath.Join(to, rel), 0o700)
			}
			paths[rel] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	for rel := range paths {
		if err := tear(filepath.Join(synced, rel), filepath.Join(late, rel), filepath.Join(to, rel), rnd); err != nil {
			return err
		}
	}
	return reboot(filepath.Join(to, "head"))
}

// reboot makes the store's count of changes one of an earlier boot of the machine, which power cuts
// end: a boot of nobody's.
func reboot(head string) error {
	b, err := os.ReadFile(head)
	if errors.Is(err, fs.ErrNotExist) || len(b) != 28 {
		return err
	}
	clear(b[16:24])
	binary.BigEndian.PutUint32(b[24:], crc32.Checksum(b[:24], crc32.MakeTable(crc32.Castagnoli)))
	return os.WriteFile(head, b, 0o600)
}

func tear(synced, late, to string, rnd *rand.Rand) error {
	_, errOld := os.Stat(synced)
	info, errNew := os.Stat(late)
	rows := strings.Contains(to, "/rows/")
	switch {
	case errors.Is(errNew, fs.ErrNotExist):
		if rnd.IntN(2) == 0 {
			return nil
		}
		return copyFile(synced, to)
	case errors.Is(errOld, fs.ErrNotExist):
		if rnd.IntN(2) == 0 && !rows { // the database syncs a file and its folder as it makes it
			return nil
		}
		return copyFile(late, to)
	}
	if !rows { // small: one write
		if rnd.IntN(2) == 0 {
			return copyFile(synced, to)
		}
		return copyFile(late, to)
	}
	if err := copyFile(late, to); err != nil {
		return err
	}
	return tearPages(synced, to, info.Size(), rnd)
}

// tearPages puts pages of a file back to what they were.
func tearPages(was, file string, size int64, rnd *rand.Rand) (err error) {
	in, err := os.Open(was)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	old, now := make([]byte, page), make([]byte, page)
	for at := int64(0); at < min(size, 4<<20); at += page {
		clear(old)
		clear(now)
		n, _ := in.ReadAt(old, at)
		m, _ := out.ReadAt(now, at)
		if n == m && bytes.Equal(old, now) || rnd.IntN(2) == 0 {
			continue
		}
		if _, err := out.WriteAt(old[:m], at); err != nil {
			return err
		}
	}
	return nil
}
