package upload

import (
	"context"
	"errors"
	"path"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/merge"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// receive learns from the change feed what the drive has done with what was sent. Where the feed has forgotten us, or
// was never asked, the remote is compared by listing, folder by folder, as the walk comes by.
func (r *run) receive(ctx context.Context) error {
	for r.info.Link != "" {
		page, err := r.o.Service.Delta(ctx, r.info.Link)
		if errors.Is(err, graph.Restart) {
			r.info.Link = ""
			break
		}
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := r.heard(ctx, item); err != nil {
				return err
			}
		}
		r.info.Link = page.Next
		if page.Done {
			return r.remember()
		}
	}
	page, err := r.o.Service.Delta(ctx, graph.Latest)
	if err != nil {
		return err
	}
	r.info.Link = page.Next
	r.info.Epoch++
	return r.remember()
}

// remember stores what is known of the copy as a whole. A dry run stores nothing.
func (r *run) remember() error {
	if r.o.DryRun {
		return nil
	}
	return r.copy.SetInfo(r.info)
}

// heard takes in what the feed says of an item.
func (r *run) heard(ctx context.Context, item graph.Item) error {
	row, ok, err := r.copy.Find(item.ID)
	if err != nil || !ok || row.Base == nil {
		return err
	}
	if item.Deleted {
		// The feed lags; it is believed only where the service says the same.
		if item, err = r.o.Service.Item(ctx, item.ID); errors.Is(err, graph.NotExist) {
			return r.lost(row)
		} else if err != nil {
			return err
		}
	}
	return r.compare(row, item)
}

// lost records that the remote has no more what a row is about, nor what is below it.
func (r *run) lost(row cache.CopyRow) error {
	if r.o.DryRun {
		return nil // it will be found again
	}
	dead := map[graph.ItemID]bool{row.Base.Item: true}
	if row.Dir {
		below := row.Path + "/"
		if row.Path == "" {
			below = ""
		}
		for after := ""; ; {
			rows, err := r.copy.Rows(below, after, pageOfRows)
			if err != nil {
				return err
			}
			var change []cache.CopyRow
			for _, b := range rows {
				if b.Path != "" && b.Base != nil && dead[b.Base.Parent] { // folders come before what is in them
					if b.Dir {
						dead[b.Base.Item] = true
					}
					b.Base = nil
					change = append(change, b)
				}
			}
			if err := r.copy.Put(change...); err != nil {
				return err
			}
			if len(rows) < pageOfRows {
				break
			}
			after = rows[len(rows)-1].Path
		}
	}
	row.Base = nil
	return r.copy.Put(row) // last, so that after a crash it is found again
}

// pageOfRows is how many rows are held at a time.
const pageOfRows = 500

// compare takes an item that has a row for what it is now: what a person has not changed becomes the base.
// What somebody has changed stays as it is, until the file here changes too.
func (r *run) compare(row cache.CopyRow, item graph.Item) error {
	e := &entry{path: row.Path, name: row.Base.Name, dir: row.Dir, stamp: row.Stamp, row: row}
	c := r.caseOf(e, item, row.Hash)
	if ruling := merge.Decide(c); ruling.Verb != cache.Agree || ruling.Report != "" || ruling.Bytes == cache.TheirBytes {
		return nil
	}
	row.Base = r.copy.BaseOf(row.Base, item)
	if r.o.DryRun {
		return nil
	}
	return r.copy.Put(row)
}

// caseOf puts an item beside the entry whose base it is, as package merge wants it. The place of the item is theirs to
// choose, and does not come into it. hash is that of the bytes here, empty if not known.
func (r *run) caseOf(e *entry, item graph.Item, hash graph.Hash) cache.Case {
	n := e.node()
	n.Written = !e.dir
	item.Parent, item.Name = n.Base.Parent, n.Base.Name
	return cache.Case{
		Incoming: item, Confirmed: true, Now: r.o.Now(), Policy: r.o.Policy, Node: &n, NodeDiff: n.Diff(n.Base.Parent),
		LocalHash: hash, LocalSize: e.stamp.Size, Parent: &cache.Node{Ino: n.Parent, Dir: true},
	}
}

