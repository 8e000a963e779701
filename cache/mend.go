package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/duskfs/duskfs/cache/content"
)

// mend ends what the last process left undone. After an unclean stop it also compares nodes with
// their bodies.
func (s *Store) mend(unclean bool) error {
	if err := s.dropLeftovers(); err != nil {
		return fmt.Errorf("erase removed nodes: %w", err)
	}
	if err := s.finishJobs(); err != nil {
		return fmt.Errorf("finish what was under way: %w", err)
	}
	if !unclean {
		return nil
	}
	s.log.Info("the last process did not end well, its nodes and bodies are compared", "dir", s.dir)
	if err := s.mendBodies(); err != nil {
		return fmt.Errorf("compare bodies with nodes: %w", err)
	}
	if err := s.mendNodes(); err != nil {
		return fmt.Errorf("compare nodes with bodies: %w", err)
	}
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
		// The next transaction takes their rows.
		if err := s.update(shrinks, func(*tx) error { return nil }); err != nil {
			return err
		}
	}
}

// lastSeq is after every change: nobody has a body open while a store is opened.
const lastSeq = Seq(math.MaxInt64)

// mendBodies gives every body of local work a node that says so: what was written without a mark
// that survived, or committed without the body being told.
func (s *Store) mendBodies() error {
	locals, err := s.locals(context.Background())
	if err != nil {
		return err
	}
	for _, i := range locals {
		n, err := s.Tree().Get(Ino(i.Ino))
		switch {
		case i.Damaged:
			// Whose it is nobody knows: a node that wants its bytes finds none, and they are kept.
			err = errors.Join(s.content.Aside(i.Ino), s.recovered(i))
		case errors.Is(err, ErrNotExist):
			err = s.recovered(i)
		case err != nil:
		case n.Written:
			_, err = s.Tree().Settle(n.Ino, i.Size, i.ModTime)
		case n.Base != nil:
			// Agreed, or if the bytes are not those of the base, Written again.
			err = s.agree(agreement{ino: n.Ino, seq: lastSeq, v: n.Base.Version()})
			if err == nil {
				err = s.settleWritten(i)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) locals(ctx context.Context) (list []content.Info, err error) {
	err = s.content.Locals(ctx, func(i content.Info) error {
		list = append(list, i)
		return nil
	})
	return list, err
}

func (s *Store) settleWritten(i content.Info) error {
	n, err := s.Tree().Get(Ino(i.Ino))
	if err != nil || !n.Written {
		return err
	}
	_, err = s.Tree().Settle(n.Ino, i.Size, i.ModTime)
	return err
}

// kindRecovered is the kind of report about local work that no node knows.
const kindRecovered = "recovered"

// recovered reports local work that no node knows. It is kept as it is.
func (s *Store) recovered(i content.Info) error {
	var drive DriveNum
	for num, d := range *s.drives.Load() {
		if d.Drive.ID == i.Tag.Drive || drive == 0 {
			drive = num
		}
	}
	s.log.Warn("local work without a node was found and kept", "ino", i.Ino, "path", i.Tag.Path)
	if drive == 0 {
		return nil
	}
	known := false
	reports, err := s.Reports(drive).Reports(keptNumbered)
	if err != nil {
		return err
	}
	for _, r := range reports {
		known = known || r.Kind == kindRecovered && r.Ino == Ino(i.Ino)
	}
	if known {
		return nil
	}
	return s.update(shrinks, func(x *tx) error {
		x.report = append(x.report, reportDraft{
			drive: drive, kind: kindRecovered, ino: Ino(i.Ino), path: i.Tag.Path,
			text: fmt.Sprintf("Bytes were found that belong to no file. They are kept as %d in %s; `duskfs export-pending FOLDER` copies them out.", i.Ino, s.dir),
		})
		return nil
	})
}

// mendNodes looks at every Written node whose body is no local work: a mark was made, and the first
// byte not written any more.
func (s *Store) mendNodes() error {
	var written []Node
	err := s.view(func(x *tx) error {
		return x.each([]byte{rowNode}, nil, func(k, v []byte) (bool, error) {
			n, err := decodeNode(inoOfKey(k), v)
			if err == nil && n.Written && !n.Dir {
				written = append(written, n)
			}
			return true, err
		})
	})
	if err != nil {
		return err
	}
	for _, n := range written {
		i, err := s.content.Info(uint64(n.Ino))
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case err != nil && !missing:
			return err
		case !missing && i.Local:
			continue
		case n.Base != nil:
			// The clean body, here or not, is still that of the base.
			err = s.unmark(n)
		case missing && n.Size == 0:
			err = s.createEmpty(n)
		case !missing && i.Complete:
			err = s.localise(keep{ino: n.Ino, v: i.Version, mtime: n.Mtime, seq: n.Seq})
		default:
			s.log.Error("the bytes of a file made here are missing", "ino", n.Ino, "name", n.Name)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unmark takes back a Mark that no byte followed.
func (s *Store) unmark(was Node) error {
	return s.update(shrinks, func(x *tx) error {
		n, err := x.node(was.Ino)
		if err != nil {
			return err
		}
		n.Written, n.Size = false, n.Base.Size
		if !n.Base.ModTime.IsZero() {
			n.Mtime = n.Base.ModTime
		}
		_, err = x.setNode(n)
		return err
	})
}

// createEmpty makes the body that Create did not come to.
func (s *Store) createEmpty(n Node) error {
	tag, err := s.tag(n.Ino)
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := s.content.Create(uint64(n.Ino), uint64(n.Seq), tag)
	if err != nil {
		return err
	}
	return f.Close()
}
