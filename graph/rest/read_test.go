package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/name"
	"github.com/duskfs/duskfs/graph/rest"
)

func TestItemTellsAllThatIsKnown(t *testing.T) {
	simply(t, func(w *world) {
		data := []byte("hello")
		i := w.put("/Docs/a.txt", data)
		must(t, w.far.Touch("/Docs/a.txt", yesterday))
		i = w.at("/Docs/a.txt")
		parent := w.at("/Docs")
		if i.Name != "a.txt" || i.Type != graph.File || i.Size != 5 || i.Parent != parent.ID || i.ETag == "" || i.CTag == "" {
			t.Errorf("got %+v", i)
		}
		if i.Hash != hashOf(data) || !i.ModTime.Equal(yesterday) {
			t.Errorf("hash %s, time %v", i.Hash, i.ModTime)
		}
		if parent.Type != graph.Folder || parent.Parent != w.root() || parent.Root {
			t.Errorf("folder: %+v", parent)
		}
		root, err := w.near.Root(w.ctx())
		if err != nil || !root.Root || root.Type != graph.Folder || root.Parent != "" {
			t.Errorf("root: %+v, %v", root, err)
		}
	})
}

func TestNamesInAddressesAreTakenAsTheyAre(t *testing.T) {
	simply(t, func(w *world) {
		for _, name := range []string{"100% #1 & more+.txt", "O'Brien (2).pdf", "Zażółć 文書 🎉.txt", "a;b,c=d@e$.x", "%41.txt", "[x]{y}^`~"} {
			want := w.put("/"+name, []byte(name))
			got, err := w.near.Child(w.ctx(), w.root(), name)
			if err != nil || got.ID != want.ID || got.Name != name {
				t.Errorf("Child(%q) = %+v, %v", name, got, err)
			}
		}
		for _, name := range []string{"", ".", "..", "a/b", "a:", "a:/children", "a\nb", "\xff"} {
			_, err := w.near.Child(w.ctx(), w.root(), name)
			wants(t, err, graph.NotExist)
		}
	})
}

func TestNamesThatCannotBeHereComeUnderOthersAndCanBeChanged(t *testing.T) {
	simply(t, func(w *world) {
		ids := map[string]graph.ItemID{}
		into, err := w.near.Mkdir(w.ctx(), w.root(), "into")
		must(t, err)
		for n, remote := range []string{"a/b", "..", ".", "../../x", "nul\x00l", "␛2F", "", "half \xed\xa0\x80", "half \xed\xa0\x81", "half \xed\xb0\x80🎉"} {
			path := fmt.Sprintf("/f%d", n)
			ids[name.Local(remote)] = w.put(path, []byte(remote)).ID
			_, err := w.far.Misname(path, remote)
			must(t, err)
		}
		got := map[string]graph.ItemID{}
		for i, err := range w.near.Children(w.ctx(), w.root()) {
			must(t, err)
			got[i.Name] = i.ID
		}
		for local, id := range ids {
			if got[local] != id {
				t.Errorf("%q is %q in the listing", local, got[local])
			}
			i, err := w.near.Item(w.ctx(), id)
			if err != nil || i.Name != local {
				t.Errorf("%q is read as %q, %v", local, i.Name, err)
			}
			page, err := w.near.Delta(w.ctx(), "")
			must(t, err)
			if !slices.ContainsFunc(page.Items, func(i graph.Item) bool { return i.ID == id && i.Name == local }) {
				t.Errorf("%q is not in the feed", local)
			}
			// What keeps the name moves, and another one is taken.
			_, err = w.near.Update(w.ctx(), id, graph.Change{Parent: into.ID}, "")
			must(t, err)
			if i, err = w.near.Item(w.ctx(), id); err != nil || i.Name != local || i.Parent != into.ID {
				t.Errorf("%q is moved to %q in %s, %v", local, i.Name, i.Parent, err)
			}
			i, err = w.near.Update(w.ctx(), id, graph.Change{Name: "plain " + string(id)}, "")
			if err != nil || i.Name != "plain "+string(id) {
				t.Errorf("%q is renamed to %q, %v", local, i.Name, err)
			}
		}
	})
}

