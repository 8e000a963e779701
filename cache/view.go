package cache

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// View returns what there is to send.
func (o *Outbox) View() (View, error) {
	d, err := o.s.Drive(o.drive)
	if err != nil {
		return View{}, err
	}
	v := View{
		Drive: o.drive, Root: d.Root,
		Nodes: map[Ino]Node{}, Gone: map[graph.ItemID]Gone{}, Items: map[graph.ItemID]Held{},
		Below: map[graph.ItemID][]graph.ItemID{}, Holders: map[Place]graph.ItemID{},
	}
	err = o.s.view(func(x *tx) error {
		v.At = x.now
		b := viewer{x: x, v: &v}
		return errors.Join(b.dirty(), b.gone(), b.holders(), b.known())
	})
	return v, err
}

// viewer gathers a View from one snapshot.
type viewer struct {
	x *tx
	v *View
}

func (b viewer) dirty() error {
	since := map[Ino]time.Time{}
	err := b.x.each(drivePrefix(rowDirty, b.v.Drive), nil, func(k, v []byte) (bool, error) {
		r, err := decodeDirty(v)
		ino := inoOfKey(k)
		since[ino] = r.Since
		b.v.Dirty = append(b.v.Dirty, ino)
		return true, err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(b.v.Dirty, func(x, y Ino) int {
		return cmp.Or(since[x].Compare(since[y]), cmp.Compare(x, y))
	})
	for _, ino := range b.v.Dirty {
		if err := b.withFolders(ino); err != nil {
			return err
		}
		if err := b.withOrigin(b.v.Nodes[ino]); err != nil {
			return err
		}
	}
	return nil
}

// withOrigin adds the folders in which the remote has a node that was moved.
func (b viewer) withOrigin(n Node) error {
	if !owns(&n) || n.Base.Parent == "" {
		return nil
	}
	p, err := b.x.owner(b.v.Drive, n.Base.Parent)
	if err != nil || p == nil {
		return err
	}
	return b.withFolders(p.Ino)
}

// withFolders adds a node and the folders above it.
func (b viewer) withFolders(ino Ino) error {
	for ino != 0 {
		if _, ok := b.v.Nodes[ino]; ok {
			return nil
		}
		n, err := b.x.node(ino)
		if err != nil {
			return err
		}
		b.v.Nodes[ino] = n
		ino = n.Parent
	}
	return nil
}

// gone adds the pending deletions and what the remote has below them.
func (b viewer) gone() error {
	err := b.x.each(drivePrefix(rowGone, b.v.Drive), nil, func(k, v []byte) (bool, error) {
		g, err := decodeGone(v)
		if err == nil && g.Sent.IsZero() {
			b.v.Gone[itemOfKey(k)] = g
		}
		return true, err
	})
	if err != nil {
		return err
	}
	var folders []graph.ItemID
	for id, g := range b.v.Gone {
		if g.Base.Dir {
			folders = append(folders, id)
		}
	}
	for len(folders) > 0 {
		f := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		if _, done := b.v.Below[f]; done {
			continue
		}
		ids, err := b.x.placesIn(b.v.Drive, f)
		if err != nil {
			return err
		}
		b.v.Below[f] = ids
		for _, id := range ids {
			h, err := b.item(id)
			if err != nil {
				return err
			}
			if h.Base.Dir {
				folders = append(folders, id)
			}
		}
	}
	return nil
}

// item adds an item with the node that has it.
func (b viewer) item(id graph.ItemID) (Held, error) {
	if h, ok := b.v.Items[id]; ok {
		return h, nil
	}
	var h Held
	n, err := b.x.owner(b.v.Drive, id)
	if err != nil {
		return h, err
	}
	if n != nil {
		h = Held{Base: *n.Base, Ino: n.Ino}
		if err := b.withFolders(n.Ino); err != nil {
			return h, err
		}
	} else {
		g, err := b.x.gone(b.v.Drive, id)
		if err != nil {
			return h, err
		}
		if g == nil {
			return h, ErrDamaged
		}
		h = Held{Base: g.Base}
	}
	b.v.Items[id] = h
	return h, nil
}

// holders adds who has, on the remote, the places that dirty nodes want.
func (b viewer) holders() error {
	for _, ino := range b.v.Dirty {
		n := b.v.Nodes[ino]
		p := b.v.Nodes[n.Parent]
		if !owns(&p) {
			continue
		}
		place := Place{Folder: p.Base.Item, Key: name.Fold(n.Name)}
		ids, err := b.x.itemsAt(b.v.Drive, place)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if n.Base != nil && n.Base.Item == id {
				continue
			}
			h, err := b.item(id)
			if err != nil {
				return err
			}
			// Of several, the one agreed on last is there.
			if other, ok := b.v.Holders[place]; !ok || h.Base.At.After(b.v.Items[other].Base.At) {
				b.v.Holders[place] = id
			}
		}
	}
	return nil
}

func (b viewer) known() error {
	c, err := b.x.readCounts(b.v.Drive)
	b.v.Known = int(c.known)
	return err
}
