package flush_test

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/name"
)

const (
	composed   = "r\u00e9sum\u00e9.txt"
	decomposed = "re\u0301sume\u0301.txt"
)

// odd makes an item there under a name that the service lets nobody give, and returns its id.
func odd(t *testing.T, d *graphtest.Drive, folder, called, data string) string {
	t.Helper()
	p := path.Join(folder, "odd")
	if strings.HasSuffix(data, "/") {
		put(t, d, p+"/in.txt", data)
	} else {
		put(t, d, p, data)
	}
	i, err := d.Misname(p, called)
	must(t, err)
	return i.ID
}

// place returns where an item is, and its bytes.
func place(t *testing.T, w *simtest.World, id string) (at, data string) {
	t.Helper()
	i, err := w.Far.StatID(id)
	if err != nil {
		return err.Error(), ""
	}
	if !i.Folder {
		b, err := w.Far.Read(i.Path)
		must(t, err)
		data = string(b)
	}
	return i.Path, data
}

// shown returns the bytes of all files here by the paths that people see.
func shown(t *testing.T, w *simtest.World) map[string]string {
	t.Helper()
	all := map[string]string{}
	for p, n := range w.Shown() {
		if !n.Dir {
			data, err := w.Read(p)
			must(t, err)
			all[p] = string(data)
		}
	}
	return all
}

func TestTwinsAreSentUnderTheirTrueNames(t *testing.T) {
	marked := name.Twin(decomposed, 0)
	for what, c := range map[string]struct {
		do   func(w *simtest.World) error
		a, b string // where the elder and the younger are then, and what is in them
		n    int    // changes sent
	}{
		"nothing is done":            {func(w *simtest.World) error { return nil }, composed + "=alpha", decomposed + "=beta", 0},
		"the twin is written":        {func(w *simtest.World) error { return w.Write("/"+marked, []byte("ours")) }, composed + "=alpha", decomposed + "=ours", 1},
		"the other is written":       {func(w *simtest.World) error { return w.Write("/"+composed, []byte("ours")) }, composed + "=ours", decomposed + "=beta", 1},
		"the twin is renamed":        {func(w *simtest.World) error { return w.Move("/"+marked, "/b.txt") }, composed + "=alpha", "b.txt=beta", 1},
		"the other is renamed":       {func(w *simtest.World) error { return w.Move("/"+composed, "/a.txt") }, "a.txt=alpha", decomposed + "=beta", 1},
		"the twin is dated":          {func(w *simtest.World) error { return w.Touch("/"+marked, w.Now().Add(-time.Hour)) }, composed + "=alpha", decomposed + "=beta", 1},
		"the twin moves":             {func(w *simtest.World) error { return w.Move("/"+marked, "/dir/"+marked) }, composed + "=alpha", "dir/" + decomposed + "=beta", 1},
		"the twin moves to its name": {func(w *simtest.World) error { return w.Move("/"+marked, "/dir/"+decomposed) }, composed + "=alpha", "dir/" + decomposed + "=beta", 1},
		"the twin is deleted":        {func(w *simtest.World) error { return w.Remove("/" + marked) }, composed + "=alpha", "itemNotFound", 1},
		"the other is deleted":       {func(w *simtest.World) error { return w.Remove("/" + composed) }, "itemNotFound", decomposed + "=beta", 1},
		"both are deleted": {func(w *simtest.World) error {
			if err := w.Remove("/" + composed); err != nil {
				return err
			}
			return w.Remove("/" + marked)
		}, "itemNotFound", "itemNotFound", 2},
		"the twin is saved by rename": {func(w *simtest.World) error {
			if err := w.Write("/new", []byte("ours")); err != nil {
				return err
			}
			return w.Move("/new", "/"+marked)
		}, composed + "=alpha", decomposed + "=ours", 1},
		"the other is saved by rename": {func(w *simtest.World) error {
			if err := w.Remove("/" + composed); err != nil {
				return err
			}
			w.Refresh() // the name is not the twin's to take
			return w.Write("/"+composed, []byte("ours"))
		}, composed + "=ours", decomposed + "=beta", 1},
	} {
		t.Run(what, func(t *testing.T) {
			var a, b string
			in(t, func(d *graphtest.Drive) {
				a = put(t, d, "/"+composed, "alpha").ID
				put(t, d, "/dir/x", "x")
			}, func(t *testing.T, w *simtest.World) {
				time.Sleep(time.Minute) // of the bubble
				b = odd(t, w.Far, "/", decomposed, "beta")
				w.Refresh()
				if got, err := w.Read("/" + marked); err != nil || string(got) != "beta" {
					t.Fatalf("%q, %v", got, err)
				}
				must(t, c.do(w))
				if r := w.Flush(); r.Sent != c.n || r.Deferred+r.Conflicts+r.Left > 0 {
					t.Errorf("%+v", r)
				}
				for id, want := range map[string]string{a: c.a, b: c.b} {
					at, data := place(t, w, id)
					if got := strings.TrimPrefix(at, "/") + "=" + data; got != want && !strings.Contains(at, want) {
						t.Errorf("item %s is %q, want %q", id, got, want)
					}
				}
				w.Refresh()
				w.Quiet()
				// Whoever is alone has the true name.
				names := map[string]bool{}
				for p := range w.Shown() {
					names[path.Base(p)] = true
				}
				if twins := names[composed] && names[marked]; !twins {
					for n := range names {
						if name.Plain(n) != n {
							t.Errorf("%q is alone and shown so still", n)
						}
					}
				}
				// And all is the same from a state that knows nothing.
				before := shown(t, w)
				w.Equal()
				w.Open(simtest.Folder(t))
				w.Refresh()
				for p, data := range shown(t, w) {
					if before[p] != data {
						t.Errorf("after a wipe %s is %q, and was %q", p, data, before[p])
					}
					delete(before, p)
				}
				if len(before) > 0 {
					t.Errorf("after a wipe %v are missing", before)
				}
			})
		})
	}
}

