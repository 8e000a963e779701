package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Apply carries a ruling out and takes the item off the inbox (Wait, NeedItem and NeedHash do
// neither). ErrStale if what the case says does not hold any more: build it again.
func (i *Inbox) Apply(c Case, r Ruling) error {
	switch r.Verb {
	case Wait, NeedItem, NeedHash:
		return nil
	}
	switch {
	case r.Verb == Drop && c.Node != nil && c.Node.Dir:
		return i.dropFolder(c, r)
	case r.Verb == Forget && c.Gone != nil && c.Gone.Base.Dir:
		if err := i.forgetFolder(c, r); err != nil {
			return err
		}
	case r.Verb == Restore && c.Gone != nil && c.Gone.Base.Dir && !c.Gone.Sent.IsZero():
		if err := i.askBelow(c.Incoming.ID); err != nil {
			return err
		}
	}
	return i.s.updateAsking(grows, func(x *tx) error {
		a := applier{x: x, d: i.drive, c: c, r: r}
		if err := a.check(); err != nil {
			return err
		}
		switch err := a.do(); {
		case errors.Is(err, ErrInside):
			return fmt.Errorf("apply item %s: %w: %w", c.Incoming.ID, ErrStale, err)
		case err != nil:
			return fmt.Errorf("apply item %s: %w", c.Incoming.ID, err)
		}
		return x.del(itemKey(rowInbox, i.drive, c.Incoming.ID))
	})
}

// applier carries out one ruling inside a transaction.
type applier struct {
	x *tx
	d DriveNum
	c Case
	r Ruling
}

// check fails with ErrStale unless the case is as it was ruled on.
func (a *applier) check() error {
	now, err := a.x.build(a.d, a.c.Incoming, a.c.Confirmed)
	if err != nil {
		return err
	}
	was := a.c
	same := sameNode(was.Node, now.Node) && sameNode(was.Parent, now.Parent) &&
		sameNode(was.Holder, now.Holder) && sameGone(was.Gone, now.Gone) &&
		len(was.Above) == len(now.Above) && was.Orphan == now.Orphan && was.Cycle == now.Cycle &&
		was.NodeDiff == now.NodeDiff && was.HolderDiff == now.HolderDiff &&
		(was.Open || !now.Open) && (was.HolderOpen || !now.HolderOpen) && (was.Sending || !now.Sending) &&
		was.OpenBelow >= now.OpenBelow && was.DirtyBelow >= now.DirtyBelow
	if !same {
		return ErrStale
	}
	// What does not bear on the ruling, such as a size settled since, is as it is now.
	now.LocalHash, now.LocalSize, now.Unlike = was.LocalHash, was.LocalSize, was.Unlike
	a.c = now
	return nil
}

func sameNode(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Ino == b.Ino && a.Seq == b.Seq && a.Parent == b.Parent && a.Name == b.Name &&
		a.Written == b.Written && a.LocalOnly == b.LocalOnly && sameBase(a.Base, b.Base)
}

func sameBase(a, b *Base) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Item == b.Item && a.ETag == b.ETag && a.Parent == b.Parent && a.Name == b.Name
}

func sameGone(a, b *Gone) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Ino == b.Ino && a.Seq == b.Seq && a.Sent.Equal(b.Sent) && sameBase(&a.Base, &b.Base)
}

var errRuling = errors.New("the ruling does not fit the case")

func (a applier) do() error {
	node, holder := a.c.Node, a.c.Holder
	switch a.r.Verb {
	case Ignore:
		if err := a.follow(); err != nil {
			return err
		}
		return a.report(0, "")
	case Add:
		if node != nil {
			return errRuling
		}
		return a.add()
	case Agree:
		if node == nil {
			return errRuling
		}
		return a.agree()
	case Split:
		if node == nil {
			return errRuling
		}
		return a.split()
	case Drop:
		if node == nil {
			return errRuling
		}
		return a.drop()
	case Revive:
		if node == nil {
			return errRuling
		}
		return a.revive()
	case Restore:
		if node != nil {
			return errRuling
		}
		return a.restore()
	case Forget:
		if err := a.x.setGone(a.d, a.c.Incoming.ID, nil); err != nil {
			return err
		}
		return a.report(0, "")
	case TakeBase:
		if node != nil || holder == nil || owns(holder) || holder.LocalOnly {
			return errRuling
		}
		return a.takeBase()
	case Undo:
		if node == nil {
			return errRuling
		}
		return a.undo()
	}
	return errRuling
}

