package upload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/merge"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// one finds out what becomes of an entry, and plans that.
func (r *run) one(ctx context.Context, e *entry, there listed) error {
	if r.failed[e.path] {
		return nil // in an earlier round
	}
	if e.row.Base != nil && e.row.Dir != e.dir {
		// Something of another type was sent earlier. It goes if it may, and this comes in its place.
		if r.o.Delete && !r.last {
			r.waiting[e.path] = true
			r.count(plan.Step{Op: plan.Create, Size: e.stamp.Size, Dir: e.dir, Path: path.Join(r.target, e.path)})
			return nil
		}
		e.row, e.name = cache.CopyRow{Path: e.path}, path.Base(e.path)
		if !r.scanning {
			r.recheck[e.path] = true
		}
	}
	e.row.Dir = e.dir
	if there != nil {
		if err := r.verify(ctx, e, there); err != nil {
			return err
		}
	}
	if e.row.Base != nil {
		return r.based(ctx, e)
	}
	return r.unbased(ctx, e, there)
}

// based rules on what the remote has, as far as is known.
func (r *run) based(ctx context.Context, e *entry) error {
	if e.dir {
		return nil
	}
	if !r.recheck[e.path] {
		if sameStamp(e.row.Stamp, e.stamp) {
			r.unchanged()
			return nil
		}
		if !e.row.Theirs {
			return r.changed(ctx, e)
		}
	}
	// It met somebody else's change, or gave way to one earlier.
	item, err := r.o.Service.Item(ctx, e.row.Base.Item)
	if errors.Is(err, graph.NotExist) {
		if err := r.lost(e.row); err != nil {
			return err
		}
		e.row.Base, e.name = nil, path.Base(e.path)
		return r.unbased(ctx, e, nil)
	}
	if err != nil {
		return err
	}
	was := e.row.Base
	if e.row.Theirs {
		e.row.Base = &cache.Base{Item: was.Item, Parent: was.Parent, Name: was.Name, Size: -1} // theirs was never ours
	}
	hash, ok, err := r.hash(ctx, e)
	if err != nil || !ok {
		return err
	}
	ruling := merge.Decide(r.caseOf(e, item, hash))
	switch {
	case ruling.Verb == cache.Split:
		return r.aside(ctx, e)
	case ruling.Verb == cache.Agree && ruling.Bytes == cache.SameBytes:
		e.row.Base = r.copy.BaseOf(was, item)
		return r.agree(e, hash)
	case ruling.Verb == cache.Agree && ruling.Report == "theirs":
		return r.yield(e, item, hash)
	case ruling.Verb == cache.Agree && ruling.Report == "mine":
		r.conflict(e, "somebody had changed it there; that is one of its older versions now")
	}
	e.row.Base = r.copy.BaseOf(was, item)
	return r.replace(ctx, e)
}

// changed rules on a file that is not as it was: it is read before it is believed to have other bytes.
func (r *run) changed(ctx context.Context, e *entry) error {
	if e.row.Hash == "" || e.stamp.Size != e.row.Stamp.Size {
		return r.replace(ctx, e)
	}
	hash, ok, err := r.hash(ctx, e)
	if err != nil || !ok {
		return err
	}
	if hash != e.row.Hash {
		return r.replace(ctx, e)
	}
	n := e.node()
	if n.Diff(n.Base.Parent).ModTime && !sameSecond(e.row.Stamp, e.stamp) {
		return r.emit(ctx, e, plan.Step{Op: plan.Touch, Item: e.item(), Name: e.name})
	}
	return r.agree(e, hash)
}

// sameSecond reports whether two stamps have one time, to the second. Of a stamp without a time nothing is known.
func sameSecond(a, b cache.Stamp) bool {
	return a.Mtime.IsZero() || a.Mtime.Unix() == b.Mtime.Unix()
}