func TestNamesThatNoFileHereCanHaveAreSentAsTheyAre(t *testing.T) {
	for _, called := range []string{"", "half \xed\xa0\x80", "half \xed\xa0\x81", "a/b", "..", decomposed} {
		for _, kind := range []string{"bytes", "folder/"} {
			t.Run(strings.ToValidUTF8(called, "?")+" "+kind, func(t *testing.T) {
				in(t, func(d *graphtest.Drive) {
					put(t, d, "/"+composed, "alpha")
					put(t, d, "/dir/x", "x")
				}, func(t *testing.T, w *simtest.World) {
					time.Sleep(time.Minute) // of the bubble
					id := odd(t, w.Far, "/", called, kind)
					shown := "/" + name.Local(called)
					if called == decomposed {
						shown = "/" + name.Twin(called, 0)
					}
					w.Refresh()
					// Moved it keeps its name there, renamed it has another, deleted it is gone.
					must(t, w.Move(shown, "/dir"+shown))
					w.Flush()
					if i, err := w.Far.StatID(id); err != nil || i.Name != called || path.Dir(path.Clean("/"+i.Path)) == "" {
						t.Errorf("moved: %+v, %v", i, err)
					} else if dir, err := w.Far.Stat("/dir"); err != nil || i.Parent != dir.ID {
						t.Errorf("moved to %s, %v", i.Parent, err)
					}
					w.Refresh()
					w.Quiet()
					now := "/dir" + shown
					if called == decomposed {
						now = "/dir/" + called // alone there
					}
					if kind == "folder/" {
						must(t, w.Write(now+"/new.txt", []byte("n")))
					} else {
						must(t, w.Write(now, []byte("ours")))
					}
					w.Flush()
					w.Quiet()
					must(t, w.Move(now, "/plain"))
					w.Flush()
					if at, _ := place(t, w, id); at != "/plain" {
						t.Errorf("renamed to %s", at)
					}
					w.Refresh()
					w.Quiet()
					w.Equal()
					must(t, w.Remove("/plain"))
					w.Flush()
					if at, _ := place(t, w, id); at == "/plain" {
						t.Error("it is there still")
					}
				})
			})
		}
	}
}

