package rest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// upload completes an upload of some bytes.
func upload(u graph.Upload, data []byte) graph.Upload {
	u.Size, u.Body = int64(len(data)), bytes.NewReader(data)
	if u.ModTime.IsZero() {
		u.ModTime = yesterday
	}
	return u
}

// send uploads, and checks that the service then has the bytes and the time.
func (w *world) send(u graph.Upload, data []byte, path string) graph.Item {
	w.t.Helper()
	i, err := w.near.Upload(w.ctx(), upload(u, data))
	if err != nil {
		w.t.Fatal(err)
	}
	w.holds(path, data)
	if i.Size != int64(len(data)) || !i.ModTime.Equal(yesterday) || i.Hash != "" && i.Hash != hashOf(data) {
		w.t.Errorf("%s: got %+v", path, i)
	}
	if n := w.OpenSessions(); n > 0 {
		w.t.Errorf("%d sessions are left open", n)
	}
	return i
}

func TestUploadOfEverySize(t *testing.T) {
	simply(t, func(w *world) {
		for _, size := range []int{0, 1, 320<<10 - 1, 320 << 10, 320<<10 + 1, fragment, fragment + 1, 2 * fragment, 2*fragment + 300<<10 + 17} {
			data, name := noise(size, uint64(size)), fmt.Sprintf("f%d", size)
			created := yesterday.Add(-time.Hour)
			i := w.send(graph.Upload{Parent: w.root(), Name: name, Created: created}, data, "/"+name)
			if size > 0 && !i.Created.Equal(created) {
				t.Errorf("%s says that it was created at %v", name, i.Created)
			}
			info, err := w.far.Stat("/" + name)
			must(t, err)
			if size > 0 && info.Versions != 1 {
				t.Errorf("%s has %d versions", name, info.Versions)
			}
			data = noise(size+5, uint64(size)+1)
			j := w.send(graph.Upload{ID: i.ID, Base: i.Version()}, data, "/"+name)
			if j.ID != i.ID {
				t.Errorf("%s: a replaced file has another id", name)
			}
			if size > 0 && !j.Created.Equal(created) {
				t.Errorf("%s: a replaced file was created at %v", name, j.Created)
			}
			w.send(graph.Upload{ID: i.ID, Base: j.Version()}, nil, "/"+name)
		}
	})
}

func TestWhyALibraryRefusesIsToldInItsWords(t *testing.T) {
	simply(t, func(w *world) {
		w.far = w.AddSite("sites/eng", "Engineering", "Documents")[0]
		w.near = w.client.Drive(graph.DriveID(w.far.ID()))
		w.far.SetRules(graphtest.Rules{RefuseAll: true})
		_, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: w.root(), Name: "refused"}, []byte("ours")))
		wants(t, err, graph.Failed)
		if !strings.Contains(err.Error(), "General exception while processing; then the service does not say") {
			t.Errorf("got %v", err)
		}
	})
}

func TestUploadOntoATakenNameFails(t *testing.T) {
	simply(t, func(w *world) {
		w.put("/Taken", []byte("theirs"))
		for _, data := range [][]byte{nil, []byte("ours")} {
			_, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: w.root(), Name: "taken"}, data))
			wants(t, err, graph.Exist)
		}
		w.holds("/Taken", []byte("theirs"))
		if n := w.OpenSessions(); n > 0 {
			t.Errorf("%d sessions are left open", n)
		}
	})
}

func TestANameTakenDuringAnUploadIsNotOverwritten(t *testing.T) {
	simply(t, func(w *world) {
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(fragment+100<<10, 1))
		u.Sent = func(int64) { w.put("/F", []byte("theirs")) }
		_, err := w.near.Upload(w.ctx(), u)
		wants(t, err, graph.Exist)
		w.holds("/f", []byte("theirs"))
		if n := w.OpenSessions(); n > 0 {
			t.Errorf("%d sessions are left open", n)
		}
	})
}

