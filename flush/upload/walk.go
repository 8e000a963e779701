package upload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// walk goes through the folder: counting in a scan, else planning what is to be sent and sending it whenever a plan is full.
func (r *run) walk(ctx context.Context) error {
	st, err := os.Stat(r.o.Folder)
	if err != nil {
		return err
	}
	for e := r.top; e != nil; e = e.up {
		e.fresh, e.failed, e.step = false, false, -1
		r.ledger.add(e)
	}
	r.top.stamp = cache.Stamp{Mtime: st.ModTime().UTC()}
	if !r.o.Sparse || r.top.row.Base != nil {
		if err := r.ensure(ctx, r.top); err != nil {
			return err
		}
	}
	return r.folder(ctx, r.top, []place{placeOf(st)})
}

// folder goes through one folder: its files first, then the folders in it. above are the folders on the way here, so that
// links that lead back into one of them end.
func (r *run) folder(ctx context.Context, e *entry, above []place) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.open, e.whole = true, true
	defer func() { e.open = false }()
	list, err := names(e.local)
	if err != nil {
		e.whole = false
		if e == r.top {
			return fmt.Errorf("the folder cannot be read: %w", err)
		}
		r.problem(e.path, "refused", reason(err), &r.res.Refused)
		return nil
	}
	there, err := r.list(ctx, e)
	if err != nil {
		return err
	}
	taken := map[string]string{} // names in this folder, by how the remote compares them
	var folders []string
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, ok, err := r.child(e, n, taken)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if c.dir {
			folders = append(folders, n)
			continue
		}
		if err := r.one(ctx, c, there); err != nil || r.over {
			return err
		}
	}
	for _, n := range folders {
		if err := r.below(ctx, e, n, there, above); err != nil || r.over {
			return err
		}
	}
	if e.whole && !e.failed && e.row.Base != nil && e.row.Epoch != r.info.Epoch {
		e.row.Epoch = r.info.Epoch
		r.touched = append(r.touched, cache.CopyRow{Path: e.path, Dir: true, Stamp: e.row.Stamp, Base: e.row.Base, Epoch: e.row.Epoch})
		if len(r.touched) >= pageOfRows {
			return r.store()
		}
	}
	return nil
}

// below goes into a folder of a folder.
func (r *run) below(ctx context.Context, up *entry, n string, there listed, above []place) error {
	c, ok, err := r.lookAt(up, n)
	if err != nil || !ok || !c.dir {
		return err
	}
	st, err := os.Stat(c.local)
	if err != nil {
		return nil // gone meanwhile
	}
	at := placeOf(st)
	for _, a := range above {
		if a == at && at != (place{}) {
			if r.scanning {
				r.res.Left.Links++ // it leads back to where we come from
			}
			return nil
		}
	}
	if r.o.Bar != nil && r.o.Bar(c.local, at.dev != above[len(above)-1].dev) {
		if r.scanning {
			r.res.Left.Excluded++
			r.res.Folders--
		}
		return nil
	}
	r.ledger.add(c)
	c.open = true
	if err := r.one(ctx, c, there); err != nil || r.over {
		return err
	}
	if r.waiting[c.path] || c.row.Theirs || c.failed {
		return nil
	}
	return r.folder(ctx, c, append(above[:len(above):len(above)], at))
}

// child looks at one name of a folder. ok is false for what takes no part.
func (r *run) child(up *entry, n string, taken map[string]string) (e *entry, ok bool, err error) {
	e, ok, err = r.lookAt(up, n)
	if err != nil || !ok {
		return nil, false, err
	}
	if err := name.Check(n); err != nil {
		r.problem(e.path, "refused", err.Error(), &r.res.Refused)
		return nil, false, nil
	}
	if at := path.Join(r.target, e.path); name.PathTooLong(r.o.Drive.WebURL, at) {
		r.problem(e.path, "refused", "the path is longer than the 400 characters that the service allows", &r.res.Refused)
		return nil, false, nil
	}
	if e.stamp.Size > graph.MaxFile {
		r.problem(e.path, "refused", "the file is larger than the 250 GB that the service takes", &r.res.Refused)
		return nil, false, nil
	}
	key := name.Fold(n)
	if other, twice := taken[key]; twice {
		r.problem(e.path, "refused", fmt.Sprintf("to the drive its name is that of %q: rename one of the two", other), &r.res.Refused)
		return nil, false, nil
	}
	taken[key] = n
	if r.scanning {
		if e.dir {
			r.res.Folders++
		} else {
			r.res.Files, r.res.Size = r.res.Files+1, r.res.Size+e.stamp.Size
		}
	}
	return e, true, nil
}

// lookAt makes the entry of a name, with what is known of it.
func (r *run) lookAt(up *entry, n string) (*entry, bool, error) {
	e := &entry{path: path.Join(up.path, n), name: n, up: up, link: r.o.Follow, step: -1}
	e.local = r.localPath(e.path)
	leave := func(count *int) (*entry, bool, error) {
		if r.scanning {
			*count++
		}
		return nil, false, nil
	}
	if r.localOnly.Match(n) {
		return leave(&r.res.Left.LocalOnly)
	}
	st, err := os.Lstat(e.local)
	isLink := err == nil && st.Mode()&fs.ModeSymlink != 0
	if isLink && r.o.Follow {
		st, err = os.Stat(e.local)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && isLink:
		return leave(&r.res.Left.Links) // it leads nowhere
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil // gone meanwhile
	case err != nil:
		up.whole = false
		r.problem(e.path, "refused", reason(err), &r.res.Refused)
		return nil, false, nil
	}
	e.dir = st.IsDir()
	if r.o.Take != nil && !r.o.Take(e.path, e.dir) {
		return leave(&r.res.Left.Excluded)
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		return leave(&r.res.Left.Links)
	case !e.dir && !st.Mode().IsRegular():
		return leave(&r.res.Left.Special)
	case isLink && !e.dir && r.o.Bar != nil && r.o.Bar(e.local, false):
		return leave(&r.res.Left.Excluded)
	}
	if e.stamp = stampOf(st); e.dir {
		e.stamp = cache.Stamp{Mtime: st.ModTime().UTC()}
	}
	row, known, err := r.copy.Get(e.path)
	if err != nil {
		return nil, false, err
	}
	if known && r.scanning {
		r.found++
	}
	if e.row = row; known && row.Base != nil {
		e.name = row.Base.Name
	}
	e.row.Path = e.path
	return e, true, nil
}

// reason says why a file cannot be read, without the path.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return "it cannot be read: " + err.Error()
}
