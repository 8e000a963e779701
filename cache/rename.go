package cache

import (
	"fmt"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph/name"
)

// rename is one Tree.Rename inside its transaction.
type rename struct {
	x     *tx
	flags RenameFlags
	name  string // new
}

func (r rename) do(oldParent Ino, oldName string, newParent Ino) (Renamed, error) {
	x := r.x
	from, err := x.folder(oldParent)
	if err != nil {
		return Renamed{}, err
	}
	to, err := x.folder(newParent)
	if err != nil {
		return Renamed{}, err
	}
	src, err := x.lookup(from, oldName)
	if err != nil {
		return Renamed{}, err
	}
	tgt, err := x.childByKey(newParent, name.Fold(r.name))
	if err != nil {
		return Renamed{}, err
	}
	if tgt != nil && tgt.Ino == src.Ino {
		tgt = nil // the same node in another spelling
		switch {
		case src.Name == r.name && r.flags&NoReplace != 0:
			return Renamed{}, ErrExist
		case src.Name == r.name:
			return Renamed{Moved: src}, nil
		}
	}
	if err := r.check(&src, tgt, &to); err != nil {
		return Renamed{}, err
	}
	if err := r.names(&src, tgt, &from, &to); err != nil {
		return Renamed{}, err
	}
	var out Renamed
	if r.flags&Exchange != 0 {
		out, err = r.exchange(src, *tgt)
	} else {
		out, err = r.move(src, tgt, newParent)
	}
	if err != nil {
		return Renamed{}, err
	}
	if err := x.mayBeCalled(&out.Moved); err != nil {
		return Renamed{}, err
	}
	if r.flags&Exchange != 0 {
		if err := x.mayBeCalled(out.Replaced); err != nil {
			return Renamed{}, err
		}
	}
	if err := x.touch(oldParent); err != nil {
		return Renamed{}, err
	}
	if newParent == oldParent {
		return out, nil
	}
	return out, x.touch(newParent)
}

// check reports what forbids the rename.
func (r rename) check(src, tgt, to *Node) error {
	if src.Drive != to.Drive {
		return ErrOtherDrive
	}
	if src.Dir {
		if in, err := r.x.inside(to.Ino, src.Ino); err != nil {
			return err
		} else if in {
			return ErrInside
		}
	}
	if tgt == nil {
		if r.flags&Exchange != 0 {
			if to.Listing == Unlisted {
				return ErrUnlisted
			}
			return ErrNotExist
		}
		if to.Listing == Unlisted {
			return ErrUnlisted
		}
		return nil
	}
	if r.flags&NoReplace != 0 || tgt.Name != r.name && !r.x.s.o.CaseBlind {
		return exists(tgt, r.name)
	}
	if r.flags&Exchange != 0 {
		if !tgt.Dir {
			return nil
		}
		in, err := r.x.inside(src.Parent, tgt.Ino)
		if err == nil && in {
			err = ErrInside
		}
		return err
	}
	switch {
	case tgt.Dir && !src.Dir:
		return ErrIsFolder
	case !tgt.Dir && src.Dir:
		return ErrNotFolder
	}
	return r.x.vacant(tgt)
}

// names checks the names that src, and in an exchange tgt, are given. One that came from the remote
// and only moves is legal there.
func (r rename) names(src, tgt, from, to *Node) error {
	check := func(n, p *Node, child string) error {
		local := r.x.local(p, child)
		if child == n.Name && !n.LocalOnly && !local {
			path, err := r.x.path(p.Ino)
			if err == nil && n.Parent != p.Ino && name.PathTooLong(r.x.drive(p.Drive).Drive.WebURL, strings.TrimSuffix(path, "/")+"/"+child) {
				err = fmt.Errorf("%q: %w", child, ErrPathTooLong)
			}
			return err
		}
		return r.x.fits(*p, child, local)
	}
	if err := check(src, to, r.name); err != nil {
		return err
	}
	if r.flags&Exchange == 0 {
		return nil
	}
	return check(tgt, from, src.Name)
}

// local reports whether a child of p by this name is never sent.
func (x *tx) local(p *Node, child string) bool {
	return p.LocalOnly || x.s.o.LocalOnly.Match(child)
}

func (r rename) move(src Node, tgt *Node, to Ino) (Renamed, error) {
	x := r.x
	var out Renamed
	if tgt != nil {
		replaced, err := x.remove(*tgt, true)
		if err != nil {
			return out, err
		}
		out.Replaced = &replaced
		// The place that the replaced one left may have made src an heir.
		if src, err = x.node(src.Ino); err != nil {
			return out, err
		}
	}
	moved, err := x.relocate(src, to, r.name)
	if err != nil {
		return out, err
	}
	out.Moved, err = x.inherit(moved)
	return out, err
}

func (r rename) exchange(src, tgt Node) (Renamed, error) {
	x := r.x
	srcParent, srcName := src.Parent, src.Name
	tgtParent, tgtName := tgt.Parent, tgt.Name
	var out Renamed
	moved, err := x.relocate(src, tgtParent, tgtName)
	if err != nil {
		return out, err
	}
	if tgt, err = x.node(tgt.Ino); err != nil {
		return out, err
	}
	// The moved node has the row of the name by now, which the other's leaving must not delete.
	partner, err := x.relocate(tgt, srcParent, srcName)
	if err != nil {
		return out, err
	}
	if err := x.claim(&moved); err != nil {
		return out, err
	}
	if moved, err = x.inherit(moved); err != nil {
		return out, err
	}
	if partner, err = x.node(partner.Ino); err != nil {
		return out, err
	}
	if partner, err = x.inherit(partner); err != nil {
		return out, err
	}
	if moved, err = x.node(moved.Ino); err != nil {
		return out, err
	}
	return Renamed{Moved: moved, Replaced: &partner}, nil
}

// relocate gives a node another folder and name, and makes it local-only or not as they say.
func (x *tx) relocate(n Node, to Ino, child string) (Node, error) {
	seq, err := x.seq()
	if err != nil {
		return n, err
	}
	path, err := x.path(n.Ino)
	if err != nil {
		return n, err
	}
	p, err := x.node(to)
	if err != nil {
		return n, err
	}
	home, err := x.atHome(&n)
	if err != nil {
		return n, err
	}
	if home {
		n.left = x.now
	}
	was := n
	n.Parent, n.Name, n.Seq, n.Ctime = to, child, seq, x.now
	local := x.local(&p, child)
	switch {
	case local && !n.LocalOnly:
		n, err = x.enterLocal(n, path)
	case !local && n.LocalOnly:
		n, err = x.leaveLocal(n)
	default:
		n, err = x.setNode(n)
	}
	if err != nil {
		return n, err
	}
	if home, err := x.atHome(&n); err != nil {
		return n, err
	} else if home && !n.left.IsZero() {
		n.left = time.Time{}
		if n, err = x.setNode(n); err != nil {
			return n, err
		}
	}
	if n.Dir && was.LocalOnly != n.LocalOnly {
		empty, err := x.empty(n.Ino)
		if err != nil {
			return n, err
		}
		if !empty {
			return n, x.addJob(job{Kind: jobLocal, Ino: n.Ino, Path: path})
		}
	}
	return n, nil
}
