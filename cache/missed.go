package cache

import (
	"errors"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// A file is made there, the answer is lost, and before anybody looks a colleague moves or renames it. Its id is not
// known here, so a look at its place finds nothing, and it would be made once more. What it is shows when it comes in.

// Missed is Forget for the making of a file of which a look has found nothing, though it may have been made and moved
// since. What the next refresh brings that nobody has, with just its bytes, its time and the time at which it was made,
// is taken for it.
func (o *Outbox) Missed(a Attempt) error {
	return o.s.update(shrinks, func(x *tx) error {
		if err := x.delStep(o.drive, a); err != nil {
			return err
		}
		a.Session = ""
		b, err := encodeJSON(a)
		if err != nil {
			return err
		}
		return x.set(missedKey(o.drive, a.Ino), b)
	})
}

// Claim gives what waits to the steps that were missed: each becomes the base of its node, at the place that the step
// gave it. So whoever rules on it next finds an item that is known, and was moved. Steps to which nothing has come are
// forgotten. Call it when all has been received, before Cases.
func (i *Inbox) Claim() error {
	var missed []Attempt
	err := i.s.view(func(x *tx) error {
		return x.each(drivePrefix(rowMissed, i.drive), nil, func(_, v []byte) (bool, error) {
			var a Attempt
			err := decodeJSON(v, &a)
			missed = append(missed, a)
			return err == nil, err
		})
	})
	if err != nil || len(missed) == 0 {
		return err
	}
	return i.s.update(shrinks, func(x *tx) error {
		for _, a := range missed {
			if err := x.del(missedKey(i.drive, a.Ino)); err != nil {
				return err
			}
		}
		// Copies of a file that were sent at once look the same: what is where a step has put it is of that step, and
		// then what is most like it.
		for _, like := range likes {
			var rest []Attempt
			for _, a := range missed {
				item, err := x.madeBy(i.drive, a, like)
				if err != nil {
					return err
				}
				if item.ID == "" {
					rest = append(rest, a)
					continue
				}
				item.Parent, item.Name = a.Parent, a.Name
				if _, err := x.commitStep(i.drive, a, item); err != nil {
					return err
				}
			}
			missed = rest
		}
		return nil
	})
}

// likes say how an item may lie to the place where a step has made it, best first.
var likes = []func(a Attempt, item graph.Item) bool{
	Attempt.put,
	func(a Attempt, item graph.Item) bool { return item.Name == name.Plain(a.Name) },
	func(a Attempt, item graph.Item) bool { return item.Parent == a.Parent },
	func(Attempt, graph.Item) bool { return true },
}

// madeBy returns the item that waits and that nobody has which can be what a step has made; the zero value if there is
// none. If the file has another by now, as an heir, only one that nobody has moved is for it to give up.
func (x *tx) madeBy(d DriveNum, a Attempt, like func(Attempt, graph.Item) bool) (made graph.Item, err error) {
	n, err := x.node(a.Ino)
	switch {
	case errors.Is(err, ErrNotExist):
	case err != nil:
		return made, err
	case n.Dir:
		return made, nil
	}
	err = x.each(drivePrefix(rowInbox, d), nil, func(k, v []byte) (bool, error) {
		item, err := decodeItem(itemOfKey(k), v)
		if err != nil || !a.made(item) || !like(a, item) || n.Base != nil && !a.put(item) {
			return err == nil, err
		}
		if free, err := x.atLarge(d, item); err != nil || !free {
			return err == nil, err
		}
		made = item
		return false, nil
	})
	return made, err
}

// atLarge reports whether an item that waits has no node and is no deletion of ours, and is not where a step
// under way makes one: the look for that will tell.
func (x *tx) atLarge(d DriveNum, item graph.Item) (bool, error) {
	owner, err := x.ownerIno(d, item.ID)
	if err != nil || owner != 0 {
		return false, err
	}
	gone, err := x.gone(d, item.ID)
	if err != nil || gone != nil {
		return false, err
	}
	free := true
	err = x.each(drivePrefix(rowStep, d), nil, func(_, v []byte) (bool, error) {
		var a Attempt
		err := decodeJSON(v, &a)
		free = err == nil && (a.Item != "" || !a.put(item))
		return free, err
	})
	return free, err
}

// put reports whether an item is where a step puts it.
func (a Attempt) put(item graph.Item) bool {
	return item.Parent == a.Parent && item.Name == name.Plain(a.Name)
}

// CreatedAs is the time at which a new file was made here, in whole seconds: however often it is sent, it says so there,
// and can be told by that from what others made. Zero for what is there already.
func CreatedAs(n Node) time.Time {
	if n.Base != nil || n.Dir {
		return time.Time{}
	}
	return n.Since.UTC().Truncate(time.Second)
}

// made reports whether an item can be what a step has made. Others may have sent the same bytes with the same time, from
// one archive, but theirs was not made in the same second.
func (a Attempt) made(item graph.Item) bool {
	return !item.Deleted && item.Type == graph.File && a.Size > 0 && item.Size == a.Size && a.Hash != "" && item.Hash == a.Hash &&
		graph.SameSecond(item.ModTime, a.ModTime) && graph.SameSecond(item.Created, a.Created)
}
