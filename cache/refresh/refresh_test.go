package refresh_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/graph"
)

var officeTree = map[string]string{"docs": "/", "docs/a.txt": "alpha", "docs/b.txt": "beta", "empty": "/"}

func TestTheFirstRunReadsTheWholeDrive(t *testing.T) {
	progress := 0
	w := newWorld(t, func(o *refresh.Options) { o.Progress = func(n int) { progress = n } })
	w.there.folder("D", "root", "docs")
	w.there.file("A", "D", "a.txt", "alpha")
	w.there.file("B", "D", "b.txt", "beta")
	w.there.folder("E", "root", "empty")
	res := w.run()
	w.shows(officeTree)
	if !res.Full || res.Received != 5 || res.Waiting != 0 || res.Conflicts != 0 || progress != 5 {
		t.Fatalf("%+v, progress %d", res, progress)
	}
	if w.there.deltas != 2 || w.there.gets != 0 || w.there.lists != 0 {
		t.Fatalf("%d pages, %d reads of items, %d listings", w.there.deltas, w.there.gets, w.there.lists)
	}
	if n := w.node("docs"); n.Listing != cache.Followed {
		t.Fatalf("listing is %v", n.Listing)
	}

	res = w.run()
	if res.Full || res.Received != 0 || w.there.deltas != 3 || w.there.starts != 1 {
		t.Fatalf("%+v after %d pages", res, w.there.deltas)
	}
}

func TestChildrenMayComeBeforeTheirFolders(t *testing.T) {
	w := newWorld(t)
	w.there.file("A", "D", "a.txt", "alpha")
	w.there.folder("D", "C", "docs")
	w.there.page = 1
	w.there.folder("C", "root", "company")
	w.run()
	w.shows(map[string]string{"company": "/", "company/docs": "/", "company/docs/a.txt": "alpha"})
}

func TestRemoteChangesAreTaken(t *testing.T) {
	w := office(t)
	w.there.write("A", "alpha, second edition")
	w.there.move("B", "E", "moved.txt")
	w.there.file("N", "E", "new.txt", "new")
	w.there.move("D", "root", "papers")
	res := w.run()
	w.shows(map[string]string{
		"papers": "/", "papers/a.txt": "alpha, second edition", "empty": "/", "empty/moved.txt": "beta", "empty/new.txt": "new",
	})
	if res.Applied != 4 || res.Conflicts != 0 {
		t.Fatalf("%+v", res)
	}
	w.there.remove("D")
	w.there.remove("N")
	w.run()
	w.shows(map[string]string{"empty": "/", "empty/moved.txt": "beta"})
	w.pending(0)
	if w.there.gets != 0 {
		t.Fatalf("%d items were asked for, though nothing of ours was at stake", w.there.gets)
	}
}

func TestNamesThatAreSwappedThere(t *testing.T) {
	w := office(t)
	w.there.move("A", "D", "b.txt")
	w.there.move("B", "D", "a.txt")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "alpha", "docs/a.txt": "beta", "empty": "/"})
	w.pending(0)
}

func TestACaseOnlyRenameThere(t *testing.T) {
	w := office(t)
	w.there.move("A", "D", "A.TXT")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/A.TXT": "alpha", "docs/b.txt": "beta", "empty": "/"})
}

func TestAFileThatWasDeletedAndMadeAnewThere(t *testing.T) {
	w := office(t)
	w.there.file("A2", "D", "a.txt", "anew")
	w.there.remove("A")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "anew", "docs/b.txt": "beta", "empty": "/"})
	if w.item("docs/a.txt") != "A2" {
		t.Fatal("the old item is shown")
	}
}

func TestAHolderWhoseDeletionTheFeedHasLostIsAskedFor(t *testing.T) {
	w := office(t)
	w.there.hidden["A"] = true
	w.there.remove("A")
	w.there.file("A2", "D", "a.txt", "anew")
	res := w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "anew", "docs/b.txt": "beta", "empty": "/"})
	if res.Waiting != 0 || w.there.gets != 2 {
		t.Fatalf("%+v after %d reads", res, w.there.gets)
	}
}

