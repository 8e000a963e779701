// Package merge decides what becomes of one incoming item, given the node that has it, what was
// last agreed on, and everything in its way. It is pure: values in, a value out.
//
// The rulings keep both sides: bytes that exist only here stay, under their own name or under that
// of a conflict copy. Whatever would cost local work its base, its name or its place is ruled only
// on an item that was read by its id just now, never on the word of the feed, which lags (Q8).
package merge

import (
	"strconv"
	"strings"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Decide rules on a case. It rules NeedItem only on an unconfirmed case and NeedHash only on one
// without LocalHash, so whoever provides both gets a final ruling.
func Decide(c cache.Case) cache.Ruling {
	in := c.Incoming
	switch {
	case c.Sending:
		return wait
	case in.Deleted:
		return deleted(c)
	case in.Type != graph.File && in.Type != graph.Folder:
		return ignore
	case in.Root:
		return root(c)
	case in.Parent == "":
		// What vanishes may come without a parent and without being called deleted.
		return confirmed(c, ignore)
	case !name.Safe(in.Name):
		return cache.Ruling{Verb: cache.Ignore, Report: "hidden"}
	case c.Gone != nil && (c.Node == nil || c.Node.Removed):
		return removedHere(c)
	case c.Node != nil:
		return known(c)
	}
	return unknown(c)
}

var (
	ignore = cache.Ruling{Verb: cache.Ignore}
	wait   = cache.Ruling{Verb: cache.Wait}
)

// confirmed rules r on an item that was read by its id, and asks for that first.
func confirmed(c cache.Case, r cache.Ruling) cache.Ruling {
	if !c.Confirmed {
		return cache.Ruling{Verb: cache.NeedItem}
	}
	return r
}

// root rules on the root folder, which has neither place nor bytes.
func root(c cache.Case) cache.Ruling {
	if c.Node == nil || c.Node.Base != nil && c.Node.Base.ETag == c.Incoming.ETag {
		return ignore
	}
	return cache.Ruling{Verb: cache.Agree}
}

// deleted rules on a tombstone.
func deleted(c cache.Case) cache.Ruling {
	n := c.Node
	switch {
	case c.Gone != nil && (n == nil || n.Removed):
		return cache.Ruling{Verb: cache.Forget}
	case n == nil || n.Parent == 0 && !n.Removed:
		return ignore // never known here, or a root
	case written(n):
		return confirmed(c, cache.Ruling{Verb: cache.Revive, Report: "revived"})
	case c.Open || c.OpenBelow > 0:
		return wait
	case c.LeavesBelow:
		return wait // what left it before must not go with it
	case c.DirtyBelow > 0:
		return confirmed(c, cache.Ruling{Verb: cache.Drop, Report: "revived"})
	case c.NodeDiff.Any():
		return confirmed(c, cache.Ruling{Verb: cache.Drop, Report: "gone"})
	}
	return cache.Ruling{Verb: cache.Drop}
}

// removedHere rules on an item that lives there and was removed here.
func removedHere(c cache.Case) cache.Ruling {
	in, base := c.Incoming, &c.Gone.Base
	switch {
	case base.Knows(in.ETag) && (c.Gone.Sent.IsZero() || !c.Confirmed):
		return ignore
	case !c.Gone.Sent.IsZero():
		// It was deleted there too, and lives: somebody took it out of the bin, or had moved the folder away
		// in which it is.
	case !contentChanged(base, in):
		return ignore // the deletion stands
	}
	return confirmed(c, arrive(c, cache.Ruling{Verb: cache.Restore, Report: "restored"}))
}

// unknown rules on an item that was never seen here, or was dropped.
func unknown(c cache.Case) cache.Ruling {
	if c.Orphan || c.Holder != nil && c.Holder.LocalOnly {
		return ignore // outside of what is known, or under a name that stays on this machine
	}
	if r, same := adopt(c); same {
		return r
	}
	return arrive(c, cache.Ruling{Verb: cache.Add})
}

// adopt rules on an item that is the same as something made here under the same name: a folder, or
// a file with the same bytes.
func adopt(c cache.Case) (cache.Ruling, bool) {
	h := c.Holder
	if h == nil || h.Base != nil || h.LocalOnly || c.Parent == nil || h.Dir != (c.Incoming.Type == graph.Folder) {
		return cache.Ruling{}, false
	}
	if h.Dir {
		return cache.Ruling{Verb: cache.TakeBase, Bytes: cache.KeepBytes}, true
	}
	switch compare(c, h) {
	case unhashed:
		return cache.Ruling{Verb: cache.NeedHash}, true
	case same:
		return cache.Ruling{Verb: cache.TakeBase, Bytes: cache.SameBytes, ModTime: true}, true
	}
	return chosen(c, cache.TakeBase, c.HolderOpen)
}

// chosen rules on bytes that both sides made, where the policy says whose count. With KeepBoth it does
// not: ok is false.
func chosen(c cache.Case, verb cache.Verb, open bool) (r cache.Ruling, ok bool) {
	switch c.Policy {
	case cache.Mine:
		return confirmed(c, cache.Ruling{Verb: verb, Bytes: cache.KeepBytes, Report: "mine"}), true
	case cache.Theirs:
		if open {
			return wait, true // who has it open may be about to write
		}
		return confirmed(c, cache.Ruling{Verb: verb, Bytes: cache.TheirBytes, ModTime: true, Trash: true, Report: "theirs"}), true
	}
	return cache.Ruling{}, false
}

// known rules on an item that a node has.
func known(c cache.Case) cache.Ruling {
	in, n, base := c.Incoming, c.Node, c.Node.Base
	switch {
	case n.Removed || n.Parent == 0:
		return wait // removed, held open, and not recorded as a deletion
	case base == nil || n.Dir != (in.Type == graph.Folder):
		return ignore // nonsense
	case echo(base, in):
		return ignore
	case !c.Confirmed && older(in.ETag, base.ETag):
		// A feed that lags far: our own later writes must not be undone by it (Q8).
		return cache.Ruling{Verb: cache.NeedItem}
	}
	r := content(c)
	switch r.Verb {
	case cache.Split:
		return arrive(c, r)
	case cache.Agree:
		return place(c, r)
	}
	return r
}

// echo tells an item that says nothing new. An eTag of the past is an older state, wherever that
// was; the eTag of the base at another place, or with a hash that was not known yet, is none.
func echo(base *cache.Base, in graph.Item) bool {
	if !base.Knows(in.ETag) {
		return false
	}
	if base.ETag != in.ETag {
		return true
	}
	return !moved(base, in) && (base.Hash != "" || in.Hash == "")
}

// older reports whether an eTag looks like one that the item had before. Those of business drives
// are "{GUID},n" with a counter n; of others nothing is known.
func older(etag, than string) bool {
	guid, n, ok := counter(etag)
	other, m, known := counter(than)
	return ok && known && guid == other && n < m
}

func counter(etag string) (guid string, n uint64, ok bool) {
	guid, digits, ok := strings.Cut(strings.Trim(etag, `"`), ",")
	if !ok || guid == "" {
		return "", 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return guid, n, err == nil
}

// content rules on the bytes and the time of a node: Agree as to these, or Split, or what is
// needed first.
func content(c cache.Case) cache.Ruling {
	in, n, base := c.Incoming, c.Node, c.Node.Base
	agree := cache.Ruling{Verb: cache.Agree}
	switch {
	case n.Dir:
		return agree
	case !contentChanged(base, in):
		agree.ModTime = !written(n) && !c.NodeDiff.ModTime && !in.ModTime.IsZero()
		return agree
	case !written(n) && c.Open:
		return wait
	case !written(n):
		agree.Bytes, agree.ModTime = cache.TheirBytes, true
		return agree
	case rewritten(c):
		return agree
	}
	switch compare(c, n) {
	case unhashed:
		return cache.Ruling{Verb: cache.NeedHash}
	case same:
		agree.Bytes, agree.ModTime = cache.SameBytes, true
		return agree
	}
	if r, ok := chosen(c, cache.Agree, c.Open); ok {
		return r
	}
	return cache.Ruling{Verb: cache.Split, Report: "conflict"}
}

// place completes an Agree with where the node is from now on.
func place(c cache.Case, r cache.Ruling) cache.Ruling {
	in, n := c.Incoming, c.Node
	switch {
	case !moved(n.Base, in):
		return r
	case c.Cycle:
		return confirmed(c, cache.Ruling{Verb: cache.Undo, Report: "undone"})
	case c.Parent != nil && c.Parent.Ino == n.Parent && in.Name == n.Name:
		return r // both moved it to the same place
	case c.NodeDiff.Name || c.NodeDiff.Place || n.LocalOnly:
		if r.Report == "" {
			r.Report = "moved"
		}
		return r
	case c.Orphan:
		return out(c)
	}
	r.Place = true
	return arrive(c, r)
}

// out rules on an item that was moved there to where nothing is known here.
func out(c cache.Case) cache.Ruling {
	if written(c.Node) || c.DirtyBelow > 0 || c.Open || c.OpenBelow > 0 {
		return wait
	}
	return confirmed(c, cache.Ruling{Verb: cache.Drop})
}