func TestAFileChangedMeanwhileIsNotOverwritten(t *testing.T) {
	for _, size := range []int{0, 5, fragment + 100<<10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			simply(t, func(w *world) {
				i := w.put("/f", []byte("before"))
				w.put("/f", []byte("theirs"))
				_, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, noise(size, 1)))
				wants(t, err, graph.Changed)
				w.holds("/f", []byte("theirs"))
				if n := w.OpenSessions(); n > 0 {
					t.Errorf("%d sessions are left open", n)
				}
			})
		})
	}
	t.Run("while the bytes go", func(t *testing.T) {
		simply(t, func(w *world) {
			i := w.put("/f", []byte("before"))
			u := upload(graph.Upload{ID: i.ID, Base: i.Version()}, noise(fragment+100<<10, 1))
			var begun []string
			u.Begun = func(s string) error { begun = append(begun, s); return nil }
			u.Sent = func(n int64) {
				if n == fragment {
					w.put("/f", []byte("theirs"))
				}
			}
			_, err := w.near.Upload(w.ctx(), u)
			wants(t, err, graph.Changed)
			w.holds("/f", []byte("theirs"))
			if n := w.OpenSessions(); n > 0 || len(begun) != 2 || begun[1] != "" {
				t.Errorf("%d sessions are left open, told %d", n, len(begun))
			}
		})
	})
	t.Run("only its name", func(t *testing.T) {
		simply(t, func(w *world) {
			i := w.put("/f", []byte("before"))
			_, err := w.far.Move("/f", "/g")
			must(t, err)
			w.send(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours"), "/g")
		})
	})
}

// Whatever happens to one request on the way, the upload arrives once.
func TestUploadsGoOnAfterTrouble(t *testing.T) {
	faults := map[string]graphtest.Fault{
		"request lost":  {Op: graphtest.OpFragment, Drop: graphtest.DropBefore},
		"answer lost":   {Op: graphtest.OpFragment, Drop: graphtest.DropAfter},
		"stalled":       {Op: graphtest.OpFragment, Delay: graphtest.Duration(time.Hour)},
		"500":           {Op: graphtest.OpFragment, Status: 500},
		"502":           {Op: graphtest.OpFragment, Status: 502, Body: "<html>"},
		"504 yet done":  {Op: graphtest.OpFragment, Status: 504, Work: true},
		"throttled":     {Op: graphtest.OpFragment, Status: 429, RetryAfter: 30, Times: 3},
		"busy":          {Op: graphtest.OpFragment, Status: 503, RetryAfter: 30},
		"not found yet": {Op: graphtest.OpFragment, Status: 404},
		"expired":       {Op: graphtest.OpFragment, Status: 401},
		"forbidden":     {Op: graphtest.OpFragment, Status: 403},
		"no parent yet": {Op: graphtest.OpCreateSession, Status: 404, Times: 2},
	}
	for name, fault := range faults {
		for _, at := range []struct {
			name string
			skip int
		}{{"first", 0}, {"last", 2}} {
			for _, replace := range []bool{false, true} {
				if at.skip > 0 && fault.Op != graphtest.OpFragment {
					continue
				}
				t.Run(fmt.Sprintf("%s %s replace=%v", name, at.name, replace), func(t *testing.T) {
					simply(t, func(w *world) {
						u := graph.Upload{Parent: w.root(), Name: "f"}
						if replace {
							i := w.put("/f", []byte("before"))
							u = graph.Upload{ID: i.ID, Base: i.Version()}
						}
						fault.Skip = at.skip
						w.Inject(fault)
						size := 2*fragment + 7
						if replace {
							size = 2 * fragment
						}
						w.send(u, noise(size, 3), "/f")
						if left := w.ClearFaults(); left > 0 {
							t.Errorf("%d faults were not met", left)
						}
						info, err := w.far.Stat("/f")
						must(t, err)
						if want := map[bool]int{false: 1, true: 2}[replace]; info.Versions != want {
							t.Errorf("%d versions, want %d", info.Versions, want)
						}
					})
				})
			}
		}
	}
}

func TestAnUploadGoesAroundASessionWhoseAddressIsLost(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %v", replace), func(t *testing.T) {
			simply(t, func(w *world) {
				u := graph.Upload{Parent: w.root(), Name: "f"}
				if replace {
					i := w.put("/f", []byte("before"))
					u = graph.Upload{ID: i.ID, Base: i.Version()}
				}
				w.Inject(graphtest.Fault{Op: graphtest.OpCreateSession, Drop: graphtest.DropAfter})
				_, err := w.near.Upload(w.ctx(), upload(u, []byte("ours")))
				wants(t, err, graph.Lost)
				if n := w.OpenSessions(); n != 1 {
					t.Fatalf("%d sessions are open", n)
				}
				again, told := upload(u, []byte("ours")), int64(0)
				again.Sent = func(n int64) { told = n }
				i, err := w.near.Upload(w.ctx(), again)
				must(t, err)
				w.holds("/f", []byte("ours"))
				if i.Size != 4 || !i.ModTime.Equal(yesterday) || told != 4 {
					t.Errorf("made %+v, told %d", i, told)
				}
			})
		})
	}
}