// follow lets a pending deletion that stands follow its item to another place, so that it is not
// taken for deleted with the folder in which it was.
func (a applier) follow() error {
	g, in := a.c.Gone, a.c.Incoming
	if g == nil || a.c.Node != nil || in.Deleted || in.Root || in.Parent == "" || !g.Sent.IsZero() ||
		in.ETag == "" || g.Base.Knows(in.ETag) || in.Name == "" {
		return nil
	}
	seq, err := a.x.seq()
	if err != nil {
		return err
	}
	moved := *g
	moved.Base, moved.Seq = *newBase(&g.Base, in, a.x.now), seq
	return a.x.setGone(a.d, in.ID, &moved)
}

// report records what people should know of: ino is the node that has our version, path what is
// shown if there is none.
func (a applier) report(ino Ino, path string) error {
	if a.r.Report == "" {
		return nil
	}
	if path == "" {
		path = "/" + a.c.Incoming.Name
		if a.c.Gone != nil {
			path = a.c.Gone.Path
		}
	}
	a.x.report = append(a.x.report, reportDraft{
		drive: a.d, kind: a.r.Report, ino: ino, path: path, text: reportText(a.r, a.c),
	})
	return nil
}

// pair records a conflict: ours is the node that has our version, theirs the one that has theirs.
func (a applier) pair(ours, theirs Ino) error {
	if err := a.report(ours, ""); err != nil || a.r.Report == "" {
		return err
	}
	a.x.report[len(a.x.report)-1].other = theirs
	return nil
}

// reportText is a sentence for the person who finds a report.
func reportText(r Ruling, c Case) string {
	what := c.Incoming.Name
	if what == "" && c.Node != nil {
		what = c.Node.Name
	}
	if what == "" && c.Gone != nil {
		what = c.Gone.Base.Name
	}
	switch r.Report {
	case "conflict":
		return fmt.Sprintf("%q was changed here and on the server. The server's version has the name, ours is beside it.", what)
	case "revived":
		return fmt.Sprintf("%q was deleted on the server, but has changes made here. It is kept as new.", what)
	case "restored":
		return fmt.Sprintf("%q was deleted here, but has changed on the server. It is back.", what)
	case "undone":
		return fmt.Sprintf("%q was moved here and on the server in ways that exclude each other. The server's way holds.", what)
	case "moved":
		return fmt.Sprintf("%q was moved or renamed here and on the server. Our place holds.", what)
	case "gone":
		return fmt.Sprintf("%q was moved or renamed here, but deleted on the server. It is gone.", what)
	case "mine":
		return fmt.Sprintf("%q was changed here and on the server. Ours counts; the server's version is among the versions of the file.", what)
	case "theirs":
		return fmt.Sprintf("%q was changed here and on the server. The server's version counts; ours is in the local trash.", what)
	case "hidden":
		return fmt.Sprintf("%q has a name that cannot be shown here.", what)
	}
	return what
}

// makeRoom frees the name that the incoming item claims, as ruled.
// An item that is to be shown as a twin is called so from here on.
func (a *applier) makeRoom() error {
	h := a.c.Holder
	switch {
	case h == nil:
		return nil
	case a.r.Holder == Beside || a.r.Holder == Yield:
		home, err := a.x.atItsName(h)
		if err != nil {
			return err
		}
		if !home {
			return errRuling
		}
		if a.r.Holder == Yield {
			_, err = a.x.twin(*h)
			return err
		}
		a.c.Incoming.Name, err = a.x.twinName(a.c.Parent.Ino, name.Plain(a.c.Incoming.Name))
		return err
	case a.r.Holder == Park && owns(h) && h.Name == h.Base.Name && !a.c.HolderDiff.Place:
		_, err := a.x.park(*h)
		return err
	case a.r.Holder == Aside || a.r.Holder == Park:
		_, err := a.x.aside(*h)
		return err
	}
	return errRuling
}

// park gives a node a temporary name, in its base as well: it is no rename of ours, and its own
// item, which waits in the inbox, moves it on.
func (x *tx) park(n Node) (Node, error) {
	was, base := n, *n.Base
	n.Name, n.parked = name.Temporary(string(base.Item)), n.Name
	base.Name = n.Name
	n.Base = &base
	if taken, err := x.has(childKey(n.Parent, name.Fold(n.Name))); err != nil || taken {
		if err != nil {
			return n, err
		}
		return x.aside(was)
	}
	x.moved(was, n)
	return x.setNode(n)
}

