package fs

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/duskfs/duskfs/cache"
)

// Entry is one name in a folder.
type Entry struct {
	Name string
	Ino  cache.Ino
	Dir  bool
	// Next is the cookie from which ReadDir goes on after this entry.
	Next uint64
	// Attr are the attributes, but not of "." and "..".
	Attr Attr
}

// Cookies of a folder: 0 begins, 1 is after ".", 2 after "..", and ino + firstCookie after a child.
const firstCookie = 2

// Lookup finds a name in a folder. ENOENT if it is not there, ESTALE if the folder is gone.
func (f *FS) Lookup(ctx context.Context, parent cache.Ino, name string) (Attr, error) {
	if s := f.shelves[parent]; s != nil {
		return f.lookupShelf(s, name)
	}
	parent = f.inner(parent)
	before := f.records.Load()
	n, err := f.lookup(ctx, parent, name)
	if err != nil {
		if errors.Is(err, cache.ErrNotExist) {
			if len(name) > maxName {
				return Attr{}, cache.ErrNameTooLong
			}
			if _, _, gone := f.get(parent); gone != nil {
				return Attr{}, gone
			}
		}
		return Attr{}, err
	}
	return f.describe(n, before), nil
}

// maxName is the longest name that can be given here, in bytes. What the remote holds under a longer
// one, of characters that take several bytes, is found all the same.
const maxName = 255

// describe returns the attributes of a node that was read from the tree after records had the value
// before. If its last handle went meanwhile, the row was read too early and is read again.
func (f *FS) describe(n cache.Node, before uint64) Attr {
	b := f.borrow(n.Ino)
	if b != nil {
		defer f.release(b)
	} else if n.Written && f.records.Load() != before {
		if again, err := f.tree.Get(n.Ino); err == nil {
			n = again
		}
	}
	return f.attr(n, b)
}

func (f *FS) lookup(ctx context.Context, parent cache.Ino, name string) (n cache.Node, err error) {
	err = f.listed(ctx, func() error {
		n, err = f.tree.Lookup(parent, name)
		return err
	}, parent)
	return n, err
}

// ReadDir returns up to max entries of a folder after a cookie, 0 to begin; fewer than max, or
// none, is the end. There is no handle: nothing is skipped or repeated while other entries come
// and go.
func (f *FS) ReadDir(ctx context.Context, dir cache.Ino, cookie uint64, max int) ([]Entry, error) {
	if s := f.shelves[dir]; s != nil {
		return f.readShelf(s, cookie, max)
	}
	dir = f.inner(dir)
	n, _, err := f.get(dir)
	if err != nil {
		return nil, err
	}
	if !n.Dir {
		return nil, syscall.ENOTDIR
	}
	out := make([]Entry, 0, max)
	parent := f.outer(n.Parent)
	if n.Parent == 0 {
		parent = f.above[dir]
	}
	out = dots(out, cookie, max, f.outer(dir), parent)
	after := cache.Ino(0)
	if cookie > firstCookie {
		after = cache.Ino(cookie - firstCookie)
	}
	if len(out) == max || n.Removed {
		return out, nil
	}
	var nodes []cache.Node
	before := f.records.Load()
	err = f.listed(ctx, func() (err error) {
		nodes, err = f.tree.List(dir, after, max-len(out))
		return err
	}, dir)
	if err != nil {
		return nil, stale(err)
	}
	for _, n := range nodes {
		a := f.describe(n, before)
		out = append(out, Entry{Name: n.Name, Ino: a.Ino, Dir: n.Dir, Next: uint64(n.Ino) + firstCookie, Attr: a})
	}
	return out, nil
}

func dots(out []Entry, cookie uint64, max int, self, parent cache.Ino) []Entry {
	if parent == 0 {
		parent = Root
	}
	if cookie < 1 && len(out) < max {
		out = append(out, Entry{Name: ".", Ino: self, Dir: true, Next: 1})
	}
	if cookie < 2 && len(out) < max {
		out = append(out, Entry{Name: "..", Ino: parent, Dir: true, Next: 2})
	}
	return out
}

// Mkdir makes a folder.
func (f *FS) Mkdir(ctx context.Context, parent cache.Ino, name string, mode uint32, c Caller) (Attr, error) {
	n, err := f.make(ctx, parent, name, cache.New{Dir: true, Mode: mode, UID: c.UID, GID: c.GID})
	if err != nil {
		return Attr{}, err
	}
	return f.attr(n, nil), nil
}

// make creates a node. Below a folder with the setgid bit it gets the folder's group, as Linux does.
func (f *FS) make(ctx context.Context, parent cache.Ino, name string, c cache.New) (cache.Node, error) {
	if len(name) > maxName {
		return cache.Node{}, fmt.Errorf("%.40q…: %w", name, cache.ErrNameTooLong)
	}
	p, _, err := f.folder(parent, true)
	if err != nil {
		return cache.Node{}, err
	}
	c.Mode &= 0o7777
	if p.Mode&syscall.S_ISGID != 0 {
		c.GID = p.GID
		if c.Dir {
			c.Mode |= syscall.S_ISGID
		}
	}
	var n cache.Node
	err = f.listed(ctx, func() error {
		n, err = f.tree.Create(p.Ino, name, c)
		return err
	}, p.Ino)
	return n, err
}

