package merge_test

import (
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/merge"
	"github.com/duskfs/duskfs/graph"
)

var (
	noon    = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	morning = noon.Add(-5 * time.Hour)
)

const (
	folderItem = graph.ItemID("FOLDER")
	fileItem   = graph.ItemID("FILE")
	folderIno  = cache.Ino(10)
	fileIno    = cache.Ino(11)
	holderIno  = cache.Ino(12)
)

// parent is the folder in which everything happens, as the tree has it.
func parent() *cache.Node {
	return &cache.Node{
		Ino: folderIno, Parent: 2, Name: "folder", Dir: true, Listing: cache.Followed,
		Base: &cache.Base{Item: folderItem, Parent: "ROOT", Name: "folder", Dir: true},
	}
}

// base is what was agreed on about the file.
func base() *cache.Base {
	return &cache.Base{
		Item: fileItem, Parent: folderItem, Name: "a.txt", ETag: "e3", CTag: "c1", Hash: "H1", Size: 100,
		ModTime: morning, Past: []string{"e2", "e1"}, At: morning,
	}
}

// node is the clean file.
func node() *cache.Node {
	return &cache.Node{
		Ino: fileIno, Parent: folderIno, Name: "a.txt", Size: 100, Mtime: morning, Base: base(), Seq: 5,
	}
}

// item is what the feed says of the file if nothing happened but its eTag.
func item() graph.Item {
	return graph.Item{
		ID: fileItem, Parent: folderItem, Name: "a.txt", Type: graph.File, ETag: "e4", CTag: "c1",
		Hash: "H1", Size: 100, ModTime: morning,
	}
}

// known is the case of the file; each change makes something of it.
func known(changes ...func(*cache.Case)) cache.Case {
	c := cache.Case{Incoming: item(), Now: noon, Node: node(), Parent: parent()}
	return with(c, changes...)
}

// unknown is the case of a file that nobody here has.
func unknown(changes ...func(*cache.Case)) cache.Case {
	c := cache.Case{Incoming: item(), Now: noon, Parent: parent()}
	return with(c, changes...)
}

// gone is the case of a file that was removed here, which is not sent.
func gone(changes ...func(*cache.Case)) cache.Case {
	c := cache.Case{Incoming: item(), Now: noon, Parent: parent(), Gone: &cache.Gone{Base: *base(), Ino: fileIno, At: noon}}
	return with(c, changes...)
}

func with(c cache.Case, changes ...func(*cache.Case)) cache.Case {
	for _, change := range changes {
		change(&c)
	}
	return c
}

// What may have happened, there and here.
func confirmed(c *cache.Case) { c.Confirmed = true }
func open(c *cache.Case)      { c.Open = true }
func sending(c *cache.Case)   { c.Sending = true }
func theirBytes(c *cache.Case) {
	c.Incoming.Hash, c.Incoming.CTag, c.Incoming.Size, c.Incoming.ModTime = "H2", "c2", 222, noon
}
func theirSize(n int64) func(*cache.Case) { return func(c *cache.Case) { c.Incoming.Size = n } }
func theirName(s string) func(*cache.Case) {
	return func(c *cache.Case) { c.Incoming.Name = s }
}
func theirFolder(c *cache.Case) {
	c.Incoming.Parent = "OTHER"
	c.Parent = &cache.Node{Ino: 20, Parent: 2, Name: "other", Dir: true, Base: &cache.Base{Item: "OTHER", Dir: true}}
}
func tombstone(c *cache.Case) { c.Incoming = graph.Item{ID: fileItem, Deleted: true} }
func etag(s string) func(*cache.Case) {
	return func(c *cache.Case) { c.Incoming.ETag = s }
}
func unhashed(c *cache.Case) { c.Incoming.Hash = "" }
func folder(c *cache.Case) {
	c.Incoming.Type, c.Incoming.Hash, c.Incoming.CTag, c.Incoming.Size = graph.Folder, "", "", 0
	if c.Node != nil {
		c.Node.Dir, c.Node.Base.Dir, c.Node.Size = true, true, 0
	}
	if c.Gone != nil {
		c.Gone.Base.Dir = true
	}
}
func ourBytes(c *cache.Case) {
	c.Node.Written, c.NodeDiff.Bytes, c.Node.Size = true, true, 333
}
func ourSize(n int64) func(*cache.Case) { return func(c *cache.Case) { c.Node.Size = n } }
func ourName(c *cache.Case)             { c.Node.Name, c.NodeDiff.Name = "ours.txt", true }
func ourFolder(c *cache.Case)           { c.Node.Parent, c.NodeDiff.Place = 99, true }
func ourTime(c *cache.Case)             { c.Node.Mtime, c.NodeDiff.ModTime = noon, true }
func localHash(h graph.Hash, n int64) func(*cache.Case) {
	return func(c *cache.Case) { c.LocalHash, c.LocalSize = h, n }
}
func unlike(c *cache.Case)     { c.Unlike = true }
func dirtyBelow(c *cache.Case) { c.DirtyBelow = 2 }
func openBelow(c *cache.Case)  { c.OpenBelow = 1 }
func leaveBelow(c *cache.Case) { c.LeavesBelow = true }
func orphan(c *cache.Case)     { c.Parent, c.Orphan = nil, true }
func noParent(c *cache.Case)   { c.Parent = nil }
func above(c *cache.Case) {
	c.Parent = nil
	c.Above = []cache.Gone{{Base: cache.Base{Item: folderItem, Name: "folder", Dir: true}, Ino: folderIno}}
}
func cycle(c *cache.Case) { c.Incoming.Parent, c.Cycle = "INSIDE", true }

