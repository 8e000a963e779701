package merge_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/merge"
)

// anyCase draws a case, sensible or not, out of all that the tables put together.
func anyCase(t *rapid.T) cache.Case {
	c := rapid.SampledFrom([]func(...func(*cache.Case)) cache.Case{known, unknown, gone}).Draw(t, "who")()
	maybe := func(name string, changes ...func(*cache.Case)) {
		i := rapid.IntRange(-1, len(changes)-1).Draw(t, name)
		if i >= 0 {
			changes[i](&c)
		}
	}
	maybe("kind", folder)
	maybe("bytes there", theirBytes, unhashed)
	maybe("place there", theirName("b.txt"), theirName("A.txt"), theirFolder, theirName(".."))
	maybe("eTag", etag("e3"), etag("e1"), etag(""))
	if c.Node != nil {
		maybe("bytes here", func(c *cache.Case) {
			if !c.Node.Dir {
				ourBytes(c)
			}
		})
		maybe("place here", ourName, ourFolder)
		maybe("time here", ourTime)
		maybe("below", dirtyBelow)
		maybe("open below", openBelow)
		maybe("local-only", func(c *cache.Case) { c.Node.LocalOnly, c.NodeDiff = true, cache.Diff{} })
	}
	if c.Gone != nil {
		maybe("sent", func(c *cache.Case) { c.Gone.Sent = noon })
	}
	maybe("parent", noParent, above, orphan, cycle)
	maybe("holder", heldBy(), heldBy(holderNew), heldBy(holderDir, holderNew), heldBy(holderMoved),
		heldBy(holderLeaves), heldBy(holderLeaves, holderWritten), heldBy(holderDir), heldBy(holderLocalOnly))
	if c.Holder != nil {
		maybe("holder open", holderOpen)
		maybe("holder there", holderThere(folderItem, c.Incoming.Name, noon.Add(-1)), holderThere(folderItem, c.Incoming.Name, noon.Add(1)),
			holderThere("elsewhere", c.Incoming.Name, noon))
	}
	maybe("hash", localHash("H1", 100), localHash("H2", 222), localHash("H3", 100))
	maybe("deleted", tombstone)
	maybe("open", open)
	maybe("sending", sending)
	maybe("confirmed", confirmed)
	return c
}

// manyCases calls a property with some thousands of cases.
func manyCases(t *testing.T, property func(t *rapid.T, c cache.Case)) {
	rapid.Check(t, func(t *rapid.T) {
		for range 100 {
			property(t, anyCase(t))
		}
	})
}

func TestEveryRulingKeepsWhatExistsOnlyHere(t *testing.T) {
	manyCases(t, func(t *rapid.T, c cache.Case) {
		r := merge.Decide(c)
		ours := c.Node != nil && c.Node.Written
		held := c.Holder != nil && c.Holder.Written

		if ours && (r.Verb == cache.Drop || r.Bytes == cache.TheirBytes) {
			t.Fatalf("unsent bytes are lost by %+v", r)
		}
		if r.Bytes == cache.SameBytes && (!c.LocalHash.Equal(c.Incoming.Hash) || c.LocalSize != c.Incoming.Size) {
			t.Fatalf("bytes that differ are called the same by %+v", r)
		}
		if r.Verb == cache.TakeBase && (c.Holder == nil || c.Holder.Base != nil) {
			t.Fatalf("a base is given to a holder that has one: %+v", r)
		}
		if r.Verb == cache.TakeBase && held && r.Bytes != cache.SameBytes {
			t.Fatalf("unsent bytes of the holder pass for the remote's: %+v", r)
		}
		if r.Holder == cache.Park && (held || !c.HolderLeaves || c.HolderOpen) {
			t.Fatalf("the holder is parked for good: %+v", r)
		}
		if (r.Holder == cache.Beside || r.Holder == cache.Yield) && (c.HolderThere == nil || c.HolderThere.Parent != c.Incoming.Parent || c.HolderLeaves || !c.Confirmed) {
			t.Fatalf("taken for twins without a word of it: %+v", r)
		}
		if places(r) && c.Holder != nil && c.Parent != nil && r.Holder == cache.Stay {
			t.Fatalf("two of one name after %+v", r)
		}
	})
}

// places reports whether the incoming item gets its place by a ruling.
func places(r cache.Ruling) bool {
	switch r.Verb {
	case cache.Add, cache.Split, cache.Restore:
		return true
	case cache.Agree:
		return r.Place
	}
	return false
}

func TestLocalWorkIsNeverRuledOnByTheFeedAlone(t *testing.T) {
	manyCases(t, func(t *rapid.T, c cache.Case) {
		c.Confirmed = false
		r := merge.Decide(c)
		switch {
		case r.Verb == cache.Split, r.Verb == cache.Revive, r.Verb == cache.Restore, r.Verb == cache.Undo, r.Holder == cache.Aside,
			r.Verb == cache.Drop && (c.NodeDiff.Any() || c.DirtyBelow > 0):
			t.Fatalf("ruled %+v on the word of the feed", r)
		}
	})
}

func TestOpenFilesAndStepsUnderWayAreLeftAlone(t *testing.T) {
	manyCases(t, func(t *rapid.T, c cache.Case) {
		r := merge.Decide(c)
		if c.Sending && r.Verb != cache.Wait {
			t.Fatalf("ruled %+v while a step is under way", r)
		}
		if (c.Open || c.OpenBelow > 0) && r.Verb == cache.Drop || c.Open && r.Bytes == cache.TheirBytes {
			t.Fatalf("ruled %+v on an open file", r)
		}
	})
}

func TestWhatIsAskedForIsAskedOnce(t *testing.T) {
	manyCases(t, func(t *rapid.T, c cache.Case) {
		for range 2 {
			switch merge.Decide(c).Verb {
			case cache.NeedItem:
				c.Confirmed = true
			case cache.NeedHash:
				localHash("H3", 222)(&c)
			}
		}
		if v := merge.Decide(c).Verb; v == cache.NeedItem || v == cache.NeedHash {
			t.Fatalf("with item and hash still asks for %d", v)
		}
	})
}