// Unlink removes a file. Handles that are open keep its bytes.
func (f *FS) Unlink(ctx context.Context, parent cache.Ino, name string) error {
	return f.remove(ctx, parent, name, false)
}

// Rmdir removes an empty folder.
func (f *FS) Rmdir(ctx context.Context, parent cache.Ino, name string) error {
	return f.remove(ctx, parent, name, true)
}

func (f *FS) remove(ctx context.Context, parent cache.Ino, name string, dir bool) error {
	p, _, err := f.folder(parent, true)
	if err != nil {
		return err
	}
	return f.listed(ctx, func() error {
		n, err := f.tree.Remove(p.Ino, name, dir)
		if errors.Is(err, cache.ErrNotExist) && len(name) > maxName {
			err = cache.ErrNameTooLong
		}
		if err == nil {
			f.removed(n, nil)
		}
		return err
	}, p.Ino, f.child(p.Ino, name))
}

// child is the ino of a name that is known already, else 0.
func (f *FS) child(parent cache.Ino, name string) cache.Ino {
	n, err := f.tree.Lookup(parent, name)
	if err != nil || !n.Dir {
		return 0
	}
	return n.Ino
}

// Rename moves oldName to newName, replacing what is there. Bytes of a file that replaces another
// are on the disk before its name is: a crash leaves the old file or the new one.
func (f *FS) Rename(ctx context.Context, oldParent cache.Ino, oldName string, newParent cache.Ino, newName string, flags cache.RenameFlags) error {
	if len(newName) > maxName && newName != oldName {
		return cache.ErrNameTooLong
	}
	from, _, err := f.folder(oldParent, true)
	if err != nil {
		return err
	}
	to, _, err := f.folder(newParent, true)
	if err != nil {
		return err
	}
	if from.Drive != to.Drive {
		return syscall.EXDEV
	}
	if flags&cache.NoReplace == 0 {
		if err := f.syncBeforeReplace(from.Ino, oldName, to.Ino, newName); err != nil {
			return err
		}
	}
	var old *body
	if flags == 0 {
		old = f.spare(to.Ino, newName)
	}
	err = f.listed(ctx, func() error {
		done, err := f.tree.Rename(from.Ino, oldName, to.Ino, newName, flags)
		if err == nil && done.Replaced != nil && flags&cache.Exchange == 0 {
			if old != nil && old.ino != done.Replaced.Ino {
				f.release(old)
				old = nil
			}
			f.removed(*done.Replaced, old)
			old = nil
		}
		return err
	}, from.Ino, to.Ino, f.child(to.Ino, newName))
	if old != nil {
		f.release(old)
	}
	return err
}

func (f *FS) syncBeforeReplace(oldParent cache.Ino, oldName string, newParent cache.Ino, newName string) error {
	n, err := f.tree.Lookup(oldParent, oldName)
	if err != nil || n.Dir || !n.Written {
		return nil // Rename says what is wrong
	}
	if old, err := f.tree.Lookup(newParent, newName); err != nil || old.Ino == n.Ino || old.Dir {
		return nil
	}
	b, err := f.acquire(n.Ino)
	if err != nil {
		return err
	}
	defer f.release(b)
	return b.file.Sync()
}

// listing is one call of Remote.List under way.
type listing struct {
	done chan struct{}
	err  error
}

// listed does act, and if that meets a folder whose content is not known yet, lists those of
// folders that are unlisted and does it again.
func (f *FS) listed(ctx context.Context, act func() error, folders ...cache.Ino) error {
	err := act()
	for range 3 {
		if !errors.Is(err, cache.ErrUnlisted) {
			return err
		}
		for _, ino := range folders {
			if ino == 0 {
				continue
			}
			n, getErr := f.tree.Get(ino)
			if getErr != nil || !n.Dir || n.Listing != cache.Unlisted {
				continue
			}
			if err := f.list(ctx, n); err != nil {
				return err
			}
		}
		err = act()
	}
	return err
}

// list reads a folder from the remote. Who asks for the same one at the same time shares the
// answer; who gives up leaves, and the listing goes on for the others.
func (f *FS) list(ctx context.Context, n cache.Node) error {
	d := f.drives[n.Drive]
	if d == nil || d.Remote == nil {
		return errNoRemote
	}
	f.mu.Lock()
	l := f.lists[n.Ino]
	if l == nil {
		if f.stopped {
			f.mu.Unlock()
			return errStopped
		}
		l = &listing{done: make(chan struct{})}
		f.lists[n.Ino] = l
		f.owned.Add(1)
		go f.runListing(context.WithoutCancel(ctx), d, n.Ino, l)
	}
	f.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *FS) runListing(ctx context.Context, d *Drive, ino cache.Ino, l *listing) {
	defer f.owned.Done()
	ctx, done, err := f.waiting(ctx)
	if err == nil {
		err = d.Remote.List(ctx, ino)
		done()
	}
	if err != nil && f.isStopped() {
		err = errStopped
	}
	l.err = err
	f.mu.Lock()
	delete(f.lists, ino)
	f.mu.Unlock()
	close(l.done)
}

// SyncDir makes changes of names safe on this machine.
func (f *FS) SyncDir(ctx context.Context, dir cache.Ino) error { return f.sync() }
