package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// restartsMax is how often in one Run the service may forget the place in its feed.
const restartsMax = 3

// receive takes in all pages that the feed has.
func (c *cycle) receive(ctx context.Context) error {
	feed, err := c.inbox.Feed()
	if err != nil {
		return err
	}
	if feed.Complete && feed.Full {
		c.result.Full = true
		return nil // received by an earlier Run, not compared yet
	}
	if err := c.begin(ctx, &feed); err != nil {
		return err
	}
	for restarts := 0; !feed.Complete; {
		c.result.Full = feed.Full
		page, err := c.o.Service.Delta(ctx, feed.Link)
		if errors.Is(err, graph.Restart) && restarts < restartsMax {
			restarts++
			c.o.Logger.Info("the change feed starts anew", "drive", c.o.Drive)
			if err := c.restart(ctx, &feed); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if page.Next == feed.Link && !page.Done {
			return &graph.Error{Op: "delta", Kind: graph.Failed, Message: "the change feed does not go on"}
		}
		if len(page.Items) > 0 || page.Next != feed.Link || !c.quiet {
			if err := c.inbox.Receive(page); err != nil {
				return err
			}
			c.quiet = false
		}
		feed.Link, feed.Complete = page.Next, page.Done
		c.result.Received += len(page.Items)
		if c.o.Progress != nil {
			c.o.Progress(c.result.Received)
		}
	}
	return nil
}

// begin starts a series of pages, unless one is under way: an incomplete feed is what is left to
// receive.
func (c *cycle) begin(ctx context.Context, feed *cache.Feed) error {
	switch never := feed.Link == graph.Start && feed.Began.IsZero(); {
	case never && c.o.FollowOnly:
		page, err := c.o.Service.Delta(ctx, graph.Latest)
		if err != nil {
			return err
		}
		return c.followFrom(page, feed)
	case never, feed.Complete && c.due(*feed):
		return c.enumerate(feed)
	}
	// What follows a complete series needs no beginning. As long as nothing comes, nothing is
	// written: most runs are such.
	c.quiet, feed.Complete = feed.Complete, false
	return nil
}

// followFrom makes a page the place from which changes are followed.
func (c *cycle) followFrom(page graph.Page, feed *cache.Feed) error {
	if err := c.inbox.Begin(false, c.o.Now()); err != nil {
		return err
	}
	if err := c.inbox.Receive(page); err != nil {
		return err
	}
	feed.Link, feed.Complete, feed.Full = page.Next, page.Done, false
	return nil
}

// restart begins anew after the service has forgotten the place in its feed.
func (c *cycle) restart(ctx context.Context, feed *cache.Feed) error {
	if !c.o.FollowOnly {
		return c.enumerate(feed)
	}
	// First the new place, then the folders, so that nothing falls in between. The place is stored
	// last: until then the old one makes the next Run do this again.
	page, err := c.o.Service.Delta(ctx, graph.Latest)
	if err != nil {
		return err
	}
	if err := c.relist(ctx); err != nil {
		return err
	}
	return c.followFrom(page, feed)
}

// enumerate starts a series that brings everything.
func (c *cycle) enumerate(feed *cache.Feed) error {
	if err := c.inbox.Begin(true, c.o.Now()); err != nil {
		return err
	}
	c.quiet = false
	var err error
	*feed, err = c.inbox.Feed()
	return err
}

// due tells whether it is time to compare everything.
func (c *cycle) due(feed cache.Feed) bool {
	if c.o.FollowOnly || c.o.ReconcileEvery < 0 {
		return false
	}
	return c.o.Now().Sub(feed.Checked) >= c.o.ReconcileEvery
}

// asksAtOnce is how many items are asked for by their ids at the same time.
const asksAtOnce = 4

// compare ends a full enumeration: what is known here and did not come is asked for by its id, and
// what the service does not have is received as deleted.
func (c *cycle) compare(ctx context.Context) error {
	feed, err := c.inbox.Feed()
	if err != nil || !feed.Full || !feed.Complete {
		return err
	}
	unseen, err := c.inbox.Unseen()
	if err != nil {
		return err
	}
	if len(unseen) > 0 {
		c.o.Logger.Info("items that the enumeration did not bring are asked for", "drive", c.o.Drive, "items", len(unseen))
		items, err := c.ask(ctx, unseen)
		if err != nil {
			return err
		}
		if err := c.put(items); err != nil {
			return err
		}
		if err := c.apply(ctx); err != nil {
			return err
		}
	}
	return c.inbox.Enumerated(c.o.Now())
}

// Ask reads some items by their ids and receives what the service says of them, for the next Run to rule
// on: somebody found that they are not what is known here, and the feed may say so late, or never (Q8, Q9).
func (r *Refresher) Ask(ctx context.Context, ids ...graph.ItemID) error {
	if len(ids) == 0 {
		return nil
	}
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c := cycle{Refresher: r}
	items, err := c.ask(ctx, ids)
	if err != nil {
		return err
	}
	if err := c.put(items); err != nil {
		return err
	}
	for _, item := range items {
		if item.Deleted {
			continue
		}
		// What was taken for deleted and lives even so looks like an echo of its past. It was read by its id.
		k, err := c.inbox.Case(item, true)
		if err != nil {
			return err
		}
		if k.Gone != nil && !k.Gone.Sent.IsZero() {
			if _, err := c.settle(ctx, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask reads items by their ids: tombstones for those that are gone. What the service refuses to read is left out: it is
// neither there nor gone.
func (c *cycle) ask(ctx context.Context, ids []graph.ItemID) ([]graph.Item, error) {
	items := make([]graph.Item, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asksAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			item, err := c.item(ctx, id)
			if err == nil {
				items[i] = item
			} else if graph.Stops(ctx, err) {
				return err
			} else {
				c.o.Logger.Warn("an item cannot be read; it stays as it is here", "drive", c.o.Drive, "item", id, "err", err)
			}
			return nil
		})
	}
	err := g.Wait()
	return slices.DeleteFunc(items, func(i graph.Item) bool { return i.ID == "" }), err
}

// item reads an item by its id. One that the service says twice it has not is a tombstone.
func (c *cycle) item(ctx context.Context, id graph.ItemID) (graph.Item, error) {
	for range 2 {
		item, err := c.o.Service.Item(ctx, id)
		if err == nil && item.ID != id {
			return item, fmt.Errorf("item %s: %w: the service answered with item %s", id, graph.Failed, item.ID)
		}
		if !errors.Is(err, graph.NotExist) {
			return item, err
		}
	}
	return graph.Item{ID: id, Deleted: true}, nil
}