// The way around guards the file as well as a session does.
func TestGoingAroundASessionOverwritesNobody(t *testing.T) {
	simply(t, func(w *world) {
		held := graphtest.Fault{Op: graphtest.OpCreateSession, Status: 409, Code: "nameAlreadyExists", Message: "An upload session already exists for this file"}
		i := w.put("/f", []byte("before"))
		w.put("/f", []byte("theirs"))
		w.Inject(held)
		_, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours")))
		wants(t, err, graph.Changed)
		w.Inject(held)
		_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: i.Parent, Name: "F"}, []byte("ours")))
		wants(t, err, graph.Exist)
		w.holds("/f", []byte("theirs"))

		// What is too big for one request waits until the session is over.
		w.Inject(held)
		_, err = w.near.Upload(w.ctx(), graph.Upload{Parent: i.Parent, Name: "big", Size: 251 << 20, Body: bytes.NewReader(nil)})
		wants(t, err, graph.Locked)
		if n := w.Counts().Of(graphtest.OpPut); n > 0 {
			t.Errorf("%d files were put", n)
		}
	})
}

func TestAnAbandonedSessionIsOver(t *testing.T) {
	simply(t, func(w *world) {
		address := ""
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(2*fragment, 1))
		u.Begun = func(session string) error { address = session; return nil }
		w.Inject(graphtest.Fault{Op: graphtest.OpFragment, Status: 502, Times: -1})
		_, err := w.near.Upload(w.ctx(), u)
		wants(t, err, graph.Lost)
		for range 2 { // the second time it is over already
			must(t, w.near.Abandon(w.ctx(), address))
			if n := w.OpenSessions(); n != 0 {
				t.Errorf("%d sessions are open", n)
			}
		}
	})
}

func TestAnUploadTellsHowFarItIs(t *testing.T) {
	simply(t, func(w *world) {
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(2*fragment+5, 1))
		var told []int64
		u.Sent = func(n int64) { told = append(told, n) }
		_, err := w.near.Upload(w.ctx(), u)
		must(t, err)
		if !slices.Equal(told, []int64{fragment, 2 * fragment, 2*fragment + 5}) {
			t.Errorf("told %v", told)
		}
	})
}

func TestAPutAfterTheLastLookOverwritesNobody(t *testing.T) {
	before := func() {}
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut {
				before()
			}
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		i := w.put("/f", []byte("before"))
		before = func() { w.put("/f", []byte("theirs")) }
		_, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, nil))
		wants(t, err, graph.Changed)
		w.holds("/f", []byte("theirs"))
	})
}

func TestUploadRefusals(t *testing.T) {
	cases := map[string]struct {
		fault graphtest.Fault
		want  graph.Kind
		open  int
	}{
		"full":          {graphtest.Fault{Op: graphtest.OpFragment, Status: 507}, graph.Full, 0},
		"locked":        {graphtest.Fault{Op: graphtest.OpFragment, Status: 423}, graph.Locked, 0},
		"invalid":       {graphtest.Fault{Op: graphtest.OpFragment, Status: 400}, graph.Invalid, 0},
		"never allowed": {graphtest.Fault{Op: graphtest.OpFragment, Status: 403, Times: -1}, graph.Denied, 0},
		"denied":        {graphtest.Fault{Op: graphtest.OpCreateSession, Status: 403}, graph.Denied, 0},
		"down for long": {graphtest.Fault{Op: graphtest.OpFragment, Status: 502, Times: -1}, graph.Lost, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			simply(t, func(w *world) {
				i := w.put("/f", []byte("before"))
				w.Inject(c.fault)
				_, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours")))
				wants(t, err, c.want)
				w.holds("/f", []byte("before"))
				if n := w.OpenSessions(); n != c.open {
					t.Errorf("%d sessions are open, want %d", n, c.open)
				}
			})
		})
	}
	simply(t, func(w *world) {
		for _, u := range []graph.Upload{{}, {Parent: "x"}, {Parent: "x", Name: "a/b"}, {Parent: "x", Name: "a:"}, {ID: "x", Size: -1}, {ID: "x", Size: 1}} {
			_, err := w.near.Upload(w.ctx(), u)
			wants(t, err, graph.Invalid)
		}
	})
}