func TestBothChangedTheBytes(t *testing.T) {
	w := office(t)
	w.edit("docs/a.txt", "ours")
	w.there.write("A", "theirs")
	res := w.run()
	if res.Conflicts != 1 {
		t.Fatalf("%+v", res)
	}
	all := w.tree()
	if len(all) != 5 || all["docs/a.txt"] != "theirs" {
		t.Fatalf("the tree is %v", all)
	}
	conflicts, err := w.store.Reports(w.drive.Num).Conflicts()
	w.ok(err)
	if len(conflicts) != 1 {
		t.Fatalf("reports %+v", conflicts)
	}
	copied, err := w.store.Tree().Get(conflicts[0].Ino)
	w.ok(err)
	if text := w.read(copied); text != "ours" || copied.Base != nil {
		t.Fatalf("the copy has %q and the base %v", text, copied.Base)
	}
	w.pending(1)
	if res := w.run(); res.Received != 0 || res.Conflicts != 0 {
		t.Fatalf("again %+v", res)
	}
}

func TestBothWroteTheSame(t *testing.T) {
	w := office(t)
	w.edit("docs/a.txt", "agreed by telephone")
	w.there.write("A", "agreed by telephone")
	w.create("docs/c.txt", "made on both sides")
	w.there.file("C", "D", "C.txt", "made on both sides")
	w.mkdir("docs/new")
	w.there.folder("N", "D", "new")
	w.there.file("X", "N", "x.txt", "inside")
	res := w.run()
	if res.Conflicts != 0 {
		t.Fatalf("%+v", res)
	}
	all := w.tree()
	if len(all) != 7 || all["docs/a.txt"] != "agreed by telephone" || all["docs/new/x.txt"] != "inside" {
		t.Fatalf("the tree is %v", all)
	}
	if n := w.node("docs/a.txt"); n.Written || n.Base.ETag != w.there.items["A"].ETag {
		t.Fatalf("%+v", n)
	}
}

// Bytes that differ can have the same hash: two that are swapped at the right distance.
func TestBothWroteOtherBytesOfTheSameHash(t *testing.T) {
	one := strings.Repeat("0123456789abcdef", 20)
	two := "#" + one[1:160] + "!" + one[161:]
	other := "!" + one[1:160] + "#" + one[161:]
	if hashOf(two) != hashOf(other) || two == other {
		t.Fatal("the hashes differ: this tests nothing")
	}
	w := office(t)
	w.edit("docs/a.txt", two)
	w.there.write("A", other)
	w.create("docs/new.txt", other)
	w.there.file("N", "D", "new.txt", two)
	if res := w.run(); res.Conflicts != 2 {
		t.Fatalf("%+v", res)
	}
	w.pending(2)
	all := w.tree()
	count := map[string]int{}
	for _, text := range all {
		count[text]++
	}
	if all["docs/a.txt"] != other || all["docs/new.txt"] != two || count[two] != 2 || count[other] != 2 {
		t.Fatalf("the tree is %v", all)
	}
}

func TestNewHereAndThereUnderOneName(t *testing.T) {
	w := office(t)
	mine := w.create("docs/c.txt", "ours")
	w.there.file("C", "D", "c.txt", "theirs")
	res := w.run()
	if res.Conflicts != 1 || w.read(w.node("docs/c.txt")) != "theirs" {
		t.Fatalf("%+v, %v", res, w.tree())
	}
	mine, err := w.store.Tree().Get(mine.Ino)
	w.ok(err)
	if w.read(mine) != "ours" {
		t.Fatal("our bytes are lost")
	}
}

func TestDeletedThereWithWorkHere(t *testing.T) {
	w := office(t)
	w.edit("docs/a.txt", "ours")
	w.there.remove("D")
	res := w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "ours", "empty": "/"})
	if w.item("docs") != "" || w.item("docs/a.txt") != "" {
		t.Fatal("what lives on still has the items that are gone")
	}
	if res.Conflicts == 0 {
		t.Fatalf("nobody is told: %+v", res)
	}
	w.pending(2)
}

func TestALaggingFeedCostsNoLocalWork(t *testing.T) {
	w := office(t)
	w.edit("docs/a.txt", "ours")
	w.there.remove("A")
	page, err := w.there.Delta(t.Context(), "4/0")
	w.ok(err)
	if len(page.Items) != 1 || !page.Items[0].Deleted {
		t.Fatalf("%+v", page)
	}
	// The tombstone is received; by now somebody has taken the file out of the bin.
	w.ok(w.store.Inbox(w.drive.Num).Receive(page))
	w.there.file("A", "D", "a.txt", "alpha")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "ours", "docs/b.txt": "beta", "empty": "/"})
	if w.item("docs/a.txt") != "A" {
		t.Fatal("the file lost its item for a tombstone that did not hold")
	}
}

