package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duskfs/duskfs/graph"
)

// restartsMax is how often in one run the service may forget the place in its feed.
const restartsMax = 3

// receive reads the feed to its end. What it brings is remembered page by page, items before the link, so that a
// run that was cut short goes on there; nothing of it is acted on before the end is reached.
func (r *run) receive(ctx context.Context) error {
	f, err := r.s.feed()
	if err != nil {
		return err
	}
	if r.f = f; f.Complete && f.Full > 0 {
		return nil // received by an earlier run, not compared yet
	}
	if f.Complete || f.Cycle == 0 {
		r.f.Cycle++
		r.f.Complete = false
		if f.Cycle == 0 || r.due() {
			r.startOver()
		}
	}
	quiet := f.Complete && r.f.Full == 0
	for restarts := 0; !r.f.Complete; {
		page, err := r.o.Service.Delta(ctx, r.f.Link)
		if errors.Is(err, graph.Restart) && restarts < restartsMax {
			restarts++
			r.o.Logger.Info("the change feed starts anew")
			r.startOver()
			quiet = false
			continue
		}
		if err != nil {
			return err
		}
		if page.Next == r.f.Link && !page.Done {
			return &graph.Error{Op: "delta", Kind: graph.Failed, Message: "the change feed does not go on"}
		}
		news := len(page.Items) > 0 || page.Next != r.f.Link
		if err := r.take(page.Items); err != nil {
			return err
		}
		r.f.Link, r.f.Complete = page.Next, page.Done
		r.progress.received(len(page.Items))
		if quiet = quiet && !news; quiet {
			r.f.Cycle = f.Cycle // nothing came: nothing is written
			continue
		}
		if err := r.s.set(row(feedKey, r.f)); err != nil {
			return err
		}
	}
	return nil
}

// startOver begins an enumeration of everything.
func (r *run) startOver() {
	r.f.Link, r.f.Full = graph.Start, r.f.Cycle
}

// due tells whether it is time to compare everything, since the feed loses deletions now and then (Q9).
func (r *run) due() bool {
	return r.o.ReconcileEvery > 0 && r.o.Now().Sub(r.f.Checked) >= r.o.ReconcileEvery
}

// take remembers what a page tells. Of an item that comes twice the last state counts.
func (r *run) take(items []graph.Item) error {
	r.items.Lock()
	defer r.items.Unlock()
	w := writer{s: r.s}
	fresh := map[graph.ItemID]item{} // not written yet
	for _, in := range items {
		old, ok := fresh[in.ID]
		if !ok {
			var err error
			if old, ok, err = r.s.item(in.ID); err != nil {
				return err
			}
		}
		now, changed := merged(old, ok, in, r.f)
		if !changed {
			continue
		}
		fresh[in.ID] = now
		if err := w.add(itemRow(in.ID, now)); err != nil {
			return err
		}
		if len(w.rows) == 1 { // the others are written
			fresh = map[graph.ItemID]item{in.ID: now}
		}
	}
	return w.flush()
}

// merged says what is known of an item after the feed has brought a state of it, and whether that is news.
func merged(old item, known bool, in graph.Item, f feed) (item, bool) {
	if in.Deleted {
		if !known || old.Gone {
			return old, false
		}
		old.Gone = true // nothing else in a tombstone is true
		return old, true
	}
	now := item{Parent: in.Parent, Name: in.Name, Type: in.Type, Root: in.Root, Ver: versionOf(in.Version()), Seen: old.Seen,
		Shared: old.Shared, Perm: old.Perm, From: old.From, Staged: old.Staged}
	if !in.ModTime.IsZero() {
		now.Mtime = in.ModTime.UnixNano()
	}
	if f.Full > 0 {
		now.Seen = f.Full
	}
	if in.Type != graph.File {
		now.Ver = version{ETag: in.ETag} // the rest is derived from what is inside
		now.Mtime = 0
	}
	moved := old.Parent != in.Parent || old.Gone
	switch {
	case !known:
	case in.SharingChanged, moved, in.Type != graph.File && (old.Ver.ETag != in.ETag || old.Name != in.Name):
		// Of a folder the service does not tell that its sharing changed: the eTag that moved may mean it.
		if in.Type != graph.File {
			now.Shared = f.Cycle
		} else if old.Perm != nil {
			p := *old.Perm
			p.Tag = ""
			now.Perm = &p
		}
	}
	return now, !known || now != old
}

// compare ends an enumeration: what is known here and did not come is asked for by its id, and what the service says twice
// it does not have is gone.
func (r *run) compare(ctx context.Context) error {
	if r.f.Full == 0 {
		return nil
	}
	p := r.placer()
	var ids []graph.ItemID
	ask := func() error {
		err := r.askFor(ctx, ids)
		ids = ids[:0]
		return err
	}
	for id, x := range rows[item](r.s, itemRows) {
		if x.err != nil {
			return x.err
		}
		if x.v.Gone || x.v.Root || x.v.Seen == r.f.Full {
			continue
		}
		s, err := p.of(x.v)
		if err != nil {
			return err
		}
		if s.is == gone { // with the folder that it was in
			continue
		}
		if ids = append(ids, graph.ItemID(id)); len(ids) == askBatch {
			if err := ask(); err != nil {
				return err
			}
		}
	}
	if err := ask(); err != nil {
		return err
	}
	r.f.Full, r.f.Checked, r.compared = 0, r.o.Now().UTC().Truncate(time.Second), true
	return r.s.set(row(feedKey, r.f))
}

const (
	askBatch   = 100
	asksAtOnce = 4
)

// askFor reads items by their ids and remembers what is said of them.
func (r *run) askFor(ctx context.Context, ids []graph.ItemID) error {
	items := make([]graph.Item, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asksAtOnce)
	for i, id := range ids {
		g.Go(func() (err error) {
			items[i], err = r.ask(ctx, id)
			if errors.Is(err, graph.Denied) { // it is there, and not for us: no word that it is gone
				r.problem("", fmt.Errorf("item %s did not come with the others: %w", id, err))
				items[i], err = graph.Item{}, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	known := items[:0]
	for _, i := range items {
		if i.ID != "" {
			known = append(known, i)
		}
	}
	return r.take(known)
}

// ask reads an item by its id. One that the service says twice it has not is a tombstone.
func (r *run) ask(ctx context.Context, id graph.ItemID) (graph.Item, error) {
	for range 2 {
		i, err := r.o.Service.Item(ctx, id)
		if err == nil && i.ID != id {
			return i, fmt.Errorf("item %s: %w: the service answered with item %s", id, graph.Failed, i.ID)
		}
		if !errors.Is(err, graph.NotExist) {
			return i, err
		}
	}
	return graph.Item{ID: id, Deleted: true}, nil
}
