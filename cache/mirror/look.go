package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// verdict is what becomes of what lies at a path.
type verdict uint8

const (
	keeps   verdict = iota
	clears          // the drive has it no more, or has it where it is not mirrored
	moves           // the drive has it elsewhere
	missing         // somebody took it away
	changed         // somebody changed it, as far as its looks tell
)

// judge decides about a path that the mirror has filled: h is what lies there, i its item as the drive has it (known
// is false if it has none), s where that belongs, and now how the file looks, nil if it is not there. It is pure.
func judge(at string, h here, i item, known bool, s spot, now *stat) verdict {
	switch {
	case !known, s.is == gone, s.is == refused, (i.Type == graph.Folder) != h.Dir, s.is == leftOut && s.path != at:
		return clears
	case s.is == adrift:
		return keeps
	case s.path != at:
		return moves
	case h.Dir:
		return keeps // made again if need be
	case now == nil && s.is == stands:
		return missing
	case now == nil:
		return keeps
	case *now == h.Stat:
		return keeps
	case s.is == leftOut:
		return keeps
	}
	return changed
}

// look goes through what lies here. What moved leaves its place, what somebody took away or changed is noted, and
// what the drive has no more is listed for clear.
func (r *run) look(ctx context.Context) error {
	r.progress.begin("look")
	if err := r.s.clear(clearRows); err != nil {
		return err
	}
	p, w := r.placer(), writer{s: r.s}
	n := int64(0)
	for at, x := range rows[place](r.s, placeRows) {
		if x.err != nil {
			return x.err
		}
		if x.v.Here == nil && x.v.Coming == nil {
			continue
		}
		if n++; n%1000 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.progress.update(func(q *Progress) { q.Items = n })
		}
		if err := r.lookAt(p, &w, at, x.v); err != nil {
			return fmt.Errorf("look at %s: %w", at, err)
		}
	}
	return w.flush()
}

func (r *run) lookAt(p *placer, w *writer, at string, pl place) error {
	st, ok, err := r.d.look(at)
	if err != nil {
		r.problem(at, plain(err))
		return nil
	}
	var now *stat
	if ok {
		now = new(statOf(st))
		if !st.Mode().IsRegular() {
			now.Inode = 0 // whatever it is, it is no file of ours
		}
	}
	if c := pl.Coming; c != nil {
		pl.Coming = nil
		if now != nil && *now == c.Stat {
			pl.Here = c
		} else if !ok && r.step == nil {
			r.d.sweep(path.Dir(at)) // the folders may have been made for it
		}
		if err := r.s.set(placeRow(at, pl)); err != nil || pl.Here == nil {
			return err
		}
	}
	h := *pl.Here
	i, known, err := r.s.item(h.Item)
	if err != nil {
		return err
	}
	s := spot{is: gone}
	if known {
		if s, err = p.of(i); err != nil {
			return err
		}
	}
	switch judge(at, h, i, known, s, now) {
	case clears:
		return w.add(row(clearRows+at, h.Item))
	case moves:
		return r.vacate(at, pl, i, s, now)
	case missing:
		if r.would(Step{Do: "restore", Path: at, Bytes: i.Ver.Size}) {
			pl.Here = nil
			r.moving[h.Item] = true
			return w.add(placeRow(at, pl))
		}
		pl.Here = nil
		return w.add(row(eventRows+at, event{Reason: "missing"}), placeRow(at, pl))
	case changed:
		return r.changedHere(w, at, pl, i, st)
	case keeps:
		if !h.Dir && s.is == stands && now != nil && h.Mod != i.Mtime && h.Ver.same(i.Ver) && !doubtful(h, i) && r.step == nil {
			if pl, err = r.date(at, pl, i, h); err != nil {
				r.problem(at, plain(err))
				return nil
			}
			return w.add(placeRow(at, pl))
		}
	}
	return nil
}

// doubtful reports whether a file may have other bytes though its hash and size are the same: the service's hash does not
// show when two bytes that are 160 apart change places. Its time tells that it was written, and the cTag, where it is told,
// that it was not.
func doubtful(h here, i item) bool {
	if h.Ver.Size == 0 || h.Ver.Hash == "" || i.Mtime == 0 || h.Mod == i.Mtime || !h.Ver.same(i.Ver) {
		return false
	}
	return h.Ver.CTag == "" || h.Ver.CTag != i.Ver.CTag
}

// date gives a file of ours the time that the drive has for it by now.
func (r *run) date(at string, pl place, i item, h here) (place, error) {
	// First the row: a run that is cut short in between knows the file with either time.
	h.Mod = i.Mtime
	if h.Stat.Mtime = i.Mtime; i.Mtime != 0 {
		pl.Coming = &h
		if err := r.s.set(placeRow(at, pl)); err != nil {
			return pl, err
		}
	}
	st, err := r.dated(inData(at), i.Mtime)
	if err != nil {
		return pl, err
	}
	h.Stat = st
	pl.Here, pl.Coming = &h, nil
	return pl, nil
}

