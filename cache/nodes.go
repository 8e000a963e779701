package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// placed reports whether a node is in the tree, below a root.
func placed(n *Node) bool { return n != nil && n.Parent != 0 && !n.Removed }

// owns reports whether the node has its base's item. Removed and local-only nodes keep the base
// for the version of their bytes alone.
func owns(n *Node) bool { return n != nil && n.Base != nil && !n.Removed && !n.LocalOnly }

// basePlace is where the remote has the item of a base.
func basePlace(b *Base) Place { return Place{Folder: b.Parent, Key: name.Fold(b.Name)} }

// node returns a node, also a removed one that is held. ErrNotExist.
func (x *tx) node(ino Ino) (Node, error) {
	if n, ok := x.nodes[ino]; ok {
		if n == nil {
			return Node{}, ErrNotExist
		}
		return *n, nil
	}
	v, err := x.value(nodeKey(ino))
	if err != nil {
		return Node{}, err
	}
	if v == nil {
		return Node{}, ErrNotExist
	}
	n, err := x.decode(ino, v)
	if err == nil && x.write {
		kept := n
		x.nodes[ino] = &kept
	}
	return n, err
}

// named returns a node that another row names. ErrDamaged if there is none.
func (x *tx) named(ino Ino) (Node, error) {
	n, err := x.node(ino)
	if errors.Is(err, ErrNotExist) {
		err = missingNode(ino)
	}
	return n, err
}

func missingNode(ino Ino) error { return fmt.Errorf("%w: node %d is missing", ErrDamaged, ino) }

// decode makes the node of a row.
func (x *tx) decode(ino Ino, row []byte) (Node, error) {
	n, err := decodeNode(ino, row)
	if err != nil {
		return Node{}, fmt.Errorf("node %d: %w", ino, err)
	}
	if n.Dir && n.Listing != Followed && x.drive(n.Drive).Enumerated {
		n.Listing = Followed
	}
	return n, nil
}

// nodesOf returns the nodes of ascending inos, in a reading transaction. ErrDamaged if one is missing.
func (x *tx) nodesOf(inos []Ino) ([]Node, error) {
	list := make([]Node, 0, len(inos))
	if !dense(inos) {
		for _, ino := range inos {
			n, err := x.named(ino)
			if err != nil {
				return nil, err
			}
			list = append(list, n)
		}
		return list, nil
	}
	// To walk along rows costs a small part of looking each up.
	err := x.each([]byte{rowNode}, nodeKey(inos[0]), func(k, row []byte) (bool, error) {
		switch ino, want := inoOfKey(k), inos[len(list)]; {
		case ino < want:
			return true, nil
		case ino > want:
			return false, nil
		}
		n, err := x.decode(inos[len(list)], row)
		list = append(list, n)
		return len(list) < len(inos), err
	})
	if err == nil && len(list) < len(inos) {
		err = missingNode(inos[len(list)])
	}
	return list, err
}

// dense reports whether ascending inos are so close together that it is worth the while to walk along all
// rows between them.
func dense(inos []Ino) bool {
	return len(inos) > 4 && inos[len(inos)-1]-inos[0] < 8*Ino(len(inos))
}

// folder returns a folder that is in the tree. ErrNotExist, ErrNotFolder.
func (x *tx) folder(ino Ino) (Node, error) {
	n, err := x.node(ino)
	switch {
	case err != nil:
		return n, err
	case n.Removed:
		return n, ErrNotExist
	case !n.Dir:
		return n, ErrNotFolder
	}
	return n, nil
}

// childByKey returns the node whose folded name is key, nil if there is none.
func (x *tx) childByKey(parent Ino, key string) (*Node, error) {
	v, err := x.value(childKey(parent, key))
	if err != nil || v == nil {
		return nil, err
	}
	if len(v) != 8 {
		return nil, ErrDamaged
	}
	n, err := x.named(Ino(binary.BigEndian.Uint64(v)))
	if err != nil {
		return nil, fmt.Errorf("child of node %d: %w", parent, err)
	}
	return &n, nil
}

