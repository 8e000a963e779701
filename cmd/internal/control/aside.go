package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Aside is a private temporary folder that one daemon uses in place of a state folder that cannot be written. The
// registry of that state folder finds what is registered in it.
type Aside struct {
	dir  string
	lock *os.File // held while the folder is in use; the kernel lets go of it if the daemon is killed
}

// Temporary is the folder for temporary files of this user alone, made if needed.
func Temporary() (string, error) {
	dir := temporary()
	return dir, privateDir(dir)
}

func temporary() string { return filepath.Join(os.TempDir(), fmt.Sprintf("duskfs-%d", os.Getuid())) }

// asides is the pattern of the folders that are used in place of the state folder.
func (r Registry) asides() string { return filepath.Join(temporary(), "read-only-"+ID(r.state)+"-*") }

// Aside makes a folder to be used in place of the state folder, and removes those of daemons that were killed. The
// caller removes it.
func (r Registry) Aside() (*Aside, error) {
	base, err := Temporary()
	if err != nil {
		return nil, err
	}
	// One at a time: nobody sees a folder that is made and not locked yet.
	turn, err := locked(base, 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", base, err)
	}
	defer func() { _ = turn.Close() }() // lets the lock go
	if err := r.sweep(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(base, filepath.Base(r.asides()))
	if err != nil {
		return nil, fmt.Errorf("make a temporary state folder: %w", err)
	}
	lock, err := locked(dir, unix.LOCK_NB)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), os.Remove(dir))
	}
	return &Aside{dir: dir, lock: lock}, nil
}

// sweep removes the folders that nobody uses.
func (r Registry) sweep() error {
	old, err := filepath.Glob(r.asides())
	if err != nil {
		return err
	}
	for _, dir := range old {
		lock, err := locked(dir, unix.LOCK_NB)
		if err != nil {
			continue // in use, or gone by now
		}
		if err := errors.Join(os.RemoveAll(dir), lock.Close()); err != nil {
			return fmt.Errorf("remove the temporary state of a daemon that was killed: %w", err)
		}
	}
	return nil
}

// locked locks a folder until the file is closed.
func locked(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Dir is where the folder is.
func (a *Aside) Dir() string { return a.dir }

// Remove removes the folder with all that is in it.
func (a *Aside) Remove() error { return errors.Join(os.RemoveAll(a.dir), a.lock.Close()) }
