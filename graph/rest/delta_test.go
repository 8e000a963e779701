package rest_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// follow reads the feed to its end.
func (w *world) follow(from graph.Link) (items []graph.Item, link graph.Link, pages int) {
	w.t.Helper()
	for {
		p, err := w.near.Delta(w.ctx(), from)
		if err != nil {
			w.t.Fatal(err)
		}
		items, from = append(items, p.Items...), p.Next
		if pages++; p.Done {
			return items, from, pages
		}
	}
}

func TestFeedFromStartAndOn(t *testing.T) {
	in(t, graphtest.Options{EmptyFirstPage: true, ShuffleFeed: true}, nil, func(w *world) {
		for n := range 1200 {
			_, err := w.far.Put(fmt.Sprintf("/d%d/f%d", n%7, n), nil)
			must(t, err)
		}
		all, link, pages := w.follow(graph.Start)
		ids := map[graph.ItemID]graph.Item{}
		for _, i := range all {
			ids[i.ID] = i
		}
		if len(ids) != 1200+7+1 || pages < 3 {
			t.Errorf("%d items on %d pages", len(ids), pages)
		}
		if strings.Contains(string(link), "://") {
			t.Error("the link holds an address")
		}

		if more, _, _ := w.follow(link); len(more) != 0 {
			t.Errorf("nothing changed, yet came %+v", more)
		}
		_, err := w.far.Put("/d1/new", []byte("x"))
		must(t, err)
		must(t, w.far.Delete("/d2/f2"))
		more, _, _ := w.follow(link)
		var created, deleted bool
		for _, i := range more {
			switch {
			case i.Deleted:
				deleted = true
				if i != (graph.Item{ID: i.ID, Deleted: true}) || ids[i.ID].Name != "f2" {
					t.Errorf("tombstone %+v of %+v", i, ids[i.ID])
				}
			case i.Name == "new":
				created = i.Type == graph.File && i.Size == 1 && i.Hash != "" && i.CTag == ""
			}
		}
		if !created || !deleted {
			t.Errorf("changes: %+v", more)
		}
	})
}

func TestFeedFromNow(t *testing.T) {
	simply(t, func(w *world) {
		w.put("/old", nil)
		items, link, _ := w.follow(graph.Latest)
		if len(items) != 0 {
			t.Errorf("items %+v", items)
		}
		new := w.put("/new", nil)
		items, _, _ = w.follow(link)
		found := false
		for _, i := range items {
			found = found || i.ID == new.ID
			if i.Name == "old" {
				t.Error("what was there before came")
			}
		}
		if !found {
			t.Error("what came later did not")
		}
	})
}

func TestAForgottenLinkStartsAnew(t *testing.T) {
	simply(t, func(w *world) {
		w.put("/a", nil)
		for _, code := range []string{"", "resyncChangesApplyDifferences", "resyncChangesUploadDifferences"} {
			_, link, _ := w.follow(graph.Start)
			w.far.ForgetFeed(code)
			_, err := w.near.Delta(w.ctx(), link)
			wants(t, err, graph.Restart)
		}
		_, link, _ := w.follow(graph.Start)
		for _, f := range []graphtest.Fault{{Status: 400, Message: "Invalid paging token"}, {Status: 404, Times: -1}, {Status: 410, Code: "syncStateNotFound"}} {
			f.Op = graphtest.OpDelta
			w.Inject(f)
			_, err := w.near.Delta(w.ctx(), link)
			wants(t, err, graph.Restart)
			w.ClearFaults()
		}
		_, err := w.near.Delta(w.ctx(), "no link at all")
		wants(t, err, graph.Restart)
	})
}

func TestAFeedOfNothingIsNoRestart(t *testing.T) {
	simply(t, func(w *world) {
		for _, from := range []graph.Link{graph.Start, graph.Latest} {
			_, err := w.client.Drive("nothing").Delta(w.ctx(), from)
			wants(t, err, graph.NotExist)
		}
		w.put("/a", nil)
		_, link, _ := w.follow(graph.Start)
		ctx, stop := context.WithCancel(w.ctx())
		stop()
		if _, err := w.near.Delta(ctx, link); err == nil || graph.KindOf(err) != "" {
			t.Errorf("a call given up: %v", err)
		}
	})
}

