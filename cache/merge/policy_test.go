package merge_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/merge"
	"github.com/duskfs/duskfs/graph"
)

func policy(p cache.Policy) func(*cache.Case) {
	return func(c *cache.Case) { c.Policy = p }
}

var (
	mine       = policy(cache.Mine)
	theirs     = policy(cache.Theirs)
	mineWins   = cache.Ruling{Verb: cache.Agree, Report: "mine"}
	theirsWins = cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true, Trash: true, Report: "theirs"}
)

func TestPolicies(t *testing.T) {
	otherBytes := localHash("H7", 100)
	check(t, []row{
		{"mine, both changed the bytes: ask", known(mine, theirBytes, ourBytes), needItem},
		{"mine, both changed the bytes: ours on top of theirs", known(mine, theirBytes, ourBytes, confirmed), mineWins},
		{"mine, both changed the bytes, open: ours on top of theirs", known(mine, theirBytes, ourBytes, localHash("H3", 222), open, confirmed), mineWins},
		{"mine, same size: compare first", known(mine, theirBytes, ourBytes, ourSize(222)), needHash},
		{"mine, the same bytes after all: agreed", known(mine, theirBytes, ourBytes, localHash("H2", 222)), sameSent},
		{"mine, theirs moved too: theirs the place", known(mine, theirBytes, theirFolder, ourBytes, confirmed), cache.Ruling{Verb: cache.Agree, Place: true, Report: "mine"}},
		{"mine, both moved too: our place", known(mine, theirBytes, theirFolder, ourBytes, ourName, confirmed), mineWins},
		{"mine, clean here: take theirs", known(mine, theirBytes), take},
		{"mine, only moved here: our place, their bytes", known(mine, theirBytes, ourFolder), take},
		{"mine, deleted there: revive", known(mine, tombstone, ourBytes, confirmed), revive},
		{"mine, deleted here, changed there: theirs comes back even so", gone(mine, theirBytes, confirmed), restore},
		{"mine, both made a file of the name: ask", unknown(mine, heldBy(holderNew), otherBytes), needItem},
		{"mine, both made a file of the name: ours on top of theirs", unknown(mine, heldBy(holderNew), otherBytes, confirmed),
			cache.Ruling{Verb: cache.TakeBase, Report: "mine"}},
		{"mine, both made the same file: adopt", unknown(mine, heldBy(holderNew), localHash("H1", 100)), adopt},
		{"mine, file against folder: there is no mixing, aside", unknown(mine, heldBy(holderDir, holderNew), confirmed), addAside},
		{"mine, ours was moved onto the name: aside", unknown(mine, heldBy(holderMoved), confirmed), addAside},
		{"mine, an echo: ignore", known(mine, etag("e2"), theirBytes, ourBytes), ignore},
		{"mine, a step is under way: wait", known(mine, theirBytes, ourBytes, sending, confirmed), waits},

		{"theirs, both changed the bytes: ask", known(theirs, theirBytes, ourBytes), needItem},
		{"theirs, both changed the bytes: ours into the trash", known(theirs, theirBytes, ourBytes, confirmed), theirsWins},
		{"theirs, open here: wait", known(theirs, theirBytes, ourBytes, localHash("H3", 222), open, confirmed), waits},
		{"theirs, same size: compare first", known(theirs, theirBytes, ourBytes, ourSize(222)), needHash},
		{"theirs, the same bytes after all: agreed", known(theirs, theirBytes, ourBytes, localHash("H2", 222)), sameSent},
		{"theirs, ours renamed too: our place, their bytes", known(theirs, theirBytes, ourBytes, ourName, confirmed), theirsWins},
		{"theirs, theirs moved too: all of theirs", known(theirs, theirBytes, theirFolder, ourBytes, confirmed),
			cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true, Place: true, Trash: true, Report: "theirs"}},
		{"theirs, deleted there: our bytes are the last ones, revive", known(theirs, tombstone, ourBytes, confirmed), revive},
		{"theirs, deleted here, changed there: restore", gone(theirs, theirBytes, confirmed), restore},
		{"theirs, both made a file of the name: ours into the trash", unknown(theirs, heldBy(holderNew), otherBytes, confirmed),
			cache.Ruling{Verb: cache.TakeBase, Bytes: cache.TheirBytes, ModTime: true, Trash: true, Report: "theirs"}},
		{"theirs, both made a file of the name, open: wait", unknown(theirs, heldBy(holderNew, holderOpen), otherBytes, confirmed), waits},
		{"theirs, only the eTag changed there: no conflict", known(theirs, ourBytes), agree},
		{"theirs, the service rewrote our upload: no conflict", known(theirs, ourBytes, confirmed, func(c *cache.Case) {
			c.Incoming.Name, c.Node.Name, c.Node.Base.Name = "r.docx", "r.docx", "r.docx"
			c.Incoming.Hash, c.Incoming.Size, c.Incoming.ETag = "H9", 120, "e9"
			c.Node.Base.At = noon
		}), agree},
	})
}