// Of two names that the service tells apart each is found, sent and renamed by its own spelling.
func TestTwinsAreToldApartByTheirSpelling(t *testing.T) {
	simply(t, func(w *world) {
		const nfc, nfd = "r\u00e9sum\u00e9.txt", "re\u0301sume\u0301.txt"
		first, second := w.put("/"+nfc, []byte("1")), w.put("/x", []byte("2"))
		if _, err := w.near.Child(w.ctx(), w.root(), name.Twin(nfd, 0)); graph.KindOf(err) != graph.NotExist {
			t.Errorf("one that is not there: %v", err)
		}
		_, err := w.far.Misname("/x", nfd)
		must(t, err)
		for child, want := range map[string]graph.ItemID{nfc: first.ID, nfd: second.ID, name.Twin(nfd, 0): second.ID, name.Twin(nfc, 3): first.ID} {
			i, err := w.near.Child(w.ctx(), w.root(), child)
			if err != nil || i.ID != want {
				t.Errorf("%q is item %s, want %s, %v", child, i.ID, want, err)
			}
		}
		// What was shown as a twin is called so elsewhere.
		dir, err := w.near.Mkdir(w.ctx(), w.root(), "dir")
		must(t, err)
		i, err := w.near.Update(w.ctx(), second.ID, graph.Change{Parent: dir.ID, Name: name.Twin(nfd, 0)}, "")
		if err != nil || i.Name != nfd || i.Parent != dir.ID {
			t.Errorf("moved to %q in %s, %v", i.Name, i.Parent, err)
		}
	})
}

func TestChildrenComeFromAllPages(t *testing.T) {
	in(t, graphtest.Options{ListPage: 3}, nil, func(w *world) {
		want := map[string]bool{}
		for n := range 1100 {
			name := fmt.Sprintf("f%d", n)
			_, err := w.far.Put("/many/"+name, nil)
			must(t, err)
			want[name] = true
		}
		for i, err := range w.near.Children(w.ctx(), w.at("/many").ID) {
			must(t, err)
			delete(want, i.Name)
		}
		if len(want) > 0 {
			t.Errorf("%d children did not come", len(want))
		}
		asked := w.counted(func() {
			for range w.near.Children(w.ctx(), w.at("/many").ID) {
				break
			}
		}, graphtest.OpChildren)
		if asked != 1 {
			t.Errorf("a listing that was left asked %d times", asked)
		}
		for _, err := range w.near.Children(w.ctx(), "nothing") {
			wants(t, err, graph.NotExist)
		}
	})
}

func TestAListingThatNeverEndsIsAnError(t *testing.T) {
	simply(t, func(w *world) {
		folder := w.put("/d/f", nil).Parent
		next := w.GraphURL() + "/v1.0/drives/" + w.far.ID() + "/items/" + string(folder) + "/children?$skiptoken=x"
		w.Inject(graphtest.Fault{Op: graphtest.OpChildren, Status: 200, Times: -1, Type: "application/json",
			Body: `{"value":[],"@odata.nextLink":"` + next + `"}`})
		var last error
		for _, err := range w.near.Children(w.ctx(), folder) {
			last = err
		}
		wants(t, last, graph.Failed)
	})
}

