package refresh

import (
	"context"
	"errors"
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
	items, err := r.children(ctx, n.Base.Item)
	if err != nil {
		return err
	}
	return r.inbox.List(folder, items)
}

func (r *Refresher) children(ctx context.Context, folder graph.ItemID) ([]graph.Item, error) {
	var items []graph.Item
	for item, err := range r.o.Service.Children(ctx, folder) {
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// relist reads every folder again whose content is known, and asks for what is not there any more.
func (c *cycle) relist(ctx context.Context) error {
	d, err := c.store.Drive(c.o.Drive)
	if err != nil {
		return err
	}
	for folders := []cache.Ino{d.Root}; len(folders) > 0; {
		ino := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		below, err := c.relistOne(ctx, ino)
		if err != nil && !errors.Is(err, cache.ErrNotExist) && !errors.Is(err, cache.ErrStale) {
			return err // what was removed meanwhile needs no listing
		}
		folders = append(folders, below...)
	}
	return nil
}

// relistOne returns the folders in a folder whose content is known.
func (c *cycle) relistOne(ctx context.Context, folder cache.Ino) ([]cache.Ino, error) {
	n, err := c.store.Tree().Get(folder)
	if err != nil || n.Listing == cache.Unlisted || n.Base == nil {
		return nil, err
	}
	items, err := c.children(ctx, n.Base.Item)
	if errors.Is(err, graph.NotExist) {
		return nil, nil // its own folder's listing lacks it
	}
	if err != nil {
		return nil, err
	}
	if err := c.inbox.List(folder, items); err != nil {
		return nil, err
	}
	listed := make(map[graph.ItemID]bool, len(items))
	for _, i := range items {
		listed[i.ID] = true
	}
	var below []cache.Ino
	var missing []graph.ItemID
	for after := cache.Ino(0); ; {
		nodes, err := c.store.Tree().List(folder, after, listPart)
		if err != nil {
			return nil, err
		}
		for _, child := range nodes {
			after = child.Ino
			if child.Base != nil && !listed[child.Base.Item] {
				missing = append(missing, child.Base.Item)
			} else if child.Dir {
				below = append(below, child.Ino)
			}
		}
		if len(nodes) < listPart {
			break
		}
	}
	if len(missing) == 0 {
		return below, nil
	}
	gone, err := c.ask(ctx, missing)
	if err != nil {
		return nil, err
	}
	return below, c.put(gone)
}

// listPart is how many nodes of a folder are read at a time.
const listPart = 1000