// unpark gives a parked node a name that people know again: its item does not move it on any more.
// It is not stored yet.
func (x *tx) unpark(n Node) (Node, error) {
	was := n
	n.Name, n.parked = n.parked, ""
	taken, err := x.has(childKey(n.Parent, name.Fold(n.Name)))
	if err == nil && taken {
		n.Name, err = x.conflictName(n.Parent, n.Name)
	}
	if err != nil {
		return was, err
	}
	x.moved(was, n)
	return n, nil
}

// aside renames a node to a conflict copy in its folder.
func (x *tx) aside(n Node) (Node, error) {
	seq, err := x.seq()
	if err != nil {
		return n, err
	}
	was := n
	if n.Name, err = x.conflictName(n.Parent, n.Name); err != nil {
		return n, err
	}
	n.Seq, n.Ctime = seq, x.now
	x.moved(was, n)
	return x.setNode(n)
}

// conflictName returns the next free name for a conflict copy in a folder.
func (x *tx) conflictName(folder Ino, of string) (string, error) {
	of = name.Plain(of)
	for n := 1; n < maxCopies; n++ {
		c := name.Conflict(of, x.s.o.Host, x.s.o.Now(), n)
		if taken, err := x.has(childKey(folder, name.Fold(c))); err != nil || !taken {
			return c, err
		}
	}
	return "", fmt.Errorf("%q: %w: too many conflict copies", of, ErrExist)
}

const maxCopies = 10_000

// add makes a clean node for the incoming item at its place.
func (a applier) add() error {
	in, p, h := a.c.Incoming, a.c.Parent, a.c.Holder
	if in.Type != graph.File && in.Type != graph.Folder || !name.Safe(in.Name) {
		return errRuling
	}
	if p == nil {
		return errRuling
	}
	if h != nil && h.LocalOnly {
		return nil // two things that nobody sends: ours stays, theirs stays there
	}
	if err := a.makeRoom(); err != nil {
		return err
	}
	if a.c.Gone != nil {
		if err := a.x.setGone(a.d, in.ID, nil); err != nil {
			return err
		}
	}
	n, err := a.x.addRemote(a.d, p.Ino, newBase(nil, a.c.Incoming, a.x.now))
	if err != nil {
		return err
	}
	if h != nil && a.r.Holder == Aside {
		return a.pair(h.Ino, n.Ino)
	}
	return a.report(n.Ino, "")
}

// agree makes the incoming item the base of Node.
func (a applier) agree() error {
	n := *a.c.Node
	if n.Dir != (a.c.Incoming.Type == graph.Folder || a.c.Incoming.Root) {
		return errRuling
	}
	if a.r.Place && n.Parent != 0 {
		if a.c.Cycle || !name.Safe(a.c.Incoming.Name) {
			return errRuling
		}
		if a.c.Parent == nil {
			parent, err := a.chain()
			if err != nil {
				return err
			}
			if parent == nil {
				return errRuling
			}
			a.c.Parent = parent
		}
		if a.c.Holder != nil && a.c.Holder.LocalOnly {
			return errRuling
		}
		if err := a.makeRoom(); err != nil {
			return err
		}
	}
	if err := a.adoptBase(n); err != nil {
		return err
	}
	if a.c.Holder != nil && a.r.Place && a.r.Holder == Aside {
		return a.pair(a.c.Holder.Ino, n.Ino)
	}
	return a.report(n.Ino, "")
}

// adoptBase makes the incoming item the base of n, with its bytes, place and time as ruled.
func (a applier) adoptBase(n Node) error {
	x, in := a.x, a.c.Incoming
	was := n
	n.Base = newBase(n.Base, in, x.now)
	if was.Parent == 0 {
		n.Base.Parent, n.Base.Name, n.Base.Dir = "", "", true
	}
	bytes := false
	switch {
	case n.Dir:
	case a.r.Bytes == TheirBytes:
		bytes = true
		if n.Written {
			// The ruling gives local work up: the body goes, and is fetched anew.
			x.drops = append(x.drops, n.Ino)
			if err := x.set(dropKey(n.Ino), nil); err != nil {
				return err
			}
		}
		n.Written, n.Size = false, n.Base.Size
	case a.r.Bytes == SameBytes:
		if n.Written {
			n.Written = false
			x.agrees = append(x.agrees, agreement{ino: n.Ino, seq: n.Seq, v: n.Base.Version()})
		}
		n.Size = n.Base.Size
	case !n.Written:
		n.Size = n.Base.Size
		bytes = was.Base != nil && !was.Base.Version().Same(n.Base.Version())
	}
	if a.r.ModTime && !n.Base.ModTime.IsZero() {
		n.Mtime = n.Base.ModTime
	}
	if a.r.Place && was.Parent != 0 {
		n.Parent, n.Name = a.c.Parent.Ino, in.Name
	}
	x.moved(was, n)
	x.event(Event{Ino: n.Ino, Bytes: bytes})
	n, err := x.setNode(n)
	if err != nil {
		return err
	}
	return x.atRest(n)
}

