package refresh_test

import (
	"slices"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

const (
	composed   = "r\u00e9sum\u00e9.txt"
	decomposed = "re\u0301sume\u0301.txt"
)

// made says when an item was made, and puts it into the feed.
func (s *service) made(id graph.ItemID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.items[id]
	i.Created = at
	s.touch(i)
}

// twins is a drive with names that are one here and two there: A is the elder file, T the elder folder.
func twins(t *testing.T, change ...func(*refresh.Options)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.there.file("B", "root", decomposed, "beta")
	w.there.folder("U", "root", "STRASSE")
	w.there.file("UX", "U", "x", "in the younger")
	w.there.file("A", "root", composed, "alpha")
	w.there.folder("T", "root", "stra\u00dfe")
	w.there.file("TX", "T", "x", "in the elder")
	for n, id := range []graph.ItemID{"T", "A", "U", "B"} {
		w.there.made(id, morning.Add(time.Duration(n)*time.Hour))
	}
	return w
}

// wipe begins anew with the same service and nothing known here.
func (w *world) wipe() {
	w.t.Helper()
	w.store = cachetest.Open(w.t, cache.Options{Now: func() time.Time { return w.now }, Host: "HOST"})
	w.drive = cachetest.AddDrive(w.t, w.store, "d1")
	w.r = refresh.New(refresh.Options{Store: w.store, Drive: w.drive.Num, Service: w.there, Now: func() time.Time { return w.now }})
}

func (w *world) disguised() []string {
	w.t.Helper()
	list, err := w.store.Disguised(w.drive.Num)
	w.ok(err)
	slices.Sort(list)
	return list
}

var (
	shownB    = name.Twin(decomposed, 0)
	shownU    = name.Twin("STRASSE", 0)
	bothTwins = map[string]string{
		composed: "alpha", shownB: "beta", "stra\u00dfe": "/", "stra\u00dfe/x": "in the elder", shownU: "/", shownU + "/x": "in the younger",
	}
)

func TestTwinsAreShownBesideEachOther(t *testing.T) {
	w := twins(t)
	if res := w.run(); res.Waiting != 0 || res.Conflicts != 0 {
		t.Fatalf("%+v", res)
	}
	w.shows(bothTwins)
	w.pending(0)
	if got, want := w.disguised(), []string{"/" + shownU, "/" + shownB}; !slices.Equal(got, want) {
		t.Fatalf("%q are shown under other names, want %q", got, want)
	}
	// They are followed as any.
	w.there.write("B", "newer")
	w.there.write("UX", "newer below")
	w.there.file("U2", "U", "new", "n")
	w.there.gets = 0
	if res := w.run(); res.Waiting != 0 || w.there.gets != 0 {
		t.Fatalf("%+v after %d reads", res, w.there.gets)
	}
	w.shows(map[string]string{composed: "alpha", shownB: "newer", "stra\u00dfe": "/", "stra\u00dfe/x": "in the elder", shownU: "/", shownU + "/x": "newer below", shownU + "/new": "n"})
	// The same names come after a wipe, in whichever order the items do.
	for _, first := range [][]graph.ItemID{{"A", "T"}, {"B", "U"}} {
		for _, id := range first {
			w.there.made(id, w.there.items[id].Created)
		}
		before := w.tree()
		w.wipe()
		w.run()
		w.shows(before)
	}
}

func TestTwinsInALibraryThatIsOnlyRead(t *testing.T) {
	w := twins(t, func(o *refresh.Options) { o.FollowOnly = true })
	w.run()
	w.ok(w.r.List(t.Context(), w.drive.Root))
	for _, folder := range []string{"stra\u00dfe", shownU} {
		w.ok(w.r.List(t.Context(), w.node(folder).Ino))
	}
	w.shows(bothTwins)
	if n, err := w.store.Inbox(w.drive.Num).Waiting(); err != nil || n != 0 {
		t.Fatalf("%d items wait, %v", n, err)
	}
	w.there.gets = 0
	w.run()
	w.shows(bothTwins)
	if w.there.gets != 0 {
		t.Fatalf("%d reads for nothing", w.there.gets)
	}
	// Listed again, after the feed began anew.
	w.there.write("B", "newer")
	w.there.remove("A")
	w.there.forgot = true
	w.run()
	w.run()
	if got := w.read(w.node(decomposed)); got != "newer" {
		t.Fatalf("%q", got)
	}
}

func TestTwinsComeAndGo(t *testing.T) {
	w := twins(t)
	w.run()
	ino := w.node(shownB).Ino
	rest := func(want map[string]string) map[string]string {
		want["stra\u00dfe"], want["stra\u00dfe/x"], want[shownU], want[shownU+"/x"] = "/", "in the elder", "/", "in the younger"
		return want
	}
	// The one that has the name goes: the other has it.
	w.there.move("A", "root", "a.txt")
	w.run()
	w.shows(rest(map[string]string{"a.txt": "alpha", decomposed: "beta"}))
	if w.node(decomposed).Ino != ino {
		t.Fatal("it is another file now")
	}
	w.pending(0)
	// A younger one comes, whose name is spelled differently still: it has to do with a twin's.
	w.there.file("C", "root", "R\u00c9SUM\u00c9.txt", "gamma")
	w.there.made("C", morning.Add(10*time.Hour))
	shownC := name.Twin("R\u00c9SUM\u00c9.txt", 0)
	w.run()
	w.shows(rest(map[string]string{"a.txt": "alpha", decomposed: "beta", shownC: "gamma"}))
	// The elder comes back: it has the name again. So three are told apart.
	w.there.move("A", "root", composed)
	w.run()
	w.shows(rest(map[string]string{composed: "alpha", shownB: "beta", shownC: "gamma"}))
	// A twin is renamed, moved and deleted there.
	w.there.move("C", "T", "R\u00c9SUM\u00c9.txt")
	w.run()
	w.shows(rest(map[string]string{composed: "alpha", shownB: "beta", "stra\u00dfe/R\u00c9SUM\u00c9.txt": "gamma"}))
	w.there.remove("C")
	w.there.move("B", "root", "b.txt")
	w.run()
	w.shows(rest(map[string]string{composed: "alpha", "b.txt": "beta"}))
	// The elder folder goes: the younger has its name, and all in it stays the same.
	x := w.node(shownU + "/x").Ino
	w.there.remove("T")
	w.run()
	w.shows(map[string]string{composed: "alpha", "b.txt": "beta", "STRASSE": "/", "STRASSE/x": "in the younger"})
	if w.node("STRASSE/x").Ino != x {
		t.Fatal("it is another file now")
	}
	if got := w.disguised(); len(got) != 0 {
		t.Fatalf("%q are still shown under other names", got)
	}
}

// What looks like a twin until the feed goes on is none.
func TestATwinOfAMomentIsNotShown(t *testing.T) {
	w := office(t)
	w.there.hidden["A"] = true
	w.there.move("A", "D", "elsewhere.txt")
	w.there.file("C", "D", "A.txt", "gamma")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/elsewhere.txt": "alpha", "docs/A.txt": "gamma", "docs/b.txt": "beta", "empty": "/"})
}

func TestTwinsAreChangedHere(t *testing.T) {
	w := twins(t)
	w.run()
	w.edit(shownB, "ours")
	w.rename(shownU, "street")
	w.pending(2)
	// Both sides: their bytes beside ours, at the same name.
	w.there.write("B", "theirs")
	w.run()
	got := w.tree()
	if got[shownB] != "theirs" || got[composed] != "alpha" || len(got) != 7 {
		t.Fatalf("%v", got)
	}
	// The one that has the name was renamed here, which the service does not know yet: the twin stays one, since
	// a new file in that place, as an editor makes, is another.
	w.rename(composed, "alpha.txt")
	w.run()
	if w.item(shownB) != "B" {
		t.Fatal("the twin has taken a name that is still another's there")
	}
	w.create(composed, "anew")
	w.run()
	if w.read(w.node(composed)) != "anew" || w.item(shownB) != "B" {
		t.Fatalf("%v", w.tree())
	}
}

// What was removed here and changed there comes back, though a twin of it has its name by now.
func TestWhatComesBackIsShownBesideATwin(t *testing.T) {
	w := newWorld(t)
	w.there.file("A", "root", composed, "alpha")
	w.there.made("A", morning)
	w.run()
	w.remove(composed)
	w.there.file("B", "root", decomposed, "beta")
	w.there.made("B", morning.Add(time.Hour))
	w.run()
	w.there.write("A", "newer")
	if res := w.run(); res.Waiting != 0 {
		t.Errorf("%+v", res)
	}
	w.shows(map[string]string{composed: "newer", shownB: "beta"})
}
