package cache

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Tree is the file system's door: the nodes of all drives of the store. No call waits for the
// network. Changes are in the store's log when a call returns (they survive kill -9); Sync makes
// them survive a power cut.
type Tree struct{ s *Store }

// Get returns a node, also a removed one that is still held. ErrNotExist otherwise.
func (t *Tree) Get(ino Ino) (n Node, err error) {
	err = t.s.view(func(x *tx) error {
		n, err = x.node(ino)
		return err
	})
	return n, err
}

// Lookup finds a child by name: exactly as spelled, or in any letter case if the store is case
// blind. ErrNotExist, ErrNotFolder, ErrUnlisted.
func (t *Tree) Lookup(parent Ino, child string) (n Node, err error) {
	err = t.s.view(func(x *tx) error {
		p, err := x.folder(parent)
		if err != nil {
			return err
		}
		n, err = x.lookup(p, child)
		return err
	})
	return n, err
}

// lookup finds a child by name. One that is known is found in an unlisted folder too.
func (x *tx) lookup(p Node, child string) (Node, error) {
	n, err := x.childByKey(p.Ino, name.Fold(child))
	switch {
	case err != nil:
		return Node{}, err
	case n != nil && (n.Name == child || x.s.o.CaseBlind):
		return *n, nil
	case n == nil && p.Listing == Unlisted:
		return Node{}, ErrUnlisted
	}
	return Node{}, ErrNotExist
}

// List returns up to max children with an ino greater than after, in ino order. Fewer than max
// means the end. ErrNotFolder, ErrUnlisted, ErrNotExist.
func (t *Tree) List(parent, after Ino, max int) (list []Node, err error) {
	err = t.s.view(func(x *tx) error {
		p, err := x.folder(parent)
		if err != nil {
			return err
		}
		if p.Listing == Unlisted {
			return ErrUnlisted
		}
		keys, err := x.keys(orderPrefix(parent), orderKey(parent, after+1), max)
		if err != nil {
			return err
		}
		inos := make([]Ino, len(keys))
		for i, k := range keys {
			inos[i] = inoOfKey(k)
		}
		if list, err = x.nodesOf(inos); err != nil {
			return fmt.Errorf("list folder %d: %w", parent, err)
		}
		return nil
	})
	return list, err
}

// Path returns the path of a node from the root of its drive, "/" for the root itself.
func (t *Tree) Path(ino Ino) (path string, err error) {
	err = t.s.view(func(x *tx) error {
		path, err = x.path(ino)
		return err
	})
	return path, err
}