// rotten cannot be read beyond a place, as a file on a bad disk.
type rotten struct {
	bytes []byte
	from  int64
}

var errRotten = errors.New("input/output error")

func (r rotten) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > r.from {
		return 0, errRotten
	}
	return copy(p, r.bytes[off:]), nil
}

func TestAFileThatCannotBeReadEndsItsUploadAtOnce(t *testing.T) {
	simply(t, func(w *world) {
		began := time.Now()
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(900<<10, 1))
		u.Body = rotten{noise(900<<10, 1), 600 << 10}
		_, err := w.near.Upload(w.ctx(), u)
		wants(t, err, graph.Failed)
		if !errors.Is(err, errRotten) {
			t.Errorf("the cause is lost: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it was tried for %v", took)
		}
		if n := w.OpenSessions(); n != 0 {
			t.Errorf("%d sessions are left open", n)
		}
	})
}

func TestAnUploadGivenUpLeavesNothing(t *testing.T) {
	simply(t, func(w *world) {
		ctx, stop := context.WithCancelCause(w.ctx())
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, noise(fragment+100<<10, 1))
		var told []string
		u.Begun = func(s string) error { told = append(told, s); return nil }
		u.Sent = func(int64) { stop(graph.Changed) }
		_, err := w.near.Upload(ctx, u)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if n := w.OpenSessions(); n > 0 || len(told) != 2 || told[0] == "" || told[1] != "" {
			t.Errorf("%d sessions are open, told %d times", n, len(told))
		}
		stopped := errors.New("cannot write it down")
		u = upload(graph.Upload{Parent: w.root(), Name: "f"}, []byte("x"))
		u.Begun = func(s string) error { return stopped }
		if _, err := w.near.Upload(w.ctx(), u); !errors.Is(err, stopped) {
			t.Errorf("got %v", err)
		}
		if n := w.OpenSessions(); n > 0 || w.Counts().BytesUp != fragment {
			t.Errorf("%d sessions are open, %d bytes were sent", n, w.Counts().BytesUp)
		}
	})
}

func TestAnUploadThatIsBrokenOffIsGoneOnWith(t *testing.T) {
	simply(t, func(w *world) {
		ctx, stop := context.WithCancel(w.ctx())
		data := noise(2*fragment+100<<10, 1)
		u := upload(graph.Upload{Parent: w.root(), Name: "f"}, data)
		address := ""
		u.Begun = func(s string) error { address = s; return nil }
		u.Sent = func(int64) { stop() }
		_, err := w.near.Upload(ctx, u)
		if !errors.Is(err, context.Canceled) || address == "" || w.OpenSessions() != 1 {
			t.Fatalf("got %v, %d sessions are open", err, w.OpenSessions())
		}
		u.Session, u.Sent = address, nil
		if _, err := w.near.Upload(w.ctx(), u); err != nil {
			t.Fatal(err)
		}
		if n := w.Counts().BytesUp; n != int64(len(data)) || address != "" || w.OpenSessions() != 0 {
			t.Errorf("%d bytes were sent, session %q, %d are open", n, address, w.OpenSessions())
		}
	})
}

// kept starts an upload that the network ends on the way, and returns its session.
func (w *world) kept(u graph.Upload, data []byte, skip int) string {
	w.t.Helper()
	var session string
	u = upload(u, data)
	u.Begun = func(s string) error { session = s; return nil }
	w.Inject(graphtest.Fault{Op: graphtest.OpFragment + "," + graphtest.OpStatus, Drop: graphtest.DropBefore, Skip: skip, Times: -1})
	_, err := w.near.Upload(w.ctx(), u)
	if kind := graph.KindOf(err); kind != graph.Lost && kind != graph.Offline || session == "" {
		w.t.Fatalf("got %v, session %v", err, session != "")
	}
	w.ClearFaults()
	return session
}