// heldBy puts a node into the place that the item claims.
func heldBy(changes ...func(*cache.Case)) func(*cache.Case) {
	return func(c *cache.Case) {
		c.Holder = &cache.Node{
			Ino: holderIno, Parent: folderIno, Name: c.Incoming.Name, Size: 100,
			Base: &cache.Base{Item: "HOLDER", Parent: folderItem, Name: c.Incoming.Name, ETag: "h1", Size: 100},
		}
		for _, change := range changes {
			change(c)
		}
	}
}
func holderNew(c *cache.Case) {
	c.Holder.Base, c.Holder.Written = nil, !c.Holder.Dir
	c.HolderDiff = cache.Diff{New: true, Bytes: !c.Holder.Dir}
}
func holderDir(c *cache.Case) {
	c.Holder.Dir, c.Holder.Written = true, false
	if c.Holder.Base != nil {
		c.Holder.Base.Dir = true
	}
}
func holderWritten(c *cache.Case)   { c.Holder.Written, c.HolderDiff.Bytes = true, true }
func holderMoved(c *cache.Case)     { c.HolderDiff.Name = true }
func holderOpen(c *cache.Case)      { c.HolderOpen = true }
func holderLeaves(c *cache.Case)    { c.HolderLeaves = true }
func holderLocalOnly(c *cache.Case) { holderNew(c); c.Holder.LocalOnly = true }

// holderThere: the holder was read by its id just now, and made before the incoming item or after it.
func holderThere(parent graph.ItemID, name string, made time.Time) func(*cache.Case) {
	return func(c *cache.Case) {
		c.Incoming.Created = noon
		c.HolderThere = &graph.Item{ID: "HOLDER", Parent: parent, Name: name, Type: c.Incoming.Type, Created: made}
	}
}
func holderSize(n int64) func(*cache.Case) {
	return func(c *cache.Case) { c.Holder.Size = n }
}

