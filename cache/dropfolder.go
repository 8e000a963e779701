package cache

import (
	"errors"
	"slices"

	"github.com/duskfs/duskfs/graph"
)

// dropFolder removes a folder that is gone there. The clean rest below it goes; unsent work stays,
// and with it the folders that it is in, all as new items. It works in parts, each leaving a tree
// that is whole; the item stays in the inbox to the end, so that a crash only delays the rest.
func (i *Inbox) dropFolder(c Case, r Ruling) error {
	if c.Node.Parent == 0 {
		return errRuling
	}
	var path string
	// The check is against what was ruled on, so it comes first and alone.
	if err := i.s.update(shrinks, func(x *tx) (err error) {
		if err := (&applier{x: x, d: i.drive, c: c, r: r}).check(); err != nil {
			return err
		}
		path, err = x.path(c.Node.Ino)
		return err
	}); err != nil {
		return err
	}
	inos, err := i.s.below(c.Node.Ino)
	if err != nil {
		return err
	}
	d := dropper{top: c.Node.Ino, inside: map[graph.ItemID]bool{c.Incoming.ID: true}}
	if err := i.s.view(func(x *tx) error {
		for _, ino := range inos {
			n, err := x.node(ino)
			if err == nil && n.Dir && owns(&n) {
				d.inside[n.Base.Item] = true
			}
			if err != nil && !errors.Is(err, ErrNotExist) {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := i.forgetBelow(c.Incoming.ID, d.inside); err != nil {
		return err
	}
	slices.Reverse(inos) // what is deep first
	inos = append(inos, c.Node.Ino)
	for part := range slices.Chunk(inos, partRows/2) {
		if err := i.s.updateAsking(shrinks, func(x *tx) error {
			for _, ino := range part {
				if err := d.drop(x, ino); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return i.s.update(shrinks, func(x *tx) error {
		a := applier{x: x, d: i.drive, c: c, r: r}
		ino := c.Node.Ino
		if _, err := x.path(ino); errors.Is(err, ErrNotExist) {
			ino = 0
		} else if err != nil {
			return err
		}
		if err := a.report(ino, path); err != nil {
			return err
		}
		return x.del(itemKey(rowInbox, i.drive, c.Incoming.ID))
	})
}

// dropper drops what is below a folder that is gone there.
type dropper struct {
	top    Ino
	inside map[graph.ItemID]bool // the folders that went
}

// stays reports whether a node was moved into the folder from elsewhere: its item lives.
func (d dropper) stays(n *Node, diff Diff) bool {
	return n.Ino != d.top && diff.Place && !d.inside[n.Base.Parent]
}

// drop drops one node, after all that is below it, or makes it new.
func (d dropper) drop(x *tx, ino Ino) error {
	n, err := x.node(ino)
	if errors.Is(err, ErrNotExist) || err == nil && !placed(&n) {
		return nil
	}
	if err != nil {
		return err
	}
	if n.Dir {
		return d.dropDir(x, n)
	}
	diff, err := x.diff(&n)
	if err != nil {
		return err
	}
	switch {
	case n.LocalOnly && x.s.held[ino] == 0:
	case diff.New, n.LocalOnly, d.stays(&n, diff):
		return nil
	case n.Written || x.s.held[ino] > 0:
		if ok, err := x.isWhole(&n); err != nil {
			return err
		} else if ok {
			_, err := x.disown(n)
			return err
		}
	}
	x.event(Event{Ino: n.Ino, Parent: n.Parent, Name: n.Name})
	_, err = x.remove(n, false)
	return err
}

func (d dropper) dropDir(x *tx, n Node) error {
	empty, err := x.empty(n.Ino)
	if err != nil {
		return err
	}
	diff, err := x.diff(&n)
	if err != nil {
		return err
	}
	switch {
	case diff.New, d.stays(&n, diff):
		return nil
	case !empty && !owns(&n):
		return nil
	case !empty:
		n.Listing = Followed
		n, err = x.disown(n)
		x.event(Event{Ino: n.Ino})
		return err
	}
	x.event(Event{Ino: n.Ino, Parent: n.Parent, Name: n.Name})
	_, err = x.remove(n, false)
	return err
}

// forgetBelow forgets the pending deletions of what was in a folder that is gone there, and in the
// folders that went with it.
func (i *Inbox) forgetBelow(top graph.ItemID, inside map[graph.ItemID]bool) error {
	for folder := range inside {
		for more := true; more; {
			if err := i.s.update(shrinks, func(x *tx) error {
				more = false
				if folder != top { // moved in from elsewhere, it lives
					n, err := x.owner(i.drive, folder)
					if err != nil || n == nil || !inside[n.Base.Parent] {
						return err
					}
				}
				ids, err := x.pendingBelow(i.drive, folder, partRows)
				if err != nil {
					return err
				}
				for _, id := range ids {
					if err := x.setGone(i.drive, id, nil); err != nil {
						return err
					}
				}
				more = len(ids) == partRows
				return nil
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