func TestNotFoundIsNotBelievedAtOnce(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", nil)
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Item: string(i.ID), Status: 404, Times: 3})
		if _, err := w.near.Item(w.ctx(), i.ID); err != nil {
			t.Errorf("found late: %v", err)
		}
		n := w.counted(func() {
			_, err := w.near.Item(w.ctx(), "gone")
			wants(t, err, graph.NotExist)
		}, graphtest.OpItem)
		if n != 4 {
			t.Errorf("an item that is gone was asked for %d times, want 4", n)
		}
		n = w.counted(func() {
			_, err := w.near.Child(w.ctx(), w.root(), "nothing")
			wants(t, err, graph.NotExist)
		}, graphtest.OpItem)
		if n > 3 { // the root and two looks
			t.Errorf("a free name was asked for with %d requests", n)
		}
	})
}

func TestThrottlingStopsEverybodyForAsLongAsAsked(t *testing.T) {
	// Answers take a moment, and a refusal less than work done: where nothing takes any time, any
	// number of requests may be under way between the service's saying wait and the client's hearing it.
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Millisecond)
			resp, err := inner.RoundTrip(r)
			time.Sleep(5 * time.Millisecond)
			if err == nil && resp.StatusCode == http.StatusOK {
				time.Sleep(5 * time.Millisecond)
			}
			return resp, err
		})
	}, func(w *world) {
		for n := range 20 {
			w.put(fmt.Sprintf("/f%d", n), nil)
		}
		var ids []graph.ItemID
		for i, err := range w.near.Children(w.ctx(), w.root()) {
			must(t, err)
			ids = append(ids, i.ID)
		}
		w.ResetCounts()
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 900, Scope: "app"})
		began := time.Now()
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				if _, err := w.near.Item(w.ctx(), id); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took < 900*time.Second || took > 905*time.Second {
			t.Errorf("took %v", took)
		}
		if n := w.Counts().Of(graphtest.OpItem); n != 21 {
			t.Errorf("%d requests for 20 items and one refusal", n)
		}
	})
}

// A refusal whose body dawdles stops the others all the same, from its head on.
func TestThrottlingCountsFromTheHeadOfTheAnswer(t *testing.T) {
	simply(t, func(w *world) {
		a, b := w.put("/a", nil), w.put("/b", nil)
		began := time.Now()
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Item: string(a.ID), Status: 429, RetryAfter: 900, Scope: "app", Stall: graphtest.Duration(30 * time.Second)})
		var all sync.WaitGroup
		for _, id := range []graph.ItemID{a.ID, b.ID} {
			all.Go(func() {
				if _, err := w.near.Item(w.ctx(), id); err != nil {
					t.Error(err)
				}
				if time.Since(began) < 900*time.Second {
					t.Errorf("served after %v", time.Since(began))
				}
			})
			synctest.Wait()
		}
		all.Wait()
	})
}

func TestThrottlingByDateAndWithoutATime(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", nil)
		for _, fault := range []graphtest.Fault{
			{Status: 429, Header: map[string]string{"Retry-After": time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}},
			{Status: 429, Times: 5},
			{Status: 503, RetryAfter: 30},
			{Status: 509},
		} {
			fault.Op = graphtest.OpItem
			began := time.Now()
			w.Inject(fault)
			if _, err := w.near.Item(w.ctx(), i.ID); err != nil {
				t.Errorf("%+v: %v", fault, err)
			}
			if time.Since(began) == 0 {
				t.Errorf("status %d was repeated at once", fault.Status)
			}
		}
	})
}

