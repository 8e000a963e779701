package cache

import (
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// What is gone there: it goes here too, or comes back.

// drop removes a file that is gone there.
func (a applier) drop() error {
	n := *a.c.Node
	if n.Written || n.Parent == 0 {
		return errRuling
	}
	path, err := a.x.path(n.Ino)
	if err != nil {
		return err
	}
	a.x.event(Event{Ino: n.Ino, Parent: n.Parent, Name: n.Name})
	if _, err := a.x.remove(n, false); err != nil {
		return err
	}
	return a.report(0, path)
}

// revive makes Node a new item.
func (a applier) revive() error {
	n := *a.c.Node
	if n.Parent == 0 {
		return errRuling
	}
	if !n.Dir {
		if ok, err := a.x.isWhole(&n); err != nil {
			return err
		} else if !ok {
			return errRuling
		}
	}
	n, err := a.x.disown(n)
	if err != nil {
		return err
	}
	a.x.event(Event{Ino: n.Ino})
	return a.report(n.Ino, "")
}

// restore forgets the pending deletion and adds the item, with the folders above it.
func (a applier) restore() error {
	x, in := a.x, a.c.Incoming
	if in.Type != graph.File && in.Type != graph.Folder || !name.Safe(in.Name) {
		return errRuling
	}
	if err := x.setGone(a.d, in.ID, nil); err != nil {
		return err
	}
	parent := a.c.Parent
	var stepped *Node // aside
	if parent == nil {
		var err error
		if parent, stepped, err = a.comeBack(); err != nil {
			return err
		}
		if parent == nil {
			return errRuling
		}
	} else if a.c.Holder != nil && a.c.Holder.LocalOnly {
		return nil
	} else if err := a.makeRoom(); err != nil {
		return err
	}
	n, err := x.addRemote(a.d, parent.Ino, newBase(nil, a.c.Incoming, a.at))
	if err != nil {
		return err
	}
	return a.came(n.Ino, stepped)
}

// comeBack is chain for who then puts the incoming item into the folder: one that was there already may
// hold the name, and what has it steps aside.
func (a applier) comeBack() (parent, stepped *Node, err error) {
	if parent, err = a.chain(); err != nil || parent == nil {
		return nil, nil, err
	}
	h, err := a.x.childByKey(parent.Ino, name.Fold(a.c.Incoming.Name))
	if err != nil || h == nil || a.c.Node != nil && h.Ino == a.c.Node.Ino {
		return parent, nil, err
	}
	n, err := a.x.aside(*h)
	return parent, &n, err
}

// came reports what came in as a node, with what stepped aside for it when its folder came back, or nil.
func (a applier) came(theirs Ino, stepped *Node) error {
	if stepped == nil {
		return a.report(theirs, "")
	}
	a.r.Report = "conflict"
	return a.pair(stepped.Ino, theirs)
}

// chain brings the folders in Above back, from the top down, and returns the lowest, nil if there
// is no living folder to begin with.
func (a applier) chain() (*Node, error) {
	x := a.x
	if len(a.c.Above) == 0 || a.c.Orphan {
		return nil, nil
	}
	top := a.c.Above[len(a.c.Above)-1]
	parent, err := x.owner(a.d, top.Base.Parent)
	if err != nil || parent == nil {
		return nil, err
	}
	for i := len(a.c.Above) - 1; i >= 0; i-- {
		g := a.c.Above[i]
		if err := x.setGone(a.d, g.Base.Item, nil); err != nil {
			return nil, err
		}
		base := g.Base
		held, err := x.childByKey(parent.Ino, name.Fold(base.Name))
		if err != nil {
			return nil, err
		}
		if held != nil && held.Dir && held.Base == nil && !held.LocalOnly {
			held.Base = &base // a new folder of that name turns out to be it
			n, err := x.setNode(*held)
			if err != nil {
				return nil, err
			}
			parent = &n
			continue
		}
		if held != nil {
			if _, err := x.aside(*held); err != nil {
				return nil, err
			}
		}
		n, err := x.addRemote(a.d, parent.Ino, &base)
		if err != nil {
			return nil, err
		}
		n.Listing = Listed
		if n, err = x.setNode(n); err != nil {
			return nil, err
		}
		parent = &n
	}
	return parent, nil
}