// Rulings.
var (
	ignore   = cache.Ruling{Verb: cache.Ignore}
	waits    = cache.Ruling{Verb: cache.Wait}
	needItem = cache.Ruling{Verb: cache.NeedItem}
	needHash = cache.Ruling{Verb: cache.NeedHash}
	add      = cache.Ruling{Verb: cache.Add}
	addAside = cache.Ruling{Verb: cache.Add, Holder: cache.Aside, Report: "conflict"}
	addPark  = cache.Ruling{Verb: cache.Add, Holder: cache.Park}
	adopt    = cache.Ruling{Verb: cache.TakeBase, Bytes: cache.SameBytes, ModTime: true}
	mergeIn  = cache.Ruling{Verb: cache.TakeBase}
	agree    = cache.Ruling{Verb: cache.Agree}
	dated    = cache.Ruling{Verb: cache.Agree, ModTime: true}
	take     = cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true}
	takeMove = cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true, Place: true}
	sameSent = cache.Ruling{Verb: cache.Agree, Bytes: cache.SameBytes, ModTime: true}
	moveOurs = cache.Ruling{Verb: cache.Agree, Place: true}
	move     = cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true}
	ourPlace = cache.Ruling{Verb: cache.Agree, ModTime: true, Report: "moved"}
	split    = cache.Ruling{Verb: cache.Split, Report: "conflict"}
	drop     = cache.Ruling{Verb: cache.Drop}
	dropGone = cache.Ruling{Verb: cache.Drop, Report: "gone"}
	dropRest = cache.Ruling{Verb: cache.Drop, Report: "revived"}
	revive   = cache.Ruling{Verb: cache.Revive, Report: "revived"}
	restore  = cache.Ruling{Verb: cache.Restore, Report: "restored"}
	forget   = cache.Ruling{Verb: cache.Forget}
	undo     = cache.Ruling{Verb: cache.Undo, Report: "undone"}
)

type row struct {
	about string
	c     cache.Case
	want  cache.Ruling
}

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.about, func(t *testing.T) {
			if got := merge.Decide(r.c); got != r.want {
				t.Errorf("ruled %+v\nwant  %+v", got, r.want)
			}
		})
	}
}

func TestContentChangedThere(t *testing.T) {
	check(t, []row{
		{"clean: take it", known(theirBytes), take},
		{"clean and open: wait", known(theirBytes, open), waits},
		{"clean, hash unknown, size differs: take it", known(unhashed, theirSize(7)), cache.Ruling{Verb: cache.Agree, Bytes: cache.TheirBytes, ModTime: true}},
		{"clean, hash unknown, cTag differs: take it", known(unhashed, func(c *cache.Case) { c.Incoming.CTag = "c9" }), take},
		{"hash unknown, cTag unknown, same size: nothing but the eTag", known(unhashed, func(c *cache.Case) { c.Incoming.CTag = "" }), dated},
		{"cTag differs, hash does not: not changed", known(func(c *cache.Case) { c.Incoming.CTag = "c9" }), dated},
		{"clean, moved as well: take both", known(theirBytes, theirFolder), takeMove},
		{"clean, moved as well, open: both wait", known(theirBytes, theirFolder, open), waits},
		{"our bytes, other size: ask, then split", known(theirBytes, ourBytes), needItem},
		{"our bytes, other size, confirmed: split", known(theirBytes, ourBytes, confirmed), split},
		{"our bytes, open: split goes on, handles stay with ours", known(theirBytes, ourBytes, localHash("H3", 222), open, confirmed), split},
		{"our bytes, open: the size may not be settled, compare", known(theirBytes, ourBytes, open, confirmed), needHash},
		{"our bytes, same size: compare", known(theirBytes, ourBytes, ourSize(222)), needHash},
		{"our bytes are the same bytes: agreed", known(theirBytes, ourBytes, localHash("H2", 222)), sameSent},
		{"our bytes, the same hash, but other bytes: split", known(theirBytes, ourBytes, localHash("H2", 222), unlike, confirmed), split},
		{"our bytes, same size, differ: ask", known(theirBytes, ourBytes, localHash("H3", 222)), needItem},
		{"our bytes, same size, differ, confirmed: split", known(theirBytes, ourBytes, localHash("H3", 222), confirmed), split},
		{"our bytes, their hash unknown: never the same", known(theirBytes, unhashed, ourBytes, ourSize(222), confirmed), split},
		{"our bytes, theirs moved as well: split", known(theirBytes, theirFolder, ourBytes, confirmed), split},
		{"our bytes, ours moved: split", known(theirBytes, ourBytes, ourFolder, confirmed), split},
		{"ours renamed: our place, their bytes", known(theirBytes, ourName), take},
		{"ours moved: our place, their bytes", known(theirBytes, ourFolder), take},
		{"ours moved, open: wait", known(theirBytes, ourFolder, open), waits},
		{"our time only: theirs counts", known(theirBytes, ourTime), take},
		{"a step is under way: wait", known(theirBytes, ourBytes, sending, confirmed), waits},
	})
}

