package cache

import (
	"errors"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// A file is made there, the answer is lost, and before anybody looks a colleague moves or renames it. Its id is not
// known here, so a look at its place finds nothing, and it would be made once more. What it is shows when it comes in.

// Missed is Forget for the making of a file of which a look has found nothing, though it may have been made and moved
// since. What the next refresh brings that nobody has, with just its bytes and its time, is taken for it.
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
			item, err := x.madeBy(i.drive, a)
			if err != nil {
				return err
			}
			if item.ID == "" {
				continue
			}
			item.Parent, item.Name = a.Parent, a.Name
			if _, err := x.commitStep(i.drive, a, item); err != nil {
				return err
			}
		}
		return nil
	})
}

// madeBy returns the item that waits and that nobody has which can be what a step has made; the zero value if there is
// none, or if the file has another by now.
func (x *tx) madeBy(d DriveNum, a Attempt) (made graph.Item, err error) {
	n, err := x.node(a.Ino)
	switch {
	case errors.Is(err, ErrNotExist):
	case err != nil:
		return made, err
	case n.Base != nil || n.Dir:
		return made, nil
	}
	err = x.each(drivePrefix(rowInbox, d), nil, func(k, v []byte) (bool, error) {
		item, err := decodeItem(itemOfKey(k), v)
		if err != nil || !a.made(item) {
			return err == nil, err
		}
		owner, err := x.ownerIno(d, item.ID)
		if err != nil || owner != 0 {
			return err == nil, err
		}
		gone, err := x.gone(d, item.ID)
		if err != nil || gone != nil {
			return err == nil, err
		}
		made = item
		return false, nil
	})
	return made, err
}

// made reports whether an item can be what a step has made: others' files with the same bytes have another time.
func (a Attempt) made(item graph.Item) bool {
	return !item.Deleted && item.Type == graph.File && a.Size > 0 && item.Size == a.Size && a.Hash != "" && item.Hash == a.Hash &&
		!a.ModTime.IsZero() && item.ModTime.Truncate(time.Second).Equal(a.ModTime.Truncate(time.Second))
}