func TestThrottlingThatOutlastsTheContextOrThePatience(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.Patience = time.Hour }, func(w *world) {
		i := w.put("/a", nil)
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 600, Scope: "app"})
		ctx, stop := context.WithTimeout(w.ctx(), 10*time.Second)
		defer stop()
		began := time.Now()
		_, err := w.near.Item(ctx, i.ID)
		wants(t, err, graph.Throttled)
		if time.Since(began) > time.Second {
			t.Error("it waited although waiting was in vain")
		}
		time.Sleep(600 * time.Second)
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 429, RetryAfter: 601, Scope: "app", Times: -1})
		began = time.Now()
		_, err = w.near.Item(w.ctx(), i.ID)
		wants(t, err, graph.Throttled)
		if took := time.Since(began); took < 50*time.Minute || took > 61*time.Minute {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestReadsAreRepeatedWhenTheServiceFails(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", nil)
		for _, f := range []graphtest.Fault{
			{Status: 500}, {Status: 502, Body: "<html>Bad Gateway</html>", Type: "text/html"}, {Status: 503}, {Status: 504},
			{Drop: graphtest.DropBefore}, {Drop: graphtest.DropAfter}, {Drop: graphtest.DropBody, Truncate: 10},
			{Delay: graphtest.Duration(10 * time.Minute)}, {Stall: graphtest.Duration(10 * time.Minute)}, {Empty: true},
		} {
			f.Op, f.Times = graphtest.OpItem, 2
			if f.Empty {
				f.Times = 1
			}
			w.Inject(f)
			_, err := w.near.Item(w.ctx(), i.ID)
			if f.Empty {
				wants(t, err, graph.Failed) // an empty 200 is an answer, and nonsense
			} else if err != nil {
				t.Errorf("%+v: %v", f, err)
			}
		}
		if left := w.ClearFaults(); left > 0 {
			t.Errorf("%d faults were not met", left)
		}
		w.SetOffline(true)
		_, err := w.near.Item(w.ctx(), i.ID)
		wants(t, err, graph.Offline)
	})
}

func TestNobodyAtTheAddressIsOffline(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.GraphURL = "https://nowhere.example" }, func(w *world) {
		_, err := w.near.Root(w.ctx())
		wants(t, err, graph.Offline)
		_, err = w.near.Mkdir(w.ctx(), "x", "y")
		wants(t, err, graph.Offline) // nothing left this machine, so nothing is lost
	})
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", nil)
		w.RevokeAccess()
		if _, err := w.near.Item(w.ctx(), i.ID); err != nil {
			t.Error(err)
		}
		w.RevokeAccess()
		if _, err := w.near.Mkdir(w.ctx(), w.root(), "d"); err != nil {
			t.Error(err)
		}
		if w.tokens.refreshes != 2 {
			t.Errorf("%d refreshes for 2 refusals", w.tokens.refreshes)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: 401, Header: map[string]string{
			"WWW-Authenticate": `Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ"`}})
		if _, err := w.near.Item(w.ctx(), i.ID); err != nil {
			t.Error(err)
		}
		if len(w.tokens.claims) != 1 || w.tokens.claims[0] != `{"access_token":{}}` {
			t.Errorf("claims %q", w.tokens.claims)
		}
		w.tokens.fixed = true
		n := w.counted(func() {
			_, err := w.near.Item(w.ctx(), i.ID)
			wants(t, err, graph.SignIn)
		}, graphtest.OpItem)
		if n != 2 {
			t.Errorf("a worthless token was tried %d times", n)
		}
	})
}

func TestTroublesOfTheSignIn(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/a", nil)
		offline := &graph.Error{Op: "sign in", Kind: graph.Offline}
		throttled := &graph.Error{Op: "sign in", Kind: graph.Throttled, RetryAfter: time.Minute}
		refused := &graph.Error{Op: "sign in", Kind: graph.SignIn}
		mkdir := func() error { _, err := w.near.Mkdir(w.ctx(), i.Parent, "d"); return err }

		w.tokens.failures = []error{offline, offline}
		if _, err := w.near.Item(w.ctx(), i.ID); err != nil {
			t.Error(err)
		}
		w.tokens.failures = []error{offline, offline, offline}
		wants(t, mkdir(), graph.Offline) // nothing was sent, so nothing is lost
		w.tokens.failures = []error{refused}
		wants(t, mkdir(), graph.SignIn)

		began := time.Now()
		w.tokens.failures = []error{throttled}
		var all sync.WaitGroup
		all.Go(func() {
			if err := mkdir(); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if _, err := w.near.Item(w.ctx(), i.ID); err != nil || time.Since(began) > 0 {
			t.Errorf("another call, which has a token, waited %v: %v", time.Since(began), err)
		}
		all.Wait()
		if time.Since(began) != time.Minute {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}

func TestCallsUnderWayAreLimited(t *testing.T) {
	var now, most int
	var mu sync.Mutex
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Concurrency = 3
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _, _ = w.near.Root(w.ctx()) })
		}
		all.Wait()
		if most != 3 {
			t.Errorf("%d at once, want 3", most)
		}
	})
}

