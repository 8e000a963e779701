package flush

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Discard gives up the local changes at and below some paths: what was changed is again as the remote
// has it, what was deleted is back, what is new goes. Bytes that exist only here are put into the
// local trash first, where they stay for TrashDays. What is open is refused, and so is what the service does not let
// us see. It looks for remote changes first, so the service must be in reach. What stops everything ends it early: the
// error comes with the list up to there, the last of which is refused. With dry, nothing is done.
func (e *Engine) Discard(ctx context.Context, dry bool, paths ...Path) ([]Discarded, error) {
	if len(paths) == 0 {
		return nil, errors.New("discard: no path is named")
	}
	jobs, err := e.jobs(Request{Paths: paths})
	if err != nil {
		return nil, err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	all := []Discarded{}
	for _, j := range jobs {
		d := discarder{keeper: j.k, inbox: e.o.Store.Inbox(j.k.d.Num), dry: dry}
		err := d.run(ctx, j.paths)
		all = append(all, d.done...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// discarder gives up changes of one drive.
type discarder struct {
	*keeper
	inbox *cache.Inbox
	dry   bool
	view  cache.View
	done  []Discarded
}

func (d *discarder) run(ctx context.Context, paths []string) error {
	if d.dry {
		v, err := d.outbox.View()
		if err != nil {
			return err
		}
		for _, c := range plan.Changes(v, paths...) {
			d.done = append(d.done, Discarded{Drive: d.d.Num, Change: c})
		}
		return nil
	}
	return d.inTurn(ctx, func() error {
		if _, err := d.receive(ctx, false); err != nil {
			return err
		}
		var err error
		if d.view, err = d.outbox.View(); err != nil {
			return err
		}
		for _, c := range sorted(plan.Changes(d.view, paths...)) {
			out := Discarded{Drive: d.d.Num, Change: c}
			err := d.discard(ctx, &out)
			if err != nil {
				if out.Refused = unseen(err); c.Kind == plan.Deleted && c.Dir {
					out.Refused = "not all of it is back: " + out.Refused
				}
			}
			d.done = append(d.done, out)
			if err != nil && !alone(ctx, err) {
				return about(c.Path, err)
			}
		}
		return d.emptyTrash()
	})
}

// inTurn does something while no cycle of the drive runs.
func (k *keeper) inTurn(ctx context.Context, do func() error) error {
	end, err := k.begin(ctx, Refreshing, nil)
	if err != nil {
		return err
	}
	err = do()
	end(context.Canceled) // no word on how the drive stands
	return err
}

// sorted puts changes into the order in which they can be given up: new files go first, then what was
// deleted comes back and what was moved goes back, from the top down, then new folders go, from the
// bottom up.
func sorted(list []plan.Change) []plan.Change {
	rank := func(c plan.Change) int {
		switch {
		case c.Kind == plan.New && c.Dir:
			return 3
		case c.Kind == plan.New:
			return 0
		case c.Kind == plan.Deleted:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b plan.Change) int {
		depth := cmp.Compare(strings.Count(a.Path, "/"), strings.Count(b.Path, "/"))
		if rank(a) == 3 {
			depth = -depth
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), depth)
	})
	return list
}

// alone reports whether the service refused something by itself, so that the rest can go on.
func alone(ctx context.Context, err error) bool {
	return graph.KindOf(err) != "" && !graph.Stops(ctx, err)
}

// about makes an error of a call one of giving up what is at a path.
func about(path string, err error) error {
	var e *graph.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("discard %s: %w", path, err)
	}
	named := *e
	named.Op, named.Item = "discard", path
	return &named
}

// unseen says why the service's version of something could not be had, and what to do.
func unseen(err error) string {
	var e *graph.Error
	if !errors.As(err, &e) {
		return WhyEnded(err)
	}
	words := string(e.Kind)
	if e.Message != "" {
		words += ": " + e.Message
	}
	if e.Kind == graph.Denied {
		return "you may not see this there; ask the owner for permission, and discard it then (" + words + ")"
	}
	return "the service does not hand it out now; discard it again later (" + words + ")"
}

// Why something is not given up.
const (
	isOpen      = "it is open in a program"
	justChanged = "it changed just now"
	halfRenamed = "a flush has begun to rename it, and gives it its name the next time"
)

func (d *discarder) discard(ctx context.Context, out *Discarded) error {
	c := out.Change
	switch {
	case c.Kind == plan.Deleted:
		return d.restore(ctx, c.Item, map[graph.ItemID]bool{})
	case c.Kind == plan.New:
		return d.drop(c.Ino, out)
	}
	n, err := d.o.Store.Tree().Get(c.Ino)
	if errors.Is(err, cache.ErrNotExist) || err == nil && n.Base == nil {
		return nil // given up with another, or deleted there
	}
	if err != nil {
		return err
	}
	item, err := d.d.Service.Item(ctx, c.Item)
	if errors.Is(err, graph.NotExist) {
		k, err := d.inbox.Case(graph.Item{ID: c.Item, Deleted: true}, true)
		if err != nil || k.Node == nil || !k.Node.Written {
			return err // the refresh that follows takes it away
		}
		if err := d.inbox.Apply(k, cache.Ruling{Verb: cache.Revive}); err != nil {
			return err
		}
		return d.drop(c.Ino, out)
	}
	if err != nil {
		return err
	}
	return d.revert(item, n, out)
}

// revert makes a node what the remote has.
func (d *discarder) revert(item graph.Item, n cache.Node, out *Discarded) error {
	if !n.Dir && d.o.Store.Tree().Held(n.Ino) > 0 {
		out.Refused = isOpen
		return nil
	}
	if name.IsTemporary(item.Name) && !name.IsTemporary(n.Name) {
		out.Refused = halfRenamed
		return nil
	}
	if n.Written {
		to, err := d.o.Store.Trash(n)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		out.Trash = to
	}
	k, err := d.inbox.Case(item, true)
	if err != nil {
		return err
	}
	// Whoever wrote since the node was read has another sequence, and bytes that are in no trash.
	if k.Node == nil || k.Node.Seq != n.Seq || k.Open && !n.Dir {
		out.Refused = justChanged
		return nil
	}
	r := cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, Place: true, ModTime: true}
	switch {
	case k.Cycle:
		r.Verb = cache.Undo
	case k.Parent == nil && len(k.Above) == 0:
		r.Place = false // it is where nothing is known here; the next refresh tells
	case k.Holder != nil:
		r.Holder = besideOrAside(k)
	}
	if err := d.inbox.Apply(k, r); errors.Is(err, cache.ErrStale) {
		out.Refused = justChanged
		return nil
	} else if err != nil {
		return err
	}
	return nil
}

// besideOrAside says what becomes of the node that has the name of what comes back: what the service has by
// that name too keeps it, what was made or renamed here steps aside.
func besideOrAside(k cache.Case) cache.Side {
	if k.Holder.Base != nil && !k.HolderDiff.Name && !k.HolderDiff.Place && !k.Holder.LocalOnly {
		return cache.Beside
	}
	return cache.Aside
}

// restore brings a deleted item back, and all below it.
func (d *discarder) restore(ctx context.Context, id graph.ItemID, seen map[graph.ItemID]bool) error {
	if seen[id] {
		return nil
	}
	seen[id] = true
	if _, pending := d.view.Gone[id]; pending {
		item, err := d.d.Service.Item(ctx, id)
		r := cache.Ruling{Verb: cache.Restore}
		if errors.Is(err, graph.NotExist) {
			item, r.Verb, err = graph.Item{ID: id, Deleted: true}, cache.Forget, nil
		}
		if err != nil {
			return err
		}
		k, err := d.inbox.Case(item, true)
		if err != nil {
			return err
		}
		if k.Gone != nil && (r.Verb == cache.Forget || k.Parent != nil || len(k.Above) > 0 && !k.Orphan) {
			if k.Holder != nil {
				r.Holder = besideOrAside(k)
			}
			if err := d.inbox.Apply(k, r); err != nil && !errors.Is(err, cache.ErrStale) {
				return err
			}
		}
	}
	var refused error // of one of them, which the others do not wait for
	for _, below := range d.view.Below[id] {
		if err := d.restore(ctx, below, seen); err != nil {
			if !alone(ctx, err) {
				return err
			}
			refused = err
		}
	}
	return refused
}

// drop removes what is new here.
func (d *discarder) drop(ino cache.Ino, out *Discarded) error {
	t := d.o.Store.Tree()
	n, err := t.Get(ino)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !n.Dir {
		if t.Held(ino) > 0 {
			out.Refused = isOpen
			return nil
		}
		if out.Trash, err = d.o.Store.Trash(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// Whoever wrote since the copy was made has another sequence.
		if now, err := t.Get(ino); err != nil || now.Seq != n.Seq || t.Held(ino) > 0 {
			out.Refused = isOpen
			return nil
		}
	}
	if _, err = t.Remove(n.Parent, n.Name, n.Dir); errors.Is(err, cache.ErrNotEmpty) {
		out.Refused, err = "something in it stays", nil
	}
	return err
}
