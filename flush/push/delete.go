package push

import (
	"context"
	"errors"
	"io"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// delete carries out a Delete. The strongest guard that the service allows: a folder is listed
// afresh, the deletion carries the tag of the base, and where that has changed the item is looked
// at before the tag of now, and in the end none, is used.
func (t *task) delete(ctx context.Context) verdict {
	if v, ok := t.keep(ctx); !ok {
		return v
	}
	if v, ok := t.begin(); !ok {
		return v
	}
	tag := t.s.Base.ETag
	for try := 1; ; try++ {
		if t.s.Base.Dir { // afresh before every try
			if err := t.unseen(ctx, t.s.Item, 0); err != nil && !errors.Is(err, graph.NotExist) {
				return t.refused(ctx, err)
			}
		}
		err := t.svc.Delete(ctx, t.s.Item, tag)
		if err == nil || errors.Is(err, graph.NotExist) {
			return t.deleted()
		}
		if !errors.Is(err, graph.Changed) && !errors.Is(err, graph.Lost) {
			return t.refused(ctx, err)
		}
		now, look := t.svc.Item(ctx, t.s.Item)
		switch {
		case errors.Is(look, graph.NotExist):
			return t.deleted()
		case look != nil:
			return t.refused(ctx, look)
		case try > tries || !sameBytes(now, &t.s.Base):
			return t.refused(ctx, err)
		}
		if tag == now.ETag && errors.Is(err, graph.Changed) {
			tag = "" // the service refuses the tag that it gives out
		} else if tag != "" {
			tag = now.ETag
		}
	}
}

func (t *task) deleted() verdict {
	if err := t.p.o.Outbox.Deleted(t.a); err != nil {
		return t.fatal(err)
	}
	return verdict{Done: Done{Outcome: Sent, Item: t.s.Item}}
}

// deepest is how many levels of folders a listing goes down: more than any path can have.
const deepest = 500

// unseen lists a folder with all that is below it, and fails with Changed if something is there
// that nobody here has seen.
func (t *task) unseen(ctx context.Context, folder graph.ItemID, depth int) error {
	if depth > deepest {
		return &graph.Error{Op: "list", Kind: graph.Failed, Item: t.s.Path, Message: "folders without end"}
	}
	var folders []graph.ItemID
	for item, err := range t.svc.Children(ctx, folder) {
		if err != nil {
			return err
		}
		was, ok := t.s.Known[item.ID]
		base := cache.Base{Dir: was == (graph.Version{}), ETag: was.ETag, CTag: was.CTag, Hash: was.Hash, Size: was.Size}
		if !ok || !sameBytes(item, &base) {
			t.met = append(t.met, item.ID)
			return &graph.Error{Op: "delete", Kind: graph.Changed, Item: t.s.Path, Message: "somebody has put or changed something in it"}
		}
		if item.Type == graph.Folder {
			folders = append(folders, item.ID)
		}
	}
	for _, f := range folders {
		if err := t.unseen(ctx, f, depth+1); err != nil && !errors.Is(err, graph.NotExist) {
			return err
		}
	}
	return nil
}

// keep completes the bodies that are still wanted here though their items go: of files that are
// open, and of files that were moved to where nothing is sent from. If ok is false the verdict
// counts.
func (t *task) keep(ctx context.Context) (_ verdict, ok bool) {
	for _, ino := range t.s.Keep {
		n, err := t.p.o.Nodes.Get(ino)
		if err != nil || n.Dir || n.Written || n.Base == nil || !n.LocalOnly && t.p.o.Nodes.Held(ino) == 0 {
			continue
		}
		if err := t.p.Complete(ctx, n); err != nil && !errors.Is(err, graph.NotExist) {
			if n.LocalOnly || !errors.Is(err, graph.Changed) {
				return t.refused(ctx, err), false
			}
			// A reader of bytes that the service has no more cannot be helped by waiting.
		}
	}
	return verdict{}, true
}

// Complete fetches what is missing of the clean body of a node.
func (p *Pusher) Complete(ctx context.Context, n cache.Node) error {
	if n.Written || n.Base == nil {
		return nil
	}
	v := n.Base.Version()
	body, err := p.o.Content.Version(uint64(n.Ino), v, n.Mtime)
	if err != nil {
		return err
	}
	defer body.Close()
	if body.Complete() {
		return nil
	}
	return body.Hydrate(ctx, func(ctx context.Context, off, size int64) (io.ReadCloser, error) {
		return p.o.Service.Content(ctx, n.Base.Item, v, off, size)
	}, 0, body.Size())
}