func TestTokensGoToGraphAlone(t *testing.T) {
	var strangers []string
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(o.GraphURL, "https://"+r.URL.Host) && r.Header.Get("Authorization") != "" {
				strangers = append(strangers, r.URL.Host)
			}
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		w.put("/a", nil)
		for _, next := range []string{"https://evil.example/v1.0/next", "http://" + strings.TrimPrefix(w.GraphURL(), "https://") + "/v1.0/next",
			w.StorageURL() + "/x", w.GraphURL() + ".evil.example/x", "https://me@evil.example/", "://"} {
			w.Inject(graphtest.Fault{Op: graphtest.OpChildren, Status: 200, Type: "application/json", Body: `{"value":[],"@odata.nextLink":"` + next + `"}`})
			var last error
			for _, err := range w.near.Children(w.ctx(), w.root()) {
				last = err
			}
			wants(t, last, graph.Failed)
			w.Inject(graphtest.Fault{Op: graphtest.OpDelta, Status: 200, Type: "application/json", Body: `{"value":[],"@odata.nextLink":"` + next + `"}`})
			_, err := w.near.Delta(w.ctx(), graph.Start)
			wants(t, err, graph.Failed)
		}
		if len(strangers) > 0 {
			t.Errorf("tokens went to %v", strangers)
		}
	})
}

func TestAnAddressThatCannotBeGraphIsRefused(t *testing.T) {
	for _, address := range []string{"http://graph.example", "graph.example", "https://graph.example/v1.0", "https://u:p@graph.example", "https://graph.example?x=1"} {
		_, err := rest.New(rest.Options{GraphURL: address, Tokens: &tokens{}})
		wants(t, err, graph.Invalid)
	}
}

func TestDriveAndItsQuota(t *testing.T) {
	simply(t, func(w *world) {
		w.put("/a", make([]byte, 1000))
		w.far.SetQuota(5000)
		d, err := w.near.Drive(w.ctx())
		must(t, err)
		if d.ID != graph.DriveID(w.far.ID()) || d.Type != "business" || d.Account != w.Me().UPN || d.Quota.Total != 5000 || d.Quota.Used != 1000 || d.Quota.Remaining != 4000 {
			t.Errorf("got %+v", d)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpDrive, Status: 200, Type: "application/json",
			Body: `{"id":"x","quota":{"total":"700","used":null,"remaining":-5}}`})
		d, err = w.near.Drive(w.ctx())
		must(t, err)
		if d.Quota != (graph.Quota{Total: 700}) {
			t.Errorf("odd quota: %+v", d.Quota)
		}
	})
}

// An answer without its list says nothing; taken for an empty folder it would cost everything in it.
func TestAListingWithoutItsListIsNoEmptyFolder(t *testing.T) {
	simply(t, func(w *world) {
		dir := w.put("/d/f", nil).Parent
		for _, body := range []string{"{}", `{"value":null}`, `{"error":{"code":"generalException"}}`} {
			w.Inject(graphtest.Fault{Op: graphtest.OpChildren, Status: http.StatusOK, Type: "application/json", Body: body})
			n, failed := 0, error(nil)
			for _, err := range w.near.Children(w.ctx(), dir) {
				if failed = err; err == nil {
					n++
				}
			}
			if wants(t, failed, graph.Failed); n > 0 {
				t.Errorf("%s lists %d", body, n)
			}
		}
	})
}
