package rest_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// day makes, reads, lists, replaces, moves and deletes, and expects all of it to work.
func (w *world) day() {
	w.t.Helper()
	t := w.t
	root := w.root()
	dir, err := w.near.Mkdir(w.ctx(), root, "d %41")
	must(t, err)
	inner, err := w.near.Mkdir(w.ctx(), dir.ID, "inner")
	must(t, err)
	data := noise(2*fragment+5, 1)
	i, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: inner.ID, Name: "a b.txt"}, data))
	must(t, err)
	got, err := w.read(i, 0, i.Size)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	empty, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: inner.ID, Name: "empty"}, nil))
	if err != nil || !empty.ModTime.Equal(yesterday) && !empty.ModTime.IsZero() {
		t.Errorf("empty file %+v, %v", empty, err)
	}
	data = noise(100, 2)
	j, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, data))
	must(t, err)
	w.holds("/d %41/inner/a b.txt", data)
	time.Sleep(20 * time.Second) // a move right after the bytes is no date: it may be lost (Q4), and is not repeated
	moved, err := w.near.Update(w.ctx(), j.ID, graph.Change{Parent: root, Name: "c d", ModTime: yesterday}, "")
	if err != nil || moved.Name != "c d" || moved.Parent != root || !moved.ModTime.Equal(yesterday) && !moved.ModTime.IsZero() {
		t.Errorf("moved: %+v, %v", moved, err)
	}
	n := 0
	for i, err := range w.near.Children(w.ctx(), inner.ID) {
		must(t, err)
		if i.Type == graph.File {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d files are left", n)
	}
	must(t, w.near.Delete(w.ctx(), empty.ID, ""))
	must(t, w.near.Delete(w.ctx(), inner.ID, ""))
	must(t, w.near.Delete(w.ctx(), dir.ID, ""))
	if left, err := w.far.Walk(); err != nil || len(left) != 1 || left[0].Name != "c d" {
		t.Errorf("left are %+v, %v", left, err)
	}
	w.holds("/c d", data)
	items, _, _ := w.follow(graph.Start)
	found := false
	for _, i := range items {
		found = found || i.Name == "c d"
	}
	if !found {
		t.Errorf("the feed has %+v", items)
	}
}

// TestEachQuirkIsSurvived switches the rows of the catalogue on, one after the other, and does a day's work; a row with a
// test of its own is asked more.
func TestEachQuirkIsSurvived(t *testing.T) {
	more := map[string]func(w *world){
		"Q6": func(w *world) { // the look after an answer that got lost goes by the listing
			must(w.t, w.Switch(graphtest.Quirk{Name: "Q5", Times: 1}))
			d, err := w.near.Mkdir(w.ctx(), w.root(), "late")
			if err != nil || d.Name != "late" {
				w.t.Errorf("made %+v, %v", d, err)
			}
		},
		"Q12": func(w *world) {
			for _, name := range []string{"100% sure", "a%20b", "%41", "50%", "ä b", "x%2525y"} {
				w.put("/"+name, nil)
			}
			items, _, _ := w.follow(graph.Start)
			names := map[string]bool{}
			for _, i := range items {
				names[i.Name] = true
			}
			for _, want := range []string{"100% sure", "a%20b", "%41", "50%", "ä b", "x%2525y"} {
				if !names[want] {
					w.t.Errorf("%q is not among %v", want, names)
				}
			}
		},
		"Q16": func(w *world) {
			_, err := w.near.Drive(w.ctx())
			must(w.t, err)
		},
		"Q17": func(w *world) {
			all, err := w.client.Drives(w.ctx(), "")
			if err != nil || titles(all) != "/OneDrive Engineering/Documents Engineering/Archive" {
				w.t.Errorf("drives %s, %v", titles(all), err)
			}
		},
		"Q26": func(w *world) {
			packages := 0
			for i, err := range w.near.Children(w.ctx(), w.root()) {
				must(w.t, err)
				if i.Type == graph.Package {
					packages++
				}
			}
			if packages != 1 {
				w.t.Errorf("%d packages", packages)
			}
		},
		"Q29": func(w *world) {
			w.all(w.near.Batch(w.ctx(), w.folders(20)), 20)
			w.ClearViolations() // what stands behind a refused request in the same batch was sent before the refusal
		},
	}
	for _, row := range graphtest.Catalogue() {
		name := fmt.Sprintf("Q%d", row.Number)
		quirk := graphtest.Quirk{Name: row.Name}
		switch row.Number {
		case 1, 7, 22, 28: // at every occasion nobody could work; the last, but for one of a few
			quirk.Chance = 0.2
		case 3, 18:
			quirk.Times = 2
		case 21:
			quirk.Times = 3
		case 29:
			quirk.Times = 4
		case 31, 32: // see TestWhatIsHeldOrLockedIsSaid
			continue
		}
		for _, personal := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				in(t, graphtest.Options{Personal: personal, Seed: 7}, nil, func(w *world) {
					time.Sleep(time.Minute) // the roots are not new
					must(t, w.Switch(quirk))
					if row.Number != 8 && row.Number != 33 {
						w.day()
					}
					if f := more[name]; f != nil {
						f(w)
					}
				})
			})
		}
	}
}

