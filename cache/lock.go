package cache

import (
	"errors"
	"fmt"
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
		inUse := &InUseError{Dir: dir}
		if b, err := os.ReadFile(path); err == nil {
			pid, note, _ := strings.Cut(string(b), "\n")
			inUse.PID, _ = strconv.Atoi(pid)
			inUse.Note = strings.TrimSpace(note)
		}
		return nil, inUse
	}
	l := &lockFile{f: f}
	return l, l.note("")
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