// Resolve walks a slash-separated path from a node, as Lookup compares names.
func (t *Tree) Resolve(from Ino, path string) (n Node, err error) {
	err = t.s.view(func(x *tx) error {
		if n, err = x.node(from); err != nil {
			return err
		}
		for part := range strings.SplitSeq(path, "/") {
			if part == "" {
				continue
			}
			p, err := x.folder(n.Ino)
			if err != nil {
				return err
			}
			if n, err = x.lookup(p, part); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// New describes a node to create.
type New struct {
	Dir      bool
	Mode     uint32
	UID, GID uint32
}

// Create makes a file or a folder. A file that takes the place of one vacated less than a minute
// ago takes over its base (DESIGN: heirs); so does a folder. Files start Written and empty: the
// caller makes the body. ErrExist also for a name that differs only in letter case or Unicode
// form; ErrName, ErrNameTooLong, ErrPathTooLong, ErrNotFolder, ErrUnlisted, ErrNoSpace, ErrNotExist.
func (t *Tree) Create(parent Ino, child string, n New) (made Node, err error) {
	err = t.s.updateAsking(grows, func(x *tx) error {
		p, err := x.folder(parent)
		if err != nil {
			return err
		}
		if p.Listing == Unlisted {
			return ErrUnlisted
		}
		local := p.LocalOnly || t.s.o.LocalOnly.Match(child)
		if err := x.fits(p, child, local); err != nil {
			return err
		}
		if taken, err := x.childByKey(parent, name.Fold(child)); err != nil {
			return err
		} else if taken != nil {
			return exists(taken, child)
		}
		ino, err := x.newIno()
		if err != nil {
			return err
		}
		seq, err := x.seq()
		if err != nil {
			return err
		}
		made = Node{
			Ino: ino, Drive: p.Drive, Parent: parent, Name: child, Dir: n.Dir,
			Mode: n.Mode & modeBits, UID: n.UID, GID: n.GID,
			Atime: x.now, Ctime: x.now, Mtime: x.now, LocalOnly: local, Seq: seq,
		}
		if n.Dir {
			made.Listing = Followed // the remote has nothing to add
		} else {
			made.Written, made.Marked = true, seq
		}
		if made, err = x.addNode(made); err != nil {
			return err
		}
		if made, err = x.inherit(made); err != nil {
			return err
		}
		if err := x.mayBeCalled(&made); err != nil {
			return err
		}
		return x.touch(parent)
	})
	return made, err
}

// exists says that a name is taken, and by what if that is called otherwise.
func exists(taken *Node, child string) error {
	if taken.Name == child {
		return ErrExist
	}
	return fmt.Errorf("%q: %w: %q", child, ErrTwin, taken.Name)
}

const modeBits = 0o7777

// fits reports whether a name may be given to a child of p.
func (x *tx) fits(p Node, child string, local bool) error {
	if !name.Safe(child) && (child == "" || child == "." || child == ".." || strings.ContainsAny(child, "/\x00")) {
		return fmt.Errorf("%w: %q", ErrName, child)
	}
	if len(child) > maxNameBytes {
		return fmt.Errorf("%.40q…: %w", child, ErrNameTooLong)
	}
	if local {
		return nil
	}
	switch err := name.Check(name.Remote(child)); {
	case errors.Is(err, name.TooLong):
		return fmt.Errorf("%.40q…: %w", child, ErrNameTooLong)
	case err != nil:
		return fmt.Errorf("%q: %w: %w", child, ErrName, err)
	}
	path, err := x.path(p.Ino)
	if err != nil {
		return err
	}
	if name.PathTooLong(x.drive(p.Drive).Drive.WebURL, strings.TrimSuffix(path, "/")+"/"+child) {
		return ErrPathTooLong
	}
	return nil
}

// maxNameBytes is more than a legal name of 255 UTF-16 units can have.
const maxNameBytes = 3 * 255

// touch moves the times of a folder whose content changed.
func (x *tx) touch(folder Ino) error {
	p, err := x.node(folder)
	if err != nil {
		return err
	}
	p.Mtime, p.Ctime = x.now, x.now
	_, err = x.setNode(p)
	return err
}

// RenameFlags restrict or change what Rename does.
type RenameFlags uint

const (
	// NoReplace fails with ErrExist if the new name is taken.
	NoReplace RenameFlags = 1 << iota
	// Exchange swaps two nodes.
	Exchange
)

// Renamed says what a Rename did.
type Renamed struct {
	Moved Node
	// Replaced is the node that lost its name to Moved, or the partner of an Exchange; nil if none.
	// The caller drops its body when nothing holds it.
	Replaced *Node
}

// Rename moves a node, replacing what has the new name: a file by a file, an empty folder by a
// folder. A file without base that replaces one takes over its base at once. ErrOtherDrive,
// ErrInside, ErrNotEmpty, ErrIsFolder, ErrNotFolder, ErrRoot and those of Create. A case-only
// rename of the same node is allowed.
func (t *Tree) Rename(oldParent Ino, oldName string, newParent Ino, newName string, f RenameFlags) (out Renamed, err error) {
	err = t.s.updateAsking(grows, func(x *tx) error {
		r := rename{x: x, flags: f, name: newName}
		if out, err = r.do(oldParent, oldName, newParent); err != nil {
			return err
		}
		return nil
	})
	return out, err
}

// Remove takes a node out of the tree: a file, or with dir an empty folder. What has a base
// becomes a pending deletion. The node stays readable by its ino while it is held; after that its
// row and its body are dropped by the store.
func (t *Tree) Remove(parent Ino, child string, dir bool) (n Node, err error) {
	err = t.s.updateAsking(shrinks, func(x *tx) error {
		p, err := x.folder(parent)
		if err != nil {
			return err
		}
		if n, err = x.lookup(p, child); err != nil {
			return err
		}
		switch {
		case dir && !n.Dir:
			return ErrNotFolder
		case !dir && n.Dir:
			return ErrIsFolder
		}
		if err := x.vacant(&n); err != nil {
			return err
		}
		if n, err = x.remove(n, true); err != nil {
			return err
		}
		return x.touch(parent)
	})
	return n, err
}

// vacant reports whether a folder is known to be empty; a file is.
func (x *tx) vacant(n *Node) error {
	if !n.Dir {
		return nil
	}
	if n.Listing == Unlisted {
		return ErrUnlisted
	}
	empty, err := x.empty(n.Ino)
	if err == nil && !empty {
		err = ErrNotEmpty
	}
	return err
}

// remove takes a node out of the tree. Its item, with pending, becomes a pending deletion. What
// nobody holds is erased, its body once S is let go. It returns the node as it is then.
func (x *tx) remove(n Node, pending bool) (Node, error) {
	path, err := x.path(n.Ino)
	if err != nil {
		return n, err
	}
	was := n
	n.Removed, n.Parent, n.Ctime = true, 0, x.now
	if !n.Dir {
		if err := x.set(dropKey(n.Ino), nil); err != nil {
			return n, err
		}
	}
	if x.s.held[n.Ino] > 0 {
		// The row of x/ makes the next start erase the node if no Unhold does.
		if n.Dir {
			if err := x.set(dropKey(n.Ino), nil); err != nil {
				return n, err
			}
		}
		if n, err = x.setNode(n); err != nil {
			return n, err
		}
	} else {
		if err := x.dropNode(was); err != nil {
			return n, err
		}
		n.Since, n.Deferred = time.Time{}, nil
		if !n.Dir {
			x.drops = append(x.drops, n.Ino)
		}
	}
	switch {
	case owns(&was) && pending:
		return n, x.bury(&was, path)
	case was.LocalOnly && was.Base != nil:
		return n, x.vacated(was.Drive, was.Base) // with it went the last bytes of a pending deletion
	}
	return n, nil
}

// Mark says that the bytes of a file are about to change, before the first one does. It returns
// the sequence for content.File.Unseal. Call it whenever a write meets a sealed body.
func (t *Tree) Mark(ino Ino) (seq Seq, err error) {
	err = t.s.update(grows, func(x *tx) error {
		n, err := x.node(ino)
		if err != nil {
			return err
		}
		if n.Dir {
			return ErrIsFolder
		}
		if seq, err = x.seq(); err != nil {
			return err
		}
		n.Written, n.Seq, n.Marked = true, seq, seq
		n.Mtime, n.Ctime = x.now, x.now
		_, err = x.setNode(n)
		return err
	})
	return seq, err
}

// Emptied says that a program asked for a file to have no bytes. Of a file that the remote has, that is
// remembered until it is sent: one that is empty without it may be an accident.
func (t *Tree) Emptied(ino Ino) error {
	return t.s.update(grows, func(x *tx) error {
		n, err := x.node(ino)
		if err != nil || n.Dir || !n.Written || n.Base == nil || n.Emptied {
			return err
		}
		n.Emptied = true
		_, err = x.setNode(n)
		return err
	})
}

// Settle records the size and time that the body of a Written file has. It is no change of its
// own: the sequence stays.
func (t *Tree) Settle(ino Ino, size int64, mtime time.Time) (n Node, err error) {
	mtime = plain(mtime)
	settled := func(n Node) bool {
		return n.Dir || !n.Written || n.Size == size && n.Mtime.Equal(mtime)
	}
	if n, err = t.Get(ino); err != nil || settled(n) {
		return n, err
	}
	err = t.s.update(grows, func(x *tx) error {
		if n, err = x.node(ino); err != nil || settled(n) {
			return err
		}
		n.Size, n.Mtime = size, mtime
		n, err = x.setNode(n)
		return err
	})
	return n, err
}

// Attr is a change of attributes; nil fields stay.
type Attr struct {
	Mode     *uint32
	UID, GID *uint32
	Atime    *time.Time
	Mtime    *time.Time // makes a file dirty
}

// SetAttr changes attributes. Of these only the time of a file is ever sent.
func (t *Tree) SetAttr(ino Ino, a Attr) (n Node, err error) {
	err = t.s.update(grows, func(x *tx) error {
		if n, err = x.node(ino); err != nil {
			return err
		}
		if a.Mode != nil {
			n.Mode = *a.Mode & modeBits
		}
		if a.UID != nil {
			n.UID = *a.UID
		}
		if a.GID != nil {
			n.GID = *a.GID
		}
		if a.Atime != nil {
			n.Atime = plain(*a.Atime)
		}
		if a.Mtime != nil {
			n.Mtime = plain(*a.Mtime)
			if !n.Dir {
				if n.Seq, err = x.seq(); err != nil {
					return err
				}
			}
		}
		n.Ctime = x.now
		n, err = x.setNode(n)
		return err
	})
	return n, err
}

// Hold keeps a node and its body as they are for an open handle: remote bytes wait in the inbox,
// a removed node stays. Each Hold wants one Unhold. ErrNotExist if there is no such node.
func (t *Tree) Hold(ino Ino) (Node, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	n, err := t.Get(ino)
	if err != nil {
		return n, err
	}
	t.s.held[ino]++
	return n, nil
}

// Unhold ends one Hold.
func (t *Tree) Unhold(ino Ino) {
	if !t.s.letGo(ino) {
		return
	}
	err := t.s.update(shrinks, func(x *tx) error {
		n, err := x.node(ino)
		if errors.Is(err, ErrNotExist) || err == nil && (!n.Removed || t.s.held[ino] > 0) {
			return nil
		}
		if err != nil {
			return err
		}
		x.drops = append(x.drops, ino)
		return x.dropNode(n)
	})
	if err != nil {
		t.s.log.Warn("a removed node could not be erased yet", "ino", ino, "err", err)
	}
}

// letGo ends one hold and reports whether a removed node must be erased now.
func (s *Store) letGo(ino Ino) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[ino] > 1 {
		s.held[ino]--
		return false
	}
	delete(s.held, ino)
	if s.closed {
		return false
	}
	n, err := s.Tree().Get(ino)
	return err == nil && n.Removed
}

// Held reports how many handles hold a node.
func (t *Tree) Held(ino Ino) int {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.s.held[ino]
}

// Readers lists the removed files of a drive that are held open and have bytes of an item: what
// replaces the item takes these bytes away.
func (t *Tree) Readers(d DriveNum, item graph.ItemID) (list []Node, err error) {
	err = t.s.view(func(x *tx) error {
		for _, ino := range x.heldInos() {
			n, err := x.node(ino)
			if errors.Is(err, ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if n.Drive == d && n.Removed && !n.Written && n.Base != nil && n.Base.Item == item {
				list = append(list, n)
			}
		}
		return nil
	})
	return list, err
}

// Event tells of a change that did not come through this door, for the kernel's caches.
type Event struct {
	Ino Ino // node whose attributes or bytes changed, 0 if none
	// Bytes: the content changed too, not only the attributes.
	Bytes bool
	// Parent and Name: a name that appeared, went or now means another node. Parent 0 if none.
	Parent Ino
	Name   string
}

// Watch calls fn after every change made through an Inbox or Outbox, in commit order, with no
// lock held and never after cancel has returned. fn must not block for long.
func (t *Tree) Watch(fn func(Event)) (cancel func()) { return t.s.events.watch(fn) }