func TestANameThatATwinHasThereIsTaken(t *testing.T) {
	marked := name.Twin(decomposed, 0)
	in(t, func(d *graphtest.Drive) {
		put(t, d, "/"+composed, "alpha")
		put(t, d, "/dir/"+composed, "another")
		put(t, d, "/x", "x")
	}, func(t *testing.T, w *simtest.World) {
		time.Sleep(time.Minute) // of the bubble
		odd(t, w.Far, "/", decomposed, "beta")
		w.Refresh()
		for what, err := range map[string]error{
			"a rename to the twin's true name":       w.Move("/"+composed, "/"+decomposed),
			"a twin goes to where its name is taken": w.Move("/"+marked, "/dir/"+marked),
			"a new file is called like a twin":       w.Write("/dir/"+marked, []byte("new")),
			"another is renamed over a twin":         w.Move("/x", "/"+marked),
			"they change names":                      w.Exchange("/"+composed, "/"+marked),
		} {
			if !errors.Is(err, cache.ErrExist) {
				t.Errorf("%s: %v", what, err)
			}
		}
		// While the other is away its name is free, but the twin's is not.
		must(t, w.Move("/"+composed, "/a.txt"))
		if err := w.Write("/"+decomposed, []byte("new")); !errors.Is(err, cache.ErrExist) {
			t.Errorf("a new file gets the twin's true name: %v", err)
		}
		must(t, w.Move("/x", "/"+composed), w.Move("/"+marked, "/"+"b.txt"), w.Move("/b.txt", "/"+marked))
		// Where no twin is, what is called like one gets that name there, and nothing else does.
		must(t, w.Mkdir("/away"), w.Write("/away/"+marked, []byte("like a twin")))
		if err := w.Write("/away/"+decomposed, []byte("new")); !errors.Is(err, cache.ErrExist) {
			t.Errorf("a new file gets the name that another will be sent under: %v", err)
		}
		w.Flush()
		w.Refresh()
		w.Quiet()
		w.Equal()
	})
}

// Who has come to be called as a twin is shown, and whose true name is then taken, gets a name of its own.
func TestWhatIsCalledLikeATwinAndIsNoneStepsAside(t *testing.T) {
	for what, c := range map[string]struct {
		folder, twin string
		do           func(w *simtest.World, marked string) error
	}{
		"what is known goes over it": {"a", "A", func(w *simtest.World, marked string) error { return w.Move("/x/known.txt", marked) }},
		"what is new goes over it": {"a", "A", func(w *simtest.World, marked string) error {
			return errors.Join(w.Write("/x/new.txt", []byte("new")), w.Move("/x/new.txt", marked))
		}},
		"it changes names with what is new": {composed, decomposed, func(w *simtest.World, marked string) error {
			return errors.Join(w.Write("/x/new.txt", []byte("new")), w.Exchange("/x/new.txt", marked))
		}},
	} {
		t.Run(what, func(t *testing.T) {
			in(t, func(d *graphtest.Drive) {
				put(t, d, "/x/"+c.folder+"/in.txt", "in")
				put(t, d, "/x/known.txt", "known")
			}, func(t *testing.T, w *simtest.World) {
				time.Sleep(time.Minute) // of the bubble
				odd(t, w.Far, "/x", c.twin, "twin")
				w.Refresh()
				must(t, w.Remove("/x/"+c.folder+"/in.txt"), w.Remove("/x/"+c.folder), c.do(w, "/x/"+name.Twin(c.twin, 0)))
				put(t, w.Far, "/x/"+c.folder+"/more.txt", "a colleague's") // so the folder comes back
				w.Flush()
				w.Flush()
				w.Refresh()
				w.Quiet()
				w.Equal()
			})
		})
	}
}

