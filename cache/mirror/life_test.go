package mirror_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

var large = flag.Bool("large", false, "mirror 20,000 files and 500 changes, minutes instead of seconds")

// oddNames are legal and seldom thought of.
var oddNames = []string{"100% # & + ' ,.txt", "#1", "a b  c.txt", "50%25.txt", "né.txt", "ne\u0301e.txt", "🌅 sunset.jpg", "日本語.txt", "-rf", "~x", "$(id)", "a;b", ".hidden", "x.tar.gz", "'quoted'", "+plus+", "100%", "%41.txt"}

// colleague does one thing that a person might do to the library, if it can be done.
func (w *world) colleague(rnd *rand.Rand, n int) {
	w.t.Helper()
	all, err := w.far.Walk()
	w.ok(err)
	folders, things := []string{"/"}, []graphtest.Info{}
	for _, i := range all {
		if i.Folder && strings.Count(i.Path, "/") < 6 {
			folders = append(folders, i.Path)
		}
		things = append(things, i)
	}
	name := fmt.Sprintf("n%d.txt", n)
	if rnd.IntN(4) == 0 {
		name = oddNames[rnd.IntN(len(oddNames))]
	}
	name = path.Join(folders[rnd.IntN(len(folders))], name)
	thing := things[rnd.IntN(len(things))]
	// What cannot be done is not done: names that are taken, folders moved into themselves.
	switch k := rnd.IntN(20); {
	case k < 4:
		_, _ = w.far.Put(name, fmt.Appendf(nil, "text %d", n))
	case k < 5:
		_, _ = w.far.Mkdir(strings.TrimSuffix(name, ".txt"))
	case k < 9 && !thing.Folder:
		_, _ = w.far.Put(thing.Path, fmt.Appendf(nil, "edited %d", n))
	case k < 12:
		_, _ = w.far.Move(thing.Path, name)
	case k < 13:
		if thing.Folder && rnd.IntN(3) > 0 {
			return
		}
		_ = w.far.Delete(thing.Path)
		switch rnd.IntN(4) {
		case 0:
			_ = w.far.Restore(thing.ID)
		case 1:
			_, _ = w.far.Put(thing.Path, fmt.Appendf(nil, "anew %d", n))
		}
	case k < 14:
		other := things[rnd.IntN(len(things))]
		aside := fmt.Sprintf("/aside%d", n)
		if _, err := w.far.Move(thing.Path, aside); err == nil {
			_, _ = w.far.Move(other.Path, thing.Path)
			if _, err := w.far.Move(aside, other.Path); err != nil {
				_, _ = w.far.Move(aside, fmt.Sprintf("/back%d", n))
			}
		}
	case k < 15:
		_ = w.far.Revoke(thing.Path)
	case k < 16:
		_ = w.far.Touch(thing.Path, time.Unix(1e9+int64(n), 0))
	default:
		g := []graphtest.Grant{
			{User: w.s.Me().UPN}, {Group: "AI Team", Role: "write"}, {SiteGroup: "Engineering Visitors"}, {Group: fmt.Sprintf("Group %d", n%7)},
			{Link: "anonymous"}, {Link: "organization", Role: "write"}, {Link: "users", To: []string{w.s.Me().UPN}}, {Link: "existingAccess"},
			{SiteGroup: "Full", Role: "sp.full control"},
		}
		_ = w.far.Grant(thing.Path, g[rnd.IntN(len(g))])
	}
}

func TestALifeOfChanges(t *testing.T) {
	for i, c := range []struct {
		about   string
		o       graphtest.Options
		compare bool // everything is enumerated in each run
	}{
		{"plain", graphtest.Options{FeedPage: 7}, false},
		{"pages in any order", graphtest.Options{FeedPage: 5, ShuffleFeed: true, EmptyFirstPage: true, BareFeed: true}, false},
		{"all that is below a deleted folder is called deleted", graphtest.Options{TombstoneChildren: true}, false},
		{"old states come along", graphtest.Options{Quirks: graphtest.Quirks{DuplicateFeed: true, OddTimes: true}}, false},
		{"no hashes", graphtest.Options{Quirks: graphtest.Quirks{NoHashes: true}}, false},
		{"deletions get lost", graphtest.Options{Quirks: graphtest.Quirks{LoseTombstones: true}}, true},
	} {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			c.o.Seed = uint64(i)
			synctest.Test(t, func(t *testing.T) { // where the client's waiting costs nothing
				w := library(t, c.o)
				w.o.AllowDeletes = true
				if c.compare {
					w.o.ReconcileEvery = time.Nanosecond
				}
				rnd := rand.New(rand.NewPCG(3, c.o.Seed))
				for n := range 30 {
					w.put(fmt.Sprintf("/d%d/e%d/f%d", n%3, n%4, n), fmt.Sprint(n))
				}
				w.sync()
				w.equal()
				for round := range 12 {
					for n := range 10 {
						w.colleague(rnd, round*100+n)
					}
					if rnd.IntN(6) == 0 {
						w.far.ForgetFeed("")
					}
					time.Sleep(time.Minute)
					w.sync()
					w.equal()
				}
				if r := w.sync(); r.Fetched != 0 || r.Report != "" {
					t.Errorf("a last run: %+v", r)
				}
			})
		})
	}
}

// TestALargeLibrary mirrors many files and replays changes of every kind. The numbers are behind a flag.
func TestALargeLibrary(t *testing.T) {
	files, changes := 800, 150
	if *large {
		files, changes = 20_000, 500
	}
	w := library(t, graphtest.Options{})
	w.o.AllowDeletes = true
	for n := range files {
		name := fmt.Sprintf("file %d.txt", n)
		if n < len(oddNames) {
			name = oddNames[n]
		}
		w.put(fmt.Sprintf("/part %d/%d/%s", n%10, n%77, name), fmt.Sprint("text ", n))
	}
	r := w.sync()
	if r.Added != files || r.Fetched != files || r.Read != files {
		t.Errorf("%+v", r)
	}
	w.equal()
	again := func() {
		t.Helper()
		w.s.ResetCounts()
		if r := w.sync(); r.Fetched != 0 || r.Report != "" {
			t.Errorf("a run without changes: %+v", r)
		}
		if c := w.s.Counts(); c.BytesDown != 0 || c.Of(graphtest.OpContent) != 0 {
			t.Errorf("bodies were fetched: %+v", c)
		}
	}
	again()
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range changes {
		w.colleague(rnd, n)
	}
	w.sync()
	w.equal()
	again()
}

func TestAFolderOfTenThousandIsPaged(t *testing.T) {
	w := library(t, graphtest.Options{})
	w.o.Service = feedAndReader{w.near, w.near} // permissions are not the matter here
	const n = 10_000
	for i := range n {
		w.put(fmt.Sprintf("/all/%05d", i), "")
	}
	if r := w.run(); r.Total != n || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	w.same("the folder", w.here(), w.there())
}

type feedAndReader struct {
	graph.Feed
	graph.Reader
}

var _ mirror.Service = feedAndReader{}