// findTop finds the folder in which the content of the source goes, or prepares to make it.
func (r *run) findTop(ctx context.Context) error {
	row, _, err := r.copy.Get("")
	if err != nil {
		return err
	}
	row.Path, row.Dir = "", true
	if row.Base != nil { // whether a folder above it is still there the feed does not tell
		switch item, err := r.o.Service.Item(ctx, row.Base.Item); {
		case errors.Is(err, graph.NotExist):
			if err := r.lost(row); err != nil {
				return err
			}
			row.Base = nil
		case err != nil:
			return err
		default:
			row.Base = r.copy.BaseOf(row.Base, item)
		}
	}
	r.top = &entry{name: path.Base(r.target), dir: true, row: row, local: r.o.Folder, link: true, step: -1}
	r.ledger.add(r.top)
	r.top.open = true
	if row.Base != nil {
		return nil
	}
	at, err := r.o.Service.Root(ctx)
	if err != nil {
		return err
	}
	var up *entry
	for i, part := range r.o.Target {
		last := i == len(r.o.Target)-1
		e := r.top
		if !last {
			e = &entry{path: above, name: part, dir: true, row: cache.CopyRow{Path: above, Dir: true}, step: -1, open: true}
			r.ledger.add(e)
		}
		e.up = up
		if up == nil || up.row.Base != nil {
			switch item, err := r.o.Service.Child(ctx, at.ID, part); {
			case errors.Is(err, graph.NotExist):
			case err != nil:
				return err
			case item.Type != graph.Folder:
				return &graph.Error{Op: "upload", Kind: graph.Exist, Item: "/" + path.Join(r.o.Target[:i+1]...), Message: "it is no folder in the drive; name another"}
			default:
				at = item
				e.row.Base = r.copy.BaseOf(nil, item)
			}
		}
		if up == nil && e.row.Base == nil {
			// Its folder is the root of the drive, of which nothing else is wanted.
			root := &entry{path: above, dir: true, row: cache.CopyRow{Path: above, Dir: true, Base: r.copy.BaseOf(nil, at)}, step: -1, open: true}
			r.ledger.add(root)
			e.up = root
		}
		up = e
	}
	if len(r.o.Target) == 0 {
		r.top.row.Base = r.copy.BaseOf(nil, at)
	}
	if r.top.row.Base != nil && !r.o.DryRun {
		return r.copy.Put(r.top.row)
	}
	return nil
}

// listed is what the remote has in a folder, by folded names.
type listed map[string]*graph.Item

// list reads what the remote has in a folder, if that is not known.
func (r *run) list(ctx context.Context, e *entry) (listed, error) {
	if e.row.Base == nil || e.fresh || e.row.Epoch == r.info.Epoch {
		return nil, nil
	}
	all := listed{}
	for item, err := range r.o.Service.Children(ctx, e.row.Base.Item) {
		if errors.Is(err, graph.NotExist) {
			return all, r.lost(e.row)
		}
		if err != nil {
			return nil, err
		}
		// There may be very many: what an upload does not ask for is not kept, nor a text twice.
		all[name.Fold(item.Name)] = &graph.Item{
			ID: item.ID, Parent: e.row.Base.Item, Name: item.Name, Type: item.Type, Size: item.Size,
			ETag: item.ETag, CTag: item.CTag, Hash: item.Hash, ModTime: item.ModTime,
		}
	}
	return all, nil
}

// verify compares a row with what was listed of its folder: an item that is not there any more was moved or deleted.
func (r *run) verify(ctx context.Context, e *entry, there listed) error {
	if e.row.Base == nil {
		return nil
	}
	var item graph.Item
	if at := there[name.Fold(e.row.Base.Name)]; at != nil && at.ID == e.row.Base.Item {
		item = *at
	} else {
		var err error
		if item, err = r.o.Service.Item(ctx, e.row.Base.Item); errors.Is(err, graph.NotExist) {
			err := r.lost(e.row)
			e.row.Base = nil
			return err
		} else if err != nil {
			return err
		}
	}
	if err := r.compare(e.row, item); err != nil {
		return err
	}
	if r.o.DryRun {
		return nil
	}
	row, ok, err := r.copy.Get(e.path)
	if ok {
		e.row = row
	}
	return err
}