// atRest forgets when a node left the place of its base if it is there again.
func (x *tx) atRest(n Node) error {
	home, err := x.atHome(&n)
	if err != nil || !home || n.left.IsZero() {
		return err
	}
	n.left = time.Time{}
	_, err = x.setNode(n)
	return err
}

// split makes Node a new item under the name of a conflict copy, and adds the incoming one.
func (a applier) split() error {
	x := a.x
	n := *a.c.Node
	if n.Dir || !n.Written {
		return errRuling // the bytes that a split keeps are local work
	}
	n, err := x.aside(n)
	if err != nil {
		return err
	}
	if n, err = x.disown(n); err != nil {
		return err
	}
	x.event(Event{Ino: n.Ino})
	parent := a.c.Parent
	if parent == nil {
		if parent, err = a.chain(); err != nil {
			return err
		}
		if parent == nil {
			return a.report(n.Ino, "")
		}
		if h, err := x.childByKey(parent.Ino, name.Fold(a.c.Incoming.Name)); err != nil {
			return err
		} else if h != nil {
			if _, err := x.aside(*h); err != nil {
				return err
			}
		}
	} else if err := a.makeRoom(); err != nil {
		return err
	}
	theirs, err := x.addRemote(a.d, parent.Ino, newBase(nil, a.c.Incoming, x.now))
	if err != nil {
		return err
	}
	return a.pair(n.Ino, theirs.Ino)
}

// drop removes a file that is gone there.
func (a applier) drop() error {
	n := *a.c.Node
	if n.Written || n.Parent == 0 {
		return errRuling
	}
	path, err := a.x.path(n.Ino)
	if err != nil {
		return err
	}
	a.x.event(Event{Ino: n.Ino, Parent: n.Parent, Name: n.Name})
	if _, err := a.x.remove(n, false); err != nil {
		return err
	}
	return a.report(0, path)
}

// revive makes Node a new item.
func (a applier) revive() error {
	n := *a.c.Node
	if n.Parent == 0 {
		return errRuling
	}
	if !n.Dir {
		if ok, err := a.x.isWhole(&n); err != nil {
			return err
		} else if !ok {
			return errRuling
		}
	}
	n, err := a.x.disown(n)
	if err != nil {
		return err
	}
	a.x.event(Event{Ino: n.Ino})
	return a.report(n.Ino, "")
}

// restore forgets the pending deletion and adds the item, with the folders above it.
func (a applier) restore() error {
	x, in := a.x, a.c.Incoming
	if in.Type != graph.File && in.Type != graph.Folder || !name.Safe(in.Name) {
		return errRuling
	}
	if err := x.setGone(a.d, in.ID, nil); err != nil {
		return err
	}
	parent := a.c.Parent
	if parent == nil {
		var err error
		if parent, err = a.chain(); err != nil {
			return err
		}
		if parent == nil {
			return errRuling
		}
		// A folder that was there already may hold the name.
		if h, err := x.childByKey(parent.Ino, name.Fold(in.Name)); err != nil {
			return err
		} else if h != nil {
			if _, err := x.aside(*h); err != nil {
				return err
			}
		}
	} else if a.c.Holder != nil && a.c.Holder.LocalOnly {
		return nil
	} else if err := a.makeRoom(); err != nil {
		return err
	}
	n, err := x.addRemote(a.d, parent.Ino, newBase(nil, a.c.Incoming, x.now))
	if err != nil {
		return err
	}
	return a.report(n.Ino, "")
}

