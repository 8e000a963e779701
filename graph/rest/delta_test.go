package rest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
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