func TestSessionsAreGoneOnWith(t *testing.T) {
	simply(t, func(w *world) {
		data := noise(5*fragment/2, 1)
		u := graph.Upload{Parent: w.root(), Name: "f"}
		u.Session = w.kept(u, data, 1)
		w.ResetCounts()
		w.send(u, data, "/f")
		if c := w.Counts(); c.BytesUp != 3*fragment/2 || c.Of(graphtest.OpCreateSession) != 0 {
			t.Errorf("%d bytes were sent, %d sessions begun", c.BytesUp, c.Of(graphtest.OpCreateSession))
		}
	})
	t.Run("dead by then", func(t *testing.T) {
		simply(t, func(w *world) {
			data := noise(5*fragment/2, 1)
			u := graph.Upload{Parent: w.root(), Name: "f"}
			u.Session = w.kept(u, data, 1)
			time.Sleep(48 * time.Hour)
			w.Violations() // lets it expire, which is the point
			w.ClearViolations()
			w.send(u, data, "/f")
		})
	})
	t.Run("committed by then", func(t *testing.T) {
		simply(t, func(w *world) {
			data := noise(fragment/2, 1)
			u := upload(graph.Upload{Parent: w.root(), Name: "f"}, data)
			u.Begun = func(s string) error {
				if s != "" {
					u.Session = s
				}
				return nil
			}
			_, err := w.near.Upload(w.ctx(), u)
			must(t, err)
			w.ResetCounts()
			told := "untold"
			u.Begun = func(s string) error { told = s; return nil }
			i, err := w.near.Upload(w.ctx(), u)
			must(t, err)
			if w.Counts().Writes > 0 || i.Hash != hashOf(data) || told != "" {
				t.Errorf("%d writes, item %+v, told %q", w.Counts().Writes, i, told)
			}
		})
	})
}

// The answer to the last fragment is lost, and the session is gone: whether the file is ours is found out.
func TestAFileCommittedWithoutAnAnswerIsKnown(t *testing.T) {
	const ours = fragment + 100<<10
	for _, c := range []struct {
		name, file string
		quirks     graphtest.Quirks
		then       func(w *world, lib *graphtest.Drive) // before the look
		want       graph.Kind
	}{
		{"ours", "f.bin", graphtest.Quirks{}, nil, ""},
		{"ours, without a hash", "f.bin", graphtest.Quirks{NoHashes: true}, nil, ""},
		{"ours, rewritten by the library", "f.docx", graphtest.Quirks{}, nil, ""},
		{"theirs", "f.bin", graphtest.Quirks{}, func(w *world, lib *graphtest.Drive) { w.must(lib.Put("/f.bin", noise(ours, 9))) }, graph.Lost},
		{"theirs of another size, without a hash", "f.bin", graphtest.Quirks{NoHashes: true}, func(w *world, lib *graphtest.Drive) {
			w.must(lib.Put("/f.bin", noise(9, 9)))
			must(w.t, lib.Touch("/f.bin", yesterday))
		}, graph.Lost},
		{"theirs of another time, without a hash", "f.bin", graphtest.Quirks{NoHashes: true}, func(w *world, lib *graphtest.Drive) { w.must(lib.Put("/f.bin", noise(ours, 9))) }, graph.Lost},
		{"theirs of another time, rewritten", "f.docx", graphtest.Quirks{}, func(w *world, lib *graphtest.Drive) { w.must(lib.Put("/f.docx", noise(ours, 9))) }, graph.Lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			look := func() {}
			in(t, graphtest.Options{OfficeRewrite: time.Second, Quirks: c.quirks}, func(o *rest.Options) {
				inner := o.Transport
				o.StorageTransport = carrier(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodGet {
						look()
					}
					return inner.RoundTrip(r)
				})
			}, func(w *world) {
				lib := w.Drive("sites/Engineering#Documents")
				near := w.client.Drive(graph.DriveID(lib.ID()))
				root, err := near.Root(w.ctx())
				must(t, err)
				look = func() {
					if c.then != nil {
						c.then(w, lib)
					}
					time.Sleep(2 * time.Second) // by then it is rewritten
					look = func() {}
				}
				w.Inject(graphtest.Fault{Op: graphtest.OpFragment, Skip: 1, Drop: graphtest.DropAfter})
				i, err := near.Upload(w.ctx(), upload(graph.Upload{Parent: root.ID, Name: c.file}, noise(ours, 1)))
				if graph.KindOf(err) != c.want {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if now, ferr := lib.Stat("/" + c.file); ferr != nil || err == nil && string(i.ID) != now.ID {
					t.Errorf("made %+v, %v", i, ferr)
				}
				if w.OpenSessions() > 0 || w.Counts().Of(graphtest.OpCreateSession) != 1 {
					t.Errorf("%d sessions, %d open", w.Counts().Of(graphtest.OpCreateSession), w.OpenSessions())
				}
			})
		})
	}
}

