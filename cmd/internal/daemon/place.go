package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
)

// PrepareState makes the state folder and tries whether it can be written to.
func PrepareState(dir string) error {
	advice := func(err error) error {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("the state folder %s cannot be used: %w; mend that, or set state.dir to another", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return advice(err)
	}
	f, err := os.CreateTemp(dir, ".try-")
	if err != nil {
		return advice(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// usable checks that a mount can work from the state folder. aside says that it cannot be written, and that what is
// to be read has to be copied aside: to read only, that is enough.
func usable(cfg *config.Config) (aside bool, err error) {
	err = PrepareState(cfg.StateDir)
	if !onlyToRead(cfg.StateDir, err) {
		return false, err
	}
	if !cfg.ReadOnly {
		return false, fmt.Errorf("%w, or mount with --read-only", err)
	}
	return true, nil
}

// onlyToRead reports whether a state folder that PrepareState refused can be read all the same.
func onlyToRead(dir string, refused error) bool {
	if !errors.Is(refused, syscall.EROFS) && !errors.Is(refused, fs.ErrPermission) {
		return false
	}
	_, err := os.ReadDir(dir)
	return err == nil
}

// LogRoot is the folder under which the daemon of a mount logs: the state folder, or if that cannot be written the one
// for temporary files.
func LogRoot(cfg *config.Config) (string, error) {
	aside, err := usable(cfg)
	if err != nil || !aside {
		return cfg.StateDir, err
	}
	return control.Temporary()
}

// standAside makes a temporary folder in place of the state folder, and copies what is known of the account there.
func (m *mount) standAside(ctx context.Context) (err error) {
	from := m.account.dir
	if m.aside, m.account.dir, err = copyAside(ctx, m.cfg, from); err != nil {
		return err
	}
	m.log.Warn("the state folder cannot be written: the mount works from a copy, which is removed at its end", "dir", m.cfg.StateDir, "copy", m.aside.Dir())
	return copyBook(from, m.account.dir)
}

// copyAside copies what is known of an account into a temporary folder that stands for the state folder, and returns that
// with the folder of the account in it. The caller removes it, also if there is an error.
func copyAside(ctx context.Context, cfg *config.Config, from string) (a *control.Aside, dir string, err error) {
	if a, err = control.NewRegistry(cfg.StateDir).Aside(); err != nil {
		return nil, from, err
	}
	dir = filepath.Join(a.Dir(), "accounts", filepath.Base(from))
	if err := cache.CopyStore(ctx, from, dir); err != nil {
		var used *cache.InUseError
		if errors.As(err, &used) {
			return a, dir, explained(err, from, cfg)
		}
		return a, dir, fmt.Errorf("copy the state in %s to %s: %w", from, dir, err)
	}
	return a, dir, nil
}

// apart checks that the state folder is not in the mountpoint, which would hide it.
func apart(point, state string) error {
	if rel, err := filepath.Rel(point, state); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("the state folder %s lies in the mountpoint %s: choose another mountpoint", state, point)
	}
	return nil
}
