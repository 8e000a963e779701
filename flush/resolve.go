package flush

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph/name"
)

// Errors of Resolve.
var (
	// ErrNoConflict: nothing at the path waits for a decision.
	ErrNoConflict = errors.New("no conflict waits for a decision there")
	// ErrOpen: a program has the file open.
	ErrOpen = errors.New("a program has the file open")
)

// Resolve ends a conflict. The path is that of our version, or of the file that could not be sent.
//
//   - KeepBoth keeps both files and tells no more of it. Of what could not be sent it makes a conflict copy.
//   - Mine puts our bytes in the place of theirs, which stay among the versions of that file. What could not be sent
//     cannot be forced.
//   - Theirs gives our version up: it goes to the local trash, or if it was sent already to the recycle bin.
//
// It fails with ErrNoConflict, and with ErrOpen for what a program has open.
func (e *Engine) Resolve(ctx context.Context, p Path, with cache.Policy) error {
	k, at, err := e.one(p)
	if err != nil {
		return err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	list, err := k.conflicts()
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Path == at || c.Other == at && c.Other != "" {
			return k.inTurn(ctx, func() error { return k.resolve(ctx, c, with) })
		}
	}
	// What is refused now need not have been so for days.
	if n, err := e.o.Store.Tree().Resolve(k.root(), at); err == nil && n.Deferred != nil {
		c := Conflict{Drive: p.Drive, Kind: "stuck", Path: at, report: cache.Report{Ino: n.Ino}}
		return k.inTurn(ctx, func() error { return k.resolve(ctx, c, with) })
	}
	return fmt.Errorf("%s: %w", at, ErrNoConflict)
}

// root is the node of the drive's root folder, 0 if the store has lost it.
func (k *keeper) root() cache.Ino {
	info, err := k.o.Store.Drive(k.d.Num)
	if err != nil {
		return 0
	}
	return info.Root
}

func (k *keeper) resolve(ctx context.Context, c Conflict, with cache.Policy) error {
	t := k.o.Store.Tree()
	n, err := t.Get(c.report.Ino)
	if err != nil {
		return err
	}
	// Of what was overwritten the copy is theirs.
	ours := c.Kind != "overwritten"
	switch {
	case with == cache.KeepBoth && c.Kind == "stuck":
		err = k.copyAside(ctx, n)
	case with == cache.KeepBoth:
	case c.Kind == "stuck" && with == cache.Mine:
		return fmt.Errorf("%s: the service refuses it, and every flush tries again; keep both, or theirs", c.Path)
	case c.Kind == "stuck":
		d := discarder{keeper: k, inbox: k.o.Store.Inbox(k.d.Num)}
		out := Discarded{Change: plan.Change{Kind: plan.Modified, Ino: n.Ino, Path: c.Path}}
		if n.Base == nil {
			out.Change.Kind = plan.New
		} else {
			out.Change.Item = n.Base.Item
		}
		if err = d.discard(ctx, &out); err == nil && out.Refused != "" {
			err = fmt.Errorf("%s: %w", c.Path, ErrOpen)
		}
	case (with == cache.Mine) == ours:
		err = k.replace(ctx, c, n)
	default:
		d := discarder{keeper: k}
		var out Discarded
		if err = d.drop(n.Ino, &out); err == nil && out.Refused != "" {
			err = fmt.Errorf("%s: %w", c.Path, ErrOpen)
		}
	}
	if err != nil {
		return err
	}
	return k.reports.Settle(c.report.Seq)
}

// copyAside makes of a change that the service refuses a conflict copy beside the remote's version.
func (k *keeper) copyAside(ctx context.Context, n cache.Node) error {
	if n.Base == nil || n.Dir || !n.Written {
		return fmt.Errorf("%s: only of a file that the remote has and that was changed here there can be a copy", n.Name)
	}
	item, err := k.d.Service.Item(ctx, n.Base.Item)
	if err != nil {
		return err
	}
	inbox := k.o.Store.Inbox(k.d.Num)
	c, err := inbox.Case(item, true)
	if err != nil {
		return err
	}
	r := cache.Ruling{Verb: cache.Split, Report: "conflict"}
	if c.Holder != nil {
		r.Holder = cache.Aside
	}
	if c.Parent == nil && (len(c.Above) == 0 || c.Orphan) {
		return fmt.Errorf("%s: its folder is not known here; refresh first", n.Name)
	}
	return inbox.Apply(c, r)
}