// chain brings the folders in Above back, from the top down, and returns the lowest, nil if there
// is no living folder to begin with.
func (a applier) chain() (*Node, error) {
	x := a.x
	if len(a.c.Above) == 0 || a.c.Orphan {
		return nil, nil
	}
	top := a.c.Above[len(a.c.Above)-1]
	parent, err := x.owner(a.d, top.Base.Parent)
	if err != nil || parent == nil {
		return nil, err
	}
	for i := len(a.c.Above) - 1; i >= 0; i-- {
		g := a.c.Above[i]
		if err := x.setGone(a.d, g.Base.Item, nil); err != nil {
			return nil, err
		}
		base := g.Base
		held, err := x.childByKey(parent.Ino, name.Fold(base.Name))
		if err != nil {
			return nil, err
		}
		if held != nil && held.Dir && held.Base == nil && !held.LocalOnly {
			held.Base = &base // a new folder of that name turns out to be it
			n, err := x.setNode(*held)
			if err != nil {
				return nil, err
			}
			parent = &n
			continue
		}
		if held != nil {
			if _, err := x.aside(*held); err != nil {
				return nil, err
			}
		}
		n, err := x.addRemote(a.d, parent.Ino, &base)
		if err != nil {
			return nil, err
		}
		n.Listing = Listed
		if n, err = x.setNode(n); err != nil {
			return nil, err
		}
		parent = &n
	}
	return parent, nil
}

// takeBase makes the incoming item the base of Holder.
func (a applier) takeBase() error {
	h := *a.c.Holder
	if h.Dir != (a.c.Incoming.Type == graph.Folder) {
		return errRuling
	}
	if a.c.Gone != nil {
		if err := a.x.setGone(a.d, a.c.Incoming.ID, nil); err != nil {
			return err
		}
	}
	if !h.Dir && a.r.Bytes == KeepBytes && !h.Written {
		return errRuling
	}
	if err := a.adoptBase(h); err != nil {
		return err
	}
	return a.report(h.Ino, "")
}

// undo puts Node back to where the remote has it. If that is inside Node itself, what is on the way
// was moved there here, and goes back first.
func (a applier) undo() error {
	x := a.x
	if a.c.Node.Parent == 0 {
		return errRuling
	}
	if a.c.Parent == nil { // removed here, and comes back for it
		parent, err := a.chain()
		if err != nil {
			return err
		}
		if parent == nil {
			return errRuling
		}
		a.c.Parent = parent
	}
	for range maxDepth {
		in, err := x.inside(a.c.Parent.Ino, a.c.Node.Ino)
		if err != nil {
			return err
		}
		if !in {
			break
		}
		if err := a.backOut(); err != nil {
			return err
		}
	}
	n, err := x.node(a.c.Node.Ino)
	if err != nil {
		return err
	}
	if h, err := x.childByKey(a.c.Parent.Ino, name.Fold(a.c.Incoming.Name)); err != nil {
		return err
	} else if h != nil && h.Ino != n.Ino {
		if _, err := x.aside(*h); err != nil {
			return err
		}
	}
	a.r.Place, a.r.ModTime = true, false
	if err := a.adoptBase(n); err != nil {
		return err
	}
	return a.report(n.Ino, "")
}

// backOut returns the lowest folder between the incoming item's folder and Node that was moved here
// to the place that its base has. If none of those that were moved has such a place, since the folder
// was removed here or is inside of it by now, the lowest goes beside Node: out of the way, and still
// moved here.
func (a applier) backOut() error {
	x := a.x
	at, err := x.node(a.c.Parent.Ino)
	if err != nil {
		return err
	}
	var homeless *Node
	for at.Ino != a.c.Node.Ino {
		d, err := x.diff(&at)
		if err != nil {
			return err
		}
		if homeless == nil && (d.Place || d.New) {
			n := at
			homeless = &n
		}
		if owns(&at) && d.Place {
			home, err := x.owner(a.d, at.Base.Parent)
			if err != nil {
				return err
			}
			if home != nil && home.Dir {
				if in, err := x.inside(home.Ino, at.Ino); err != nil {
					return err
				} else if !in {
					return a.sendTo(at, home.Ino, at.Base.Name)
				}
			}
		}
		if at, err = x.node(at.Parent); err != nil {
			return err
		}
	}
	if homeless == nil {
		return fmt.Errorf("%w: nothing on the way to item %s was moved here", ErrStale, a.c.Incoming.ID)
	}
	return a.sendTo(*homeless, a.c.Node.Parent, homeless.Name)
}

// sendTo puts a folder into another, under a conflict copy's name if its own is taken.
func (a applier) sendTo(n Node, folder Ino, child string) error {
	x := a.x
	seq, err := x.seq()
	if err != nil {
		return err
	}
	was := n
	n.Parent, n.Name, n.Seq, n.Ctime, n.left = folder, child, seq, x.now, time.Time{}
	if h, err := x.childByKey(folder, name.Fold(n.Name)); err != nil {
		return err
	} else if h != nil && h.Ino != n.Ino {
		if n.Name, err = x.conflictName(folder, n.Name); err != nil {
			return err
		}
	}
	x.moved(was, n)
	_, err = x.setNode(n)
	return err
}
