package cache

import (
	"fmt"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Twins are items of one folder whose names are the same by our rule and not by the service's. A row of a
// name belongs to one node, so all but one of them are shown under the names that name.Twin makes. A twin
// has that name in its base as well: it differs in nothing, and what is sent of it goes through name.Remote.
// What comes in of it has its plain name, and is spelled like the base before it is compared.

// isTwin reports whether a node has an item that is shown as a twin.
func isTwin(n *Node) bool { return owns(n) && name.Plain(n.Base.Name) != n.Base.Name }

// spelled returns an item that came in as the base of its node is called, if that is the same name. A twin
// whose plain name has become free is not the same any more: it is renamed to that one.
func (x *tx) spelled(n *Node, i graph.Item) (graph.Item, error) {
	if !isTwin(n) || !spelledOf(n.Base, i) {
		return i, nil
	}
	alone, err := x.alone(n)
	if err == nil && !alone {
		i.Name = n.Base.Name
	}
	return i, err
}

// spelledGone is spelled for an item that was removed here, and may come back.
func (x *tx) spelledGone(d DriveNum, g *Gone, i graph.Item) (graph.Item, error) {
	if !spelledOf(&g.Base, i) {
		return i, nil
	}
	p, err := x.owner(d, i.Parent)
	if err != nil || p == nil {
		return i, err
	}
	unclaimed, err := x.unclaimed(p, i.Name)
	if err == nil && !unclaimed {
		i.Name = g.Base.Name
	}
	return i, err
}

// spelledOf reports whether a base is the twin's of what came in.
func spelledOf(b *Base, i graph.Item) bool {
	return !i.Deleted && i.Parent == b.Parent && i.Name != b.Name && i.Name == name.Plain(b.Name)
}

// alone reports whether a twin is at home and its plain name is unclaimed.
func (x *tx) alone(n *Node) (bool, error) {
	if home, err := x.atItsName(n); err != nil || !home {
		return false, err
	}
	p, err := x.node(n.Parent)
	if err != nil {
		return false, err
	}
	return x.unclaimed(&p, name.Plain(n.Name))
}

// unclaimed reports whether the item that has a name in a folder there may have it here: no other item is at that place, not
// even one that was removed or renamed here and not yet there. What has the name here and is not there yet would be
// refused for ever, and steps aside; what is never sent does not.
func (x *tx) unclaimed(p *Node, child string) (bool, error) {
	key := name.Fold(child)
	if h, err := x.childByKey(p.Ino, key); err != nil || h != nil && h.LocalOnly {
		return false, err
	}
	ids, err := x.itemsAt(p.Drive, Place{Folder: itemOf(p), Key: key})
	return len(ids) == 0, err
}

// free reports whether a name in a folder is free, here and there.
func (x *tx) free(p *Node, child string) (bool, error) {
	if taken, err := x.has(childKey(p.Ino, name.Fold(child))); err != nil || taken {
		return false, err
	}
	return x.unclaimed(p, child)
}

// twinName returns a free name in a folder for a twin of what is called plain there.
func (x *tx) twinName(folder Ino, plain string) (string, error) {
	for n := range name.Twins {
		t := name.Twin(plain, n)
		if taken, err := x.has(childKey(folder, name.Fold(t))); err != nil || !taken {
			return t, err
		}
	}
	return "", fmt.Errorf("%q: %w: too many twins", plain, ErrExist)
}

// twin shows a node that is at home as the twin of another, to which its name goes.
func (x *tx) twin(n Node) (Node, error) {
	was, base := n, *n.Base
	t, err := x.twinName(n.Parent, name.Plain(n.Name))
	if err != nil {
		return n, err
	}
	n.Name, base.Name = t, t
	n.Base = &base
	x.moved(was, n)
	return x.setNode(n)
}

// mayBeCalled fails with ErrTwin if the service would refuse the name that n was given here just now though nothing
// has it here: it is the true name of a twin, or of what was given the name of a twin that has gone, or it is a name by
// which a twin is shown. Who is called so would be a twin there, and the service makes none, unless it is that twin, come
// back or saved anew.
func (x *tx) mayBeCalled(n *Node) error {
	if n.LocalOnly {
		return nil
	}
	if plain := name.Plain(n.Name); plain != n.Name {
		if home, err := x.atItsName(n); err != nil || home {
			return err
		}
		h, err := x.childByKey(n.Parent, name.Fold(plain))
		if err == nil && h != nil && h.Ino != n.Ino {
			err = exists(h, n.Name)
		}
		return err
	}
	for i := range name.Twins {
		h, err := x.childByKey(n.Parent, name.Fold(name.Twin(n.Name, i)))
		if err != nil || h == nil {
			return err
		}
		if h.Ino != n.Ino && !h.LocalOnly && name.Plain(h.Name) == n.Name {
			return exists(h, n.Name)
		}
	}
	return nil
}

// atItsName reports whether a node has its item and is called as its base is, in the same folder.
func (x *tx) atItsName(n *Node) (bool, error) {
	if !owns(n) || n.Name != n.Base.Name {
		return false, nil
	}
	return x.atHome(n)
}

// apart gives a node that is shown as a twin, and whose item goes, a name under which the service takes it as new:
// it makes no twins. The node is not stored yet.
func (x *tx) apart(n Node) (Node, error) {
	if !isTwin(&n) || n.Name != n.Base.Name || !placed(&n) {
		return n, nil
	}
	was := n
	p, err := x.node(n.Parent)
	if err != nil {
		return n, err
	}
	plain := name.Plain(n.Name)
	if free, err := x.free(&p, plain); err != nil {
		return n, err
	} else if free {
		n.Name = plain
	} else if n.Name, err = x.conflictName(n.Parent, plain); err != nil {
		return n, err
	}
	x.moved(was, n)
	return n, nil
}

// beside puts an item of a listing into the tree whose name another item of the same listing has. It returns
// false if these two are no twins, or not at rest.
func (r receiver) beside(i graph.Item, p, holder *Node) (bool, error) {
	x := r.x
	home, err := x.atItsName(holder)
	if err != nil || !home {
		return false, err
	}
	there := r.listed(holder.Base.Item)
	if there == nil || !name.Same(there.Name, i.Name) {
		return false, nil
	}
	if stepping, err := x.has(stepKey(r.drive, holder.Ino, "")); err != nil || stepping {
		return false, err
	}
	if gone, err := x.has(itemKey(rowGone, r.drive, i.ID)); err != nil || gone {
		return false, err
	}
	b := newBase(nil, i, x.now)
	if Elder(i, *there) {
		_, err = x.twin(*holder)
	} else {
		b.Name, err = x.twinName(p.Ino, i.Name)
	}
	if err != nil {
		return false, err
	}
	if err := x.del(itemKey(rowInbox, r.drive, i.ID)); err != nil {
		return false, err
	}
	_, err = x.addRemote(r.drive, p.Ino, b)
	return true, err
}

// Elder reports whether a has the name that both twins could have: the one that was made first, or, where that is
// not known, that of the lesser id. So it is the same whichever came first.
func Elder(a, b graph.Item) bool {
	if !a.Created.IsZero() && !b.Created.IsZero() && !a.Created.Equal(b.Created) {
		return a.Created.Before(b.Created)
	}
	return a.ID < b.ID
}

// Alone returns the items that are shown as twins though nothing has their plain names any more: whoever asks
// for them and receives the answer makes them be called so.
func (i *Inbox) Alone() (alone []graph.ItemID, err error) {
	err = i.s.view(func(x *tx) error {
		return x.each(drivePrefix(rowTwin, i.drive), nil, func(k, _ []byte) (bool, error) {
			n, err := x.owner(i.drive, itemOfKey(k))
			if err != nil || n == nil { // Check tells of a row without a node
				return err == nil, err
			}
			ok, err := x.alone(n)
			if ok {
				alone = append(alone, itemOfKey(k))
			}
			return err == nil, err
		})
	})
	return alone, err
}