// unbased rules on what the remote does not have, as far as is known.
func (r *run) unbased(ctx context.Context, e *entry, there listed) error {
	e.name = path.Base(e.path)
	var item graph.Item
	at, ok := there[name.Fold(e.name)]
	if ok {
		item = *at
	}
	if there == nil && r.recheck[e.path] && e.up.row.Base != nil {
		var err error
		switch item, err = r.o.Service.Child(ctx, e.up.row.Base.Item, e.name); {
		case err == nil:
			ok = true
		case !errors.Is(err, graph.NotExist):
			return err
		}
	}
	switch {
	case !ok:
		return r.create(ctx, e)
	case e.dir && item.Type == graph.Folder:
		e.row.Base = r.copy.BaseOf(nil, item)
		return r.agree(e, "")
	case item.Type != graph.File || e.dir:
		if r.o.Policy == cache.Theirs {
			return r.yield(e, item, "")
		}
		return r.aside(ctx, e)
	}
	hash := graph.Hash("")
	if item.Size == e.stamp.Size {
		var err error
		if hash, ok, err = r.hash(ctx, e); err != nil || !ok {
			return err
		}
	}
	n := e.node()
	if hash == "" {
		hash = "unread" // sizes differ, so that nothing equals it
	}
	ruling := merge.Decide(cache.Case{
		Incoming: item, Confirmed: true, Now: r.o.Now(), Policy: r.o.Policy, Holder: &n, HolderDiff: n.Diff(""),
		LocalHash: hash, LocalSize: e.stamp.Size, Parent: &cache.Node{Ino: n.Parent, Dir: true},
	})
	switch {
	case ruling.Verb == cache.TakeBase && ruling.Bytes == cache.SameBytes:
		e.row.Base = r.copy.BaseOf(nil, item)
		return r.agree(e, hash)
	case ruling.Verb == cache.TakeBase && ruling.Bytes == cache.TheirBytes:
		return r.yield(e, item, "")
	case ruling.Verb == cache.TakeBase:
		r.conflict(e, "there was another file of this name; that is one of its older versions now")
		e.row.Base = r.copy.BaseOf(nil, item)
		return r.replace(ctx, e)
	}
	return r.aside(ctx, e)
}

// hash reads a file. ok is false if there is nothing more to be done about it now.
func (r *run) hash(ctx context.Context, e *entry) (h graph.Hash, ok bool, err error) {
	if r.buf == nil {
		r.buf = make([]byte, hashBuffer)
	}
	h, same, err := hashFile(ctx, r.buf, e.local, e.link, e.stamp)
	switch {
	case ctx.Err() != nil:
		return "", false, ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil // gone meanwhile
	case err != nil:
		r.problem(e.path, "refused", reason(err), &r.res.Refused)
		return "", false, nil
	case !same:
		if r.last {
			r.problem(e.path, "busy", "it changes again and again while it is read", &r.res.Busy)
		}
		r.again = true
		return "", false, nil
	}
	return h, true, nil
}

// unchanged counts a file that is there already.
func (r *run) unchanged() {
	if r.scanning {
		r.res.Unchanged++
	}
}

// agree records that the remote has what is here.
func (r *run) agree(e *entry, hash graph.Hash) error {
	if !e.dir {
		r.unchanged()
	}
	e.row.Stamp, e.row.Hash, e.row.Theirs = trusted(e.stamp, r.o.Now()), hash, false
	e.name = e.row.Base.Name
	return r.note(e)
}

// yield leaves the remote's version as it is, until the file here changes again.
func (r *run) yield(e *entry, item graph.Item, hash graph.Hash) error {
	r.conflict(e, "it was changed there, and theirs counts; yours is in the folder only")
	if r.scanning {
		return nil
	}
	e.row.Base, e.row.Theirs, e.row.Hash = r.copy.BaseOf(nil, item), true, hash
	e.row.Stamp = trusted(e.stamp, r.o.Now())
	return r.note(e)
}

// note has a row stored.
func (r *run) note(e *entry) error {
	delete(r.recheck, e.path)
	r.touched = append(r.touched, e.row)
	if len(r.touched) >= pageOfRows {
		return r.store()
	}
	return nil
}

// store stores the rows noted.
func (r *run) store() error {
	rows := r.touched
	r.touched = nil
	if r.o.DryRun {
		return nil
	}
	return r.copy.Put(rows...)
}

// conflict reports a change on both sides, when that is acted on.
func (r *run) conflict(e *entry, text string) {
	if r.scanning && e.up != nil {
		e.up.whole = false // so that it is seen again
	}
	if !r.scanning || r.o.DryRun {
		r.problem(e.path, "conflict", text, &r.res.Conflicts)
	}
}

// aside sends a file or folder under the name of a conflict copy: theirs has the name.
func (r *run) aside(ctx context.Context, e *entry) error {
	own := path.Base(e.path)
	r.copies[e.path]++
	if r.scanning {
		r.copies[e.path] = 0
	}
	e.row.Base = nil
	e.name = name.Conflict(own, r.o.Host, r.began, max(r.copies[e.path], 1))
	r.conflict(e, fmt.Sprintf("there is another version there; yours is there as %q", e.name))
	return r.create(ctx, e)
}

// create plans a new item.
func (r *run) create(ctx context.Context, e *entry) error {
	if e.dir {
		if r.o.Sparse {
			return nil // when something is sent into it
		}
		return r.ensure(ctx, e)
	}
	return r.emit(ctx, e, plan.Step{Op: plan.Create, Name: e.name, Size: e.stamp.Size})
}

// replace plans new bytes for an item.
func (r *run) replace(ctx context.Context, e *entry) error {
	return r.emit(ctx, e, plan.Step{Op: plan.Replace, Item: e.item(), Name: e.name, Size: e.stamp.Size})
}
