package refresh

import (
	"context"
	"fmt"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// listing is the reading of one folder's children under way.
type listing struct {
	done chan struct{}
	// Both may be read once done is closed.
	err   error
	ended bool // the caller who read gave up
}

// List reads the children of a folder whose content is not known yet (cache.ErrUnlisted). One that
// is known already costs nothing. Equal calls share one reading: if the caller who does it gives
// up, one of the others does it over.
func (r *Refresher) List(ctx context.Context, folder cache.Ino) error {
	for {
		r.mu.Lock()
		l := r.listings[folder]
		if l == nil {
			l = &listing{done: make(chan struct{})}
			r.listings[folder] = l
			r.mu.Unlock()
			l.err = r.list(ctx, folder)
			l.ended = ctx.Err() != nil
			r.mu.Lock()
			delete(r.listings, folder)
			r.mu.Unlock()
			close(l.done)
			return l.err
		}
		r.mu.Unlock()
		select {
		case <-l.done:
			if !l.ended {
				return l.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Refresher) list(ctx context.Context, folder cache.Ino) error {
	n, err := r.store.Tree().Get(folder)
	if err != nil {
		return err
	}
	switch {
	case !n.Dir:
		return cache.ErrNotFolder
	case n.Listing != cache.Unlisted:
		return nil
	case n.Base == nil:
		return fmt.Errorf("folder %s is not on the remote and not listed: %w", n.Name, cache.ErrUnlisted)
	}
	var items []graph.Item
	for item, err := range r.o.Service.Children(ctx, n.Base.Item) {
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	return r.inbox.List(folder, items)
}