// Q7: what DELETE does not find and GET does is there.
func TestADeleteThatFindsNothingIsNotBelieved(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", nil)
		must(t, w.Switch(graphtest.Quirk{Name: "Q7"}))
		err := w.near.Delete(w.ctx(), i.ID, "")
		wants(t, err, graph.Failed)
		for _, r := range w.near.Batch(w.ctx(), []graph.Call{{Do: graph.DoDelete, ID: i.ID}, {Do: graph.DoDelete, ID: "gone"}}) {
			if r.Err == nil || graph.KindOf(r.Err) == graph.NotExist && strings.Contains(r.Err.Error(), string(i.ID)) {
				t.Errorf("in a batch: %v", r.Err)
			}
		}
		w.SwitchOff()
		must(t, w.near.Delete(w.ctx(), i.ID, ""))
		wants(t, w.near.Delete(w.ctx(), i.ID, ""), graph.NotExist)
	})
}

// Q19: sessions are begun without a condition, since making one with it changes the tag it holds for.
func TestSessionsCarryNoCondition(t *testing.T) {
	in(t, graphtest.Options{StrictSessionMatch: true}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "createUploadSession") && (r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "") {
				t.Error("a session carries a condition")
			}
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		i := w.put("/f", []byte("before"))
		w.send(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours"), "/f")
		w.send(graph.Upload{Parent: i.Parent, Name: "g"}, []byte("ours"), "/g")
	})
}

// Q23: where one may not write, a PUT is told that there is nothing; the truth is asked for.
func TestAReadOnlyFolderIsNotCalledMissing(t *testing.T) {
	simply(t, func(w *world) {
		dir := w.put("/shared/f", nil).Parent
		must(t, w.far.Protect("/shared", true))
		must(t, w.Switch(graphtest.Quirk{Name: "Q23"}))
		for _, data := range [][]byte{nil, []byte("ours")} {
			_, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: dir, Name: "new"}, data))
			wants(t, err, graph.Denied)
		}
		must(t, w.far.Protect("/shared", false))
		w.Inject(graphtest.Fault{Op: graphtest.OpPut, Status: 404, Times: -1})
		_, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: dir, Name: "new"}, nil))
		wants(t, err, graph.Failed)
		_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: "gone", Name: "new"}, nil))
		wants(t, err, graph.NotExist)
		if n := w.OpenSessions(); n > 0 {
			t.Errorf("%d sessions are left open", n)
		}
	})
}

// Q28: one drive is throttled, and nothing is lost in another, nor in the sign-in.
func TestOneDriveIsThrottledAndOthersGoOn(t *testing.T) {
	simply(t, func(w *world) {
		lib := w.Drive("sites/Engineering#Documents")
		other := w.client.Drive(graph.DriveID(lib.ID()))
		i := w.put("/f", nil)
		w.Inject(graphtest.Fault{Drive: w.far.ID(), Status: 429, RetryAfter: 60})
		_, err := w.near.Item(w.ctx(), i.ID)
		must(t, err)
		_, err = other.Root(w.ctx())
		must(t, err)
	})
}

