package cache

import (
	"fmt"
	"time"

	"github.com/duskfs/duskfs/graph/name"
)

// Moves that the remote does not take are undone.

// undo puts Node back to where the remote has it. If that is inside Node itself, what is on the way
// was moved there here, and goes back first.
func (a applier) undo() error {
	x := a.x
	if a.c.Node.Parent == 0 {
		return errRuling
	}
	if a.c.Parent == nil { // removed here, and comes back for it
		parent, err := a.chain()
		if err != nil {
			return err
		}
		if parent == nil {
			return errRuling
		}
		a.c.Parent = parent
	}
	for range maxDepth {
		in, err := x.inside(a.c.Parent.Ino, a.c.Node.Ino)
		if err != nil {
			return err
		}
		if !in {
			break
		}
		if err := a.backOut(); err != nil {
			return err
		}
	}
	n, err := x.node(a.c.Node.Ino)
	if err != nil {
		return err
	}
	if h, err := x.childByKey(a.c.Parent.Ino, name.Fold(a.c.Incoming.Name)); err != nil {
		return err
	} else if h != nil && h.Ino != n.Ino {
		if _, err := x.aside(*h); err != nil {
			return err
		}
	}
	a.r.Place, a.r.ModTime = true, false
	if err := a.adoptBase(n); err != nil {
		return err
	}
	return a.report(n.Ino, "")
}

// backOut returns the lowest folder between the incoming item's folder and Node that was moved here
// to the place that its base has. If none of those that were moved has such a place, since the folder
// was removed here or is inside of it by now, the lowest goes beside Node: out of the way, and still
// moved here.
func (a applier) backOut() error {
	x := a.x
	at, err := x.node(a.c.Parent.Ino)
	if err != nil {
		return err
	}
	var homeless *Node
	for at.Ino != a.c.Node.Ino {
		d, err := x.diff(&at)
		if err != nil {
			return err
		}
		if homeless == nil && (d.Place || d.New) {
			n := at
			homeless = &n
		}
		if owns(&at) && d.Place {
			home, err := x.owner(a.d, at.Base.Parent)
			if err != nil {
				return err
			}
			if home != nil && home.Dir {
				if in, err := x.inside(home.Ino, at.Ino); err != nil {
					return err
				} else if !in {
					return a.sendTo(at, home.Ino, at.Base.Name)
				}
			}
		}
		if at, err = x.node(at.Parent); err != nil {
			return err
		}
	}
	if homeless == nil {
		return fmt.Errorf("%w: nothing on the way to item %s was moved here", ErrStale, a.c.Incoming.ID)
	}
	return a.sendTo(*homeless, a.c.Node.Parent, homeless.Name)
}

// sendTo puts a folder into another, under a conflict copy's name if its own is taken.
func (a applier) sendTo(n Node, folder Ino, child string) error {
	x := a.x
	seq, err := x.seq()
	if err != nil {
		return err
	}
	was := n
	n.Parent, n.Name, n.Seq, n.Ctime, n.left = folder, child, seq, x.now, time.Time{}
	if h, err := x.childByKey(folder, name.Fold(n.Name)); err != nil {
		return err
	} else if h != nil && h.Ino != n.Ino {
		if n.Name, err = x.conflictName(folder, n.Name); err != nil {
			return err
		}
	}
	x.moved(was, n)
	_, err = x.setNode(n)
	return err
}
