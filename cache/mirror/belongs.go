package mirror

import (
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// standing says whether an item has a place here.
type standing uint8

const (
	stands  standing = iota
	gone             // it was deleted, or a folder above it was
	leftOut          // it is not to be mirrored, by the filter or by its sort; it has a path none the less
	refused          // its name, or that of a folder above it, cannot be a name here
	adrift           // the folder that it is in is not known, or lies inside of it
)

// spot is where an item belongs.
type spot struct {
	path string // with slashes, from the data folder; set if it stands or is left out
	is   standing
	// shared is the last cycle in which who may see it may have changed by a folder above it.
	shared uint64
	// above: it stands as it does because of a folder above it.
	above bool
}

// deepest is more than any tree can have.
const deepest = 1000

// spotsKept bounds the folders whose spots are remembered.
const spotsKept = 50_000

// placer finds where items belong by the folders that they are in. It is pure but for the rows that it is given.
type placer struct {
	item func(graph.ItemID) (item, bool, error)
	take func(path string, dir bool) bool // nil takes everything
	most int64                            // largest file that is taken, in bytes; 0 is no limit
	memo map[graph.ItemID]spot            // of folders
}

// of says where an item belongs.
func (p *placer) of(i item) (spot, error) { return p.at(i, 0) }

func (p *placer) at(i item, depth int) (spot, error) {
	switch {
	case i.Gone:
		return spot{is: gone}, nil
	case i.Root:
		return spot{shared: i.Shared}, nil
	case depth > deepest:
		return spot{is: adrift, above: true}, nil
	}
	up, err := p.folder(i.Parent, depth+1)
	if err != nil {
		return spot{}, err
	}
	s := spot{path: join(up.path, i.Name), is: up.is, shared: up.shared, above: true}
	switch {
	case up.is == gone || up.is == refused || up.is == adrift:
		return spot{is: up.is, above: true}, nil
	case !name.Safe(i.Name):
		return spot{is: refused}, nil
	case up.is == leftOut:
		return s, nil
	}
	s.above = false
	switch {
	case i.Type != graph.File && i.Type != graph.Folder, i.Type == graph.File && p.most > 0 && i.Ver.Size > p.most,
		p.take != nil && !p.take(s.path, i.Type == graph.Folder):
		s.is = leftOut
	}
	return s, nil
}

// folder says where a folder belongs, the same way for all that is in it.
func (p *placer) folder(id graph.ItemID, depth int) (spot, error) {
	if s, ok := p.memo[id]; ok {
		return s, nil
	}
	i, ok, err := p.item(id)
	if err != nil {
		return spot{}, err
	}
	s := spot{is: adrift}
	if ok {
		if s, err = p.at(i, depth); err != nil {
			return s, err
		}
		s.shared = max(s.shared, i.Shared)
		if i.Type != graph.Folder && s.is == stands {
			s.is = leftOut // inside of a notebook
		}
	}
	if depth < deepest/2 { // deeper answers may be those of a circle cut at one point
		if p.memo == nil || len(p.memo) >= spotsKept {
			p.memo = map[graph.ItemID]spot{}
		}
		p.memo[id] = s
	}
	return s, nil
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
