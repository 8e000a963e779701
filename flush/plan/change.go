package plan

import (
	"cmp"
	"path"
	"slices"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// ChangeKind says what a [Change] is.
type ChangeKind string

// The kinds of changes.
const (
	New      ChangeKind = "new"
	Modified ChangeKind = "modified" // other bytes
	Renamed  ChangeKind = "renamed"  // another name or folder
	Dated    ChangeKind = "dated"    // another time alone
	Deleted  ChangeKind = "deleted"
)

// Change is one difference between here and there, for people.
type Change struct {
	Kind ChangeKind `json:"kind"`
	Path string     `json:"path"`           // from the root of the drive
	From string     `json:"from,omitempty"` // of what was renamed: where the remote has it
	Dir  bool       `json:"dir,omitempty"`
	// OldSize is in bytes, as the remote has it; Size as it is here. Both are 0 for folders.
	OldSize int64 `json:"old_size"`
	Size    int64 `json:"size"`
	// Items counts what goes with a deleted folder, itself included.
	Items int       `json:"items,omitempty"`
	Since time.Time `json:"since"` // of the oldest unsent change
	// Deferred says why it could not be sent, nil if that was not tried or did not fail.
	Deferred *cache.Deferral `json:"deferred,omitempty"`

	Ino  cache.Ino    `json:"-"` // 0 for Deleted
	Item graph.ItemID `json:"-"` // empty for New
}

// Changes lists what differs between here and there, sorted by path. A file that was renamed and
// modified is in it twice. Paths, if any, limit it to what is at or below them; what was deleted with a
// folder that they leave out is told by itself.
func Changes(v cache.View, paths ...string) []Change {
	s := newSketch(v, Options{})
	var list []Change
	add := func(c Change) {
		if wanted(paths, c.Path) || c.From != "" && wanted(paths, c.From) {
			list = append(list, c)
		}
	}
	for _, ino := range v.Dirty {
		n, d := v.Nodes[ino], s.diffs[ino]
		c := Change{Ino: ino, Item: s.itemOf(ino), Path: s.pathOf(ino), Dir: n.Dir, Since: n.Since, Deferred: n.Deferred}
		if !n.Dir {
			c.Size = n.Size
			if n.Base != nil {
				c.OldSize = n.Base.Size
			}
		}
		if d.New {
			c.Kind = New
			add(c)
			continue
		}
		if d.Name || d.Place {
			c.Kind, c.From = Renamed, s.from(n.Base)
			add(c)
			c.From = ""
		}
		switch {
		case d.Bytes:
			c.Kind = Modified
			add(c)
		case d.ModTime && !d.Name && !d.Place:
			c.Kind = Dated
			add(c)
		}
	}
	for _, id := range s.gone {
		g := v.Gone[id]
		if up, with := v.Gone[g.Base.Parent]; with && path.Dir(g.Path) != "/" && !apart(paths, g, up) {
			continue // told with its folder
		}
		c := Change{Kind: Deleted, Item: id, Path: g.Path, Dir: g.Base.Dir, Since: g.At, Deferred: g.Deferred}
		if c.Dir {
			c.Items = s.items(id, map[graph.ItemID]bool{})
		} else {
			c.OldSize = g.Base.Size
		}
		add(c)
	}
	slices.SortStableFunc(list, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return list
}

// items counts the items that are deleted with one, itself included.
func (s *sketch) items(id graph.ItemID, seen map[graph.ItemID]bool) int {
	if seen[id] {
		return 0
	}
	seen[id] = true
	n := 1
	for _, c := range s.v.Below[id] {
		if !s.living(c) {
			n += s.items(c, seen)
		}
	}
	return n
}