func TestAFeedThatStandsStillIsAnError(t *testing.T) {
	simply(t, func(w *world) {
		w.put("/a", nil)
		_, link, _ := w.follow(graph.Start)
		for _, body := range []string{`{"value":[]}`, `{"value":[],"@odata.nextLink":"` + w.GraphURL() + string(link) + `"}`} {
			w.Inject(graphtest.Fault{Op: graphtest.OpDelta, Status: 200, Type: "application/json", Body: body})
			_, err := w.near.Delta(w.ctx(), link)
			wants(t, err, graph.Failed)
		}
	})
}

// Every page is asked for the same way, since the service forgets what was preferred (graph-facts §4).
func TestEveryPageOfTheFeedIsPreferredAlike(t *testing.T) {
	for _, sharing := range []bool{false, true} {
		var asked []*http.Request
		in(t, graphtest.Options{FeedPage: 10}, func(o *rest.Options) {
			inner := o.Transport
			o.SharingChanges = sharing
			o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
				if strings.Contains(r.URL.Path, "/delta") || strings.HasSuffix(r.URL.Path, "/children") {
					asked = append(asked, r)
				}
				return inner.RoundTrip(r)
			})
		}, func(w *world) {
			for n := range 2500 {
				w.must(w.far.Put(fmt.Sprintf("/d/f%d", n), nil))
			}
			_, link, pages := w.follow(graph.Start)
			w.follow(link)
			w.follow(graph.Latest)
			for range w.near.Children(w.ctx(), w.at("/d").ID) {
				continue
			}
			if pages < 3 || len(asked) < pages+4 {
				t.Errorf("%d pages, %d requests", pages, len(asked))
			}
			for _, r := range asked {
				feed := strings.Contains(r.URL.Path, "/delta")
				want := "Include-Feature=AddToOneDrive"
				if feed && sharing {
					want += ", hierarchicalsharing, deltashowremovedasdeleted, deltatraversepermissiongaps, deltashowsharingchanges"
				}
				if got := r.Header.Get("Prefer"); got != want {
					t.Errorf("%s prefers %q", r.URL.RawQuery, got)
				}
				if r.Header.Get("deltaExcludeParent") != "" {
					t.Error("folders above are left out")
				}
				q := r.URL.Query()
				if q.Get("token") == "" && q.Get("$skiptoken") == "" && strings.Contains(q.Get("$select"), "parentReference") == (feed && sharing) {
					t.Errorf("asked for %s", r.URL.RawQuery)
				}
			}
		})
	}
}

// What the feed gives is what reading the item gives, as far as the feed tells it.
func TestTheFeedLeavesNothingOutThatIsNeeded(t *testing.T) {
	for _, personal := range []bool{false, true} {
		in(t, graphtest.Options{Personal: personal}, nil, func(w *world) {
			w.put("/d/f.txt", []byte("x"))
			must(t, w.far.Touch("/d/f.txt", yesterday))
			w.must(w.far.MakePackage("/notes"))
			other := w.AddUser("carol@contoso.example", "Carol", graphtest.Business).Drive()
			w.must(other.Put("/shared/x", nil))
			w.must(w.far.MakeShortcut("/link", other, "/shared"))
			byID := map[graph.ItemID]graph.Item{}
			items, _, _ := w.follow(graph.Start)
			for _, i := range items {
				byID[i.ID] = i
			}
			for _, path := range []string{"/", "/d", "/d/f.txt", "/notes", "/link"} {
				want := w.at(path)
				got := byID[want.ID]
				if want.Type == graph.File || personal {
					want.CTag = got.CTag // business feeds leave it out
				}
				want.CTag, got.CTag = "", ""
				if got != want {
					t.Errorf("%s: feed gave\n%+v, item is\n%+v", path, got, want)
				}
				for i, err := range w.near.Children(w.ctx(), want.Parent) {
					if i.CTag = ""; err != nil || i.ID == want.ID && i != want {
						t.Errorf("%s: listing gave\n%+v, %v, item is\n%+v", path, i, err, want)
					}
				}
			}
			link := byID[w.at("/link").ID]
			shared, err := other.Stat("/shared")
			must(t, err)
			if link.Type != graph.Shortcut || !graph.SameDrive(link.TargetDrive, graph.DriveID(other.ID())) || string(link.Target) != shared.ID {
				t.Errorf("shortcut %+v", link)
			}
			if byID[w.at("/notes").ID].Type != graph.Package {
				t.Error("a notebook is no package")
			}
		})
	}
}

