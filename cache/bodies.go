package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// What the store asks of its bodies. None of it runs under S.

// takeDropped returns bodies that are removed by now, and whose rows can go.
func (s *Store) takeDropped() []Ino { return s.dropped.take(partRows) }

// whole reports whether a node's bytes are all here, as local work or as those of its base. A clean
// body of an older version is as good as none.
func (s *Store) whole(ino Ino) bool {
	n, err := s.Tree().Get(ino)
	if err != nil {
		return false
	}
	i, err := s.content.Info(uint64(ino))
	return err == nil && (i.Local || i.Complete && n.Base != nil && i.Version.Same(n.Base.Version()))
}

// localise turns the clean body of a node that lost its item into local work.
func (s *Store) localise(k keep) error {
	tag, err := s.tag(k.ino)
	if err != nil {
		if errors.Is(err, ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	}
	f, err := s.content.Version(uint64(k.ino), k.v, k.mtime)
	if errors.Is(err, content.ErrLocal) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Unseal(uint64(k.seq), tag)
}

// tag describes a node for the sidecar of its body.
func (s *Store) tag(ino Ino) (t content.Tag, err error) {
	err = s.view(func(x *tx) error {
		t, err = x.tag(ino)
		return err
	})
	return t, err
}

func (x *tx) tag(ino Ino) (content.Tag, error) {
	n, err := x.node(ino)
	if err != nil {
		return content.Tag{}, err
	}
	t := content.Tag{Drive: x.drive(n.Drive).Drive.ID}
	if n.Base != nil {
		t.Item, t.ETag = n.Base.Item, n.Base.ETag
	}
	t.Path, err = x.path(ino)
	return t, err
}

// agree marks the body of a clean node as the version that its base says. Local bytes that turn
// out to be something else make the node Written again: they are never taken for the remote's.
func (s *Store) agree(a agreement) error {
	f, err := s.content.Local(uint64(a.ino))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if ok, err := f.Agreed(uint64(a.seq), a.v); ok || err != nil {
		return err
	}
	// Unsealed: a writer came, who marked the node, or nobody had the body open in between and the
	// seal was forgotten. Without a handle there is no writer, and the bytes can speak.
	if s.Tree().Held(a.ino) == 0 {
		if hash, size, err := sealedHash(f, a.seq); err == nil && size == a.v.Size && hash.Equal(a.v.Hash) {
			if ok, err := f.Agreed(uint64(a.seq), a.v); ok || err != nil {
				return err
			}
		}
	}
	return s.update(grows, func(x *tx) error {
		n, err := x.node(a.ino)
		if errors.Is(err, ErrNotExist) || err == nil && (n.Written || n.Removed) {
			return nil
		}
		if err != nil {
			return err
		}
		n.Written = true
		if n.Seq, err = x.seq(); err != nil {
			return err
		}
		n.Marked = n.Seq
		_, err = x.setNode(n)
		return err
	})
}

// sealedHash seals a body and computes the hash of its bytes.
func sealedHash(f *content.File, seq Seq) (graph.Hash, int64, error) {
	snap, err := f.Seal(uint64(seq))
	if err != nil {
		return "", 0, err
	}
	defer snap.Release()
	h := graph.NewQuickXor()
	n, err := io.Copy(h, io.NewSectionReader(snap, 0, snap.Size()))
	if err != nil {
		return "", 0, fmt.Errorf("read local work: %w", err)
	}
	return graph.HashOf(h), n, nil
}

// retagMax is how many unsent files are looked at for a folder that moved: their sidecars are a help
// for whoever has lost the rows, and not worth any time.
const retagMax = 2000

// retag tells the sidecars of unsent files that they, or folders above them, have moved.
func (s *Store) retag(moved []Ino) error {
	s.retagging.Lock() // two at once would not know whose word is the later one
	defer s.retagging.Unlock()
	tags := map[Ino]content.Tag{}
	err := s.view(func(x *tx) error {
		var folders []Node
		var files []Ino
		for _, ino := range moved {
			n, err := x.node(ino)
			switch {
			case errors.Is(err, ErrNotExist):
			case err != nil:
				return err
			case n.Dir:
				folders = append(folders, n)
			default:
				files = append(files, ino)
			}
		}
		for _, f := range folders {
			keys, err := x.keys(drivePrefix(rowDirty, f.Drive), nil, retagMax)
			if err != nil {
				return err
			}
			for _, k := range keys {
				ino := inoOfKey(k)
				n, err := x.node(ino)
				if err != nil {
					return err
				}
				if in, err := x.inside(ino, f.Ino); err != nil {
					return err
				} else if in && n.Written {
					files = append(files, ino)
				}
			}
		}
		for _, ino := range files {
			t, err := x.tag(ino)
			if err != nil && !errors.Is(err, ErrNotExist) {
				return err
			} else if err == nil {
				tags[ino] = t
			}
		}
		return nil
	})
	errs := []error{err}
	for ino, t := range tags {
		errs = append(errs, s.content.Retag(uint64(ino), t))
	}
	return errors.Join(errs...)
}
