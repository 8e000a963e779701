package cache

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// echoTime is how long a deletion that was sent waits for its tombstone.
const echoTime = 24 * time.Hour

// Cases calls fn for every item that waits, folders before what is in them and deletions last, each
// case as of the moment of the call, until fn returns false. fn may call Apply and Drop. An item
// whose folder waits itself is left out: it is not known yet where it belongs.
func (i *Inbox) Cases(fn func(Case) bool) error {
	order, deletions, err := i.order()
	if err != nil {
		return err
	}
	if len(order) == 0 {
		return i.forgetSent()
	}
	var left map[Ino]bool
	for at, id := range order {
		if at == deletions {
			if left, err = i.leaving(); err != nil {
				return err
			}
		}
		var c Case
		skip := false
		err := i.s.view(func(x *tx) error {
			v, err := x.value(itemKey(rowInbox, i.drive, id))
			if err != nil || v == nil {
				skip = true // applied with another
				return err
			}
			item, err := decodeItem(id, v)
			if err != nil {
				return err
			}
			if skip, err = x.unsettled(i.drive, item); err != nil || skip {
				return err
			}
			c, err = x.build(i.drive, item, false)
			return err
		})
		if err != nil {
			return fmt.Errorf("case of item %s: %w", id, err)
		}
		c.LeavesBelow = c.Incoming.Deleted && c.Node != nil && left[c.Node.Ino]
		if !skip && !fn(c) {
			return nil
		}
	}
	return nil
}

// leaving returns the folders out of which something that waits was moved, there. What waits for a look
// or for its new place is still in the old one here, and must not go when that does.
func (i *Inbox) leaving() (map[Ino]bool, error) {
	folders := map[Ino]bool{}
	err := i.s.view(func(x *tx) error {
		return x.each(drivePrefix(rowInbox, i.drive), nil, func(k, v []byte) (bool, error) {
			item, err := decodeItem(itemOfKey(k), v)
			if err != nil || item.Deleted || item.Parent == "" {
				return err == nil, err
			}
			n, err := x.owner(i.drive, item.ID)
			if err != nil || n == nil || n.Base.Parent == item.Parent {
				return err == nil, err
			}
			stays := map[Ino]bool{} // folders that it is moved inside of
			to, err := x.owner(i.drive, item.Parent)
			if err != nil {
				return false, err
			}
			if to != nil {
				stays[to.Ino] = true
				if err := x.above(*to, stays); err != nil {
					return false, err
				}
			}
			from := map[Ino]bool{}
			err = x.above(*n, from)
			for ino := range from {
				folders[ino] = folders[ino] || !stays[ino]
			}
			return err == nil, err
		})
	})
	return folders, err
}

// above adds the folders above a node.
func (x *tx) above(n Node, folders map[Ino]bool) error {
	for range maxDepth {
		if n.Parent == 0 {
			break
		}
		folders[n.Parent] = true
		var err error
		if n, err = x.node(n.Parent); err != nil {
			return err
		}
	}
	return nil
}

// unsettled reports whether an item's folder is not known yet, but waits in the inbox.
func (x *tx) unsettled(d DriveNum, item graph.Item) (bool, error) {
	if item.Deleted || item.Parent == "" || item.Parent == item.ID {
		return false, nil
	}
	if ino, err := x.ownerIno(d, item.Parent); err != nil || ino != 0 {
		return false, err
	}
	if g, err := x.gone(d, item.Parent); err != nil || g != nil {
		return false, err
	}
	v, err := x.value(itemKey(rowInbox, d, item.Parent))
	if err != nil || v == nil {
		return false, err
	}
	parent, err := decodeItem(item.Parent, v)
	return !parent.Deleted, err
}