func TestTheServiceRewritesWhatWasUploaded(t *testing.T) {
	docx := func(c *cache.Case) {
		c.Node.Name, c.Node.Base.Name, c.Incoming.Name = "r.docx", "r.docx", "r.docx"
		c.Incoming.Hash, c.Incoming.Size = "H2", 222
		c.Node.Base.At = c.Now.Add(-time.Minute)
	}
	check(t, []row{
		{"clean: take it", known(docx), take},
		{"our bytes on top of it: no conflict", known(docx, ourBytes), agree},
		{"another time: a person wrote it", known(docx, ourBytes, confirmed, func(c *cache.Case) { c.Incoming.ModTime = noon }), split},
		{"long after the upload: a person wrote it", known(docx, ourBytes, confirmed, func(c *cache.Case) { c.Node.Base.At = morning }), split},
		{"a kind of file that it does not touch", known(docx, ourBytes, confirmed, func(c *cache.Case) {
			c.Node.Name, c.Node.Base.Name, c.Incoming.Name = "r.txt", "r.txt", "r.txt"
		}), split},
	})
}

func TestMovedThere(t *testing.T) {
	check(t, []row{
		{"clean, renamed: take it", known(theirName("b.txt")), move},
		{"clean, moved: take it", known(theirFolder), move},
		{"clean, open: a move disturbs no handle", known(theirFolder, open), move},
		{"only in letter case: take it", known(theirName("A.txt")), move},
		{"our bytes: theirs the place, ours the bytes", known(theirFolder, ourBytes), moveOurs},
		{"our time: theirs the place, ours the time", known(theirFolder, ourTime), moveOurs},
		{"ours renamed: ours counts", known(theirFolder, ourName), ourPlace},
		{"ours moved: ours counts", known(theirName("b.txt"), ourFolder), ourPlace},
		{"both renamed to the same: agreed", known(theirName("b.txt"), func(c *cache.Case) {
			c.Node.Name, c.NodeDiff.Name = "b.txt", true
		}), dated},
		{"folder, clean: take it", known(folder, theirName("b")), moveOurs},
		{"folder, unsent work below: it goes along", known(folder, theirName("b"), dirtyBelow), moveOurs},
		{"folder, open files below: they go along", known(folder, theirFolder, openBelow), moveOurs},
		{"the folder is still to come: wait", known(theirFolder, noParent), waits},
		{"into a folder removed here: ask", known(theirName("b.txt"), above), needItem},
		{"into a folder removed here: that comes back", known(theirName("b.txt"), above, confirmed), cache.Ruling{
			Verb: cache.Agree, Place: true, ModTime: true, Report: "restored",
		}},
		{"our bytes, into a folder removed here", known(ourBytes, theirName("b.txt"), above, confirmed), cache.Ruling{
			Verb: cache.Agree, Place: true, Report: "restored",
		}},
		{"out of what is known, clean: ask", known(theirFolder, orphan), needItem},
		{"out of what is known, clean: drop", known(theirFolder, orphan, confirmed), drop},
		{"out of what is known, open: wait", known(theirFolder, orphan, open, confirmed), waits},
		{"out of what is known, our bytes: wait", known(theirFolder, orphan, ourBytes, confirmed), waits},
		{"out of what is known, unsent work below: wait", known(folder, theirFolder, orphan, dirtyBelow, confirmed), waits},
		{"into a folder that is local-only here: wait", known(theirFolder, func(c *cache.Case) { c.Parent.LocalOnly = true }), waits},
		{"a step is under way: wait", known(theirFolder, sending), waits},
	})
}

func TestTwoFoldersMovedIntoEachOther(t *testing.T) {
	check(t, []row{
		{"ask", known(folder, cycle), needItem},
		{"the remote stands", known(folder, cycle, confirmed), undo},
		{"also if ours was moved elsewhere", known(folder, cycle, ourFolder, confirmed), undo},
	})
}