func TestRemovedHereAndChangedThere(t *testing.T) {
	w := office(t)
	w.remove("docs/a.txt")
	w.remove("docs/b.txt")
	w.remove("docs")
	w.there.write("A", "they still work on it")
	w.there.move("B", "D", "renamed only.txt")
	w.there.file("N", "D", "new.txt", "new")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "they still work on it", "docs/new.txt": "new", "empty": "/"})
	w.pending(1) // the deletion of b.txt stands
	if w.item("docs") != "D" {
		t.Fatal("the folder came back as another")
	}
}

func TestRemovedOnBothSides(t *testing.T) {
	w := office(t)
	w.remove("docs/a.txt")
	w.there.remove("A")
	w.run()
	w.pending(0)
}

func TestMovedThereIntoAFolderRemovedHere(t *testing.T) {
	w := office(t)
	w.remove("empty")
	w.there.move("A", "E", "a.txt")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "beta", "empty": "/", "empty/a.txt": "alpha"})
	w.pending(0)
}

// A folder leaves another just before that is deleted there, onto a name that is taken here: that needs a
// look, and its content must not go with the deleted folder before.
func TestMovedThereOutOfAFolderThatIsDeleted(t *testing.T) {
	w := office(t)
	w.there.folder("I", "D", "inner")
	w.there.file("F", "I", "f.txt", "inside")
	w.run()
	w.mkdir("taken")
	w.create("taken/ours.txt", "ours")
	w.rename("empty", "other")
	w.rename("taken", "empty")
	w.there.move("I", "root", "other")
	w.there.remove("D")
	w.run()
	all := w.tree()
	if all["other/f.txt"] != "inside" || all["empty/ours.txt"] != "ours" {
		t.Errorf("the tree is %v", all)
	}
	if n := w.node("other/f.txt"); n.Base == nil || n.Base.Item != "F" {
		t.Errorf("inside: %+v", n.Base)
	}
}

// What was moved out of a folder here is gone when both sides delete the folder, though the feed tells of
// the folder alone.
func TestDeletedOnBothSidesAfterSomethingWasMovedOutHere(t *testing.T) {
	w := office(t)
	w.rename("docs/a.txt", "empty/a.txt")
	w.remove("docs/b.txt")
	w.remove("docs")
	w.there.remove("D")
	w.run()
	w.shows(map[string]string{"empty": "/"})
	w.pending(0)
}

// A folder that was moved away there in the moment in which its folder was deleted from here lives, with all
// that is in it.
func TestMovedThereOutOfAFolderWhileItsDeletionWasSent(t *testing.T) {
	for _, late := range []time.Duration{0, 30 * time.Hour} {
		t.Run(late.String(), func(t *testing.T) {
			w := office(t, func(o *refresh.Options) { o.ReconcileEvery = -1 })
			w.there.folder("I", "D", "inner")
			w.there.file("F", "I", "f.txt", "inside")
			w.there.folder("J", "I", "deeper")
			w.there.file("G", "J", "g.txt", "deep")
			w.run()
			for _, p := range []string{"docs/inner/deeper/g.txt", "docs/inner/deeper", "docs/inner/f.txt", "docs/inner", "docs/a.txt", "docs/b.txt", "docs"} {
				w.remove(p)
			}
			w.there.move("I", "root", "inner")
			w.there.remove("D")
			w.ok(w.store.Outbox(w.drive.Num).Deleted(cache.Attempt{Op: "delete", Item: "D"}))
			w.now = w.now.Add(late)
			w.run()
			w.shows(map[string]string{"empty": "/", "inner": "/", "inner/f.txt": "inside", "inner/deeper": "/", "inner/deeper/g.txt": "deep"})
			w.pending(0)
		})
	}
}

func TestFoldersMovedIntoEachOther(t *testing.T) {
	w := office(t)
	w.rename("docs", "empty/docs")
	w.there.move("E", "D", "empty")
	res := w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "alpha", "docs/b.txt": "beta", "docs/empty": "/"})
	if res.Conflicts != 1 {
		t.Fatalf("%+v", res)
	}
	w.pending(0)
}

func TestNestingTurnedInsideOutThere(t *testing.T) {
	w := office(t)
	w.there.folder("I", "E", "inner")
	w.run()
	w.there.move("I", "root", "inner")
	w.there.move("E", "I", "outer")
	w.run()
	all := w.tree()
	if all["inner/outer"] != "/" || len(all) != 5 {
		t.Fatalf("the tree is %v", all)
	}
	w.pending(0)
}