// Items that vanish can come without a sign of it: no deleted facet, and no parent (graph-facts §4).
func TestAnEntryThatIsNowhereIsAskedFor(t *testing.T) {
	simply(t, func(w *world) {
		there := w.put("/d/f", []byte("x"))
		entry := func(id graph.ItemID) string {
			return `{"id":"` + string(id) + `","name":"f","file":{},"parentReference":{}}`
		}
		page := `{"value":[` + entry("GONE") + `,` + entry(there.ID) + `],"@odata.deltaLink":"` + w.GraphURL() + `/v1.0/x"}`
		w.Inject(graphtest.Fault{Op: graphtest.OpDelta, Status: 200, Type: "application/json", Body: page, Times: 2})
		p, err := w.near.Delta(w.ctx(), graph.Start)
		must(t, err)
		if len(p.Items) != 2 || p.Items[0] != (graph.Item{ID: "GONE", Deleted: true}) || p.Items[1] != there {
			t.Errorf("got %+v", p.Items)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 403, Times: -1})
		_, err = w.near.Delta(w.ctx(), graph.Start)
		wants(t, err, graph.Denied)
	})
}

// A feed that ends in the middle, in each of the forms seen, starts anew.
func TestTheFeedBreaksOffBetweenPages(t *testing.T) {
	for name, fault := range map[string]graphtest.Fault{
		"stale link":           {Status: 400, Code: "invalidRequest", Message: "Invalid paging token"},
		"not found":            {Status: 404, Times: -1},
		"gone":                 {Status: 410, Code: "resyncRequired"},
		"gone, apply":          {Status: 410, Code: "resyncRequired", Inner: "resyncChangesApplyDifferences"},
		"gone, upload":         {Status: 410, Code: "resyncChangesUploadDifferences"},
		"gone, without a body": {Status: 410, Body: " ", Type: "text/html"},
		"gone, forgotten":      {Status: 410, Code: "syncStateNotFound"},
		"resync as 400":        {Status: 400, Code: "resyncRequired"},
	} {
		t.Run(name, func(t *testing.T) {
			simply(t, func(w *world) {
				for n := range 1500 {
					w.must(w.far.Put(fmt.Sprintf("/f%d", n), nil))
				}
				p, err := w.near.Delta(w.ctx(), graph.Start)
				must(t, err)
				fault.Op = graphtest.OpDelta
				w.Inject(fault)
				_, err = w.near.Delta(w.ctx(), p.Next)
				wants(t, err, graph.Restart)
				w.ClearFaults()
			})
		})
	}
}

var million = flag.Bool("million", false, "enumerate a million items (a gigabyte of memory for the emulator)")

// What an enumeration takes does not grow with the number of items.
func TestAnEnumerationTakesNoMemory(t *testing.T) {
	n := 12_000
	if *million {
		n = 1_000_000
	}
	in(t, graphtest.Options{}, func(o *rest.Options) { o.Logger = nil }, func(w *world) {
		must(t, w.far.Generate(n, 1))
		var m runtime.MemStats
		var first, most uint64
		items, pages := 0, 0
		for round := range 2 { // the emulator gathers hashes in the first one
			items, pages = 0, 0
			for link, done := graph.Start, false; !done; pages++ {
				p, err := w.near.Delta(w.ctx(), link)
				must(t, err)
				items += len(p.Items)
				link, done = p.Next, p.Done
				if every := max(1, n/10_000); round == 1 && pages%every == 1 {
					runtime.GC()
					runtime.ReadMemStats(&m)
					if first == 0 {
						first = m.HeapAlloc
					}
					most = max(most, m.HeapAlloc)
				}
			}
		}
		t.Logf("%d items on %d pages, %d KiB more at most", items, pages, (most-first)>>10)
		if items < n || most-first > 4<<20 {
			t.Errorf("%d items of %d, memory grew by %d KiB", items, n, (most-first)>>10)
		}
	})
}
