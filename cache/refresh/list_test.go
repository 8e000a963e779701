package refresh_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/graph"
)

// library is a drive that is only read, nothing of it known yet.
func library(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(o *refresh.Options) { o.FollowOnly = true })
	w.there.folder("D", "root", "docs")
	w.there.file("A", "D", "a.txt", "alpha")
	w.there.folder("S", "D", "sub")
	w.there.file("X", "S", "x.txt", "deep")
	w.run()
	return w
}

func TestALibraryThatIsOnlyReadCostsNothingUntilVisited(t *testing.T) {
	w := library(t)
	if w.there.deltas != 1 || w.there.lists != 0 {
		t.Fatalf("%d pages, %d listings", w.there.deltas, w.there.lists)
	}
	if _, err := w.store.Tree().List(w.drive.Root, 0, 10); !errors.Is(err, cache.ErrUnlisted) {
		t.Fatal(err)
	}
	w.ok(w.r.List(t.Context(), w.drive.Root))
	docs := w.node("docs")
	w.ok(w.r.List(t.Context(), docs.Ino))
	w.ok(w.r.List(t.Context(), docs.Ino))
	if w.there.lists != 2 {
		t.Fatalf("%d listings", w.there.lists)
	}
	if w.read(w.node("docs/a.txt")) != "alpha" {
		t.Fatal("wrong bytes")
	}
}

func TestWhatWasListedIsFollowed(t *testing.T) {
	w := library(t)
	w.ok(w.r.List(t.Context(), w.drive.Root))
	w.ok(w.r.List(t.Context(), w.node("docs").Ino))
	w.there.write("A", "newer")
	w.there.file("B", "D", "b.txt", "beta")
	w.there.write("X", "nobody has looked here")
	w.there.folder("Y", "S", "nor here")
	w.there.file("Z", "Y", "z.txt", "z")
	res := w.run()
	if w.read(w.node("docs/a.txt")) != "newer" || w.read(w.node("docs/b.txt")) != "beta" {
		t.Fatal("changes did not come")
	}
	if res.Waiting != 0 {
		t.Fatalf("%+v", res)
	}
	w.ok(w.r.List(t.Context(), w.node("docs/sub").Ino))
	if w.read(w.node("docs/sub/x.txt")) != "nobody has looked here" {
		t.Fatal("the listing is old")
	}
	w.there.move("A", "Y", "a.txt")
	w.run()
	if _, err := w.store.Tree().Resolve(w.drive.Root, "docs/a.txt"); !errors.Is(err, cache.ErrNotExist) {
		t.Fatalf("moved out of what is known, and still here: %v", err)
	}
}

func TestAFollowedLibraryWhoseFeedStartsAnewIsListedAgain(t *testing.T) {
	w := library(t)
	w.ok(w.r.List(t.Context(), w.drive.Root))
	w.ok(w.r.List(t.Context(), w.node("docs").Ino))
	w.there.write("A", "newer")
	w.there.file("B", "D", "b.txt", "beta")
	w.there.remove("S")
	w.there.forgot = true
	w.there.starts, w.there.lists = 0, 0
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "newer", "docs/b.txt": "beta"})
	if w.there.starts != 0 || w.there.lists != 2 {
		t.Fatalf("%d enumerations, %d listings", w.there.starts, w.there.lists)
	}
	w.there.write("A", "newest")
	w.run()
	w.shows(map[string]string{"docs": "/", "docs/a.txt": "newest", "docs/b.txt": "beta"})
}

func TestListingsOfOneFolderAreShared(t *testing.T) {
	w := library(t)
	inside, goOn := make(chan struct{}, 1), make(chan struct{})
	w.there.fail = func(op string) error {
		select {
		case inside <- struct{}{}:
		default:
		}
		<-goOn
		return nil
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := w.r.List(t.Context(), w.drive.Root); err != nil {
				t.Error(err)
			}
		})
	}
	<-inside
	close(goOn)
	all.Wait()
	if w.there.lists != 1 {
		t.Fatalf("%d listings", w.there.lists)
	}
}

func TestAListingGoesOnWithoutWhoBeganIt(t *testing.T) {
	w := library(t)
	ctx, giveUp := context.WithCancel(t.Context())
	inside, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.there.fail = func(string) error {
		first := false
		once.Do(func() { first = true })
		if !first {
			return nil
		}
		close(inside)
		<-goOn
		return ctx.Err()
	}
	first := make(chan error, 1)
	go func() { first <- w.r.List(ctx, w.drive.Root) }()
	<-inside
	second := make(chan error, 1)
	go func() { second <- w.r.List(t.Context(), w.drive.Root) }()
	giveUp()
	close(goOn)
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	w.ok(<-second)
}

func TestAListingThatFails(t *testing.T) {
	w := library(t)
	w.there.fail = func(string) error { return &graph.Error{Op: "children", Kind: graph.Offline} }
	if err := w.r.List(t.Context(), w.drive.Root); !errors.Is(err, graph.Offline) {
		t.Fatal(err)
	}
	w.there.fail = nil
	w.ok(w.r.List(t.Context(), w.drive.Root))
	w.ok(w.r.List(t.Context(), w.node("docs").Ino))
	if err := w.r.List(t.Context(), w.node("docs/a.txt").Ino); !errors.Is(err, cache.ErrNotFolder) {
		t.Fatal(err)
	}
}
