package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile keeps other processes out of a store while it is open, and tells them who is in it.
type lockFile struct{ f *os.File }

func lock(dir string) (*lockFile, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, usedBy(dir)
	}
	l := &lockFile{f: f}
	return l, l.note("")
}

// lockToRead keeps writers out of a store that this process cannot write to, until the file is closed. It is nil if
// there is nothing to lock.
func lockToRead(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = usedBy(dir)
	default:
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	_ = f.Close() // the first error counts
	return nil, err
}

// usedBy tells who has a store open.
func usedBy(dir string) *InUseError {
	e := &InUseError{Dir: dir}
	if b, err := os.ReadFile(filepath.Join(dir, "lock")); err == nil {
		pid, note, _ := strings.Cut(string(b), "\n")
		e.PID, _ = strconv.Atoi(pid)
		e.Note = strings.TrimSpace(note)
	}
	return e
}

// note replaces what a refused process is told.
func (l *lockFile) note(text string) error {
	b := fmt.Sprintf("%d\n%s\n", os.Getpid(), text)
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(b), 0)
	return err
}

// release also takes the lock from a child of this process that has the file for the moment between
// its making and its program's.
func (l *lockFile) release() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	if e.Note != "" {
		who += " (" + e.Note + ")"
	}
	return fmt.Sprintf("the state in %s is in use by %s: one process serves an account, so name "+
		"further drives or mountpoints in its command, or stop it first", e.Dir, who)
}
