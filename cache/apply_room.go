package cache

import (
	"fmt"

	"github.com/duskfs/duskfs/graph/name"
)

// Room for what comes in: who has its name goes elsewhere.

// makeRoom frees the name that the incoming item claims, as ruled.
// An item that is to be shown as a twin is called so from here on.
func (a *applier) makeRoom() error {
	h := a.c.Holder
	switch {
	case h == nil:
		return nil
	case a.r.Holder == Beside || a.r.Holder == Yield:
		home, err := a.x.atItsName(h)
		if err != nil {
			return err
		}
		if !home {
			return errRuling
		}
		if a.r.Holder == Yield {
			_, err = a.x.twin(*h)
			return err
		}
		a.c.Incoming.Name, err = a.x.twinName(a.c.Parent.Ino, name.Plain(a.c.Incoming.Name))
		return err
	case a.r.Holder == Park && owns(h) && h.Name == h.Base.Name && !a.c.HolderDiff.Place:
		_, err := a.x.park(*h)
		return err
	case a.r.Holder == Aside || a.r.Holder == Park:
		_, err := a.x.aside(*h)
		return err
	}
	return errRuling
}

// park gives a node a temporary name, in its base as well: it is no rename of ours, and its own
// item, which waits in the inbox, moves it on.
func (x *tx) park(n Node) (Node, error) {
	was, base := n, *n.Base
	n.Name, n.parked = name.Temporary(string(base.Item)), n.Name
	base.Name = n.Name
	n.Base = &base
	if taken, err := x.has(childKey(n.Parent, name.Fold(n.Name))); err != nil || taken {
		if err != nil {
			return n, err
		}
		return x.aside(was)
	}
	x.moved(was, n)
	return x.setNode(n)
}

// unpark gives a parked node a name that people know again: its item does not move it on any more.
// It is not stored yet.
func (x *tx) unpark(n Node) (Node, error) {
	was := n
	n.Name, n.parked = n.parked, ""
	taken, err := x.has(childKey(n.Parent, name.Fold(n.Name)))
	if err == nil && taken {
		n.Name, err = x.conflictName(n.Parent, n.Name)
	}
	if err != nil {
		return was, err
	}
	x.moved(was, n)
	return n, nil
}

// aside renames a node to a conflict copy in its folder.
func (x *tx) aside(n Node) (Node, error) {
	seq, err := x.seq()
	if err != nil {
		return n, err
	}
	was := n
	if n.Name, err = x.conflictName(n.Parent, n.Name); err != nil {
		return n, err
	}
	n.Seq, n.Ctime = seq, x.now
	x.moved(was, n)
	return x.setNode(n)
}

// conflictName returns the next free name for a conflict copy in a folder.
func (x *tx) conflictName(folder Ino, of string) (string, error) {
	of = name.Plain(of)
	for n := 1; n < maxCopies; n++ {
		c := name.Conflict(of, x.s.o.Host, x.s.o.Now(), n)
		if taken, err := x.has(childKey(folder, name.Fold(c))); err != nil || !taken {
			return c, err
		}
	}
	return "", fmt.Errorf("%q: %w: too many conflict copies", of, ErrExist)
}

const maxCopies = 10_000