func TestDeletedThere(t *testing.T) {
	check(t, []row{
		{"clean: drop it", known(tombstone), drop},
		{"clean and open: wait", known(tombstone, open), waits},
		{"our bytes: ask", known(tombstone, ourBytes), needItem},
		{"our bytes: revive", known(tombstone, ourBytes, confirmed), revive},
		{"our bytes, open: revive", known(tombstone, ourBytes, open, confirmed), revive},
		{"our bytes, moved as well: revive", known(tombstone, ourBytes, ourFolder, confirmed), revive},
		{"our bytes under a local-only name, which differ from nothing: revive", known(tombstone, confirmed, func(c *cache.Case) {
			c.Node.Written, c.Node.LocalOnly = true, true
		}), revive},
		{"ours moved: ask", known(tombstone, ourFolder), needItem},
		{"ours moved: gone, reported", known(tombstone, ourFolder, confirmed), dropGone},
		{"ours moved and open: wait", known(tombstone, ourFolder, open, confirmed), waits},
		{"our time: gone, reported", known(tombstone, ourTime, confirmed), dropGone},
		{"folder, clean: drop", known(folder, tombstone), drop},
		{"folder, open files below: wait", known(folder, tombstone, openBelow), waits},
		{"folder, something was moved out of it before: that goes first", known(folder, tombstone, leaveBelow), waits},
		{"folder, something was moved out of it before, unsent work below: that goes first", known(folder, tombstone, leaveBelow, dirtyBelow, confirmed), waits},
		{"folder, unsent work below: ask", known(folder, tombstone, dirtyBelow), needItem},
		{"folder, unsent work below: the clean rest goes", known(folder, tombstone, dirtyBelow, confirmed), dropRest},
		{"folder moved here: gone, reported", known(folder, tombstone, ourFolder, confirmed), dropGone},
		{"deleted here too: agreed", gone(tombstone), forget},
		{"deleted here and sent: the echo", gone(tombstone, func(c *cache.Case) { c.Gone.Sent = noon }), forget},
		{"deleted here, held open: agreed", gone(tombstone, func(c *cache.Case) {
			c.Node = node()
			c.Node.Removed, c.Node.Parent = true, 0
		}), forget},
		{"never known here", unknown(tombstone), ignore},
		{"the root is not deleted", known(folder, tombstone, confirmed, func(c *cache.Case) { c.Node.Parent = 0 }), ignore},
		{"a step is under way: wait", known(tombstone, sending), waits},
	})
}

func TestDeletedHere(t *testing.T) {
	sent := func(c *cache.Case) { c.Gone.Sent = noon.Add(-time.Minute) }
	check(t, []row{
		{"nothing new there", gone(etag("e3")), ignore},
		{"an older state", gone(etag("e1"), theirBytes), ignore},
		{"renamed there: the deletion stands", gone(theirName("b.txt")), ignore},
		{"moved there: the deletion stands", gone(theirFolder), ignore},
		{"other eTag only: the deletion stands", gone(), ignore},
		{"folder with another eTag: the deletion stands", gone(folder), ignore},
		{"content changed there: ask", gone(theirBytes), needItem},
		{"content changed there: restore", gone(theirBytes, confirmed), restore},
		{"content changed there, held open here: restore", gone(theirBytes, confirmed, func(c *cache.Case) {
			c.Node = node()
			c.Node.Removed, c.Node.Parent = true, 0
		}), restore},
		{"content changed there, its folder removed here too: restore the chain", gone(theirBytes, above, confirmed), restore},
		{"content changed there, something new here has its name: aside", gone(theirBytes, confirmed, heldBy(holderNew)), cache.Ruling{
			Verb: cache.Restore, Holder: cache.Aside, Report: "conflict",
		}},
		{"sent, and an older state comes: it lags", gone(sent, etag("e3")), ignore},
		{"sent, and an older state comes, read by its id: it lives", gone(sent, etag("e3"), confirmed), restore},
		{"not sent, nothing new, read by its id", gone(etag("e3"), confirmed), ignore},
		{"sent, and it is there: ask", gone(sent), needItem},
		{"sent, and it is there: out of the bin", gone(sent, confirmed), restore},
		{"new there in a folder removed here: ask", unknown(above), needItem},
		{"new there in a folder removed here: it and its chain", unknown(above, confirmed), restore},
		{"new folder there in a folder removed here: it and its chain", unknown(folder, above, confirmed), restore},
	})
}