// What is sent of a twin costs no more than of any: nothing of it is taken for a change of somebody else's.
func TestATwinCostsNoMore(t *testing.T) {
	marked := name.Twin(decomposed, 0)
	for what, do := range map[string]func(w *simtest.World, p string) error{
		"written": func(w *simtest.World, p string) error { return w.Write(p, []byte("ours")) },
		"dated":   func(w *simtest.World, p string) error { return w.Touch(p, w.Now().Add(-time.Hour)) },
		"moved":   func(w *simtest.World, p string) error { return w.Move(p, "/dir/moved") },
		"replaced": func(w *simtest.World, p string) error {
			return errors.Join(w.Write("/n", []byte("n")), w.Move("/n", p))
		},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprint(what, ", shared meanwhile: ", shared), func(t *testing.T) {
				requests := map[string]int{}
				for _, p := range []string{"/" + composed, "/" + marked} {
					in(t, func(d *graphtest.Drive) {
						put(t, d, "/"+composed, "alpha")
						put(t, d, "/dir/x", "x")
					}, func(t *testing.T, w *simtest.World) {
						time.Sleep(time.Minute) // of the bubble
						odd(t, w.Far, "/", decomposed, "beta")
						w.Refresh()
						w.Refresh()
						must(t, do(w, p))
						done := !shared
						w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
							if requests[p]++; !done && r.Method != http.MethodGet { // the tag changes, and nothing else
								done = true
								must(t, w.Far.Share(name.Remote(p[1:]), "", "read"))
							}
							return under.RoundTrip(r)
						})
						if r := w.Flush(); r.Sent != 1 || r.Deferred+r.Conflicts+r.Left > 0 {
							t.Errorf("%s: %+v", p, r)
						}
						w.Between(nil)
					})
				}
				if requests["/"+composed] != requests["/"+marked] {
					t.Errorf("requests: %v", requests)
				}
			})
		}
	}
}

func TestATwinThatIsGivenUpComesBack(t *testing.T) {
	marked := name.Twin(decomposed, 0)
	in(t, func(d *graphtest.Drive) { put(t, d, "/"+composed, "alpha") }, func(t *testing.T, w *simtest.World) {
		time.Sleep(time.Minute) // of the bubble
		odd(t, w.Far, "/", decomposed, "beta")
		w.Refresh()
		before := shown(t, w)
		must(t, w.Remove("/"+marked), w.Move("/"+composed, "/a.txt"))
		if _, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/"}); err != nil {
			t.Fatal(err)
		}
		w.Refresh()
		w.Quiet()
		for p, data := range before {
			if got := shown(t, w)[p]; got != data {
				t.Errorf("%s is %q, want %q", p, got, data)
			}
		}
	})
}

// What comes back finds its name taken by what the service has by then: both are shown.
func TestWhatIsGivenUpComesBackBesideATwin(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/"+composed, "alpha") }, func(t *testing.T, w *simtest.World) {
		w.Refresh()
		must(t, w.Remove("/"+composed))
		time.Sleep(time.Minute) // of the bubble
		odd(t, w.Far, "/", decomposed, "beta")
		w.Refresh()
		if got := shown(t, w); got["/"+decomposed] != "beta" {
			t.Fatalf("%q", got)
		}
		_, err := w.Engine.Discard(t.Context(), false, flush.Path{Drive: w.Num, Path: "/"})
		must(t, err)
		w.Refresh()
		w.Quiet()
		w.Equal()
		if got := shown(t, w); got["/"+decomposed] != "beta" || got["/"+name.Twin(composed, 0)] != "alpha" {
			t.Errorf("%q", got)
		}
	})
}