func TestOfficeFilesAreWhatTheServiceMakesOfThem(t *testing.T) {
	in(t, graphtest.Options{OfficeRewrite: time.Second}, nil, func(w *world) {
		lib := w.Drive("sites/Engineering#Documents")
		near := w.client.Drive(graph.DriveID(lib.ID()))
		root, err := near.Root(w.ctx())
		must(t, err)
		i, err := near.Upload(w.ctx(), upload(graph.Upload{Parent: root.ID, Name: "a.docx"}, noise(1000, 1)))
		must(t, err)
		time.Sleep(time.Minute)
		now, err := near.Item(w.ctx(), i.ID)
		must(t, err)
		if now.Version().Same(i.Version()) {
			t.Fatal("nothing was rewritten")
		}
		r, err := near.Content(w.ctx(), now.ID, now.Version(), 0, now.Size)
		must(t, err)
		must(t, r.Close())
	})
}

func TestOtherBytesThanSentAreAFailure(t *testing.T) {
	for name, want := range map[string]graph.Kind{"f.bin": graph.Failed, "f.xlsx": ""} {
		simply(t, func(w *world) {
			w.Inject(graphtest.Fault{Op: graphtest.OpFragment, Status: 201, Type: "application/json",
				Body: `{"id":"X","name":"` + name + `","size":1,"file":{"hashes":{"quickXorHash":"` + string(hashOf([]byte("y"))) + `"}}}`})
			_, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: w.root(), Name: name}, []byte("x")))
			if graph.KindOf(err) != want {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

func TestTheTimeOfAnEmptyFileIsSetPatiently(t *testing.T) {
	simply(t, func(w *world) {
		root := w.root()
		w.Inject(graphtest.Fault{Op: graphtest.OpUpdate, Status: 404, Times: 2}, graphtest.Fault{Op: graphtest.OpUpdate, Status: 502, Times: 2})
		w.send(graph.Upload{Parent: root, Name: "empty"}, nil, "/empty")
		w.Inject(graphtest.Fault{Op: graphtest.OpUpdate, Status: 403})
		i, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: "empty2"}, nil))
		if err != nil || i.ID == "" || i.ModTime.Equal(yesterday) {
			t.Errorf("a file without our time: %+v, %v", i, err)
		}
	})
}

// Between an empty file and its time somebody may write: that is not what was sent.
func TestWhoWritesBeforeTheTimeIsSetIsNotTakenForUs(t *testing.T) {
	before := func() {}
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch {
				before()
			}
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		i := w.put("/f", []byte("before"))
		before = func() { w.put("/f", []byte("theirs")) }
		i, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, nil))
		if must(t, err); i.Size != 0 {
			t.Errorf("an empty file was sent and %d bytes are said to be there", i.Size)
		}
		w.holds("/f", []byte("theirs"))
	})
}

// A library makes other bytes of a file. Whether it is one is asked once, and not after the bytes have gone.
func TestWhatALibraryMakesOfAFileIsNoFailureThoughNobodyCanAsk(t *testing.T) {
	for _, asked := range []bool{false, true} {
		in(t, graphtest.Options{}, func(o *rest.Options) {
			inner := o.Transport
			o.StorageTransport = carrier(func(r *http.Request) (*http.Response, error) {
				answer, err := inner.RoundTrip(r)
				if err == nil && r.Method == http.MethodPut {
					b, err := io.ReadAll(answer.Body)
					if err = errors.Join(err, answer.Body.Close()); err != nil {
						return nil, err
					}
					b = bytes.ReplaceAll(b, []byte(`"size":100`), []byte(`"size":117`))
					answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
					answer.Header.Del("Content-Length")
				}
				return answer, err
			})
		}, func(w *world) {
			d := w.client.Drive(graph.DriveID(w.Drive("sites/Engineering#Documents").ID()))
			root, err := d.Root(w.ctx())
			must(t, err)
			if asked {
				_, err := d.Drive(w.ctx())
				must(t, err)
			}
			w.Inject(graphtest.Fault{Op: graphtest.OpDrive, Status: 503, Times: -1})
			i, err := d.Upload(w.ctx(), upload(graph.Upload{Parent: root.ID, Name: "f.unknown"}, noise(100, 1)))
			if asked && (err != nil || i.Size != 117) {
				t.Errorf("uploaded %+v, %v", i, err)
			} else if !asked {
				wants(t, err, graph.Lost)
			}
		})
	}
}
