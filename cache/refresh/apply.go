package refresh

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/cache/merge"
	"github.com/duskfs/duskfs/graph"
)

// apply rules on what waits and carries the rulings out, until a pass over the inbox changes
// nothing: what one item waited for another may have brought.
func (c *cycle) apply(ctx context.Context) error {
	for {
		done, err := c.pass(ctx)
		if err != nil {
			return err
		}
		if done > 0 {
			continue
		}
		news, err := c.probe(ctx)
		if err != nil || !news {
			return err
		}
	}
}

// pass rules once on everything that waits. It returns how many rulings were carried out.
func (c *cycle) pass(ctx context.Context) (done int, err error) {
	var asked []cache.Case // cases that need the network or the bytes
	var failure error
	c.holders = nil
	err = c.inbox.Cases(func(k cache.Case) bool {
		if failure = ctx.Err(); failure != nil {
			return false
		}
		c.witness(&k)
		r := merge.Decide(k)
		if r.Verb == cache.NeedItem || r.Verb == cache.NeedHash {
			asked = append(asked, k)
			return true
		}
		c.blame(k, r)
		var applied bool
		applied, failure = c.carry(k, r)
		if applied {
			done++
		}
		return failure == nil
	})
	if err = errors.Join(failure, err); err != nil {
		return done, err
	}
	for _, k := range asked {
		applied, err := c.settle(ctx, k)
		if err != nil {
			return done, err
		}
		if applied {
			done++
		}
	}
	return done, nil
}

// blame notes whose item is to be asked for, since it is in the way of the incoming one.
func (c *cycle) blame(k cache.Case, r cache.Ruling) {
	if h := merge.Probe(k, r); h != nil {
		c.holders = append(c.holders, h.Base.Item)
	}
}

// witness adds to a case what the service said of the holder in this Run.
func (c *cycle) witness(k *cache.Case) {
	if k.Holder == nil || k.Holder.Base == nil {
		return
	}
	if there, ok := c.there[k.Holder.Base.Item]; ok {
		k.HolderThere = &there
	}
}

// probe asks for the items that stand where others belong, and for those that are shown as twins and are none
// any more, each once in a Run. It reports whether the service said anything of them.
func (c *cycle) probe(ctx context.Context) (bool, error) {
	alone, err := c.inbox.Alone()
	if err != nil {
		return false, err
	}
	var ids []graph.ItemID
	for _, id := range append(c.holders, alone...) {
		if !c.probed[id] {
			c.probed[id] = true
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return false, nil
	}
	items, err := c.ask(ctx, ids)
	if err != nil {
		return false, err
	}
	for _, i := range items {
		if !i.Deleted {
			c.there[i.ID] = i
		}
	}
	return true, c.put(items)
}

// put receives items that did not come from the feed.
func (c *cycle) put(items []graph.Item) error {
	feed, err := c.inbox.Feed()
	if err != nil {
		return err
	}
	return c.inbox.Receive(graph.Page{Items: items, Next: feed.Link, Done: feed.Complete})
}

// carry carries a ruling out. It returns false for an item that stays in the inbox.
func (c *cycle) carry(k cache.Case, r cache.Ruling) (bool, error) {
	switch r.Verb {
	case cache.Wait, cache.NeedItem, cache.NeedHash:
		return false, nil
	}
	if r.Trash {
		_, err := c.store.Trash(*subject(k))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, content.ErrUnsealed) {
			return false, nil // it has changed since
		}
		if err != nil {
			return false, err
		}
	}
	err := c.inbox.Apply(k, r)
	if errors.Is(err, cache.ErrStale) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.result.Applied++
	if r.Report != "" {
		c.result.Conflicts++
	}
	return true, nil
}

