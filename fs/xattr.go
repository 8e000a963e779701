package fs

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/duskfs/duskfs/cache"
)

// Extended attributes are local: kept with the node, never sent. Those of the system's own name
// spaces (security, system, trusted) are not kept: they would have to mean something.

// foreign reports whether an extended attribute is of a name space that is not kept.
func foreign(name string) bool {
	for _, space := range []string{"security.", "system.", "trusted."} {
		if strings.HasPrefix(name, space) {
			return true
		}
	}
	return false
}

// Xattr returns the value of an extended attribute. It never waits.
func (f *FS) Xattr(ctx context.Context, ino cache.Ino, name string) ([]byte, error) {
	switch {
	case strings.HasPrefix(name, "system."):
		return nil, syscall.EOPNOTSUPP
	case foreign(name) || f.virtual(ino):
		return nil, cache.ErrNoXattr
	}
	v, err := f.tree.Xattr(f.inner(ino), name)
	return v, f.xattrError(ino, err)
}

// Xattrs returns the names of the extended attributes.
func (f *FS) Xattrs(ctx context.Context, ino cache.Ino) ([]string, error) {
	if f.virtual(ino) {
		return nil, nil
	}
	names, err := f.tree.Xattrs(f.inner(ino))
	return names, f.xattrError(ino, err)
}

// SetXattr sets an extended attribute of up to cache.MaxXattr bytes.
func (f *FS) SetXattr(ctx context.Context, ino cache.Ino, name string, value []byte, flags cache.XattrFlags) error {
	if foreign(name) {
		return syscall.EOPNOTSUPP
	}
	if err := f.writable(ino); err != nil {
		return err
	}
	return f.xattrError(ino, f.tree.SetXattr(f.inner(ino), name, value, flags))
}

// RemoveXattr removes an extended attribute.
func (f *FS) RemoveXattr(ctx context.Context, ino cache.Ino, name string) error {
	if foreign(name) {
		return syscall.EOPNOTSUPP
	}
	if err := f.writable(ino); err != nil {
		return err
	}
	return f.xattrError(ino, f.tree.RemoveXattr(f.inner(ino), name))
}

// writable reports whether a node is of a drive that can be changed.
func (f *FS) writable(ino cache.Ino) error {
	if f.virtual(ino) {
		return syscall.EROFS
	}
	_, d, err := f.get(f.inner(ino))
	if err == nil && d.readOnly() {
		err = syscall.EROFS
	}
	return err
}

// xattrError is the answer for a node that is gone: one that was removed here and is not open any
// more has no attributes left, others are stale.
func (f *FS) xattrError(ino cache.Ino, err error) error {
	if errors.Is(err, cache.ErrNotExist) {
		if _, ok := f.remembered(f.inner(ino)); ok {
			return cache.ErrNoXattr
		}
	}
	return stale(err)
}
