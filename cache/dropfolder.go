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
	d := dropper{top: c.Node.Ino, inside: map[graph.ItemID]bool{}}
	elsewhere, err := i.went(c.Incoming.ID, inos, d.inside)
	if err != nil {
		return err
	}
	if err := i.askAfter(elsewhere); err != nil {
		return err
	}
	if err := i.forgetBelow(d.inside); err != nil {
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

// forgetFolder prepares for a folder that was removed here to be forgotten, since it is gone there with
// all that was in it: nothing in it needs to be deleted any more, and what was moved out of it here may
// be gone too, of which the feed says nothing.
func (i *Inbox) forgetFolder(c Case, r Ruling) error {
	if err := i.s.view(func(x *tx) error {
		return (&applier{x: x, d: i.drive, c: c, r: r}).check()
	}); err != nil {
		return err
	}
	folders := map[graph.ItemID]bool{}
	elsewhere, err := i.went(c.Incoming.ID, nil, folders)
	if err != nil {
		return err
	}
	if err := i.askAfter(elsewhere); err != nil {
		return err
	}
	return i.forgetBelow(folders)
}

// askBelow puts what is known to be in a folder into the inbox as there, to be read by its id. The folder
// was taken for deleted with all that was in it, and lives: it had been moved away just before. The feed says
// nothing of what is in it.
func (i *Inbox) askBelow(folder graph.ItemID) error {
	var items []graph.Item
	if err := i.s.view(func(x *tx) error {
		// What was sent has no place any more, so all are looked at. It is seldom that a folder lives.
		return x.each(drivePrefix(rowGone, i.drive), nil, func(k, v []byte) (bool, error) {
			g, err := decodeGone(v)
			if err != nil || g.Sent.IsZero() || g.Base.Parent != folder {
				return err == nil, err
			}
			item := graph.Item{ID: itemOfKey(k), Parent: folder, Name: g.Base.Name, Type: graph.File, Size: g.Base.Size, Hash: g.Base.Hash}
			if g.Base.Dir {
				item.Type = graph.Folder
			}
			items = append(items, item)
			return true, nil
		})
	}); err != nil {
		return err
	}
	return i.await(items)
}

// dropper drops what is below a folder that is gone there.
type dropper struct {
	top    Ino
	inside map[graph.ItemID]bool // the folders that went, there
}

// stays reports whether a node came into the folder from elsewhere, by itself or with a folder that
// did: its item lives.
func (d dropper) stays(n *Node) bool {
	return n.Ino != d.top && owns(n) && !d.inside[n.Base.Parent]
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
	case diff.New, n.LocalOnly, d.stays(&n):
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
	case diff.New, d.stays(&n):
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

// went adds to folders what was, there, a folder in top or top itself, and returns the items that were
// in there and whose nodes were moved out: not among inos, those below the folder here.
func (i *Inbox) went(top graph.ItemID, inos []Ino, folders map[graph.ItemID]bool) (elsewhere []graph.ItemID, err error) {
	here := make(map[Ino]bool, len(inos))
	for _, ino := range inos {
		here[ino] = true
	}
	err = i.s.view(func(x *tx) error {
		folders[top] = true
		for todo := []graph.ItemID{top}; len(todo) > 0; {
			folder := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			ids, err := x.placesIn(i.drive, folder)
			if err != nil {
				return err
			}
			for _, id := range ids {
				n, err := x.owner(i.drive, id)
				if err != nil {
					return err
				}
				dir := n != nil && n.Dir
				if n == nil {
					g, err := x.gone(i.drive, id)
					if err != nil {
						return err
					}
					dir = g != nil && g.Base.Dir
				} else if diff, err := x.diff(n); err != nil {
					return err
				} else if diff.Place && !here[n.Ino] {
					elsewhere = append(elsewhere, id)
				}
				if dir && !folders[id] {
					folders[id] = true
					todo = append(todo, id)
				}
			}
		}
		return nil
	})
	return elsewhere, err
}

// askAfter puts items into the inbox as deleted of which the feed may say nothing: their folder went,
// and here they had been moved out of it. They are read by their ids before anything is ruled.
func (i *Inbox) askAfter(items []graph.ItemID) error {
	deleted := make([]graph.Item, len(items))
	for at, id := range items {
		deleted[at] = graph.Item{ID: id, Deleted: true}
	}
	return i.await(deleted)
}

// await puts items into the inbox of which nothing waits there yet.
func (i *Inbox) await(items []graph.Item) error {
	for part := range slices.Chunk(items, partRows) {
		if err := i.s.update(grows, func(x *tx) error {
			for _, item := range part {
				key := itemKey(rowInbox, i.drive, item.ID)
				if waits, err := x.has(key); err != nil || waits {
					if err != nil {
						return err
					}
					continue
				}
				if err := x.set(key, encodeItem(&item)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// forgetBelow forgets the pending deletions of what was in folders that are gone there.
func (i *Inbox) forgetBelow(folders map[graph.ItemID]bool) error {
	for folder := range folders {
		for more := true; more; {
			if err := i.s.update(shrinks, func(x *tx) error {
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
