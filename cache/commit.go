package cache

import (
	"errors"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// sentBytes reports whether a step carries the content of a file.
func (a Attempt) sentBytes() bool {
	return a.Item == "" || a.Op == "create" || a.Op == "replace"
}

// commitStep is Outbox.Commit inside its transaction.
func (x *tx) commitStep(d DriveNum, a Attempt, item graph.Item) (Node, error) {
	if item.ID == "" {
		return Node{}, errors.New("commit of a step: the service's answer names no item")
	}
	if err := x.delStep(d, a); err != nil {
		return Node{}, err
	}
	n, err := x.node(a.Ino)
	exists := err == nil
	if err != nil && !errors.Is(err, ErrNotExist) {
		return n, err
	}
	owner, err := x.owner(d, item.ID)
	if err != nil {
		return n, err
	}
	if owner != nil && owner.Ino != a.Ino {
		if a.Item != "" {
			// An heir took the item over meanwhile: it has the new base, and work of its own.
			owner.Base = x.sentBase(owner.Base, a, item)
			_, err := x.setNode(*owner)
			return n, err
		}
		if err := x.yield(*owner); err != nil {
			return n, err
		}
	}
	g, err := x.gone(d, item.ID)
	if err != nil {
		return n, err
	}
	switch {
	case !exists || n.Removed || n.LocalOnly:
		return n, x.commitGone(d, a, item, n, exists, g)
	case a.Item != "" && itemOf(&n) != a.Item:
		return n, nil // it lost the item, and nobody has it: the feed will tell
	case a.Item == "" && itemOf(&n) != "" && itemOf(&n) != item.ID:
		// While it was made there it became the heir of another item here: that one it keeps.
		return n, x.commitGone(d, a, item, n, false, g)
	}
	if g != nil {
		if err := x.setGone(d, item.ID, nil); err != nil {
			return n, err
		}
	}
	n.Base = x.sentBase(n.Base, a, item)
	n.Deferred = nil
	if n.Written && a.sentBytes() && n.Marked <= a.Seq {
		n.Written = false
		x.agrees = append(x.agrees, agreement{ino: n.Ino, seq: a.Seq, v: n.Base.Version()})
	}
	if n.Seq <= a.Seq && !n.Dir {
		n = x.settleFor(n, a)
	}
	if n, err = x.respell(n, a); err != nil {
		return n, err
	}
	if n, err = x.setNode(n); err != nil {
		return n, err
	}
	if home, err := x.atHome(&n); err != nil || !home || n.left.IsZero() {
		return n, err
	}
	n.left = time.Time{}
	return x.setNode(n)
}

// settleFor takes over what the service made of what was asked for, so that it is not asked for the
// same again and again: the time, and the size of what it rewrote.
func (x *tx) settleFor(n Node, a Attempt) Node {
	if n.Written {
		return n
	}
	n.Size = n.Base.Size
	d := n.Diff(n.Base.Parent)
	if asked := a.ModTime; d.ModTime && !asked.IsZero() && n.Mtime.Sub(asked).Abs() < time.Millisecond {
		n.Mtime = n.Base.ModTime
	}
	return n
}

// respell gives a node the name that the service made of the one that was asked for, so that it is not
// asked for again and again.
func (x *tx) respell(n Node, a Attempt) (Node, error) {
	named := a.Op == "create" || a.Op == "mkdir" || a.Op == "move"
	if !named || n.Seq > a.Seq || n.Name != a.Name || n.Base.Name == a.Name || !name.Safe(n.Base.Name) {
		return n, nil
	}
	if h, err := x.childByKey(n.Parent, name.Fold(n.Base.Name)); err != nil || h != nil && h.Ino != n.Ino {
		return n, err
	}
	was := n
	n.Name = n.Base.Name
	x.moved(was, n)
	return n, nil
}

// sentBase is the base after a step whose answer was item.
func (x *tx) sentBase(old *Base, a Attempt, item graph.Item) *Base {
	if item.Parent == "" && a.Parent != "" {
		item.Parent = a.Parent
	}
	if a.sentBytes() && item.Hash == "" && item.Size == a.Size {
		item.Hash = a.Hash
	}
	if name.Plain(a.Name) == item.Name {
		item.Name = a.Name // it was sent as a twin, and is called so until it is alone
	}
	b := newBase(old, item, x.now)
	if b.ModTime.IsZero() {
		b.ModTime = plain(a.ModTime)
	}
	return b
}

// commitGone records the new base of a node that is not in the tree any more, or not one that is
// sent: what was sent is to be deleted again.
func (x *tx) commitGone(d DriveNum, a Attempt, item graph.Item, n Node, exists bool, g *Gone) error {
	if g != nil && !g.Sent.IsZero() {
		return nil // deleted there as well, whatever came first
	}
	seq, err := x.seq()
	if err != nil {
		return err
	}
	if g == nil {
		path := "/" + a.Name
		if p, err := x.owner(d, a.Parent); err != nil {
			return err
		} else if p != nil {
			above, err := x.path(p.Ino)
			if err != nil {
				return err
			}
			path = strings.TrimSuffix(above, "/") + path
		}
		g = &Gone{Ino: a.Ino, Path: path, At: x.now, Seq: seq, left: x.now}
	}
	var old *Base
	if g.Base.Item == item.ID {
		old = &g.Base
	}
	g.Base = *x.sentBase(old, a, item)
	if err := x.setGone(d, item.ID, g); err != nil {
		return err
	}
	if !exists || n.Removed {
		return x.vacated(d, &g.Base)
	}
	base := g.Base
	n.Base = &base // remembered, for the day it is moved back
	_, err = x.setNode(n)
	return err
}

// yield takes an item from a node for another that has just turned out to be it. Its own unsent
// bytes stay as a new item; without any it was but the other's echo, and goes.
func (x *tx) yield(n Node) error {
	if n.Written || n.Dir || x.s.held[n.Ino] > 0 {
		if !n.Dir && !n.Written {
			return ErrStale
		}
		_, err := x.disown(n)
		return err
	}
	x.event(Event{Ino: n.Ino, Parent: n.Parent, Name: n.Name})
	_, err := x.remove(n, false)
	return err
}
