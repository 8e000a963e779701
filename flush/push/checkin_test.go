package push_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// inLibrary is in with a library, which asks for a column of its new files if columns is set.
func inLibrary(t *testing.T, columns bool, f func(t *testing.T, w *simtest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := simtest.NewLibrary(t, func(d *graphtest.Drive) {
			for _, p := range []string{"/1", "/2", "/3"} {
				put(t, d, p, "base")
			}
		})
		w.Far.SetRules(graphtest.Rules{RequireColumns: columns})
		f(t, w)
		for _, v := range w.Server.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
	})
}

// published fails the test unless others see every file.
func published(t *testing.T, w *simtest.World, want int) {
	t.Helper()
	infos, err := w.Far.Walk()
	must(t, err)
	files := 0
	for _, i := range infos {
		if i.Folder {
			continue
		}
		files++
		out, err := w.Near.(graph.CheckIner).CheckedOut(context.Background(), graph.ItemID(i.ID))
		must(t, err)
		if out {
			t.Errorf("%s is checked out", i.Path)
		}
	}
	if files != want {
		t.Errorf("there are %d files, want %d", files, want)
	}
}

// asked counts the questions whether a file is checked out, and the check-ins, from now on.
func asked(w *simtest.World) *atomic.Int32 {
	var n atomic.Int32
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if isCheckIn(r) || strings.Contains(r.URL.RawQuery, "publication") {
			n.Add(1)
		}
		return under.RoundTrip(r)
	})
	return &n
}

func isCheckIn(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/checkin") }

// What a replaced file tells of a library does not hold for new ones.
func TestNewFilesAreCheckedInAfterAReplacedOneWasNotCheckedOut(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		inLibrary(t, true, func(t *testing.T, w *simtest.World) {
			w.Options.Parallel = parallel
			w.Use(w.Near)
			time.Sleep(time.Hour)
			must(t, w.Write("/1", []byte("a")), w.Write("/2", []byte("b"))) // the smallest go first
			for i := range 6 {
				must(t, w.Write(fmt.Sprintf("/new %d", i), simtest.Data("new", 10+i)))
			}
			must(t, w.Write("/3", simtest.Data("three", 12)))
			if r := w.Flush(); r.Sent != 9 || r.Deferred != 0 {
				t.Errorf("flush: %+v", r)
			}
			published(t, w, 9)
			w.Equal()
		})
	}
}

// A library that checks nothing out costs one question for new files, and one for replaced ones.
func TestALibraryThatChecksNothingOutIsNotAskedAgain(t *testing.T) {
	inLibrary(t, false, func(t *testing.T, w *simtest.World) {
		w.Options.Parallel = 1
		w.Use(w.Near)
		time.Sleep(time.Hour)
		n := asked(w)
		for i := 1; i <= 3; i++ {
			must(t, w.Write(fmt.Sprintf("/%d", i), []byte("x")))
		}
		w.Flush()
		if n.Load() != 1 {
			t.Errorf("asked %d times about replaced files", n.Load())
		}
		for i := range 3 {
			must(t, w.Write(fmt.Sprintf("/new %d", i), []byte("x")), w.Write(fmt.Sprintf("/%d", i+1), simtest.Data("y", 10)))
		}
		n.Store(0)
		w.Flush()
		if n.Load() != 1 {
			t.Errorf("asked %d times about new and replaced files", n.Load())
		}
	})
}

// The bytes of a new file get there, and their answer does not come back.
func TestWhatIsFoundToHaveBeenSentIsCheckedInToo(t *testing.T) {
	for name, end := range map[string]func(w *simtest.World){
		"the look fails for now": func(w *simtest.World) {
			lost(w, http.MethodPut, true, nothing, func() { w.Server.SetOffline(true) })
			_, _ = w.Engine.Flush(w.T.Context(), flush.Request{})
			w.Server.SetOffline(false)
		},
		"the process dies": func(w *simtest.World) {
			kept := filepath.Join(simtest.Folder(w.T), "kept")
			lost(w, http.MethodPut, true, nothing, func() {
				w.Keep(kept)
				w.Server.SetOffline(true)
			})
			_, _ = w.Engine.Flush(w.T.Context(), flush.Request{})
			w.Server.SetOffline(false)
			w.Open(kept)
		},
		"the process dies before the check-in": func(w *simtest.World) {
			kept := filepath.Join(simtest.Folder(w.T), "kept")
			w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
				if !isCheckIn(r) {
					return under.RoundTrip(r)
				}
				w.Keep(kept)
				w.Server.SetOffline(true)
				return nil, errors.New("the process is dead")
			})
			_, _ = w.Engine.Flush(w.T.Context(), flush.Request{})
			w.Server.SetOffline(false)
			w.Open(kept)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLibrary(t, true, func(t *testing.T, w *simtest.World) {
				must(t, w.Write("/new", []byte("new")))
				end(w)
				w.Between(nil)
				w.Refresh()
				published(t, w, 4)
				w.Flush()
				w.Equal()
				w.Quiet()
			})
		})
	}
}

// sentUnheard sends a new file and loses the answer; then nobody is in reach for the rest of the flush.
func sentUnheard(t *testing.T, w *simtest.World) {
	t.Helper()
	must(t, w.Write("/new", []byte("new")))
	lost(w, http.MethodPut, true, nothing, func() { w.Server.SetOffline(true) })
	_, _ = w.Engine.Flush(t.Context(), flush.Request{})
	w.Server.SetOffline(false)
}

