package merge

import (
	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph/name"
)

// arrive completes a ruling by which the incoming item gets its place, with what becomes of whoever
// has that place, and waits where the place is not there yet.
func arrive(c cache.Case, r cache.Ruling) cache.Ruling {
	switch {
	case c.Cycle:
		return wait
	case c.Parent == nil && len(c.Above) > 0:
		// Its folder was removed here: the chain comes back for it.
		if r.Report == "" {
			r.Report = "restored"
		}
		if r.Verb == cache.Add {
			r.Verb = cache.Restore
		}
		return confirmed(c, r)
	case c.Parent == nil:
		return wait // for its folder
	case !c.Parent.Dir || c.Parent.Removed || c.Parent.LocalOnly:
		return wait
	}
	if c.Holder != nil {
		side, ok := holder(c)
		if !ok {
			return wait
		}
		r.Holder = side
		if side == cache.Aside && r.Report != "conflict" {
			r.Report = "conflict"
		}
	}
	if costly(r) {
		return confirmed(c, r)
	}
	return r
}

// holder rules on the node that has the name which the incoming item claims. It returns false if
// the item must wait for the holder.
func holder(c cache.Case) (cache.Side, bool) {
	h := c.Holder
	movedHere := h.Base == nil || c.HolderDiff.Name || c.HolderDiff.Place
	switch {
	case h.LocalOnly:
		return cache.Stay, false
	case movedHere:
		return cache.Aside, true
	case !c.HolderLeaves:
		return twins(c)
	case c.Node == nil && (written(h) || c.HolderOpen):
		return cache.Stay, false // its own item goes first
	case written(h):
		return cache.Aside, true // two that swap names would wait for each other
	case c.HolderOpen:
		return cache.Stay, false
	}
	return cache.Park, true
}

// twins rules on an item that claims the name of a holder of which no leaving is known. News of that are under
// way, most often: so the holder is asked for (see Probe), and only if it is there, beside the incoming item, the
// service tells their names apart, and both are shown.
func twins(c cache.Case) (cache.Side, bool) {
	in, there := c.Incoming, c.HolderThere
	switch {
	case there == nil || there.Deleted || there.Parent != in.Parent || !name.Same(there.Name, in.Name):
		return cache.Stay, false
	case there.ID != c.Holder.Base.Item || there.ID == in.ID:
		return cache.Stay, false
	case cache.Elder(in, *there):
		return cache.Yield, true
	}
	return cache.Beside, true
}

// costly tells rulings by which local work loses its base, its name or its place, and those that show twins.
func costly(r cache.Ruling) bool {
	switch r.Verb {
	case cache.Split, cache.Revive, cache.Restore:
		return true
	}
	return r.Holder == cache.Aside || r.Holder == cache.Beside || r.Holder == cache.Yield
}

// Probe returns the node whose item should be asked for by its id, since it stands where the
// incoming item belongs and nothing is known of its leaving: the feed has lost its deletion (Q9),
// or lags. It returns nil if a Wait has another reason.
func Probe(c cache.Case, r cache.Ruling) *cache.Node {
	h := c.Holder
	if r.Verb != cache.Wait || c.Sending || h == nil || h.Base == nil || h.LocalOnly || c.HolderLeaves ||
		c.HolderDiff.Name || c.HolderDiff.Place || c.Parent == nil || c.Cycle {
		return nil
	}
	if c.Node != nil && (c.Open || c.Node.Removed) {
		return nil
	}
	return h
}
