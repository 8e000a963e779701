package fs

import (
	"strings"
	"syscall"

	"github.com/duskfs/duskfs/cache"
)

// firstShelf is the ino of the first shelf below the top one. The store counts up from 2 and never comes so far.
const firstShelf cache.Ino = 1 << 62

// shelf is a read-only folder that is in no drive and holds drives: what is mounted, where that is not one drive, and the
// folders that group some. It does not change.
type shelf struct {
	ino, above cache.Ino
	entries    []shelved
}

// shelved is a name on a shelf: a drive, or another shelf.
type shelved struct {
	name  string
	drive *Drive
	shelf *shelf
}

// arrange puts drives on shelves by their names, and notes in above on which each stands. One drive by itself stands on none.
func arrange(drives []*Drive) (shelves map[cache.Ino]*shelf, above map[cache.Ino]cache.Ino) {
	shelves, above = map[cache.Ino]*shelf{}, map[cache.Ino]cache.Ino{}
	if len(drives) == 1 && !strings.Contains(drives[0].Name, "/") {
		return shelves, above
	}
	top := &shelf{ino: Root, above: Root}
	shelves[Root] = top
	groups := map[string]*shelf{}
	for _, d := range drives {
		at, name := top, d.Name
		if group, rest, grouped := strings.Cut(d.Name, "/"); grouped {
			name = rest
			if at = groups[group]; at == nil {
				at = &shelf{ino: firstShelf + cache.Ino(len(groups)), above: Root}
				groups[group], shelves[at.ino] = at, at
				top.entries = append(top.entries, shelved{name: group, shelf: at})
			}
		}
		at.entries = append(at.entries, shelved{name: name, drive: d})
		above[d.Info.Root] = at.ino
	}
	return shelves, above
}

// virtual reports whether ino is a shelf.
func (f *FS) virtual(ino cache.Ino) bool { return f.shelves[ino] != nil }

// shelfAttr are the attributes of a shelf.
func (f *FS) shelfAttr(ino cache.Ino) Attr {
	return Attr{
		Ino: ino, Dir: true, Mode: 0o555, Nlink: 2, UID: f.o.UID, GID: f.o.GID,
		Size: 4096, Blocks: 8, Atime: f.began, Mtime: f.began, Ctime: f.began,
	}
}

func (f *FS) shelvedAttr(s shelved) (Attr, error) {
	if s.shelf != nil {
		return f.shelfAttr(s.shelf.ino), nil
	}
	n, _, err := f.get(s.drive.Info.Root)
	if err != nil {
		return Attr{}, err
	}
	return f.attr(n, nil), nil
}

func (f *FS) lookupShelf(s *shelf, name string) (Attr, error) {
	for _, e := range s.entries {
		if e.name == name {
			return f.shelvedAttr(e)
		}
	}
	return Attr{}, syscall.ENOENT
}

// readShelf is ReadDir of a shelf, whose cookies count its entries.
func (f *FS) readShelf(s *shelf, cookie uint64, max int) ([]Entry, error) {
	out := dots(nil, cookie, max, s.ino, s.above)
	for i, e := range s.entries {
		next := uint64(i) + firstCookie + 1
		if next <= cookie || len(out) == max {
			continue
		}
		a, err := f.shelvedAttr(e)
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Name: e.name, Ino: a.Ino, Dir: true, Next: next, Attr: a})
	}
	return out, nil
}

// shelfSpace is the room in all drives below a shelf.
func (f *FS) shelfSpace(s *shelf) (all Space) {
	for _, e := range s.entries {
		var below Space
		if e.shelf != nil {
			below = f.shelfSpace(e.shelf)
		} else {
			below = f.told(e.drive)
		}
		all.Total += below.Total
		all.Free += below.Free
	}
	return all
}