func TestNewThere(t *testing.T) {
	check(t, []row{
		{"file: add", unknown(), add},
		{"folder: add", unknown(folder), add},
		{"out of the bin, long forgotten here: add", unknown(etag("e9")), add},
		{"its folder is still to come: wait", unknown(noParent), waits},
		{"outside of what is known: ignore", unknown(orphan), ignore},
		{"its folder is removed and held open: wait", unknown(func(c *cache.Case) { c.Parent.Removed = true }), waits},
		{"its folder is local-only here: wait", unknown(func(c *cache.Case) { c.Parent.LocalOnly = true }), waits},
		{"a notebook", unknown(func(c *cache.Case) { c.Incoming.Type = graph.Package }), ignore},
		{"a shortcut", unknown(func(c *cache.Case) { c.Incoming.Type = graph.Shortcut }), ignore},
		{"a name that would climb", unknown(theirName("..")), cache.Ruling{Verb: cache.Ignore, Report: "hidden"}},
		{"a name with a slash", unknown(theirName("a/b")), cache.Ruling{Verb: cache.Ignore, Report: "hidden"}},
		{"no parent and not called deleted: ask", unknown(func(c *cache.Case) { c.Incoming.Parent = "" }), needItem},
		{"no parent, confirmed: ignore", unknown(confirmed, func(c *cache.Case) { c.Incoming.Parent = "" }), ignore},
	})
}

func TestNewThereUnderANameThatIsTakenHere(t *testing.T) {
	check(t, []row{
		{"new file, other size: ask", unknown(heldBy(holderNew, holderSize(5))), needItem},
		{"new file, other size: aside", unknown(heldBy(holderNew, holderSize(5)), confirmed), addAside},
		{"new file, same size: compare", unknown(heldBy(holderNew)), needHash},
		{"new file, open, size not settled: compare", unknown(heldBy(holderNew, holderSize(5), holderOpen)), needHash},
		{"new file, same bytes: adopt", unknown(heldBy(holderNew), localHash("H1", 100)), adopt},
		{"new file, same hash, but other bytes: aside", unknown(heldBy(holderNew), localHash("H1", 100), unlike, confirmed), addAside},
		{"new file, other bytes: ask", unknown(heldBy(holderNew), localHash("H7", 100)), needItem},
		{"new file, other bytes: aside", unknown(heldBy(holderNew), localHash("H7", 100), confirmed), addAside},
		{"new file, same hash, other size: aside", unknown(heldBy(holderNew), localHash("H1", 99), confirmed), addAside},
		{"new file, their hash unknown: aside", unknown(unhashed, heldBy(holderNew), confirmed), addAside},
		{"new folder, new folder: merge", unknown(folder, heldBy(holderDir, holderNew)), mergeIn},
		{"new folder, file there: ask", unknown(heldBy(holderDir, holderNew)), needItem},
		{"new folder, file there: ours aside", unknown(heldBy(holderDir, holderNew), confirmed), addAside},
		{"new file, folder there: ours aside", unknown(folder, heldBy(holderNew), confirmed), addAside},
		{"ours was moved there: aside", unknown(heldBy(holderMoved), confirmed), addAside},
		{"ours was moved there: ask first", unknown(heldBy(holderMoved)), needItem},
		{"our folder was moved there, folder there: aside", unknown(folder, heldBy(holderDir, holderMoved), confirmed), addAside},
		{"a step is under way for ours: wait", unknown(heldBy(holderNew), sending, confirmed), waits},
		{"a local-only file: both stay where they are", unknown(heldBy(holderLocalOnly)), ignore},
		{"deleted and made anew there: park the old one", unknown(heldBy(holderLeaves)), addPark},
		{"deleted and made anew there, old one open: wait", unknown(heldBy(holderLeaves, holderOpen)), waits},
		{"deleted and made anew there, unsent work in the old one: that goes first", unknown(heldBy(holderLeaves, holderWritten)), waits},
		{"made anew there, nothing heard of the old one: wait for news", unknown(heldBy(), confirmed), waits},
		{"the same with unsent work: wait for news", unknown(heldBy(holderWritten), confirmed), waits},
		{"its folder was removed here: the holder does not matter", unknown(above, heldBy(), confirmed), restore},
	})
}