// It is found to have been sent, and cannot be checked in.
func TestWhatIsFoundToHaveBeenSentStaysInTheListUntilItIsCheckedIn(t *testing.T) {
	inLibrary(t, true, func(t *testing.T, w *simtest.World) {
		sentUnheard(t, w)
		w.Between(nil)
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpCheck, Status: http.StatusBadRequest, Code: "invalidRequest", Times: 1})
		w.Refresh()
		w.Use(w.Near) // another process
		if d := w.Engine.Status().Drives[0].Pending.Deferred; len(d) != 1 || d[0].Path != "/new" || !strings.Contains(d[0].Reason, "others do not see it") {
			t.Errorf("not visible to others: %+v", d)
		}
		if r := w.Flush(); r.Sent != 1 || r.Deferred != 0 {
			t.Errorf("flush: %+v", r)
		}
		published(t, w, 4)
		w.Quiet()
	})
}

// An earlier try, or another program of the same person, has sent the same bytes.
func TestTheSameBytesThatAreThereAreCheckedIn(t *testing.T) {
	inLibrary(t, true, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/new", []byte("new")))
		var met atomic.Bool
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if r.Method == http.MethodPut && !met.Swap(true) {
				root, err := w.Near.Root(t.Context())
				must(t, err)
				_, err = w.Near.Upload(t.Context(), graph.Upload{Parent: root.ID, Name: "new", Size: 3, Body: strings.NewReader("new"), ModTime: time.Now()})
				must(t, err)
			}
			return under.RoundTrip(r)
		})
		if r := w.Flush(); r.Deferred != 0 || r.Conflicts != 0 {
			t.Errorf("flush: %+v", r)
		}
		if !met.Load() {
			t.Fatal("nothing was sent")
		}
		published(t, w, 4)
	})
}

// The process dies in a long round, after a file of it could not be checked in.
func TestWhatCouldNotBeCheckedInIsNotedAtOnce(t *testing.T) {
	inLibrary(t, true, func(t *testing.T, w *simtest.World) {
		w.Options.Parallel = 1
		w.Use(w.Near)
		must(t, w.Write("/new 1", []byte("1")), w.Write("/new 2", []byte("22")))
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpCheck, Status: http.StatusBadRequest, Code: "invalidRequest", Times: 1})
		kept := filepath.Join(simtest.Folder(t), "kept")
		once(w, http.MethodPut, 2, false, func() {
			w.Keep(kept)
			w.Server.SetOffline(true)
		})
		_, _ = w.Engine.Flush(t.Context(), flush.Request{})
		w.Between(nil)
		w.Server.SetOffline(false)
		w.Open(kept)
		if d := w.Engine.Status().Drives[0].Pending.Deferred; len(d) != 1 || d[0].Path != "/new 1" {
			t.Errorf("not visible to others: %+v", d)
		}
		w.Flush()
		published(t, w, 5)
		w.Equal()
	})
}

// A new file that was not checked out any more when it was asked about does not speak for the others.
func TestALibraryThatChecksOutIsAskedAboutEveryFile(t *testing.T) {
	inLibrary(t, true, func(t *testing.T, w *simtest.World) {
		w.Options.Parallel = 1
		w.Use(w.Near)
		for i := range 3 {
			must(t, w.Write(fmt.Sprintf("/new %d", i), simtest.Data("new", 10+i)))
		}
		questions := 0
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if strings.Contains(r.URL.RawQuery, "publication") {
				if questions++; questions == 2 {
					must(t, w.Far.CheckIn("/new 1"))
				}
			}
			return under.RoundTrip(r)
		})
		w.Flush()
		if questions != 3 {
			t.Errorf("asked %d times", questions)
		}
		published(t, w, 6)
	})
}

// A writer breaks an upload off whose bytes get there even so; the file goes again as a replaced one, behind another.
func TestWhatGotThereThoughAWriterCameIsCheckedIn(t *testing.T) {
	inLibrary(t, true, func(t *testing.T, w *simtest.World) {
		w.Options.Parallel = 1
		w.Use(w.Near)
		time.Sleep(time.Hour)
		must(t, w.Write("/new", []byte("new")))
		lost(w, http.MethodPut, true, nothing, func() {
			must(t, w.Write("/new", simtest.Data("newer", 100)), w.Write("/1", []byte("x")))
		})
		w.Flush()
		w.Between(nil)
		w.Flush()
		published(t, w, 4)
		w.Equal()
	})
}

// A dry run, and a drive that is read-only, change nothing there: what was sent waits for a flush that may.
func TestADryRunChecksNothingIn(t *testing.T) {
	inLibrary(t, true, func(t *testing.T, w *simtest.World) {
		sentUnheard(t, w)
		n := asked(w)
		if _, err := w.Engine.Flush(t.Context(), flush.Request{DryRun: true}); err != nil || n.Load() != 0 {
			t.Errorf("a dry run: %d questions and check-ins, %v", n.Load(), err)
		}
		readOnly := flush.New(flush.Options{Store: w.Store, Now: w.Now, Drives: []flush.Drive{{Num: w.Num, Name: "drive", Service: w.Near, ReadOnly: true}}})
		if _, err := readOnly.Refresh(t.Context()); err != nil || n.Load() != 0 {
			t.Errorf("read-only: %d questions and check-ins, %v", n.Load(), err)
		}
		w.Flush()
		published(t, w, 4)
		w.Equal()
		w.Quiet()
	})
}
