package cache

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Inbox is the door for receiving: the change feed's place, and what it brought that is not
// applied yet. One caller at a time.
type Inbox struct {
	s     *Store
	drive DriveNum
}

// Feed is how far a drive's change feed has been received.
type Feed struct {
	Link graph.Link // where to go on, Start at first
	// Complete: everything up to Link has been received; false in the midst of a series of pages.
	Complete bool
	// Full: the series under way is an enumeration of everything, begun at Began.
	Full  bool
	Began time.Time
	// Checked is when a full enumeration was last compared with what is known.
	Checked time.Time
}

// Feed returns the place in the feed.
func (i *Inbox) Feed() (f Feed, err error) {
	err = i.s.view(func(x *tx) error {
		f, err = x.feed(i.drive)
		return err
	})
	return f, err
}

func (x *tx) feed(d DriveNum) (Feed, error) {
	var f Feed
	v, err := x.value(metaDriveKey(metaFeed, d))
	if err != nil || v == nil {
		return f, err
	}
	return f, decodeJSON(v, &f)
}

func (x *tx) setFeed(d DriveNum, f Feed) error {
	b, err := encodeJSON(f)
	if err != nil {
		return err
	}
	return x.set(metaDriveKey(metaFeed, d), b)
}

// Begin starts a series of pages: with full, an enumeration from the start.
func (i *Inbox) Begin(full bool, now time.Time) error {
	if full {
		if err := i.forgetSeen(); err != nil {
			return err
		}
	}
	return i.s.update(grows, func(x *tx) error {
		f, err := x.feed(i.drive)
		if err != nil {
			return err
		}
		f.Complete, f.Full, f.Began = false, full, plain(now)
		if full {
			f.Link = graph.Start
		}
		return x.setFeed(i.drive, f)
	})
}

