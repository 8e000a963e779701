package cache

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// DriveInfo is what the store knows about one of its drives.
type DriveInfo struct {
	Num   DriveNum
	Root  Ino
	Drive graph.Drive // as last seen, quota included
	// Enumerated: the whole drive has been read once and is followed since.
	Enumerated bool
}

// drive returns what is known of a drive, the zero value if nothing is.
func (x *tx) drive(d DriveNum) DriveInfo {
	if i, ok := x.drives[d]; ok {
		return i
	}
	return x.known[d]
}

func (x *tx) setDrive(i DriveInfo) {
	if x.drives == nil {
		x.drives = map[DriveNum]DriveInfo{}
	}
	x.drives[i.Num] = i
}

// settleDrives makes the drives that a transaction has changed known. Under S.
func (s *Store) settleDrives(changed map[DriveNum]DriveInfo) {
	if len(changed) == 0 {
		return
	}
	all := maps.Clone(*s.drives.Load())
	maps.Copy(all, changed)
	s.drives.Store(&all)
}

// AddDrive makes a drive known, or brings what is known of it up to date.
func (s *Store) AddDrive(d graph.Drive, root graph.Item) (DriveInfo, error) {
	if d.ID == "" || root.ID == "" {
		return DriveInfo{}, errors.New("a drive needs an id and a root")
	}
	var info DriveInfo
	err := s.update(grows, func(x *tx) error {
		last := DriveNum(0)
		for num, known := range x.known {
			last = max(last, num)
			if graph.SameDrive(known.Drive.ID, d.ID) {
				info = known
			}
		}
		if info.Num != 0 {
			n, err := x.node(info.Root)
			if err != nil {
				return err
			}
			if n.Base.Item != root.ID {
				return fmt.Errorf("drive %s has another root folder than it had: it is another drive by now", d.ID)
			}
			n.Base = newBase(n.Base, root, x.now)
			if _, err := x.setNode(n); err != nil {
				return err
			}
			info.Drive = d
			x.setDrive(info)
			return nil
		}
		ino, err := x.newIno()
		if err != nil {
			return err
		}
		base := newBase(nil, root, x.now)
		base.Parent, base.Name, base.Dir = "", "", true
		n := x.remoteNode(last+1, ino, 0, base)
		if _, err := x.addNode(n); err != nil {
			return err
		}
		info = DriveInfo{Num: last + 1, Root: ino, Drive: d}
		x.setDrive(info)
		return nil
	})
	return info, err
}

// newBase makes the base that an item is, after another one (nil: none), whose eTags it remembers.
func newBase(old *Base, i graph.Item, now time.Time) *Base {
	b := &Base{
		Item: i.ID, Parent: i.Parent, Name: i.Name, Dir: i.Type == graph.Folder || i.Root,
		ETag: i.ETag, CTag: i.CTag, Hash: i.Hash, Size: i.Size, ModTime: plain(i.ModTime), At: now,
	}
	if i.Root {
		b.Parent, b.Name = "", ""
	}
	if old == nil || old.Item != i.ID {
		return b
	}
	for _, t := range append([]string{old.ETag}, old.Past...) {
		if t != "" && t != b.ETag && !slices.Contains(b.Past, t) && len(b.Past) < pastTags {
			b.Past = append(b.Past, t)
		}
	}
	// The service does not tell everything every time.
	if b.ModTime.IsZero() {
		b.ModTime = old.ModTime
	}
	if !b.Dir && old.Version().Same(i.Version()) {
		if b.Hash == "" {
			b.Hash = old.Hash
		}
		if b.CTag == "" {
			b.CTag = old.CTag
		}
	}
	return b
}

// remoteNode makes the clean node of a base.
func (x *tx) remoteNode(d DriveNum, ino, parent Ino, b *Base) Node {
	n := Node{
		Ino: ino, Drive: d, Parent: parent, Name: b.Name, Dir: b.Dir, Mode: 0o644,
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Mtime: b.ModTime, Base: b,
	}
	if n.Dir {
		n.Mode = 0o755
	} else {
		n.Size = b.Size
	}
	if n.Mtime.IsZero() {
		n.Mtime = x.now
	}
	n.Atime, n.Ctime = n.Mtime, n.Mtime
	return n
}

// Drives lists the drives of the store.
func (s *Store) Drives() ([]DriveInfo, error) {
	all := *s.drives.Load()
	list := make([]DriveInfo, 0, len(all))
	for _, num := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[num])
	}
	return list, nil
}

// Drive describes one drive. ErrNotExist.
func (s *Store) Drive(n DriveNum) (DriveInfo, error) {
	d, ok := (*s.drives.Load())[n]
	if !ok {
		return DriveInfo{}, fmt.Errorf("drive %d: %w", n, ErrNotExist)
	}
	return d, nil
}

// Outbox is the door for sending the changes of one drive.
func (s *Store) Outbox(n DriveNum) *Outbox { return &Outbox{s: s, drive: n} }

// Inbox is the door for receiving the changes of one drive.
func (s *Store) Inbox(n DriveNum) *Inbox { return &Inbox{s: s, drive: n} }

// Reports keeps receipts and reports of one drive.
func (s *Store) Reports(n DriveNum) *Reports { return &Reports{s: s, drive: n} }
