package merge_test

import (
	"testing"

	"github.com/duskfs/duskfs/cache"
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
