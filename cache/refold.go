package cache

import (
	"encoding/binary"

	"github.com/duskfs/duskfs/graph/name"
)

// refold makes every key of a name anew, after a change of the rule by which they are made. It works in
// parts; the rule's number is stored last, so that a crash makes the next start begin again. Nodes of
// one folder that are the same by the new rule: the later one is shown as a twin, or steps aside if it is not
// called so there.
func (s *Store) refold() error {
	s.log.Info("the keys of all names are made anew", "rule", name.FoldVersion)
	for _, kind := range []byte{rowChild, rowPlace} {
		if err := s.clear(kind); err != nil {
			return err
		}
	}
	if err := s.every(rowNode, func(x *tx, k []byte) error {
		n, err := x.node(inoOfKey(k))
		if err != nil {
			return err
		}
		return x.refoldNode(n)
	}); err != nil {
		return err
	}
	if err := s.every(rowGone, func(x *tx, k []byte) error {
		v, err := x.value(k)
		if err != nil || v == nil {
			return err
		}
		g, err := decodeGone(v)
		if err != nil || !g.Sent.IsZero() {
			return err
		}
		return x.place(DriveNum(binary.BigEndian.Uint32(k[1:5])), basePlace(&g.Base), g.Base.Item)
	}); err != nil {
		return err
	}
	return s.update(shrinks, func(x *tx) error {
		return x.set(metaKey(metaFold), binary.BigEndian.AppendUint64(nil, name.FoldVersion))
	})
}

func (x *tx) refoldNode(n Node) error {
	if owns(&n) && n.Base.Parent != "" {
		if err := x.place(n.Drive, basePlace(n.Base), n.Base.Item); err != nil {
			return err
		}
	}
	if !placed(&n) {
		return nil
	}
	holder, err := x.childByKey(n.Parent, name.Fold(n.Name))
	if err != nil {
		return err
	}
	if holder == nil || holder.Ino == n.Ino {
		return x.claim(&n)
	}
	home, err := x.atItsName(&n)
	if err != nil {
		return err
	}
	if home {
		_, err = x.twin(n)
	} else {
		_, err = x.aside(n)
	}
	if err != nil {
		return err
	}
	return x.claim(holder) // whose row the other's leaving has taken
}

// clear erases all rows of a kind.
func (s *Store) clear(kind byte) error {
	for more := true; more; {
		if err := s.update(shrinks, func(x *tx) error {
			keys, err := x.keys([]byte{kind}, nil, 4*partRows)
			if err != nil {
				return err
			}
			more = len(keys) > 0
			for _, k := range keys {
				if err := x.del(k); err != nil {
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

// every calls fn for the key of every row of a kind, in transactions of some rows each.
func (s *Store) every(kind byte, fn func(x *tx, key []byte) error) error {
	for from := []byte{kind}; from != nil; {
		if err := s.update(grows, func(x *tx) error {
			keys, err := x.keys([]byte{kind}, from, partRows)
			if err != nil {
				return err
			}
			from = nil
			for _, k := range keys {
				if err := fn(x, k); err != nil {
					return err
				}
			}
			if len(keys) == partRows {
				from = append(keys[len(keys)-1], 0)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