// A policy settles whose bytes count where both sides have written, and nothing else: not places, not deletions, not
// folders. What it gives up here goes to the local trash, after a look at the item, and never under an open file.
func TestAPolicySettlesNothingButWhoseBytesCount(t *testing.T) {
	manyCases(t, func(t *rapid.T, c cache.Case) {
		c.Policy = cache.KeepBoth
		both := merge.Decide(c)
		for _, p := range []cache.Policy{cache.Mine, cache.Theirs} {
			c.Policy = p
			r := merge.Decide(c)
			ours, isOpen := c.Node, c.Open
			if ours == nil {
				ours, isOpen = c.Holder, c.HolderOpen
			}
			written := ours != nil && ours.Written
			if r != both && !(written && c.Incoming.Type == graph.File && !c.Incoming.Deleted) {
				t.Fatalf("%v rules %+v, without it %+v", p, r, both)
			}
			if written && (r.Bytes == cache.TheirBytes || r.Verb == cache.Drop) && !(p == cache.Theirs && r.Trash && c.Confirmed && !isOpen) {
				t.Fatalf("%v: unsent bytes are lost by %+v", p, r)
			}
			if r != both && p == cache.Mine && (r.Bytes != cache.KeepBytes || r.Trash) && r.Verb != cache.NeedItem {
				t.Fatalf("mine gives up our bytes by %+v", r)
			}
		}
	})
}

// Folders, places and names under each policy: the same as without one.
func TestPoliciesDoNotTouchFoldersAndPlaces(t *testing.T) {
	b := theirName("b.txt")
	for _, p := range policies {
		set := policy(p)
		check(t, []row{
			{p.String() + ": both made the folder: merge", unknown(set, folder, heldBy(holderDir, holderNew)), mergeIn},
			{p.String() + ": file against folder of the name: ours aside", unknown(set, heldBy(holderDir, holderNew), confirmed), addAside},
			{p.String() + ": folder against file of the name: ours aside", unknown(set, folder, heldBy(holderNew), confirmed), addAside},
			{p.String() + ": folder deleted here, new child there: the chain comes back", unknown(set, above, confirmed), restore},
			{p.String() + ": folder deleted here, child changed there: the chain comes back", gone(set, theirBytes, above, confirmed), restore},
			{p.String() + ": folder deleted there, unsent work below: the rest goes", known(set, folder, tombstone, dirtyBelow, confirmed), dropRest},
			{p.String() + ": moved into a folder deleted here: that comes back", known(set, b, above, confirmed), cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true, Report: "restored"}},
			{p.String() + ": two folders moved into each other: theirs stands", known(set, folder, cycle, confirmed), undo},
			{p.String() + ": two swap names there: park", known(set, b, heldBy(holderLeaves)), cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true, Holder: cache.Park}},
			{p.String() + ": moved there onto a name that ours was moved to: aside", known(set, b, heldBy(holderMoved), confirmed), cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true, Holder: cache.Aside, Report: "conflict"}},
			{p.String() + ": letter case only", known(set, folder, theirName("A.TXT")), moveOurs},
			{p.String() + ": Unicode form only", known(set, folder, theirName("a\u0301.txt")), moveOurs},
			{p.String() + ": deleted here, moved and changed there: restore", gone(set, theirBytes, theirFolder, confirmed), restore},
			{p.String() + ": deleted here, moved there: stands", gone(set, theirFolder, confirmed), ignore},
			{p.String() + ": an echo", known(set, folder, etag("e2"), theirName("b")), ignore},
		})
	}
}