// owner returns the living node that has an item, nil if none has.
func (x *tx) owner(d DriveNum, item graph.ItemID) (*Node, error) {
	ino, err := x.ownerIno(d, item)
	if err != nil || ino == 0 {
		return nil, err
	}
	n, err := x.named(ino)
	if err != nil {
		return nil, fmt.Errorf("node of an item: %w", err)
	}
	return &n, nil
}

func (x *tx) ownerIno(d DriveNum, item graph.ItemID) (Ino, error) {
	if item == "" {
		return 0, nil
	}
	v, err := x.value(itemKey(rowItem, d, item))
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, ErrDamaged
	}
	return Ino(binary.BigEndian.Uint64(v)), nil
}

// folderItem returns the item of a folder, empty if the remote has not got it.
func (x *tx) folderItem(ino Ino) (graph.ItemID, error) {
	if ino == 0 {
		return "", nil
	}
	p, err := x.node(ino)
	if err != nil {
		return "", fmt.Errorf("folder %d: %w", ino, err)
	}
	if !owns(&p) {
		return "", nil
	}
	return p.Base.Item, nil
}

// diff compares a node with its base.
func (x *tx) diff(n *Node) (Diff, error) {
	if !placed(n) || n.LocalOnly {
		return Diff{}, nil
	}
	item, err := x.folderItem(n.Parent)
	if err != nil {
		return Diff{}, err
	}
	return n.Diff(item), nil
}

// atHome reports whether a node is where its base says it is.
func (x *tx) atHome(n *Node) (bool, error) {
	if !placed(n) || !owns(n) {
		return false, nil
	}
	item, err := x.folderItem(n.Parent)
	if err != nil {
		return false, err
	}
	return item == n.Base.Parent && name.Same(n.Name, n.Base.Name), nil
}

// path returns the path of a node from the root of its drive.
func (x *tx) path(ino Ino) (string, error) {
	var parts []string
	for {
		n, err := x.node(ino)
		if err != nil {
			return "", err
		}
		if n.Removed {
			return "", ErrNotExist
		}
		if n.Parent == 0 {
			break
		}
		parts = append(parts, n.Name)
		ino = n.Parent
		if len(parts) > maxDepth {
			return "", fmt.Errorf("node %d: %w: its folders form a circle", ino, ErrDamaged)
		}
	}
	slices.Reverse(parts)
	return "/" + strings.Join(parts, "/"), nil
}

// maxDepth is more than any tree can have; it ends walks on a damaged one.
const maxDepth = 100_000

// inside reports whether a node is ino itself or below it.
func (x *tx) inside(n, ino Ino) (bool, error) {
	for range maxDepth {
		if n == ino {
			return true, nil
		}
		if n == 0 {
			return false, nil
		}
		p, err := x.node(n)
		if err != nil {
			return false, err
		}
		n = p.Parent
	}
	return false, ErrDamaged
}

// empty reports whether a folder has no children.
func (x *tx) empty(ino Ino) (bool, error) {
	keys, err := x.keys(orderPrefix(ino), nil, 1)
	return len(keys) == 0, err
}

// setNode stores a node and brings every index up to date with it, its own Since and Deferred
// included. It returns the node as stored.
func (x *tx) setNode(n Node) (Node, error) {
	var old *Node
	if was, err := x.node(n.Ino); err == nil {
		old = &was
	} else if err != ErrNotExist {
		return n, err
	}
	return x.change(old, n)
}

// addNode is setNode for a node that is new.
func (x *tx) addNode(n Node) (Node, error) { return x.change(nil, n) }

