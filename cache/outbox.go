package cache

import (
	"errors"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Outbox is the door for sending: what differs from its base, and what became of it.
type Outbox struct {
	s     *Store
	drive DriveNum
}

// Place is a name in a remote folder: Key is the folded name.
type Place struct {
	Folder graph.ItemID
	Key    string
}

// View is everything that a flush would send, as of one moment. It is a value: plan.Make needs
// nothing else.
type View struct {
	Drive DriveNum
	Root  Ino
	At    time.Time
	// Dirty are the nodes that differ from their bases, oldest change first.
	Dirty []Ino
	// Nodes holds every dirty node, every folder above one or above its base place, and every node
	// named in Items.
	Nodes map[Ino]Node
	// Gone are the pending deletions, by item, those already sent left out.
	Gone map[graph.ItemID]Gone
	// Items holds the base of every item below a Gone folder (however deep) and of every Holder,
	// with the node that has it, 0 if that node is gone.
	Items map[graph.ItemID]Held
	// Below lists the items whose base place is in a Gone folder, or in a folder below one.
	Below map[graph.ItemID][]graph.ItemID
	// Holders names the item whose base place is a place that a dirty node wants.
	Holders map[Place]graph.ItemID
	// Known counts the items with a base in this drive.
	Known int
}

// Held is an item as last agreed on, and the node that has it.
type Held struct {
	Base Base
	Ino  Ino // 0: removed here
}

// Attempt is a step under way. It is in the store from Begin until Commit, Forget or Fail, so that
// after a crash whoever comes next knows what may have happened on the remote.
type Attempt struct {
	Op     string       // as the plan calls it
	Ino    Ino          // node that is sent; 0 for a deletion
	Item   graph.ItemID // item that is changed; empty for something new
	Seq    Seq          // sequence of the node when the step was planned
	Parent graph.ItemID // folder it goes into
	Name   string
	// Size, Hash and ModTime say what is being sent, so that a look can tell whether it arrived.
	Size    int64
	Hash    graph.Hash
	ModTime time.Time
	// Created is the time at which a new file says that it was made: CreatedAs.
	Created time.Time
	// Base is what is replaced, as Begin has found it.
	Base    graph.Version
	Session string // upload session: a credential
	Started time.Time
}

// Begin records that a step starts. ErrStale if the node's sequence is not a.Seq any more or the
// node is gone: then the plan is old. The node returned is as of that moment.
func (o *Outbox) Begin(a Attempt) (n Node, err error) {
	err = o.s.update(grows, func(x *tx) error {
		if n, err = o.current(x, a); err != nil {
			return err
		}
		if a.Started.IsZero() {
			a.Started = x.now
		}
		a.Created = CreatedAs(n)
		if n.Base != nil {
			a.Base = n.Base.Version()
		}
		return x.setStep(o.drive, a)
	})
	return n, err
}

// current returns the node of a step, the zero value for a deletion. ErrStale if the plan is old.
func (o *Outbox) current(x *tx, a Attempt) (Node, error) {
	if a.Ino == 0 {
		g, err := x.gone(o.drive, a.Item)
		if err == nil && (g == nil || !g.Sent.IsZero() || a.Seq != 0 && g.Seq != a.Seq) {
			err = ErrStale
		}
		return Node{}, err
	}
	n, err := x.node(a.Ino)
	if errors.Is(err, ErrNotExist) {
		return n, ErrStale
	}
	if err != nil {
		return n, err
	}
	if !placed(&n) || n.LocalOnly || n.Seq != a.Seq || itemOf(&n) != a.Item {
		return n, ErrStale
	}
	return n, nil
}

// Intend updates the record of a step under way (its session, its hash).
func (o *Outbox) Intend(a Attempt) error {
	return o.s.update(shrinks, func(x *tx) error { return x.setStep(o.drive, a) })
}

func (x *tx) setStep(d DriveNum, a Attempt) error {
	b, err := encodeJSON(a)
	if err != nil {
		return err
	}
	return x.set(stepKey(d, a.Ino, a.Item), b)
}

func (x *tx) delStep(d DriveNum, a Attempt) error { return x.del(stepKey(d, a.Ino, a.Item)) }

// Commit records that the remote now has what the step sent, as item. The node becomes clean, or,
// if it was changed meanwhile, stays dirty against the new base. A node that is gone by now leaves
// the new base as a pending deletion. The body is marked as being this version if it is unchanged.
func (o *Outbox) Commit(a Attempt, item graph.Item) (n Node, err error) {
	err = o.s.update(shrinks, func(x *tx) error {
		n, err = x.commitStep(o.drive, a, item)
		return err
	})
	return n, err
}

// Deleted records that a deletion was sent for an item and all below it that was known.
func (o *Outbox) Deleted(a Attempt) error {
	for {
		more := false
		err := o.s.update(shrinks, func(x *tx) error {
			items, err := x.pendingBelow(o.drive, a.Item, partRows)
			if err != nil {
				return err
			}
			// From the bottom up, so that what is left of a long list is found again.
			if more = len(items) == partRows; !more {
				items = append(items, a.Item)
				if err := x.delStep(o.drive, a); err != nil {
					return err
				}
			}
			for _, item := range items {
				g, err := x.gone(o.drive, item)
				if err != nil {
					return err
				}
				if g == nil {
					continue
				}
				g.Sent, g.Deferred = x.now, nil
				if err := x.setGone(o.drive, item, g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || !more {
			return err
		}
	}
}

// pendingBelow returns up to max pending deletions of what is below an item, each before the
// folders that it is in.
func (x *tx) pendingBelow(d DriveNum, item graph.ItemID, max int) ([]graph.ItemID, error) {
	var found []graph.ItemID
	seen := map[graph.ItemID]bool{item: true}
	var walk func(folder graph.ItemID) error
	walk = func(folder graph.ItemID) error {
		places, err := x.placesIn(d, folder)
		if err != nil {
			return err
		}
		for _, id := range places {
			if seen[id] || len(found) >= max {
				continue
			}
			seen[id] = true
			g, err := x.gone(d, id)
			if err != nil {
				return err
			}
			if g == nil || !g.Sent.IsZero() {
				continue
			}
			if g.Base.Dir {
				if err := walk(id); err != nil {
					return err
				}
			}
			if len(found) < max {
				found = append(found, id)
			}
		}
		return nil
	}
	return found, walk(item)
}

// placesIn returns the items whose base place is in a remote folder.
func (x *tx) placesIn(d DriveNum, folder graph.ItemID) ([]graph.ItemID, error) {
	var all []graph.ItemID
	err := x.each(folderPrefix(d, folder), nil, func(_, v []byte) (bool, error) {
		ids, err := decodeItems(v)
		all = append(all, ids...)
		return true, err
	})
	return all, err
}

// Forget records that a step did nothing.
func (o *Outbox) Forget(a Attempt) error {
	return o.s.update(shrinks, func(x *tx) error { return x.delStep(o.drive, a) })
}

// Fail records that a step did nothing and why. The change stays pending.
func (o *Outbox) Fail(a Attempt, d Deferral) error { return o.put(a, d, false) }

// Apart is Fail for a step that was refused since its name is taken, of a node that is called as a twin is shown and is
// none: the service makes no twins, so no flush will ever send it by that name. It gets that of a conflict copy, which is
// returned, and is not deferred. The name is empty for any other node, and nothing is recorded.
func (o *Outbox) Apart(a Attempt) (called string, err error) {
	err = o.s.update(shrinks, func(x *tx) error {
		n, err := o.current(x, a)
		if errors.Is(err, ErrStale) || err == nil && (n.Ino == 0 || name.Plain(n.Name) == n.Name) {
			return nil
		}
		if err != nil {
			return err
		}
		if home, err := x.atItsName(&n); err != nil || home {
			return err
		}
		if err := x.delStep(o.drive, a); err != nil {
			return err
		}
		n.Deferred = nil
		n, err = x.aside(n)
		called = n.Name
		return err
	})
	return called, err
}

// Doubt records that nobody knows what became of a step, and why. The change counts as deferred, and the
// step stays under way: whoever comes next looks.
func (o *Outbox) Doubt(a Attempt, d Deferral) error { return o.put(a, d, true) }

// put defers the change of a step.
func (o *Outbox) put(a Attempt, d Deferral, underWay bool) error {
	d.At, d.Next = plain(d.At), plain(d.Next)
	return o.s.update(shrinks, func(x *tx) error {
		if !underWay {
			if err := x.delStep(o.drive, a); err != nil {
				return err
			}
		}
		if d.At.IsZero() {
			d.At = x.now
		}
		tries := func(before *Deferral) *Deferral {
			d := d
			if d.Tries == 0 {
				d.Tries = 1
				if before != nil {
					d.Tries = before.Tries + 1
				}
			}
			return &d
		}
		if a.Ino == 0 {
			g, err := x.gone(o.drive, a.Item)
			if err != nil || g == nil || !g.Sent.IsZero() {
				return err
			}
			g.Deferred = tries(g.Deferred)
			return x.setGone(o.drive, a.Item, g)
		}
		n, err := x.node(a.Ino)
		if errors.Is(err, ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n.Deferred = tries(n.Deferred)
		_, err = x.setNode(n)
		return err
	})
}

// Adopt records that a node whose bytes were compared equals its base after all: it was not sent.
// ErrStale if it was changed after seq.
func (o *Outbox) Adopt(ino Ino, seq Seq) error {
	return o.s.update(shrinks, func(x *tx) error {
		n, err := x.node(ino)
		if errors.Is(err, ErrNotExist) {
			return ErrStale
		}
		if err != nil {
			return err
		}
		if n.Seq != seq || !owns(&n) || n.Dir {
			return ErrStale
		}
		n.Written, n.Deferred = false, nil
		x.agrees = append(x.agrees, agreement{ino: ino, seq: seq, v: n.Base.Version()})
		_, err = x.setNode(n)
		return err
	})
}

// Attempts returns the steps that were under way when the last process stopped, or are now.
func (o *Outbox) Attempts() (list []Attempt, err error) {
	err = o.s.view(func(x *tx) error {
		return x.each(drivePrefix(rowStep, o.drive), nil, func(_, v []byte) (bool, error) {
			var a Attempt
			err := decodeJSON(v, &a)
			list = append(list, a)
			return true, err
		})
	})
	return list, err
}

// Pending sums up what a flush would send.
type Pending struct {
	Items     int
	Bytes     int64     // bytes of the files whose content would be sent
	Deletions int       // included in Items
	Oldest    time.Time // oldest unsent change, zero if none
	LocalOnly int       // nodes that are never sent
	Deferred  []Deferred
}

// Touched returns when something that a flush would send was last changed, as far as is settled; zero if
// there is nothing. A change made at a time that is still to come, since the clock was put back, counts as made
// at begun. It reads every node that is dirty.
func (o *Outbox) Touched(begun time.Time) (last time.Time, err error) {
	err = o.s.view(func(x *tx) error {
		later := func(t time.Time) {
			if t.After(last) {
				last = t
			}
		}
		made := func(t time.Time) {
			if t.After(x.now) {
				t = begun
			}
			later(t)
		}
		keys, err := x.keys(drivePrefix(rowDirty, o.drive), nil, 0)
		if err != nil {
			return err
		}
		for _, k := range keys {
			n, err := x.node(inoOfKey(k))
			if err != nil {
				return err
			}
			made(n.Ctime)
			if !n.Mtime.After(x.now) { // programs set times that are still to come
				later(n.Mtime)
			}
		}
		return x.each(drivePrefix(rowGone, o.drive), nil, func(_, v []byte) (bool, error) {
			g, err := decodeGone(v)
			if err == nil && g.Sent.IsZero() {
				made(g.At)
			}
			return true, err
		})
	})
	return last, err
}

// Deferred is one change that could not be sent.
type Deferred struct {
	Path string
	Deferral
}

// Pending counts. It does not walk the tree.
func (o *Outbox) Pending() (p Pending, err error) {
	older := func(t time.Time) {
		if p.Oldest.IsZero() || t.Before(p.Oldest) {
			p.Oldest = t
		}
	}
	err = o.s.view(func(x *tx) error {
		var deferred []Ino
		err := x.each(drivePrefix(rowDirty, o.drive), nil, func(k, v []byte) (bool, error) {
			r, err := decodeDirty(v)
			p.Items++
			p.Bytes += r.Bytes
			older(r.Since)
			if r.Deferred {
				deferred = append(deferred, inoOfKey(k))
			}
			return true, err
		})
		if err != nil {
			return err
		}
		for _, ino := range deferred {
			n, err := x.node(ino)
			if err != nil {
				return err
			}
			path, err := x.path(ino)
			if err != nil {
				return err
			}
			if n.Deferred != nil {
				p.Deferred = append(p.Deferred, Deferred{Path: path, Deferral: *n.Deferred})
			}
		}
		err = x.each(drivePrefix(rowGone, o.drive), nil, func(k, v []byte) (bool, error) {
			g, err := decodeGone(v)
			if err != nil || !g.Sent.IsZero() {
				return true, err
			}
			p.Items++
			p.Deletions++
			older(g.At)
			if g.Deferred != nil {
				p.Deferred = append(p.Deferred, Deferred{Path: g.Path, Deferral: *g.Deferred})
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		c, err := x.readCounts(o.drive)
		p.LocalOnly = int(c.localOnly)
		return err
	})
	return p, err
}