// Q27: what is shared is found by shortcuts; sharedWithMe is withdrawn and never asked.
func TestNobodyAsksForSharedWithMe(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "sharedWithMe") {
				t.Error("sharedWithMe was asked")
			}
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		other := w.AddUser("carol@contoso.example", "Carol", graphtest.Business).Drive()
		w.must(other.Put("/shared/x", []byte("hers")))
		w.must(w.far.MakeShortcut("/link", other, "/shared"))
		link := w.at("/link")
		if link.Type != graph.Shortcut {
			t.Fatalf("got %+v", link)
		}
		near := w.client.Drive(link.TargetDrive)
		for i, err := range near.Children(w.ctx(), link.Target) {
			if err != nil || i.Name != "x" {
				t.Errorf("behind the shortcut: %+v, %v", i, err)
			}
		}
	})
}

// Q31, Q32: what is held or locked fails alone, and says why.
func TestWhatIsHeldOrLockedIsSaid(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/d/f", []byte("before"))
		must(t, w.Switch(graphtest.Quirk{Name: "Q31"}))
		wants(t, w.near.Delete(w.ctx(), i.Parent, ""), graph.Denied)
		must(t, w.Switch(graphtest.Quirk{Name: "Q32"}))
		for range 3 { // three shapes
			_, err := w.near.Update(w.ctx(), i.ID, graph.Change{Name: "g"}, "")
			wants(t, err, graph.Locked)
			_, err = w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours")))
			wants(t, err, graph.Locked)
			wants(t, w.near.Delete(w.ctx(), i.ID, ""), graph.Locked)
		}
		w.SwitchOff("Q32")
		w.holds("/d/f", []byte("before"))
		must(t, w.near.Delete(w.ctx(), i.ID, ""))
		must(t, w.near.Delete(w.ctx(), i.Parent, "")) // empty now
	})
}

// Q33: of names that the drive takes for one, the other is named.
func TestTheNameThatClashesIsNamed(t *testing.T) {
	simply(t, func(w *world) {
		must(t, w.Switch(graphtest.Quirk{Name: "Q33"}))
		root := w.put("/Ærø", nil).Parent
		check := func(what string, err error) {
			var e *graph.Error
			if !errors.As(err, &e) || e.Kind != graph.Exist || !strings.Contains(e.Message, "Ærø") {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err := w.near.Mkdir(w.ctx(), root, "aero")
		check("mkdir", err)
		_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: "aero"}, nil))
		check("empty file", err)
		_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: "aero"}, []byte("x")))
		check("file", err)
		w.SwitchOff()
		// A library says it as "not found" (onedrive-api-docs 977).
		clash := graphtest.Fault{Op: "mkdir,put,createSession", Status: 404, Code: "itemNotFound", Times: -1,
			Message: "The specified item name is incompatible with a similar name on an existing item."}
		w.Inject(clash)
		_, err = w.near.Mkdir(w.ctx(), root, "aero")
		check("mkdir, not found", err)
		_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: "aero"}, nil))
		check("empty file, not found", err)
		_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: "aero"}, []byte("x")))
		check("file, not found", err)
		if n := w.OpenSessions(); n > 0 {
			t.Errorf("%d sessions are left open", n)
		}
	})
}

// SharePoint refuses an address of more than some two thousand bytes with a bare 401 (graph-facts §11.2), which a name in
// another script can reach. That is no matter of the sign-in.
func TestALongAddressIsNoSignIn(t *testing.T) {
	simply(t, func(w *world) {
		w.SetQuirks(graphtest.Quirks{RefuseLongURLs: true})
		_, err := w.near.Child(w.ctx(), w.root(), strings.Repeat("文", 250))
		wants(t, err, graph.Invalid)
		if w.tokens.refreshes > 0 {
			t.Errorf("%d new tokens", w.tokens.refreshes)
		}
	})
}