// vacate takes a file that moved from its place, for fetch to find it.
func (r *run) vacate(at string, pl place, i item, s spot, now *stat) error {
	h := *pl.Here
	if r.would(Step{}) {
		if !h.Dir && h.Ver.same(i.Ver) {
			r.would(Step{Do: "move", Path: s.path, From: at})
			r.moving[h.Item] = true
		} else if !h.Dir {
			r.would(Step{Do: "remove", Path: at})
		}
		return nil
	}
	pl.Here = nil
	if h.Dir {
		r.d.sweep(at)
		return r.s.set(placeRow(at, pl))
	}
	if pl.Told != nil && pl.Told.Item == h.Item && i.From == "" {
		i.From = at
	}
	switch {
	case now == nil: // perhaps since an earlier run was cut short
		r.d.sweep(path.Dir(at))
	case *now == h.Stat:
		// First the file, then the rows: cut short in between, the next run finds it under way, and gone from here.
		err := error(nil)
		if h.Ver.same(i.Ver) {
			err = r.d.root.Rename(inData(at), part(h.Item, h.Ver))
			i.Staged = &staged{h.Stat, h.Ver}
		} else { // its bytes are old as well
			err = r.d.root.Remove(inData(at))
		}
		if err != nil {
			r.problem(at, plain(err))
			return nil
		}
		r.d.sweep(path.Dir(at))
	default:
		if err := r.save(at, "changed"); err != nil {
			r.problem(at, plain(err))
			return nil
		}
	}
	return r.s.set(itemRow(h.Item, i), placeRow(at, pl))
}

// changedHere deals with a file that does not look as it was left. If its bytes are those of the drive nothing was
// changed but its looks.
func (r *run) changedHere(w *writer, at string, pl place, i item, st fs.FileInfo) error {
	h := *pl.Here
	if st.Mode().IsRegular() && st.Size() == h.Ver.Size && h.Ver.Hash != "" {
		sum, err := r.d.hashOf(inData(at))
		if err != nil {
			r.problem(at, plain(err))
			return nil
		}
		if sum == h.Ver.Hash {
			if r.would(Step{}) {
				return nil
			}
			h.Stat = statOf(st)
			if pl, err = r.date(at, pl, i, h); err != nil {
				r.problem(at, plain(err))
				return nil
			}
			return w.add(placeRow(at, pl))
		}
	}
	pl.Here = nil
	if r.would(Step{Do: "restore", Path: at, Bytes: i.Ver.Size}) {
		r.moving[h.Item] = true
		return w.add(placeRow(at, pl))
	}
	if err := r.save(at, "changed"); err != nil {
		r.problem(at, plain(err))
		return nil
	}
	return w.add(placeRow(at, pl))
}

// save sets aside what lies at a path, and notes why.
func (r *run) save(at, reason string) error {
	to, err := r.d.aside(at)
	if err != nil {
		return err
	}
	return r.note(reason, saving{at, to})
}

func (r *run) note(reason string, all ...saving) error {
	for _, s := range all {
		r.o.Logger.Info("set aside", "path", s.path, "as", s.saved, "why", reason)
		if err := r.s.set(row(eventRows+s.path, event{Reason: reason, Saved: s.saved})); err != nil {
			return err
		}
	}
	return nil
}

// dated gives a file the time that the drive has for it, and says how it looks then.
func (r *run) dated(p string, mtime int64) (stat, error) {
	if mtime != 0 {
		if err := r.d.root.Chtimes(p, time.Time{}, time.Unix(0, mtime)); err != nil {
			return stat{}, err
		}
	}
	st, err := r.d.root.Lstat(p)
	if err != nil {
		return stat{}, err
	}
	return statOf(st), nil
}

// clear takes away what the drive has no more, unless that is so much that somebody should be asked.
func (r *run) clear(ctx context.Context) error {
	files, known := 0, 0
	for at, x := range rows[graph.ItemID](r.s, clearRows) {
		if x.err != nil {
			return x.err
		}
		pl, err := r.s.place(at)
		if err != nil {
			return err
		}
		if pl.Here != nil && !pl.Here.Dir {
			files++
		}
	}
	if files == 0 && !r.compared && r.step == nil {
		return r.clearAll(ctx) // empty folders
	}
	for _, x := range rows[place](r.s, placeRows) {
		if x.err != nil {
			return x.err
		}
		if x.v.Here != nil && !x.v.Here.Dir {
			known++
		}
	}
	if !r.o.AllowDeletes && r.o.Guard.Holds(files, known) {
		r.res.Held = files
		return nil
	}
	return r.clearAll(ctx)
}

func (r *run) clearAll(ctx context.Context) error {
	for at, x := range rows[graph.ItemID](r.s, clearRows) {
		err := x.err
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = r.clearOne(at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) clearOne(at string) error {
	pl, err := r.s.place(at)
	if err != nil || pl.Here == nil {
		return err
	}
	h := *pl.Here
	if r.step != nil {
		if !h.Dir {
			r.would(Step{Do: "remove", Path: at})
		}
		pl.Here = nil
		return r.s.set(placeRow(at, pl))
	}
	if err := r.remove(at, h); err != nil {
		r.problem(at, plain(err))
		return nil
	}
	pl.Here = nil
	return r.s.set(placeRow(at, pl))
}

// remove takes away what the mirror put at a path. What somebody changed since is set aside instead.
func (r *run) remove(at string, h here) error {
	st, ok, err := r.d.look(at)
	switch {
	case err != nil:
		return err
	case h.Dir:
		r.d.sweep(at)
		return nil
	case !ok:
	case st.Mode().IsRegular() && statOf(st) == h.Stat:
		if err := r.d.discard(at); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	default:
		if err := r.save(at, "changed"); err != nil {
			return err
		}
	}
	r.d.sweep(path.Dir(at))
	return nil
}