// settle gives a case what it asks for, item and hash, and carries out what is ruled then.
func (c *cycle) settle(ctx context.Context, k cache.Case) (bool, error) {
	var hashed localHash
	defer func() { hashed.release() }()
	// A case asks for the item once and for the hash once; beyond that the world moves under it,
	// and it waits for the next cycle.
	for range 4 {
		c.witness(&k)
		r := merge.Decide(k)
		var err error
		switch r.Verb {
		case cache.NeedItem:
			item, ierr := c.item(ctx, k.Incoming.ID)
			if ierr != nil && !graph.Stops(ctx, ierr) {
				c.o.Logger.Debug("an item cannot be read, and waits", "drive", c.o.Drive, "item", k.Incoming.ID, "err", ierr)
				return false, nil
			}
			if ierr != nil {
				return false, ierr
			}
			k, err = c.inbox.Case(item, true)
		case cache.NeedHash:
			hashed.release()
			if hashed, err = c.hash(ctx, k); err != nil || hashed.hash == "" {
				return false, err
			}
			k, err = c.inbox.Case(k.Incoming, k.Confirmed)
		default:
			c.blame(k, r)
			return c.carry(k, r)
		}
		if err != nil {
			return false, err
		}
		hashed.into(&k)
	}
	return false, nil
}

// localHash is the hash of the bytes that a node had at a sequence.
type localHash struct {
	ino  cache.Ino
	seq  cache.Seq
	hash graph.Hash
	size int64
	// unlike: the remote has other bytes of this hash.
	unlike bool
	// snap keeps the body in use, and with that sealed: whoever writes meanwhile marks the node,
	// and the new sequence makes the case stale.
	snap *content.Snapshot
}

func (h localHash) release() {
	if h.snap != nil {
		h.snap.Release()
	}
}

// subject is the node whose bytes a case wants to be compared.
func subject(k cache.Case) *cache.Node {
	if k.Node != nil {
		return k.Node
	}
	return k.Holder
}

// into puts the hash into a case that is still about the same bytes.
func (h localHash) into(k *cache.Case) {
	if n := subject(*k); h.hash != "" && n != nil && n.Ino == h.ino && n.Seq == h.seq {
		k.LocalHash, k.LocalSize, k.Unlike = h.hash, h.size, h.unlike
	}
}

// hash computes the hash of the local work that a case is about, to be released. It is empty if the
// bytes are being changed or are no local work any more.
func (c *cycle) hash(ctx context.Context, k cache.Case) (localHash, error) {
	n := subject(k)
	if n == nil {
		return localHash{}, nil
	}
	f, err := c.store.Content().Local(uint64(n.Ino))
	if errors.Is(err, fs.ErrNotExist) {
		return localHash{}, nil
	}
	if err != nil {
		return localHash{}, err
	}
	snap, err := f.Seal(uint64(n.Seq))
	if err = errors.Join(err, f.Close()); err != nil {
		return localHash{}, err
	}
	h := localHash{ino: n.Ino, seq: n.Seq, size: snap.Size(), snap: snap}
	sum := graph.NewQuickXor()
	_, err = io.Copy(sum, &stopper{ctx: ctx, r: io.NewSectionReader(snap, 0, snap.Size())})
	if err != nil {
		h.release()
		if errors.Is(err, content.ErrUnsealed) {
			err = nil
		}
		return localHash{}, err
	}
	h.hash = graph.HashOf(sum)
	if in := k.Incoming; h.hash.Equal(in.Hash) && h.size == in.Size && h.size > 0 {
		if h.unlike, err = c.unlike(ctx, in, snap); err != nil {
			h.release()
			if errors.Is(err, content.ErrUnsealed) || graph.KindOf(err) != "" && !graph.Stops(ctx, err) {
				err = nil // the next cycle knows more
			}
			return localHash{}, err
		}
	}
	return h, nil
}

// unlike compares local bytes with those of an item that have the same hash. The service's hash is not one to
// give up somebody's work for: two rows swapped in a table are enough to meet the same one.
func (c *cycle) unlike(ctx context.Context, in graph.Item, snap *content.Snapshot) (bool, error) {
	there, err := c.o.Service.Content(ctx, in.ID, in.Version(), 0, in.Size)
	if err != nil {
		return false, err
	}
	defer there.Close()
	same, err := graph.EqualBytes(io.NewSectionReader(snap, 0, snap.Size()), there)
	return !same, err
}

// stopper is a reader that ends with a context.
type stopper struct {
	ctx context.Context //nolint:containedctx // lives for one io.Copy
	r   io.Reader
}

func (s *stopper) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
