package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// freeFloor is how much of the disk must stay free: badger writes through a memory map and
	// dies of a full disk, so it is asked before every commit.
	freeFloor = 64 << 20
	// lastFloor is what must be free even for a change that frees space, and for a good end: badger
	// writes its youngest rows, up to 8 MiB, into a new table then.
	lastFloor = 24 << 20
	// ballast is put by while there is space, and given up to open the store on a disk that others
	// have filled meanwhile.
	ballast     = 96 << 20
	ballastFile = "ballast"
)

// roomFor fails with ErrNoSpace if the disk is too full for a change.
func (s *Store) roomFor(g growth) error {
	if g == grows {
		return s.spare(0)
	}
	return s.spare(lastFloor - freeFloor)
}

// roomToOpen gives the ballast up if the disk is too full to open the store, and fails with
// ErrNoSpace if that is not enough.
func (s *Store) roomToOpen() error { return s.giveWay(0) }

// roomToClose is roomToOpen for a good end.
func (s *Store) roomToClose() error { return s.giveWay(lastFloor - freeFloor) }

func (s *Store) giveWay(extra int64) error {
	err := s.spare(extra)
	if !errors.Is(err, ErrNoSpace) {
		return err
	}
	if rerr := os.Remove(filepath.Join(s.dir, ballastFile)); rerr != nil {
		if errors.Is(rerr, fs.ErrNotExist) {
			return err
		}
		return errors.Join(err, rerr)
	}
	s.log.Warn("the disk of the state folder is full: space that was put by is given up", "dir", s.dir)
	return s.spare(extra)
}

// spare fails with ErrNoSpace if the disk has less than the floor and extra bytes left.
func (s *Store) spare(extra int64) error {
	free, err := s.free(s.dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", s.dir, err)
	}
	if free < freeFloor+extra {
		return ErrNoSpace
	}
	return nil
}

// makeBallast puts space by if there is none yet and the disk has enough.
func (s *Store) makeBallast() error {
	path := filepath.Join(s.dir, ballastFile)
	if _, err := os.Lstat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.spare(2*ballast) != nil {
		return nil // later
	}
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(reserve(f, ballast), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return nil
}

// LeastFree is how many bytes of the disk must be free for changes to be taken.
const LeastFree int64 = freeFloor

// Free says how many bytes of the disk under dir are free for this user.
func Free(dir string) (int64, error) { return freeBytes(dir) }

// freeBytes says how much of the disk under dir is free for this user.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
