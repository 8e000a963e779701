package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// heirTime is how long after a place was vacated a newcomer takes its item over. Later than that
// it is taken for something else, which must not inherit sharing links.
const heirTime = time.Minute

// needWhole asks the caller to find out whether bodies are complete, without S, and to try again.
type needWhole struct{ inos []Ino }

func (needWhole) Error() string { return "bodies must be looked at first" }

// updateAsking is update for changes that may make heirs: whether the body of a node that would
// lose its item is complete is asked of content in between.
func (s *Store) updateAsking(g growth, fn func(*tx) error) error {
	whole := map[Ino]bool{}
	for {
		err := s.updateKnowing(g, whole, fn)
		var need needWhole
		if !errors.As(err, &need) {
			return err
		}
		for _, ino := range need.inos {
			whole[ino] = s.whole(ino)
		}
	}
}

// isWhole reports whether all bytes of a node are here. Written ones always are.
func (x *tx) isWhole(n *Node) (bool, error) {
	if n.Written || n.Dir {
		return true, nil
	}
	w, asked := x.whole[n.Ino]
	if !asked {
		return false, needWhole{inos: []Ino{n.Ino}}
	}
	return w, nil
}

// inherit gives a node without base the item whose place it has come to, if there is one that it
// may take over (DESIGN: heirs). It returns the node as it is then.
func (x *tx) inherit(n Node) (Node, error) {
	if !placed(&n) || n.Base != nil || n.LocalOnly {
		return n, nil
	}
	folder, err := x.folderItem(n.Parent)
	if err != nil {
		return n, err
	}
	ids, err := x.itemsAt(n.Drive, Place{Folder: folder, Key: name.Fold(n.Name)})
	if err != nil || len(ids) == 0 {
		return n, err
	}
	var best *legacy
	for _, id := range ids {
		l, err := x.legacy(&n, id)
		if err != nil {
			return n, err
		}
		if l != nil && (best == nil || l.left.After(best.left)) {
			best = l
		}
	}
	if best == nil {
		return n, nil
	}
	return x.hand(*best, n)
}

// legacy is an item that a newcomer may take over.
type legacy struct {
	base Base
	left time.Time
	gone bool  // it is a pending deletion
	from *Node // living node that has its bytes, nil if there is none
}

// legacy returns what n may inherit of an item, nil if nothing.
func (x *tx) legacy(n *Node, id graph.ItemID) (*legacy, error) {
	var l legacy
	g, err := x.gone(n.Drive, id)
	if err != nil {
		return nil, err
	}
	if g != nil {
		if !g.Sent.IsZero() {
			return nil, nil
		}
		l = legacy{base: g.Base, left: g.left, gone: true}
		switch from, err := x.node(g.Ino); {
		case err == nil && placed(&from) && from.Base != nil && from.Base.Item == id:
			l.from = &from // under a local-only name
		case err != nil && !errors.Is(err, ErrNotExist):
			return nil, err
		}
	} else {
		from, err := x.owner(n.Drive, id)
		if err != nil || from == nil {
			return nil, err
		}
		// Alive elsewhere it keeps its item, unless it is the backup that an editor has made of it.
		if from.Dir || from.Parent != n.Parent || from.Ino == n.Ino || !name.Backup(from.Name, from.Base.Name) {
			return nil, nil
		}
		l = legacy{base: *from.Base, left: from.left, from: from}
	}
	if l.base.Dir != n.Dir || l.left.IsZero() || x.now.Sub(l.left) > heirTime {
		return nil, nil
	}
	if stepping, err := x.stepping(n.Drive, id); err != nil || stepping {
		return nil, err // its deletion is on its way
	}
	if l.from != nil {
		if ok, err := x.isWhole(l.from); err != nil || !ok {
			return nil, err
		}
	}
	return &l, nil
}

// stepping reports whether the deletion of an item is being sent.
func (x *tx) stepping(d DriveNum, id graph.ItemID) (bool, error) {
	return x.has(stepKey(d, 0, id))
}

// hand makes n the heir.
func (x *tx) hand(l legacy, n Node) (Node, error) {
	seq, err := x.seq()
	if err != nil {
		return n, err
	}
	if l.from != nil {
		if _, err := x.disown(*l.from); err != nil {
			return n, err
		}
	}
	if l.gone {
		if err := x.setGone(n.Drive, l.base.Item, nil); err != nil {
			return n, err
		}
	}
	base := l.base
	n.Base, n.Seq, n.left = &base, seq, time.Time{}
	return x.setNode(n)
}

// disown takes a node's base from it: it is a new item from now on, and its bytes are local work.
// The caller has made sure that they are all here.
func (x *tx) disown(n Node) (Node, error) {
	seq, err := x.seq()
	if err != nil {
		return n, err
	}
	if n.parked != "" {
		if n, err = x.unpark(n); err != nil {
			return n, err
		}
	}
	if n, err = x.apart(n); err != nil {
		return n, err
	}
	base := n.Base
	n.Base, n.Seq, n.left = nil, seq, time.Time{}
	if !n.Dir && !n.Written {
		if base == nil {
			return n, fmt.Errorf("node %d: %w: neither base nor local bytes", n.Ino, ErrDamaged)
		}
		n.Written, n.Marked = true, seq
		x.keeps = append(x.keeps, keep{ino: n.Ino, v: base.Version(), mtime: n.Mtime, seq: seq})
	}
	return x.setNode(n)
}

// vacated lets a newcomer that already sits at the place of an item have it, since the node that
// had the item is gone just now: an editor has removed its backup.
func (x *tx) vacated(d DriveNum, b *Base) error {
	folder, err := x.owner(d, b.Parent)
	if err != nil || folder == nil {
		return err
	}
	n, err := x.childByKey(folder.Ino, name.Fold(b.Name))
	if err != nil || n == nil {
		return err
	}
	_, err = x.inherit(*n)
	return err
}