// replace puts the bytes of a copy into the file that has the name, and removes the copy. The file
// keeps its item with all that hangs on it; the bytes that it had are one of its versions.
func (k *keeper) replace(ctx context.Context, c Conflict, n cache.Node) error {
	t := k.o.Store.Tree()
	if c.Other == "" || n.Dir {
		return fmt.Errorf("%s: the other version is gone; rename this one as you like", c.Path)
	}
	o, err := t.Get(c.report.Other)
	if err != nil {
		return err
	}
	if o.Dir {
		return fmt.Errorf("%s: a folder has the name; rename or move one of the two", c.Other)
	}
	if t.Held(n.Ino)+t.Held(o.Ino) > 0 {
		return fmt.Errorf("%s: %w", c.Path, ErrOpen)
	}
	if !k.home(o) {
		return fmt.Errorf("%s: it was renamed or moved here, which is not sent yet; flush first", c.Other)
	}
	if n.Base == nil {
		// Never sent: by a rename over the other it takes that one's item over (heirs).
		if o, err = k.spare(o); err != nil {
			return err
		}
		_, err := t.Rename(n.Parent, n.Name, o.Parent, o.Name, 0)
		return err
	}
	if err := k.pusher.Complete(ctx, n); err != nil {
		return err
	}
	if err := k.pour(n, o); err != nil {
		return err
	}
	_, err = t.Remove(n.Parent, n.Name, false)
	return err
}

// home reports whether a file is where its item is, so that one that is renamed over it takes the item over.
func (k *keeper) home(n cache.Node) bool {
	if n.Base == nil {
		return true
	}
	folder, err := k.o.Store.Tree().Get(n.Parent)
	return err == nil && folder.Base != nil && folder.Base.Item == n.Base.Parent && name.Same(n.Name, n.Base.Name)
}

// spare puts the local work of a file that is about to be replaced into the local trash: its bytes
// exist only here. It fails with ErrOpen if somebody comes in between.
func (k *keeper) spare(n cache.Node) (cache.Node, error) {
	if n.Written {
		if _, err := k.o.Store.Trash(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
	return k.still(n)
}

// still returns a file that nobody has written or opened since it was read, and fails with ErrOpen for another.
func (k *keeper) still(n cache.Node) (cache.Node, error) {
	t := k.o.Store.Tree()
	now, err := t.Get(n.Ino)
	if err == nil && (now.Seq != n.Seq || t.Held(n.Ino) > 0) {
		err = fmt.Errorf("%s: %w", n.Name, ErrOpen)
	}
	return now, err
}

// pour makes the bytes of one file those of another, of which the item stays: they go into a new file, which then takes
// the other's name and item (heirs). Until then both are as they were. The new file has a name that is never sent, as a
// kill may leave it half full.
func (k *keeper) pour(from, into cache.Node) error {
	t := k.o.Store.Tree()
	in, err := k.read(from)
	if err != nil {
		return err
	}
	defer in.Close()
	called := fmt.Sprintf(".goutputstream-duskfs-keep-mine-%d", from.Ino)
	if left, err := t.Resolve(into.Parent, called); err == nil {
		d, out := discarder{keeper: k}, Discarded{}
		if err = d.drop(left.Ino, &out); err == nil && out.Refused != "" {
			err = fmt.Errorf("%s: %w", called, ErrOpen)
		}
		if err != nil {
			return err
		}
	}
	made, err := t.Create(into.Parent, called, cache.New{Mode: into.Mode, UID: into.UID, GID: into.GID})
	if err != nil {
		return err
	}
	err = k.fill(made, io.NewSectionReader(in, 0, in.Size()), from.Mtime)
	if err == nil {
		err = k.dress(made.Ino, into.Ino)
	}
	if err == nil {
		_, err = k.still(from)
	}
	if err == nil {
		into, err = k.spare(into)
	}
	if err == nil {
		_, err = t.Rename(made.Parent, made.Name, into.Parent, into.Name, 0)
	}
	if err != nil {
		_, rerr := t.Remove(made.Parent, made.Name, false)
		return errors.Join(err, rerr)
	}
	if in.Size() == 0 {
		return t.Emptied(made.Ino) // it is wanted so
	}
	return nil
}

// read opens the bytes of a file, which are here.
func (k *keeper) read(n cache.Node) (*content.File, error) {
	if n.Written {
		return k.o.Store.Content().Local(uint64(n.Ino))
	}
	return k.o.Store.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
}

// dress gives a file the extended attributes of another.
func (k *keeper) dress(ino, as cache.Ino) error {
	t := k.o.Store.Tree()
	names, err := t.Xattrs(as)
	for _, called := range names {
		var value []byte
		if value, err = t.Xattr(as, called); err == nil {
			err = t.SetXattr(ino, called, value, 0)
		}
		if err != nil {
			break
		}
	}
	return err
}
