package cache

import (
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// What comes in is taken: as a new node, or as the base of one that there is.

// add makes a clean node for the incoming item at its place.
func (a applier) add() error {
	in, p, h := a.c.Incoming, a.c.Parent, a.c.Holder
	if in.Type != graph.File && in.Type != graph.Folder || !name.Safe(in.Name) {
		return errRuling
	}
	if p == nil {
		return errRuling
	}
	if h != nil && h.LocalOnly {
		return nil // two things that nobody sends: ours stays, theirs stays there
	}
	if err := a.makeRoom(); err != nil {
		return err
	}
	if a.c.Gone != nil {
		if err := a.x.setGone(a.d, in.ID, nil); err != nil {
			return err
		}
	}
	n, err := a.x.addRemote(a.d, p.Ino, newBase(nil, a.c.Incoming, a.at))
	if err != nil {
		return err
	}
	if h != nil && a.r.Holder == Aside {
		return a.pair(h.Ino, n.Ino)
	}
	return a.report(n.Ino, "")
}

// agree makes the incoming item the base of Node.
func (a applier) agree() error {
	n := *a.c.Node
	var stepped *Node // aside
	if n.Dir != (a.c.Incoming.Type == graph.Folder || a.c.Incoming.Root) {
		return errRuling
	}
	if a.r.Place && n.Parent != 0 {
		if a.c.Cycle || !name.Safe(a.c.Incoming.Name) {
			return errRuling
		}
		if a.c.Parent == nil {
			parent, h, err := a.comeBack()
			if err != nil {
				return err
			}
			if parent == nil {
				return errRuling
			}
			a.c.Parent, stepped = parent, h
		}
		if a.c.Holder != nil && a.c.Holder.LocalOnly {
			return errRuling
		}
		if err := a.makeRoom(); err != nil {
			return err
		}
	}
	if err := a.adoptBase(n); err != nil {
		return err
	}
	if a.c.Holder != nil && a.r.Place && a.r.Holder == Aside {
		return a.pair(a.c.Holder.Ino, n.Ino)
	}
	return a.came(n.Ino, stepped)
}

// adoptBase makes the incoming item the base of n, with its bytes, place and time as ruled.
func (a applier) adoptBase(n Node) error {
	x, in := a.x, a.c.Incoming
	was := n
	n.Base = newBase(n.Base, in, a.at)
	if was.Parent == 0 {
		n.Base.Parent, n.Base.Name, n.Base.Dir = "", "", true
	}
	bytes := false
	switch {
	case n.Dir:
	case a.r.Bytes == TheirBytes:
		bytes = true
		if n.Written {
			// The ruling gives local work up: the body goes, and is fetched anew.
			x.drops = append(x.drops, n.Ino)
			if err := x.set(dropKey(n.Ino), nil); err != nil {
				return err
			}
		}
		n.Written, n.Size = false, n.Base.Size
	case a.r.Bytes == SameBytes:
		if n.Written {
			n.Written = false
			x.agrees = append(x.agrees, agreement{ino: n.Ino, seq: n.Seq, v: n.Base.Version()})
		}
		n.Size = n.Base.Size
	case !n.Written:
		n.Size = n.Base.Size
		bytes = was.Base != nil && !was.Base.Version().Same(n.Base.Version())
	}
	if a.r.ModTime && !n.Base.ModTime.IsZero() {
		n.Mtime = n.Base.ModTime
	}
	if a.r.Place && was.Parent != 0 {
		n.Parent, n.Name = a.c.Parent.Ino, in.Name
	}
	x.moved(was, n)
	x.event(Event{Ino: n.Ino, Bytes: bytes})
	n, err := x.setNode(n)
	if err != nil {
		return err
	}
	return x.atRest(n)
}

// atRest forgets when a node left the place of its base if it is there again.
func (x *tx) atRest(n Node) error {
	home, err := x.atHome(&n)
	if err != nil || !home || n.left.IsZero() {
		return err
	}
	n.left = time.Time{}
	_, err = x.setNode(n)
	return err
}

// split makes Node a new item under the name of a conflict copy, and adds the incoming one.
func (a applier) split() error {
	x := a.x
	n := *a.c.Node
	if n.Dir || !n.Written {
		return errRuling // the bytes that a split keeps are local work
	}
	n, err := x.aside(n)
	if err != nil {
		return err
	}
	if n, err = x.disown(n); err != nil {
		return err
	}
	x.event(Event{Ino: n.Ino})
	parent := a.c.Parent
	if parent == nil {
		if parent, _, err = a.comeBack(); err != nil {
			return err
		}
		if parent == nil {
			return a.report(n.Ino, "")
		}
	} else if err := a.makeRoom(); err != nil {
		return err
	}
	theirs, err := x.addRemote(a.d, parent.Ino, newBase(nil, a.c.Incoming, a.at))
	if err != nil {
		return err
	}
	return a.pair(n.Ino, theirs.Ino)
}

// takeBase makes the incoming item the base of Holder.
func (a applier) takeBase() error {
	h := *a.c.Holder
	if h.Dir != (a.c.Incoming.Type == graph.Folder) {
		return errRuling
	}
	if a.c.Gone != nil {
		if err := a.x.setGone(a.d, a.c.Incoming.ID, nil); err != nil {
			return err
		}
	}
	if !h.Dir && a.r.Bytes == KeepBytes && !h.Written {
		return errRuling
	}
	if err := a.adoptBase(h); err != nil {
		return err
	}
	return a.report(h.Ino, "")
}
