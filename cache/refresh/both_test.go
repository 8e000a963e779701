package refresh_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// TestNothingWrittenHereIsEverLost lets a person work here, offline so to speak, while a colleague
// works there, and brings the remote changes in again and again. Whatever was written here and not
// overwritten or removed here must still be found somewhere; the store's check runs at the end.
func TestNothingWrittenHereIsEverLost(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, graphtest.Options{Seed: seed, FeedPage: 9, ShuffleFeed: seed%2 == 0})
				rnd := rand.New(rand.NewPCG(3, seed))
				for range 10 {
					for range 8 {
						f.colleague(rnd)
					}
					f.run()
					for range 6 {
						f.work(rnd)
						f.colleague(rnd)
					}
					before := f.unsent()
					f.run()
					f.found(before)
				}
			})
		})
	}
}

// run receives and applies, twice, since the second time must find nothing left to do.
func (f *follower) run() {
	f.t.Helper()
	time.Sleep(2 * time.Minute)
	res, err := f.r.Run(f.t.Context())
	f.ok(err)
	again, err := f.r.Run(f.t.Context())
	f.ok(err)
	if again.Applied > 0 || again.Waiting != res.Waiting {
		f.t.Errorf("a second run had more to do: %+v after %+v", again, res)
	}
}

// nodes lists everything here below the root.
func (f *follower) nodes() []cache.Node {
	f.t.Helper()
	var all []cache.Node
	var walk func(folder cache.Ino)
	walk = func(folder cache.Ino) {
		list, err := f.store.Tree().List(folder, 0, 10_000)
		f.ok(err)
		for _, n := range list {
			all = append(all, n)
			if n.Dir {
				walk(n.Ino)
			}
		}
	}
	walk(f.drive.Root)
	return all
}

// text reads local work.
func (f *follower) text(n cache.Node) string {
	f.t.Helper()
	file, err := f.store.Content().Local(uint64(n.Ino))
	if err != nil {
		f.t.Fatalf("%s: %v", n.Name, err)
	}
	defer file.Close()
	p := make([]byte, file.Size())
	if _, err := file.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		f.t.Fatal(err)
	}
	return string(p)
}

// unsent returns the texts that exist here alone.
func (f *follower) unsent() []string {
	f.t.Helper()
	var all []string
	for _, n := range f.nodes() {
		if n.Written {
			all = append(all, f.text(n))
		}
	}
	return all
}

// found asserts that texts are still here, as local work or as what the remote has too.
func (f *follower) found(texts []string) {
	f.t.Helper()
	left := map[string]int{}
	for _, text := range f.unsent() {
		left[text]++
	}
	for _, n := range f.nodes() {
		if !n.Dir && !n.Written && n.Base != nil {
			left[string(n.Base.Hash)]++
		}
	}
	for _, text := range texts {
		if left[text] > 0 {
			left[text]--
		} else if left[string(hashOf(text))] == 0 {
			f.t.Fatalf("%q is lost", text)
		}
	}
}

// work does one thing that a person might do here.
func (f *follower) work(rnd *rand.Rand) {
	f.t.Helper()
	tree := f.store.Tree()
	all := f.nodes()
	folders := []cache.Ino{f.drive.Root}
	for _, n := range all {
		if n.Dir {
			folders = append(folders, n.Ino)
		}
	}
	folder := folders[rnd.IntN(len(folders))]
	f.made++
	name := fmt.Sprintf("n%d.txt", f.made+rnd.IntN(3)) // the colleague counts alike
	// Both write the same now and then.
	text := fmt.Sprintf("edited %d", f.made+rnd.IntN(3))
	var n cache.Node
	if len(all) > 0 {
		n = all[rnd.IntN(len(all))]
	}
	switch k := rnd.IntN(10); {
	case k < 3 || n.Ino == 0:
		made, err := tree.Create(folder, name, cache.New{Mode: 0o644})
		if errors.Is(err, cache.ErrExist) {
			return
		}
		f.ok(err)
		file, err := f.store.Content().Create(uint64(made.Ino), uint64(made.Seq), content.Tag{Path: name})
		f.ok(err)
		f.write(made.Ino, file, text)
	case k < 4:
		_, _ = tree.Create(folder, strings.TrimSuffix(name, path.Ext(name)), cache.New{Dir: true, Mode: 0o755})
	case k < 7 && !n.Dir:
		f.rewrite(n, text)
	case k < 9:
		if n.Dir || rnd.IntN(2) == 0 {
			_, _ = tree.Rename(n.Parent, n.Name, folder, name, cache.NoReplace)
		} else {
			_, _ = tree.Rename(n.Parent, n.Name, n.Parent, name, cache.NoReplace)
		}
	default:
		_, _ = tree.Remove(n.Parent, n.Name, n.Dir)
	}
}

func (f *follower) rewrite(n cache.Node, text string) {
	f.t.Helper()
	var file *content.File
	var err error
	if n.Written {
		file, err = f.store.Content().Local(uint64(n.Ino))
	} else {
		file, err = f.store.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
	}
	f.ok(err)
	seq, err := f.store.Tree().Mark(n.Ino)
	f.ok(err)
	f.ok(file.UnsealEmpty(uint64(seq), content.Tag{Path: n.Name}))
	f.write(n.Ino, file, text)
}

func (f *follower) write(ino cache.Ino, file *content.File, text string) {
	f.t.Helper()
	_, err := file.WriteAt([]byte(text), 0)
	f.ok(err)
	_, err = f.store.Tree().Settle(ino, file.Size(), file.ModTime())
	f.ok(err)
	f.ok(file.Close())
}
