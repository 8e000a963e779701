package cache

import (
	"errors"
	"fmt"
	"time"
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
		if err := a.date(); err != nil {
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
	x  *tx
	d  DriveNum
	c  Case
	r  Ruling
	at time.Time // when the service said what comes in; set by date
}

// date finds out how old the news is. What waited when an enumeration began, and was not brought by it, is older:
// otherwise it would not be noticed that the enumeration had nothing of it.
func (a *applier) date() error {
	a.at = a.x.now
	f, err := a.x.feed(a.d)
	if err != nil || !f.Full || a.c.Confirmed {
		return err
	}
	seen, err := a.x.has(itemKey(rowSeen, a.d, a.c.Incoming.ID))
	if err == nil && !seen {
		a.at = f.Began.Add(-time.Second)
	}
	return err
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
	case Agree, Split, Drop, Revive, Undo:
		if node == nil {
			return errRuling
		}
	case Add, Restore, TakeBase:
		if node != nil {
			return errRuling
		}
	}
	switch a.r.Verb {
	case Ignore:
		if err := a.follow(); err != nil {
			return err
		}
		return a.report(0, "")
	case Add:
		return a.add()
	case Agree:
		return a.agree()
	case Split:
		return a.split()
	case Drop:
		return a.drop()
	case Revive:
		return a.revive()
	case Restore:
		return a.restore()
	case Forget:
		if err := a.x.setGone(a.d, a.c.Incoming.ID, nil); err != nil {
			return err
		}
		return a.report(0, "")
	case TakeBase:
		if holder == nil || owns(holder) || holder.LocalOnly {
			return errRuling
		}
		return a.takeBase()
	case Undo:
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
	moved.Base, moved.Seq = *newBase(&g.Base, in, a.at), seq
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