func TestAnOpenFileKeepsItsBytes(t *testing.T) {
	w := office(t)
	n, err := w.store.Tree().Hold(w.node("docs/a.txt").Ino)
	w.ok(err)
	w.there.write("A", "newer")
	if res := w.run(); res.Waiting != 1 || res.Applied != 0 {
		t.Fatalf("%+v", res)
	}
	if got, _ := w.store.Tree().Get(n.Ino); got.Base.ETag != n.Base.ETag {
		t.Fatal("the base moved under an open file")
	}
	w.store.Tree().Unhold(n.Ino)
	if res := w.run(); res.Waiting != 0 || res.Applied != 1 {
		t.Fatalf("%+v", res)
	}
	if text := w.read(w.node("docs/a.txt")); text != "newer" {
		t.Fatalf("read %q", text)
	}
}

func TestAFeedThatStartsAnewIsCompared(t *testing.T) {
	w := office(t)
	w.edit("docs/b.txt", "ours")
	w.there.hidden["A"], w.there.hidden["B"], w.there.hidden["E"] = true, true, true
	w.there.remove("A") // gone, and the feed will not say so
	w.there.remove("B") // the same, with work of ours
	w.there.forgot = true
	w.later()
	res := w.run()
	if !res.Full || w.there.starts != 2 {
		t.Fatalf("%+v", res)
	}
	// E did not come, but is there when asked for.
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "ours", "empty": "/"})
	if w.item("docs/b.txt") != "" {
		t.Fatal("our work still has the item that is gone")
	}
}

// What waits is compared too: its deletion may lie between the old place in the feed and the new.
func TestWhatWaitedWhenTheFeedBeganAnewMayBeGone(t *testing.T) {
	w := office(t)
	n, err := w.store.Tree().Hold(w.node("docs/a.txt").Ino)
	w.ok(err)
	w.there.write("A", "newer")
	if res := w.run(); res.Waiting != 1 {
		t.Fatalf("%+v", res)
	}
	w.there.hidden["A"] = true
	w.there.remove("A")
	w.there.forgot = true
	w.later()
	w.run()
	w.store.Tree().Unhold(n.Ino)
	if res := w.run(); res.Waiting != 0 {
		t.Fatalf("%+v", res)
	}
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "beta", "empty": "/"})
}

func TestOnceADayEverythingIsCompared(t *testing.T) {
	w := office(t)
	w.there.hidden["A"] = true
	w.there.remove("A")
	w.run()
	w.node("docs/a.txt")
	w.now = w.now.Add(25 * time.Hour)
	if res := w.run(); !res.Full {
		t.Fatalf("%+v", res)
	}
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "beta", "empty": "/"})
	if res := w.run(); res.Full {
		t.Fatal("compared again at once")
	}
}

func TestARunThatBreaksOffGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	w.there.page = 1
	w.there.folder("D", "root", "docs")
	w.there.file("A", "D", "a.txt", "alpha")
	w.there.file("B", "D", "b.txt", "beta")
	w.there.folder("E", "root", "empty")
	w.there.fail = func(string) error {
		if w.there.deltas == 3 {
			return &graph.Error{Op: "delta", Kind: graph.Offline}
		}
		return nil
	}
	res, err := w.r.Run(t.Context())
	if !errors.Is(err, graph.Offline) || res.Received != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	res = w.run()
	if w.there.starts != 1 || res.Received != 3 || !res.Full {
		t.Fatalf("%+v after %d starts", res, w.there.starts)
	}
	w.shows(officeTree)
}

func TestBrowsingDoesNotWaitForTheFirstRun(t *testing.T) {
	w := newWorld(t)
	w.there.page = 1
	w.there.folder("D", "root", "docs")
	w.there.file("A", "D", "a.txt", "alpha")
	w.there.file("B", "D", "b.txt", "beta")
	w.there.folder("E", "root", "empty")
	w.there.fail = func(op string) error {
		if op == "delta" && w.there.deltas == 3 {
			return &graph.Error{Op: "delta", Kind: graph.Offline}
		}
		return nil
	}
	if _, err := w.r.Run(t.Context()); !errors.Is(err, graph.Offline) {
		t.Fatal(err)
	}
	// Half of the drive is received. Somebody looks, finds all of it, and writes.
	w.ok(w.r.List(t.Context(), w.drive.Root))
	w.ok(w.r.List(t.Context(), w.node("docs").Ino))
	w.node("docs/a.txt")
	w.node("empty")
	w.edit("docs/b.txt", "ours")
	w.there.move("A", "E", "a.txt")
	if res := w.run(); res.Conflicts != 0 || res.Waiting != 0 {
		t.Fatalf("%+v", res)
	}
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "ours", "empty": "/", "empty/a.txt": "alpha"})
	w.pending(1)
}