// forgetSeen drops the marks of what an enumeration has brought.
func (i *Inbox) forgetSeen() error {
	for {
		n := 0
		err := i.s.update(shrinks, func(x *tx) error {
			keys, err := x.keys(drivePrefix(rowSeen, i.drive), nil, 4*partRows)
			if err != nil {
				return err
			}
			n = len(keys)
			for _, k := range keys {
				if err := x.del(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// Receive stores a page: its items first, its link last. Receiving a page twice is harmless.
//
// What only repeats a base is not stored. In the first enumeration of a drive, what is new and
// meets nothing local goes straight into the tree.
func (i *Inbox) Receive(p graph.Page) error {
	f, err := i.Feed()
	if err != nil {
		return err
	}
	for part := range slices.Chunk(p.Items, partRows) {
		if err := i.s.update(grows, func(x *tx) error {
			r := receiver{x: x, drive: i.drive, full: f.Full}
			for _, item := range part {
				if err := r.item(item); err != nil {
					return fmt.Errorf("receive item %s: %w", item.ID, err)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return i.s.update(grows, func(x *tx) error {
		f, err := x.feed(i.drive)
		if err != nil {
			return err
		}
		f.Link, f.Complete = p.Next, p.Done
		return x.setFeed(i.drive, f)
	})
}

// receiver takes in items inside a transaction.
type receiver struct {
	x     *tx
	drive DriveNum
	full  bool
	// listing: the items are the children of a folder, read just now. All of them are in children.
	listing  bool
	children []graph.Item
}

// goodID reports whether an id may be used in keys. It came from the remote.
func goodID(id graph.ItemID) bool {
	return id != "" && len(id) <= maxID && strings.IndexByte(string(id), 0) < 0
}

// maxID bounds ids far above what the service gives; badger's keys end at 64 KiB.
const maxID = 4096

// listed returns an item of the listing, nil if it is not in it.
func (r receiver) listed(id graph.ItemID) *graph.Item {
	for n := range r.children {
		if r.children[n].ID == id {
			return &r.children[n]
		}
	}
	return nil
}

func (r receiver) item(i graph.Item) error {
	if !goodID(i.ID) || i.Parent != "" && !goodID(i.Parent) {
		r.x.s.log.Warn("an item with a malformed id was left out", "name", i.Name)
		return nil
	}
	if !i.Deleted && i.Type != graph.File && i.Type != graph.Folder && !i.Root {
		return nil // packages and shortcuts are hidden
	}
	n, err := r.x.owner(r.drive, i.ID)
	if err != nil {
		return err
	}
	if n == nil && !i.Deleted {
		if added, err := r.add(i); added || err != nil {
			return err
		}
	}
	if r.full && !i.Deleted { // what was added just now is younger than the enumeration, and known by that
		if err := r.x.set(itemKey(rowSeen, r.drive, i.ID), nil); err != nil {
			return err
		}
	}
	if n != nil {
		return r.known(n, i)
	}
	return r.wait(i)
}

// wait puts an item into the inbox. What is there of it is older.
func (r receiver) wait(i graph.Item) error {
	return r.x.set(itemKey(rowInbox, r.drive, i.ID), encodeItem(&i))
}

// known takes in an item that a node has.
func (r receiver) known(n *Node, i graph.Item) error {
	b, came := n.Base, i
	i, err := r.x.spelled(n, i)
	if err != nil {
		return err
	}
	repeats := !i.Deleted && i.ETag != "" && i.ETag == b.ETag &&
		(i.Root || i.Parent == b.Parent && i.Name == b.Name)
	if repeats {
		if err := r.x.del(itemKey(rowInbox, r.drive, i.ID)); err != nil {
			return err
		}
		if b.Hash != "" || i.Hash == "" || n.Dir {
			return nil
		}
		n.Base = newBase(b, i, b.At) // the feed may know the hash that an answer left out
		_, err = r.x.setNode(*n)
		return err
	}
	if r.listing && !i.Deleted {
		if done, err := r.refresh(n, i); done || err != nil {
			return err
		}
	}
	return r.wait(came)
}

// refresh brings a clean node up to date with what a listing says of it, if nothing is in the way.
func (r receiver) refresh(n *Node, i graph.Item) (bool, error) {
	x := r.x
	if d, err := x.diff(n); err != nil || d.Any() || x.s.held[n.Ino] > 0 || n.Dir != (i.Type == graph.Folder) ||
		n.Parent == 0 || n.Base.Knows(i.ETag) && n.Base.ETag != i.ETag || !name.Safe(i.Name) {
		return false, err
	}
	p, err := x.owner(r.drive, i.Parent)
	if err != nil || p == nil || !p.Dir {
		return false, err
	}
	if taken, err := x.childByKey(p.Ino, name.Fold(i.Name)); err != nil || taken != nil && taken.Ino != n.Ino {
		return false, err
	}
	if in, err := x.inside(p.Ino, n.Ino); err != nil || in {
		return false, err
	}
	if err := x.del(itemKey(rowInbox, r.drive, i.ID)); err != nil {
		return false, err
	}
	return true, x.takeRemote(*n, newBase(n.Base, i, x.now), p.Ino)
}

// takeRemote makes a clean node what its new base says, in the folder parent.
func (x *tx) takeRemote(n Node, b *Base, parent Ino) error {
	was := n
	n.Base, n.Parent, n.Name = b, parent, b.Name
	if !n.Dir {
		n.Size = b.Size
		if !b.ModTime.IsZero() {
			n.Mtime = b.ModTime
		}
	}
	x.moved(was, n)
	x.event(Event{Ino: n.Ino, Bytes: !n.Dir && !was.Base.Version().Same(b.Version())})
	_, err := x.setNode(n)
	return err
}

// moved tells of the names that a node has lost and got.
func (x *tx) moved(was, n Node) {
	if was.Parent == n.Parent && was.Name == n.Name {
		return
	}
	x.event(Event{Parent: was.Parent, Name: was.Name})
	x.event(Event{Parent: n.Parent, Name: n.Name})
}

// add puts an item that is new straight into the tree, if it may be.
func (r receiver) add(i graph.Item) (bool, error) {
	x := r.x
	first := r.full && !x.drive(r.drive).Enumerated
	if !first && !r.listing || i.Root || i.Parent == "" || !name.Safe(i.Name) {
		return false, nil
	}
	p, err := x.owner(r.drive, i.Parent)
	if err != nil || p == nil || !p.Dir {
		return false, err
	}
	if holder, err := x.childByKey(p.Ino, name.Fold(i.Name)); err != nil {
		return false, err
	} else if holder != nil {
		return r.beside(i, p, holder)
	}
	if gone, err := x.has(itemKey(rowGone, r.drive, i.ID)); err != nil || gone {
		return false, err
	}
	if err := x.del(itemKey(rowInbox, r.drive, i.ID)); err != nil {
		return false, err
	}
	if p.Listing == Unlisted { // nobody can have been told that the name is not there
		_, err = x.addUntold(r.drive, p.Ino, newBase(nil, i, x.now))
	} else {
		_, err = x.addRemote(r.drive, p.Ino, newBase(nil, i, x.now))
	}
	return true, err
}

// addRemote makes the clean node of a base in a folder, and tells the watchers of its name.
func (x *tx) addRemote(d DriveNum, parent Ino, b *Base) (Node, error) {
	n, err := x.addUntold(d, parent, b)
	x.event(Event{Parent: parent, Name: b.Name})
	return n, err
}

// addUntold makes the clean node of a base in a folder.
func (x *tx) addUntold(d DriveNum, parent Ino, b *Base) (Node, error) {
	ino, err := x.newIno()
	if err != nil {
		return Node{}, err
	}
	return x.addNode(x.remoteNode(d, ino, parent, b))
}

// Waiting counts the items that are received and not applied.
func (i *Inbox) Waiting() (n int, err error) {
	err = i.s.view(func(x *tx) error {
		keys, err := x.keys(drivePrefix(rowInbox, i.drive), nil, 0)
		n = len(keys)
		return err
	})
	return n, err
}

// Unseen returns the items known here whose base is older than the start of the enumeration that
// just ended and which it did not bring, and those that waited already and it did not bring. They may be
// gone: the caller asks for each by its id.
func (i *Inbox) Unseen() (unseen []graph.ItemID, err error) {
	err = i.s.view(func(x *tx) error {
		f, err := x.feed(i.drive)
		if err != nil || !f.Full {
			return err
		}
		err = x.each(drivePrefix(rowItem, i.drive), nil, func(k, v []byte) (bool, error) {
			id := itemOfKey(k)
			if seen, err := x.has(itemKey(rowSeen, i.drive, id)); err != nil || seen {
				return true, err
			}
			n, err := x.node(Ino(number(v)))
			if err != nil {
				return false, err
			}
			if n.Parent == 0 || !n.Base.At.Before(f.Began) {
				return true, nil
			}
			waits, err := x.has(itemKey(rowInbox, i.drive, id))
			if err == nil && !waits {
				unseen = append(unseen, id)
			}
			return true, err
		})
		if err != nil {
			return err
		}
		// What waits as there may have been deleted since: its tombstone came between the old place in the feed and the new.
		return x.each(drivePrefix(rowInbox, i.drive), nil, func(k, v []byte) (bool, error) {
			id := itemOfKey(k)
			seen, err := x.has(itemKey(rowSeen, i.drive, id))
			if err != nil || seen {
				return err == nil, err
			}
			item, err := decodeItem(id, v)
			if err == nil && !item.Deleted {
				unseen = append(unseen, id)
			}
			return err == nil, err
		})
	})
	return unseen, err
}

// Enumerated ends a full enumeration: every folder is Followed from now on.
func (i *Inbox) Enumerated(now time.Time) error {
	err := i.s.update(grows, func(x *tx) error {
		f, err := x.feed(i.drive)
		if err != nil {
			return err
		}
		f.Full, f.Checked = false, plain(now)
		if err := x.setFeed(i.drive, f); err != nil {
			return err
		}
		d := x.drive(i.drive)
		if d.Num == 0 {
			return fmt.Errorf("drive %d: %w", i.drive, ErrNotExist)
		}
		d.Enumerated = true
		x.setDrive(d)
		return nil
	})
	if err != nil {
		return err
	}
	return i.forgetSeen()
}

// List applies a listing of one folder's children: what is new is added, what is known and clean
// is brought up to date, nothing is removed. What meets local work waits in the inbox. The folder
// becomes Listed if it was Unlisted.
func (i *Inbox) List(folder Ino, items []graph.Item) error {
	var item graph.ItemID
	err := i.s.view(func(x *tx) error {
		p, err := x.folder(folder)
		if err == nil {
			item = itemOf(&p)
		}
		return err
	})
	if err != nil {
		return err
	}
	if item == "" {
		return ErrStale
	}
	for part := range slices.Chunk(items, partRows) {
		if err := i.s.update(grows, func(x *tx) error {
			r := receiver{x: x, drive: i.drive, listing: true, children: items}
			for _, it := range part {
				if it.Parent == "" {
					it.Parent = item
				}
				if err := r.item(it); err != nil {
					return fmt.Errorf("list item %s: %w", it.ID, err)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return i.s.update(grows, func(x *tx) error {
		p, err := x.folder(folder)
		if err != nil || p.Listing != Unlisted {
			return err
		}
		p.Listing = Listed
		_, err = x.setNode(p)
		return err
	})
}
