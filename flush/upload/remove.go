package upload

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

// vanished finds what was sent earlier and is in the folder no more: the steps that delete it, with their paths in the
// folder, how many items those delete, and how many are known in all. A folder is one step, unless somebody else's work
// was found in it.
func (r *run) vanished(ctx context.Context) (steps []plan.Step, paths map[graph.ItemID]string, count, known int, err error) {
	paths = map[graph.ItemID]string{}
	var in map[graph.ItemID]graph.Version // what goes with a folder that goes, of which the rows that follow may be
	var inPath string
	for after := ""; ; {
		rows, err := r.copy.Rows("", after, pageOfRows)
		if err != nil {
			return nil, nil, 0, 0, err
		}
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				return nil, nil, 0, 0, err
			}
			if row.Path == "" || row.Base == nil || row.Theirs {
				continue
			}
			known++
			if in != nil && strings.HasPrefix(row.Path, inPath) && r.goes(row) {
				in[row.Base.Item] = row.Base.Version()
				if row.Dir {
					in[row.Base.Item] = graph.Version{}
				}
				count++
				continue
			}
			if !r.goes(row) || r.failed[row.Path] || row.Dir && r.shared[row.Path] {
				continue // of a folder with somebody else's work in it what is ours goes one by one
			}
			count++
			s := plan.Step{
				Op: plan.Delete, Item: row.Base.Item, Name: row.Base.Name, Dir: row.Dir, Base: *row.Base,
				Path: path.Join(r.target, row.Path), Known: map[graph.ItemID]graph.Version{},
			}
			steps = append(steps, s)
			if in = nil; row.Dir {
				in, inPath = s.Known, row.Path+"/"
			}
			paths[s.Item] = row.Path
		}
		if len(rows) < pageOfRows {
			return steps, paths, count, known, nil
		}
		after = rows[len(rows)-1].Path
	}
}

// goes reports whether something that was sent is in the folder no more. What cannot be looked at, or takes no part now,
// stays.
func (r *run) goes(row cache.CopyRow) bool {
	at := r.localPath(row.Path)
	look := os.Lstat
	if r.o.Follow {
		look = os.Stat
	}
	st, err := look(at)
	switch {
	case err == nil:
		return st.IsDir() != row.Dir && r.waiting[row.Path]
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
	default:
		return false
	}
	for p, dir := row.Path, row.Dir; p != "." && p != ""; p, dir = path.Dir(p), true {
		if r.o.Take != nil && !r.o.Take(p, dir) || r.localOnly.Match(path.Base(p)) {
			return false
		}
	}
	return true
}

// remove deletes there what is gone here.
func (r *run) remove(ctx context.Context) error {
	steps, paths, count, known, err := r.vanished(ctx)
	if err != nil || len(steps) == 0 {
		return err
	}
	if !r.o.AllowDeletes && r.o.Guard.Holds(count, known) {
		r.res.Guarded = count
		for p := range r.waiting {
			r.problem(p, "deferred", "something of another type was sent under this name, and its deletion is held back", &r.res.Deferred)
		}
		return nil
	}
	r.ledger.goes(paths)
	r.steps, r.todo = steps, r.todo+len(steps)
	if err := r.carryOut(ctx); err != nil {
		return err
	}
	// A folder that is left with nothing of ours in it is somebody else's.
	for p := range r.shared {
		rows, err := r.copy.Rows(p+"/", "", 1)
		if err == nil && len(rows) == 0 {
			err = r.copy.Drop(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removed enters how a deletion ended.
func (r *run) removed(d push.Done) (final bool) {
	at := r.ledger.going(d.Step.Item)
	switch d.Outcome {
	case push.Sent, push.Unchanged:
		r.res.Sent++
		r.res.Deleted += 1 + len(d.Step.Known)
		r.again = r.again || r.waiting[at]
		delete(r.waiting, at)
		return true
	case push.Conflict:
		if d.Step.Dir && !r.shared[at] {
			r.shared[at], r.again = true, true
			return false
		}
		r.failed[at] = true
		r.problem(at, "conflict", "it is not in the folder any more, but somebody has changed it there: it stays", &r.res.Conflicts)
		return true
	case push.Skipped, push.Busy:
		if r.last {
			r.problem(at, "skipped", d.Reason, &r.res.Deferred)
		}
		return r.last
	case push.Left:
		r.over = true
		return true
	}
	r.failed[at] = true
	r.problem(at, string(d.Outcome), d.Reason, &r.res.Deferred)
	return true
}