func TestTwinsOfTheService(t *testing.T) {
	before, after := noon.Add(-time.Hour), noon.Add(time.Hour)
	beside := cache.Ruling{Verb: cache.Add, Holder: cache.Beside}
	yield := cache.Ruling{Verb: cache.Add, Holder: cache.Yield}
	b := theirName("b.txt")
	check(t, []row{
		{"the holder is there, the item on the word of the feed: ask", unknown(heldBy(holderThere(folderItem, "A.TXT", before))), needItem},
		{"the holder is there and the elder: shown beside it", unknown(heldBy(holderThere(folderItem, "A.TXT", before)), confirmed), beside},
		{"the holder is there and the younger: it yields the name", unknown(heldBy(holderThere(folderItem, "A.TXT", after)), confirmed), yield},
		{"made at once: the lesser id has the name", unknown(heldBy(holderThere(folderItem, "A.TXT", noon)), confirmed, func(c *cache.Case) { c.Incoming.ID = "A" }), yield},
		{"made at once: the greater id has not", unknown(heldBy(holderThere(folderItem, "A.TXT", noon)), confirmed, func(c *cache.Case) { c.Incoming.ID = "Z" }), beside},
		{"made when nobody knows: as made at once", unknown(heldBy(holderThere(folderItem, "A.TXT", time.Time{})), confirmed, func(c *cache.Case) { c.Incoming.ID = "Z" }), beside},
		{"folders too", unknown(folder, heldBy(holderDir, holderThere(folderItem, "A.TXT", before)), confirmed), beside},
		{"moved there to be a twin", known(b, heldBy(holderThere(folderItem, "B.txt", before)), confirmed),
			cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true, Holder: cache.Beside}},
		{"unsent work in the holder: its name may change even so", unknown(heldBy(holderWritten, holderThere(folderItem, "A.TXT", after)), confirmed), yield},
		{"the holder is elsewhere by now: wait for its news to be ruled on", unknown(heldBy(holderThere("elsewhere", "a.txt", before)), confirmed), waits},
		{"the holder has another name by now", unknown(heldBy(holderThere(folderItem, "c.txt", before)), confirmed), waits},
		{"the holder leaves", unknown(heldBy(holderLeaves, holderThere(folderItem, "a.txt", before)), confirmed), addPark},
		{"the holder was made here", unknown(heldBy(holderThere(folderItem, "a.txt", before), holderNew, holderSize(5)), confirmed), addAside},
		{"a step is under way", unknown(heldBy(holderThere(folderItem, "a.txt", before)), sending, confirmed), waits},
	})
}

func TestMovedThereOntoANameThatIsTakenHere(t *testing.T) {
	b := theirName("b.txt")
	moveAside := cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true, Holder: cache.Aside, Report: "conflict"}
	check(t, []row{
		{"by something new: ask", known(b, heldBy(holderNew)), needItem},
		{"by something new: aside", known(b, heldBy(holderNew), confirmed), moveAside},
		{"by something moved here: aside", known(b, heldBy(holderMoved), confirmed), moveAside},
		{"two swap names: park", known(b, heldBy(holderLeaves)), cache.Ruling{Verb: cache.Agree, Place: true, ModTime: true, Holder: cache.Park}},
		{"two swap names, the other open: wait", known(b, heldBy(holderLeaves, holderOpen)), waits},
		{"two swap names, unsent work in the other: aside", known(b, heldBy(holderLeaves, holderWritten), confirmed), moveAside},
		{"by a local-only file: wait", known(b, heldBy(holderLocalOnly), confirmed), waits},
		{"nothing heard of the holder: wait for news", known(b, heldBy()), waits},
		{"ours moved elsewhere: the holder does not matter", known(b, ourFolder, heldBy(holderNew)), ourPlace},
		{"a split, and the place is taken: both ours step aside", known(theirBytes, ourBytes, b, heldBy(holderNew), confirmed), cache.Ruling{
			Verb: cache.Split, Holder: cache.Aside, Report: "conflict",
		}},
	})
}