func TestARunEndsWithItsContext(t *testing.T) {
	w := office(t)
	w.edit("docs/a.txt", "ours")
	w.there.write("A", "theirs")
	ctx, cancel := context.WithCancel(t.Context())
	w.there.fail = func(op string) error {
		if op == "item" {
			cancel()
			return ctx.Err()
		}
		return nil
	}
	if res, err := w.r.Run(ctx); !errors.Is(err, context.Canceled) || res.Received != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if w.read(w.node("docs/a.txt")) != "ours" {
		t.Fatal("ruled without asking")
	}
	w.there.fail = nil
	if res := w.run(); res.Received != 0 || res.Conflicts != 1 {
		t.Fatalf("%+v", res)
	}
}

func TestAWriterWhoComesBetweenHashAndRuling(t *testing.T) {
	w := office(t)
	w.edit("docs/a.txt", "aaaaa")
	w.there.write("A", "bbbbb")
	w.there.fail = func(op string) error {
		if op != "item" {
			return nil
		}
		// The bytes were compared and differ; now they become what the service has.
		w.there.fail = nil
		n := w.node("docs/a.txt")
		f, err := w.store.Content().Local(uint64(n.Ino))
		w.ok(err)
		if _, err := f.WriteAt([]byte("bbbbb"), 0); !errors.Is(err, content.ErrSealed) {
			t.Errorf("written without a mark: %v", err)
		}
		seq, err := w.store.Tree().Mark(n.Ino)
		w.ok(err)
		w.ok(f.Unseal(uint64(seq), content.Tag{}))
		_, err = f.WriteAt([]byte("bbbbb"), 0)
		w.ok(err)
		w.ok(f.Close())
		return nil
	}
	if res := w.run(); res.Conflicts != 0 || res.Applied != 1 {
		t.Fatalf("%+v", res)
	}
	w.pending(0)
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "bbbbb", "docs/b.txt": "beta", "empty": "/"})
}

func TestAComparisonThatBreaksOffIsDoneLater(t *testing.T) {
	w := office(t)
	w.there.hidden["A"] = true
	w.there.remove("A")
	w.now = w.now.Add(25 * time.Hour)
	w.there.fail = func(op string) error {
		if op == "item" {
			return &graph.Error{Op: "item", Kind: graph.Offline}
		}
		return nil
	}
	if _, err := w.r.Run(t.Context()); !errors.Is(err, graph.Offline) {
		t.Fatal(err)
	}
	w.node("docs/a.txt")
	w.there.fail = nil
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "beta", "empty": "/"})
	if w.there.starts != 2 {
		t.Fatalf("%d enumerations", w.there.starts)
	}
}

// What may not be read is neither there nor gone, and nothing waits for it.
func TestAnItemThatMayNotBeReadStopsNothing(t *testing.T) {
	w := office(t)
	w.there.hidden["A"] = true
	w.now = w.now.Add(25 * time.Hour)
	w.there.fail = func(op string) error {
		if op == "item" {
			return &graph.Error{Op: "item", Kind: graph.Denied}
		}
		return nil
	}
	w.run()
	w.there.file("C", "D", "c.txt", "gamma")
	w.run()
	w.there.fail = nil
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "alpha", "docs/b.txt": "beta", "docs/c.txt": "gamma", "empty": "/"})
	w.there.remove("A")
	w.now = w.now.Add(25 * time.Hour)
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/b.txt": "beta", "docs/c.txt": "gamma", "empty": "/"})
}

func TestAFeedThatDoesNotGoOnIsAnError(t *testing.T) {
	w := newWorld(t)
	w.there.page = 0
	w.there.folder("D", "root", "docs")
	if _, err := w.r.Run(t.Context()); !errors.Is(err, graph.Failed) {
		t.Fatal(err)
	}
}

func TestASecondRunWaitsForTheFirst(t *testing.T) {
	w := newWorld(t)
	inside, goOn := make(chan struct{}), make(chan struct{})
	w.there.fail = func(string) error {
		close(inside)
		<-goOn
		w.there.fail = nil
		return nil
	}
	first := make(chan error, 1)
	go func() {
		_, err := w.r.Run(t.Context())
		first <- err
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.r.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(goOn)
	w.ok(<-first)
	w.run()
}