func (x *tx) change(old *Node, n Node) (Node, error) {
	// Whoever moves a folder has looked; here is where it must never go wrong.
	if old != nil && n.Dir && placed(&n) && old.Parent != n.Parent {
		if in, err := x.inside(n.Parent, n.Ino); err != nil {
			return n, err
		} else if in {
			return n, ErrInside
		}
	}
	if old != nil && old.Name != n.Name && old.parked == n.parked {
		n.parked = "" // it has a name again
	}
	d, err := x.diff(&n)
	if err != nil {
		return n, err
	}
	switch {
	case !d.Any():
		n.Since, n.Deferred = time.Time{}, nil
	case n.Since.IsZero():
		n.Since = x.now
	}
	if err := x.index(old, &n, d); err != nil {
		return n, err
	}
	if err := x.set(nodeKey(n.Ino), encodeNode(&n)); err != nil {
		return n, err
	}
	kept := n
	x.nodes[n.Ino] = &kept
	if old != nil && placed(&n) && (n.Dir || n.Written) && (old.Parent != n.Parent || old.Name != n.Name || !n.Dir && itemOf(old) != itemOf(&n)) {
		x.retag = append(x.retag, n.Ino)
	}
	if old != nil && n.Dir && !n.Removed && old.LocalOnly == n.LocalOnly && itemOf(old) != itemOf(&n) {
		x.rebased = append(x.rebased, n.Ino)
	}
	return n, nil
}

// dropNode erases a node and all that points to it.
func (x *tx) dropNode(n Node) error {
	old, err := x.node(n.Ino)
	if err != nil {
		return err
	}
	if err := x.index(&old, nil, Diff{}); err != nil {
		return err
	}
	x.nodes[n.Ino] = nil
	x.erased = append(x.erased, n.Ino)
	return x.del(nodeKey(n.Ino))
}

func itemOf(n *Node) graph.ItemID {
	if !owns(n) {
		return ""
	}
	return n.Base.Item
}

// index moves the rows that point to a node from its old state (nil: none) to the new (nil: gone).
func (x *tx) index(old, n *Node, d Diff) error {
	// The name in its folder.
	if placed(old) && (!placed(n) || old.Parent != n.Parent || old.Name != n.Name) {
		if err := x.del(childKey(old.Parent, name.Fold(old.Name))); err != nil {
			return err
		}
		if err := x.del(orderKey(old.Parent, old.Ino)); err != nil {
			return err
		}
	}
	if placed(n) && (!placed(old) || old.Parent != n.Parent || old.Name != n.Name) {
		key := childKey(n.Parent, name.Fold(n.Name))
		if err := x.set(key, binary.BigEndian.AppendUint64(nil, uint64(n.Ino))); err != nil {
			return err
		}
		if err := x.set(orderKey(n.Parent, n.Ino), nil); err != nil {
			return err
		}
	}
	if err := x.indexBase(old, n); err != nil {
		return err
	}
	// Dirty.
	was := old != nil && !old.Since.IsZero()
	moved := old != nil && n != nil && n.Dir && old.Parent != n.Parent
	x.dirtied = x.dirtied || moved || was != (n != nil && d.Any()) || was && old.Parent != n.Parent
	if n != nil && d.Any() {
		r := dirtyRow{Since: n.Since, Deferred: n.Deferred != nil}
		if d.Bytes {
			r.Bytes = n.Size
		}
		if err := x.set(dirtyKey(n.Drive, n.Ino), encodeDirty(r)); err != nil {
			return err
		}
	} else if old != nil && !old.Since.IsZero() {
		if err := x.del(dirtyKey(old.Drive, old.Ino)); err != nil {
			return err
		}
	}
	local := func(n *Node) int64 {
		if placed(n) && n.LocalOnly {
			return 1
		}
		return 0
	}
	if delta := local(n) - local(old); delta != 0 {
		drive := old
		if n != nil {
			drive = n
		}
		x.count(drive.Drive, 0, delta)
	}
	return nil
}

func (x *tx) indexBase(old, n *Node) error {
	had, has := owns(old), owns(n)
	if had && (!has || old.Base.Item != n.Base.Item) {
		// Another node may have taken the item over earlier in this transaction.
		ino, err := x.ownerIno(old.Drive, old.Base.Item)
		if err != nil {
			return err
		}
		if ino == old.Ino {
			if err := x.del(itemKey(rowItem, old.Drive, old.Base.Item)); err != nil {
				return err
			}
		}
		x.count(old.Drive, -1, 0)
	}
	if has && (!had || old.Base.Item != n.Base.Item) {
		v := binary.BigEndian.AppendUint64(nil, uint64(n.Ino))
		if err := x.set(itemKey(rowItem, n.Drive, n.Base.Item), v); err != nil {
			return err
		}
		x.count(n.Drive, 1, 0)
	}
	if err := x.indexTwin(old, n); err != nil {
		return err
	}
	same := had && has && old.Base.Item == n.Base.Item && old.Base.Parent == n.Base.Parent &&
		old.Base.Name == n.Base.Name
	if same {
		return nil
	}
	if had && old.Base.Parent != "" {
		if err := x.unplace(old.Drive, basePlace(old.Base), old.Base.Item); err != nil {
			return err
		}
	}
	if has && n.Base.Parent != "" {
		return x.place(n.Drive, basePlace(n.Base), n.Base.Item)
	}
	return nil
}