// order lists what waits: folders before what is in them, deletions last, of these what is deep in
// the tree first. deletions is where they begin.
func (i *Inbox) order() (_ []graph.ItemID, deletions int, err error) {
	parent := map[graph.ItemID]graph.ItemID{}
	var live, deleted []graph.ItemID
	depth := map[graph.ItemID]int{}
	err = i.s.view(func(x *tx) error {
		err := x.each(drivePrefix(rowInbox, i.drive), nil, func(k, v []byte) (bool, error) {
			item, err := decodeItem(itemOfKey(k), v)
			if err != nil {
				return false, err
			}
			if item.Deleted {
				deleted = append(deleted, item.ID)
				return true, nil
			}
			live = append(live, item.ID)
			parent[item.ID] = item.Parent
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, id := range deleted {
			if depth[id], err = x.depth(i.drive, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortStableFunc(deleted, func(a, b graph.ItemID) int { return depth[b] - depth[a] })

	order := make([]graph.ItemID, 0, len(live)+len(deleted))
	done := map[graph.ItemID]bool{}
	var chain []graph.ItemID
	for _, id := range live {
		// Up to what is ordered already, then down again. A circle ends where it began.
		for at, waits := id, true; waits && !done[at]; {
			done[at] = true
			chain = append(chain, at)
			at = parent[at]
			_, waits = parent[at]
		}
		for len(chain) > 0 {
			order = append(order, chain[len(chain)-1])
			chain = chain[:len(chain)-1]
		}
	}
	return append(order, deleted...), len(order), nil
}

// depth returns how many folders are above the node of an item, 0 if there is no node.
func (x *tx) depth(d DriveNum, id graph.ItemID) (int, error) {
	n, err := x.owner(d, id)
	if err != nil || n == nil {
		return 0, err
	}
	depth := 0
	for at := *n; at.Parent != 0 && depth < maxDepth; depth++ {
		if at, err = x.node(at.Parent); err != nil {
			return 0, err
		}
	}
	return depth, nil
}

// forgetSent drops deletions that were sent so long ago that no echo of them will come. Call it when nothing waits: what
// was moved out of a folder before that was deleted brings back what is in it (see askBelow), however late it comes in.
func (i *Inbox) forgetSent() error {
	var old []graph.ItemID
	err := i.s.view(func(x *tx) error {
		return x.each(drivePrefix(rowGone, i.drive), nil, func(k, v []byte) (bool, error) {
			g, err := decodeGone(v)
			if err == nil && !g.Sent.IsZero() && x.now.Sub(g.Sent) > echoTime {
				old = append(old, itemOfKey(k))
			}
			return true, err
		})
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(old, partRows) {
		if err := i.s.update(shrinks, func(x *tx) error {
			for _, id := range part {
				g, err := x.gone(i.drive, id)
				if err != nil {
					return err
				}
				if g == nil || g.Sent.IsZero() {
					continue
				}
				if err := x.setGone(i.drive, id, nil); err != nil {
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

// Case builds the case of one item, confirmed or not.
func (i *Inbox) Case(item graph.Item, confirmed bool) (c Case, err error) {
	err = i.s.view(func(x *tx) error {
		c, err = x.build(i.drive, item, confirmed)
		return err
	})
	return c, err
}

// build gathers a case from one snapshot.
func (x *tx) build(d DriveNum, item graph.Item, confirmed bool) (Case, error) {
	c := Case{Incoming: item, Confirmed: confirmed, Now: x.now, Policy: x.s.o.Conflicts}
	b := builder{x: x, d: d, c: &c}
	err := errors.Join(b.node(), b.parent(), b.holder(), b.below())
	return c, err
}

type builder struct {
	x *tx
	d DriveNum
	c *Case
}

func (b builder) node() (err error) {
	c, x := b.c, b.x
	if c.Node, err = x.owner(b.d, c.Incoming.ID); err != nil {
		return err
	}
	if c.Gone, err = x.gone(b.d, c.Incoming.ID); err != nil {
		return err
	}
	if c.Gone != nil {
		if c.Sending, err = x.has(stepKey(b.d, 0, c.Incoming.ID)); err != nil {
			return err
		}
		if c.Incoming, err = x.spelledGone(b.d, c.Gone, c.Incoming); err != nil {
			return err
		}
	}
	if c.Node == nil {
		return nil
	}
	if c.NodeDiff, err = x.diff(c.Node); err != nil {
		return err
	}
	if c.Incoming, err = x.spelled(c.Node, c.Incoming); err != nil {
		return err
	}
	c.Open = x.isHeld(c.Node.Ino)
	c.Sending, err = x.has(stepKey(b.d, c.Node.Ino, ""))
	return err
}

// isHeld reports whether a handle holds a node.
func (x *tx) isHeld(ino Ino) bool {
	if x.write {
		return x.s.held[ino] > 0 // S is held already
	}
	return x.s.Tree().Held(ino) > 0
}

func (b builder) parent() (err error) {
	c, x := b.c, b.x
	in := c.Incoming
	if in.Deleted || in.Root || in.Parent == "" {
		return nil
	}
	at := in.Parent
	var living *Node // the folder in which it will be, or that which is above it
	for range maxDepth {
		if at == in.ID && c.Node == nil {
			c.Orphan = true // inside itself
			break
		}
		p, err := x.owner(b.d, at)
		if err != nil {
			return err
		}
		if p != nil {
			if !p.Dir {
				c.Orphan = true // nonsense
				break
			}
			if living = p; len(c.Above) == 0 {
				c.Parent = p
			}
			break
		}
		g, err := x.gone(b.d, at)
		if err != nil {
			return err
		}
		if g == nil || !g.Base.Dir {
			c.Orphan = true
			break
		}
		c.Above = append(c.Above, *g)
		at = g.Base.Parent
	}
	if c.Node != nil && c.Node.Dir && living != nil {
		c.Cycle, err = x.inside(living.Ino, c.Node.Ino)
	}
	return err
}

func (b builder) holder() error {
	c, x := b.c, b.x
	if c.Parent == nil || c.Incoming.Deleted {
		return nil
	}
	key := name.Fold(c.Incoming.Name)
	h, err := x.childByKey(c.Parent.Ino, key)
	if err != nil || h == nil || c.Node != nil && h.Ino == c.Node.Ino {
		return err
	}
	c.Holder = h
	if c.HolderDiff, err = x.diff(h); err != nil {
		return err
	}
	c.HolderOpen = x.isHeld(h.Ino)
	// What is being sent under this name may well be what comes in: the answer will tell.
	if sending, err := x.has(stepKey(b.d, h.Ino, "")); err != nil {
		return err
	} else if sending {
		c.Sending = true
	}
	if !owns(h) {
		return nil
	}
	v, err := x.value(itemKey(rowInbox, b.d, h.Base.Item))
	if err != nil || v == nil {
		return err
	}
	next, err := decodeItem(h.Base.Item, v)
	c.HolderLeaves = err == nil &&
		(next.Deleted || next.Parent != c.Incoming.Parent || name.Fold(next.Name) != key)
	return err
}

// below counts what is unsent or open below a folder that may have to go.
func (b builder) below() error {
	c, x := b.c, b.x
	if c.Node == nil || !c.Node.Dir || !c.Incoming.Deleted && !c.Orphan {
		return nil
	}
	top := c.Node.Ino
	dirty, err := x.dirtyBelow(b.d)
	if err != nil {
		return err
	}
	c.DirtyBelow = dirty[top]
	for _, ino := range x.heldInos() {
		in, err := x.inside(ino, top)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return err
		}
		if in && ino != top {
			c.OpenBelow++
		}
	}
	return nil
}

// heldInos lists the nodes that handles hold.
func (x *tx) heldInos() []Ino {
	if !x.write {
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
	}
	inos := make([]Ino, 0, len(x.s.held))
	for ino := range x.s.held {
		inos = append(inos, ino)
	}
	return inos
}
