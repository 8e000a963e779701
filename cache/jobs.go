package cache

import (
	"errors"
	"fmt"
	"slices"
)

// jobKind is a sort of work that is too much for one transaction. It is in the store from the
// transaction that makes it necessary until it is done; every part of it may be done twice.
type jobKind byte

const (
	// jobReplace compares the children of a folder with their bases anew.
	jobReplace jobKind = 'p'
	// jobLocal carries a folder's being local-only, or not any more, to what is below it.
	jobLocal jobKind = 'l'
)

type job struct {
	Kind jobKind
	Ino  Ino
	From []byte // jobReplace: where to go on
	Path string // jobLocal: where the folder was before
}

func (x *tx) addJob(j job) error {
	b, err := encodeJSON(j)
	if err != nil {
		return err
	}
	x.jobs = append(x.jobs, j)
	return x.set(jobKey(j.Kind, j.Ino), b)
}

// run does a job to its end.
func (s *Store) run(j job) error {
	switch j.Kind {
	case jobReplace:
		return s.update(shrinks, func(x *tx) error {
			if err := x.del(jobKey(j.Kind, j.Ino)); err != nil {
				return err
			}
			return x.replace(j.Ino, j.From)
		})
	case jobLocal:
		return s.spreadLocal(j)
	}
	return fmt.Errorf("unknown job %q: %w", j.Kind, ErrReplaced)
}

// finishJobs does what a crash has left undone.
func (s *Store) finishJobs() error {
	var jobs []job
	err := s.view(func(x *tx) error {
		return x.each([]byte{rowJob}, nil, func(_, v []byte) (bool, error) {
			var j job
			err := decodeJSON(v, &j)
			jobs = append(jobs, j)
			return true, err
		})
	})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := s.run(j); err != nil {
			return err
		}
	}
	return nil
}

// below lists all nodes below a folder, every folder before what is in it.
func (s *Store) below(top Ino) ([]Ino, error) {
	var all []Ino
	err := s.view(func(x *tx) error {
		folders := []Ino{top}
		for len(folders) > 0 {
			f := folders[len(folders)-1]
			folders = folders[:len(folders)-1]
			keys, err := x.keys(orderPrefix(f), nil, 0)
			if err != nil {
				return err
			}
			for _, k := range keys {
				ino := inoOfKey(k)
				all = append(all, ino)
				n, err := x.node(ino)
				if err != nil {
					return err
				}
				if n.Dir {
					folders = append(folders, ino)
				}
			}
		}
		return nil
	})
	return all, err
}

func (s *Store) spreadLocal(j job) error {
	inos, err := s.below(j.Ino)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(inos, partRows/2) {
		if err := s.updateAsking(shrinks, func(x *tx) error {
			for _, ino := range part {
				if err := x.followLocal(ino, j); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return s.update(shrinks, func(x *tx) error { return x.del(jobKey(j.Kind, j.Ino)) })
}

// followLocal makes a node local-only, or not, as its folder is.
func (x *tx) followLocal(ino Ino, j job) error {
	n, err := x.node(ino)
	if errors.Is(err, ErrNotExist) || err == nil && !placed(&n) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := x.node(n.Parent)
	if err != nil {
		return err
	}
	want := p.LocalOnly || x.s.o.LocalOnly.Match(n.Name)
	if want == n.LocalOnly {
		return nil
	}
	if !want {
		if _, err = x.leaveLocal(n); errors.Is(err, errLost) {
			x.s.log.Warn("a file moved back has no bytes any more", "ino", ino, "name", n.Name)
			_, err = x.remove(n, false)
		}
		return err
	}
	path, err := x.pathBelow(ino, j.Ino)
	if err != nil {
		return err
	}
	_, err = x.enterLocal(n, j.Path+path)
	return err
}

// pathBelow returns the path of a node from a folder above it.
func (x *tx) pathBelow(ino, top Ino) (string, error) {
	path := ""
	for ino != top && ino != 0 {
		n, err := x.node(ino)
		if err != nil {
			return "", err
		}
		path = "/" + n.Name + path
		ino = n.Parent
	}
	return path, nil
}

// enterLocal stores a node, placed already, as local-only: its item becomes a pending deletion.
// path is where it was.
func (x *tx) enterLocal(n Node, path string) (Node, error) {
	was, err := x.node(n.Ino)
	if err != nil {
		return n, err
	}
	n.LocalOnly = true
	if n, err = x.setNode(n); err != nil || !owns(&was) {
		return n, err
	}
	if err := x.bury(&was, path); err != nil {
		return n, err
	}
	return x.node(n.Ino) // an heir may have taken its item
}

// bury makes the item of a node that has just lost it a pending deletion.
func (x *tx) bury(was *Node, path string) error {
	seq, err := x.seq()
	if err != nil {
		return err
	}
	g := Gone{Base: *was.Base, Ino: was.Ino, Path: path, At: x.now, Seq: seq, left: was.left}
	if g.left.IsZero() {
		g.left = x.now
	}
	if err := x.setGone(was.Drive, g.Base.Item, &g); err != nil {
		return err
	}
	return x.vacated(was.Drive, &g.Base)
}

// errLost: the item has changed or gone there while the file was under a local-only name, and its
// old bytes were never fetched.
var errLost = fmt.Errorf("its bytes are neither here nor there any more: %w", ErrStale)

// leaveLocal stores a node, placed already, as one that is sent again. Its pending deletion is
// taken back; if that is too late, it is a new item, or without bytes errLost.
func (x *tx) leaveLocal(n Node) (Node, error) {
	n.LocalOnly = false
	if n.Base == nil {
		return x.setNode(n)
	}
	item := n.Base.Item
	g, err := x.gone(n.Drive, item)
	if err != nil {
		return n, err
	}
	stepping, err := x.stepping(n.Drive, item)
	if err != nil {
		return n, err
	}
	if g == nil || g.Ino != n.Ino || !g.Sent.IsZero() || stepping {
		switch ok, err := x.isWhole(&n); {
		case err != nil:
			return n, err
		case !ok:
			return n, errLost
		}
		return x.disown(n)
	}
	if err := x.setGone(n.Drive, item, nil); err != nil {
		return n, err
	}
	base := g.Base
	n.Base = &base
	return x.setNode(n)
}