func (x *tx) indexTwin(old, n *Node) error {
	was, is := isTwin(old), isTwin(n)
	if was && (!is || old.Base.Item != n.Base.Item) {
		if err := x.del(itemKey(rowTwin, old.Drive, old.Base.Item)); err != nil {
			return err
		}
	}
	if is && (!was || old.Base.Item != n.Base.Item) {
		return x.set(itemKey(rowTwin, n.Drive, n.Base.Item), nil)
	}
	return nil
}

// itemsAt returns the items whose base place is p.
func (x *tx) itemsAt(d DriveNum, p Place) ([]graph.ItemID, error) {
	if p.Folder == "" {
		return nil, nil
	}
	v, err := x.value(placeKey(d, p))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeItems(v)
}

func (x *tx) place(d DriveNum, p Place, item graph.ItemID) error {
	ids, err := x.itemsAt(d, p)
	if err != nil || slices.Contains(ids, item) {
		return err
	}
	return x.set(placeKey(d, p), encodeItems(append(ids, item)))
}

func (x *tx) unplace(d DriveNum, p Place, item graph.ItemID) error {
	ids, err := x.itemsAt(d, p)
	if err != nil || !slices.Contains(ids, item) {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id graph.ItemID) bool { return id == item })
	if len(ids) == 0 {
		return x.del(placeKey(d, p))
	}
	return x.set(placeKey(d, p), encodeItems(ids))
}

// gone returns the pending or echo-less deletion of an item, nil if there is none.
func (x *tx) gone(d DriveNum, item graph.ItemID) (*Gone, error) {
	if item == "" {
		return nil, nil
	}
	v, err := x.value(itemKey(rowGone, d, item))
	if err != nil || v == nil {
		return nil, err
	}
	g, err := decodeGone(v)
	return &g, err
}

// setGone stores a deletion, or with nil forgets it. A pending one still has its base place.
func (x *tx) setGone(d DriveNum, item graph.ItemID, g *Gone) error {
	old, err := x.gone(d, item)
	if err != nil {
		return err
	}
	if old != nil && old.Sent.IsZero() {
		if err := x.unplace(d, basePlace(&old.Base), item); err != nil {
			return err
		}
		x.count(d, -1, 0)
	}
	if g == nil {
		if old == nil {
			return nil
		}
		return x.del(itemKey(rowGone, d, item))
	}
	if g.Sent.IsZero() {
		if err := x.place(d, basePlace(&g.Base), item); err != nil {
			return err
		}
		x.count(d, 1, 0)
	}
	return x.set(itemKey(rowGone, d, item), encodeGone(g))
}

// replace compares the children of a folder with their bases anew, since the folder's own item
// changed. What does not fit into this transaction becomes a job.
func (x *tx) replace(folder Ino, from []byte) error {
	keys, err := x.keys(orderPrefix(folder), from, partRows+1)
	if err != nil {
		return err
	}
	for i, k := range keys {
		if i == partRows {
			j := job{Kind: jobReplace, Ino: folder, From: k}
			return x.addJob(j)
		}
		n, err := x.node(inoOfKey(k))
		if err != nil {
			return err
		}
		if n.Base == nil {
			continue // new before and after
		}
		if _, err := x.setNode(n); err != nil {
			return err
		}
	}
	return nil
}

// claim writes the row of a node's name once more, after an exchange.
func (x *tx) claim(n *Node) error {
	key := childKey(n.Parent, name.Fold(n.Name))
	return x.set(key, binary.BigEndian.AppendUint64(nil, uint64(n.Ino)))
}