func TestEchoes(t *testing.T) {
	check(t, []row{
		{"the state agreed on", known(etag("e3")), ignore},
		{"the state agreed on, our work on top", known(etag("e3"), ourBytes), ignore},
		{"an older state, elsewhere", known(etag("e1"), theirFolder), ignore},
		{"an older state, our newer bytes are sent", known(etag("e2"), theirBytes), ignore},
		{"an older state, our work on top", known(etag("e2"), theirBytes, ourBytes), ignore},
		{"the same eTag elsewhere: a move that left it alone", known(etag("e3"), theirFolder), move},
		{"the same eTag with a hash that was not known yet", known(etag("e3"), func(c *cache.Case) { c.Node.Base.Hash = "" }), dated},
		{"no eTag is no echo", known(etag(""), func(c *cache.Case) { c.Node.Base.ETag = "" }), dated},
		{"an eTag only", known(), dated},
		{"an eTag only, our bytes", known(ourBytes), agree},
		{"an eTag only, our place", known(ourFolder), dated},
		{"an eTag only, open", known(open), dated},
		{"a time only", known(func(c *cache.Case) { c.Incoming.ModTime = noon }), dated},
		{"a time only, ours changed too", known(ourTime, func(c *cache.Case) { c.Incoming.ModTime = noon }), agree},
		{"a time that is unknown", known(func(c *cache.Case) { c.Incoming.ModTime = time.Time{} }), agree},
		{"folder, eTag only", known(folder), agree},
		{"the root, as known", known(folder, etag("e3"), func(c *cache.Case) { c.Incoming.Root, c.Incoming.Parent, c.Node.Parent = true, "", 0 }), ignore},
		{"the root, another eTag", known(folder, func(c *cache.Case) { c.Incoming.Root, c.Incoming.Parent, c.Node.Parent = true, "", 0 }), agree},
		{"an item that changed its kind: nonsense", known(func(c *cache.Case) { c.Incoming.Type = graph.Folder }), ignore},
	})
}

func TestAFeedThatLagsFarIsNotBelieved(t *testing.T) {
	tags := func(base, incoming string) func(*cache.Case) {
		return func(c *cache.Case) { c.Node.Base.ETag, c.Incoming.ETag = base, incoming }
	}
	check(t, []row{
		{"a lower counter: ask", known(theirBytes, tags(`"{A},12"`, `"{A},7"`)), needItem},
		{"a lower counter, confirmed: so it is", known(theirBytes, tags(`"{A},12"`, `"{A},7"`), confirmed), take},
		{"counters are numbers", known(theirBytes, tags(`"{A},9"`, `"{A},10"`)), take},
		{"without quotes", known(theirBytes, tags("{A},12", "{A},7")), needItem},
		{"another GUID: nothing is known", known(theirBytes, tags(`"{A},12"`, `"{B},7"`)), take},
		{"no counter: nothing is known", known(theirBytes, tags(`"{A},12"`, `aQTctNw`)), take},
	})
}

func TestProbeAsksForAHolderWithoutNews(t *testing.T) {
	rows := []struct {
		about string
		c     cache.Case
		want  bool
	}{
		{"new there, a clean file has the name", unknown(heldBy()), true},
		{"moved there, a clean file has the name", known(theirName("b.txt"), heldBy()), true},
		{"news is in the inbox", unknown(heldBy(holderLeaves, holderOpen)), false},
		{"the holder is new here", unknown(heldBy(holderNew), confirmed), false},
		{"waiting for an open file", known(theirBytes, open, heldBy()), false},
		{"waiting for a step", unknown(heldBy(), sending), false},
		{"nobody has the name", unknown(noParent), false},
	}
	for _, r := range rows {
		t.Run(r.about, func(t *testing.T) {
			got := merge.Probe(r.c, merge.Decide(r.c))
			if (got != nil) != r.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
