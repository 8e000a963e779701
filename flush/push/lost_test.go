package push_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
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

// lost loses the answer to the first request of a method that passes. before and after are what happens around it.
func lost(w *simtest.World, method string, arrives bool, before, after func()) {
	var met atomic.Bool
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if r.Method != method || met.Swap(true) {
			return under.RoundTrip(r)
		}
		before()
		if arrives {
			answer, err := under.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			answer.Body.Close()
		}
		after()
		return nil, errors.New("the connection breaks")
	})
}

func nothing() {}

// has fails the test unless the service has files of just these bytes.
func has(t *testing.T, w *simtest.World, want ...string) {
	t.Helper()
	got := slices.Sorted(maps.Values(w.There()))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("there is %.60q, want %.60q", got, want)
	}
}

// A colleague writes between our last look and our bytes, and once more before anybody here has taken the answer in: only
// the versions of the file tell of the first.
func TestBytesOverwrittenUnseenComeBackThoughTheFileWasWrittenOverAgain(t *testing.T) {
	const unseen, again = "theirs, unseen", "theirs, once more"
	ours := string(simtest.Data("ours", 100<<10))
	ends := map[string]func(w *simtest.World, before, after func()) (want []string){
		"the answer is lost": func(w *simtest.World, before, after func()) []string {
			lost(w, http.MethodPut, true, before, after)
			w.Flush()
			return []string{unseen, again, ours}
		},
		"a writer comes": func(w *simtest.World, before, after func()) []string {
			newer := "ours, newer"
			lost(w, http.MethodPut, true, before, func() {
				after()
				must(t, w.Write("/a.bin", []byte(newer)))
			})
			w.Flush()
			return []string{unseen, again, newer}
		},
		"the sign-in ends with it": func(w *simtest.World, before, after func()) []string {
			lost(w, http.MethodPut, true, before, func() {
				after()
				w.Server.Inject(graphtest.Fault{Op: graphtest.OpItem, Skip: 1, Status: 401, Code: "InvalidAuthenticationToken", Times: 20})
			})
			if _, err := w.Engine.Flush(w.T.Context(), flush.Request{}); !errors.Is(err, graph.SignIn) {
				w.T.Errorf("flush: %v", err)
			}
			w.Server.ClearFaults()
			return []string{unseen, again, ours}
		},
		"the address of the session runs out": func(w *simtest.World, before, after func()) []string {
			lost(w, http.MethodPut, true, before, func() {
				after()
				w.Server.Inject(graphtest.Fault{Op: graphtest.OpStatus, Status: 401, Code: "unauthenticated", Times: 1})
			})
			w.Flush()
			return []string{unseen, again, ours}
		},
		"the process dies": func(w *simtest.World, before, after func()) []string {
			kept := filepath.Join(simtest.Folder(w.T), "kept")
			lost(w, http.MethodPut, true, before, func() {
				after()
				w.Keep(kept)
				w.Server.SetOffline(true)
			})
			_, _ = w.Engine.Flush(w.T.Context(), flush.Request{})
			w.Server.SetOffline(false)
			w.Open(kept)
			return []string{unseen, again, ours}
		},
	}
	for _, personal := range []bool{false, true} { // whose drives count no changes
		for name, end := range ends {
			t.Run(fmt.Sprintf("%s, personal %v", name, personal), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := simtest.New(t, graphtest.Options{Personal: personal}, func(d *graphtest.Drive) {
						put(t, d, "/a.bin", "older")
						put(t, d, "/a.bin", "base")
					})
					time.Sleep(time.Hour)
					must(t, w.Write("/a.bin", []byte(ours)))
					want := end(w, func() { put(t, w.Far, "/a.bin", unseen) }, func() { put(t, w.Far, "/a.bin", again) })
					w.Between(nil)
					w.Skip(time.Hour)
					w.Flush()
					w.Flush()
					w.Equal()
					has(t, w, want...)
					if got := w.There()["/a.bin"]; got != again {
						t.Errorf("/a.bin is %.40q", got)
					}
					w.Quiet()
				})
			})
		}
	}
}

// The look that finds that a move has arrived finds other bytes too: nobody here has seen them.
func TestALostMoveDoesNotTakeInWhatWasWrittenSince(t *testing.T) {
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written here %v", written), func(t *testing.T) {
			in(t, map[string]string{"/a.txt": "base"}, func(t *testing.T, w *simtest.World) {
				want := []string{"theirs"}
				if written {
					must(t, w.Write("/a.txt", []byte("ours")))
					want = append(want, "ours")
				}
				must(t, w.Move("/a.txt", "/b.txt"))
				lost(w, http.MethodPatch, true, nothing, func() { put(t, w.Far, "/b.txt", "theirs") })
				w.Flush()
				w.Between(nil)
				w.Flush()
				w.Equal()
				has(t, w, want...)
				w.Quiet()
			})
		})
	}
}

// What comes into a folder between two tries to delete it is not deleted with it.
func TestAFolderIsListedAgainBeforeItsDeletionIsRepeated(t *testing.T) {
	in(t, map[string]string{"/f/x": "x"}, func(t *testing.T, w *simtest.World) {
		must(t, w.Remove("/f"))
		lost(w, http.MethodDelete, false, nothing, func() { put(t, w.Far, "/f/new", "theirs") })
		w.Flush()
		w.Between(nil)
		w.Flush()
		w.Equal()
		if got := w.There()["/f/new"]; got != "theirs" {
			t.Errorf("there: %q", w.There())
		}
		w.Quiet()
	})
}

// Whoever dies while what was overwritten is brought back does it again, and only once. What the death may leave is a file
// that has no bytes yet, and an upload session whose address nobody knows.
func TestADeathWhileOverwrittenBytesComeBackLosesNothing(t *testing.T) {
	var died atomic.Bool
	died.Store(true)
	for at := 0; died.Load(); at++ {
		t.Run(fmt.Sprintf("at step %d", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := simtest.New(t, graphtest.Options{}, func(d *graphtest.Drive) { put(t, d, "/a.bin", "base") })
				time.Sleep(time.Hour)
				must(t, w.Write("/a.bin", []byte("ours")))
				kept := filepath.Join(simtest.Folder(t), "kept")
				var steps atomic.Int64 // since the bytes went
				died.Store(false)
				step := func() {
					if n := steps.Add(1) - 1; n == int64(at)+1 {
						w.Keep(kept)
						died.Store(true)
					}
				}
				w.Tick(func() {
					if steps.Load() > 0 {
						step()
					}
				})
				w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
					if died.Load() {
						return nil, errors.New("the process is dead")
					}
					if r.Method != http.MethodPut || !steps.CompareAndSwap(0, 1) {
						return under.RoundTrip(r)
					}
					put(t, w.Far, "/a.bin", "theirs, unseen")
					answer, err := under.RoundTrip(r)
					must(t, err)
					answer.Body.Close()
					put(t, w.Far, "/a.bin", "theirs, once more")
					return nil, errors.New("the connection breaks")
				})
				_, _ = w.Engine.Flush(t.Context(), flush.Request{})
				w.Between(nil)
				w.Tick(nil)
				if died.Load() {
					w.Open(kept)
				}
				w.Skip(time.Hour)
				w.Flush()
				w.Flush()
				w.Equal()
				want := []string{"theirs, unseen", "theirs, once more", "ours"}
				if slices.Contains(slices.Collect(maps.Values(w.There())), "") {
					want = append(want, "")
				}
				has(t, w, want...)
			})
		})
	}
}

// Who brings overwritten bytes back once more, since another version of them did not come, fetches none twice to see that.
func TestACopyThatWasMadeIsFetchedOnceToSeeThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := simtest.New(t, graphtest.Options{}, func(d *graphtest.Drive) { put(t, d, "/a.bin", "base") })
		time.Sleep(time.Hour)
		must(t, w.Write("/a.bin", []byte("ours")))
		lost(w, http.MethodPut, true, func() {
			put(t, w.Far, "/a.bin", "theirs")
			put(t, w.Far, "/a.bin", "theirs, newer")
			w.Server.Inject(graphtest.Fault{Path: "/versions/3.0/", Status: 401, Code: "InvalidAuthenticationToken", Times: -1})
		}, nothing)
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); !errors.Is(err, graph.SignIn) {
			t.Errorf("flush: %v", err)
		}
		w.Server.ClearFaults()
		fetched := map[string]int{}
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "/versions/") {
				fetched[r.URL.Path]++
			}
			return under.RoundTrip(r)
		})
		w.Skip(time.Hour)
		w.Flush()
		for path, times := range fetched {
			if times > 1 {
				t.Errorf("%s: fetched %d times", path, times)
			}
		}
		if len(fetched) < 2 {
			t.Errorf("fetched %v: the first flush brought too much back", fetched)
		}
		has(t, w, "theirs", "theirs, newer", "ours")
	})
}

// A look that the service refuses for one item keeps nothing else from being sent, and what became of that one is seen
// when the service answers again.
func TestAStepThatMayNotBeLookedAtStopsNothingElse(t *testing.T) {
	for _, status := range []int{403, 400, 500} {
		for _, base := range []map[string]string{{"/x/b": "b"}, {"/x/b": "b", "/x/a.bin": "base"}} {
			for _, change := range []func(w *simtest.World) (left int){
				func(*simtest.World) int { return 1 },
				func(w *simtest.World) int { must(t, w.Write("/x/a.bin", []byte("newer"))); return 1 },
				func(w *simtest.World) int { must(t, w.Remove("/x/a.bin")); return len(base) - 1 },
			} {
				in(t, base, func(t *testing.T, w *simtest.World) {
					must(t, w.Write("/x/a.bin", []byte("ours")))
					lost(w, http.MethodPut, true, nothing, func() { w.Server.SetOffline(true) })
					if _, err := w.Engine.Flush(t.Context(), flush.Request{}); !errors.Is(err, graph.Offline) {
						t.Errorf("flush: %v", err)
					}
					w.Between(nil)
					w.Server.SetOffline(false)
					w.Server.Inject(graphtest.Fault{Op: "read", Place: "/x/a.bin", Status: status, Times: -1}, graphtest.Fault{Op: "write", Place: "/x/a.bin", Status: status, Times: -1})
					left := change(w)
					must(t, w.Write("/other", []byte("other")))
					for n := 1; n <= 2; n++ {
						r := w.Flush()
						if r.Sent != 2-n || r.Left != left || r.Deferred != left || r.Conflicts > 0 {
							t.Errorf("%d: flush %d: %+v %+v", status, n, r, r.Receipt)
						}
						w.Refresh()
						d := w.Engine.Status().Drives[0].Pending.Deferred
						if len(d) != left || left > 0 && (d[0].Path != "/x/a.bin" || d[0].Tries != n || !d[0].Next.After(w.Now()) || !strings.Contains(d[0].Reason, fmt.Sprint(status))) {
							t.Errorf("%d: deferred %+v, %+v", status, d, r.Receipt)
						}
					}
					w.Server.ClearFaults()
					if r := w.Flush(); r.Left != 0 || r.Conflicts > 0 {
						t.Errorf("%d: in the end: %+v %+v", status, r, r.Receipt)
					}
					w.Refresh()
					w.Equal()
					if n := len(w.There()); n > 4 {
						t.Errorf("there: %.200q", w.There())
					}
					w.Quiet()
				})
			}
		}
	}
}

// What could not be looked at can be sent from another place.
func TestWhatMayNotBeLookedAtIsSentFromAnotherPlace(t *testing.T) {
	in(t, map[string]string{"/x/b": "b"}, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/x/a.bin", []byte("ours")))
		lost(w, http.MethodPut, false, nothing, func() { w.Server.SetOffline(true) })
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); !errors.Is(err, graph.Offline) {
			t.Errorf("flush: %v", err)
		}
		w.Between(nil)
		w.Server.SetOffline(false)
		w.Server.Inject(graphtest.Fault{Op: "read", Place: "/x/a.bin", Status: 403, Times: -1}, graphtest.Fault{Op: graphtest.OpCreateSession, Place: "/x/a.bin", Status: 403, Times: -1})
		must(t, w.Move("/x/a.bin", "/a.bin"))
		if r := w.Flush(); r.Sent != 1 || r.Left != 0 {
			t.Errorf("flush: %+v", r)
		}
		w.Server.ClearFaults()
		w.Equal()
		w.Quiet()
	})
}

// A writer meets the end of a first upload, and the service does not find by its name what it has made (Q6).
func TestAWriterWhoMeetsTheEndOfAFirstUploadMakesNoConflictWithHimself(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", []byte("first")))
		once(w, http.MethodPut, 1, true, func() { must(t, w.Write("/a.bin", []byte("second"))) })
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpItem, Path: ":/a.bin", Status: 404, Code: "itemNotFound", Times: -1})
		if r := w.Flush(); r.Left != 1 || r.Conflicts > 0 {
			t.Errorf("flush: %+v", r)
		}
		w.Between(nil)
		if r := w.Flush(); r.Sent != 1 || r.Left != 0 || r.Conflicts > 0 {
			t.Errorf("second flush: %+v %+v", r, r.Receipt)
		}
		w.Server.ClearFaults()
		has(t, w, "second")
		w.Equal()
		w.Quiet()
	})
}

// The service has counted a change of somebody else, and just then nobody can read the versions.
func TestBytesOverwrittenUnseenComeBackThoughTheVersionsCouldNotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		fault graphtest.Fault
		ends  graph.Kind // the flush
	}{
		"throttled":  {graphtest.Fault{Status: 429, RetryAfter: 60}, ""},
		"slow":       {graphtest.Fault{Delay: graphtest.Duration(time.Minute)}, ""},
		"signed out": {graphtest.Fault{Status: 401, Code: "InvalidAuthenticationToken", Times: -1}, graph.SignIn},
		"broken":     {graphtest.Fault{Drop: graphtest.DropBefore, Times: -1}, graph.Offline},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, map[string]string{"/a.bin": "base"}, func(t *testing.T, w *simtest.World) {
				time.Sleep(time.Hour)
				must(t, w.Write("/a.bin", []byte("ours")))
				once(w, http.MethodPut, 1, false, func() { put(t, w.Far, "/a.bin", "theirs, unseen") })
				c.fault.Op = graphtest.OpVersions
				w.Server.Inject(c.fault)
				res, err := w.Engine.Flush(t.Context(), flush.Request{})
				if c.ends != "" && !errors.Is(err, c.ends) || c.ends == "" && (err != nil || res.Drives[0].Sent != 1) {
					t.Errorf("flush: %+v, %v", res, err)
				}
				w.Between(nil)
				w.Server.ClearFaults()
				w.Skip(time.Hour)
				w.Flush()
				w.Flush()
				w.Equal()
				has(t, w, "ours", "theirs, unseen")
				if got := w.There()["/a.bin"]; got != "ours" {
					t.Errorf("/a.bin is %q", got)
				}
				w.Quiet()
			})
		})
	}
}

// The last bytes of an upload arrive only when it is gone on with, over those of a colleague.
func TestASessionFromBeforeThatIsAtItsEndIsLookedBackAt(t *testing.T) {
	in(t, map[string]string{"/a.bin": "base"}, func(t *testing.T, w *simtest.World) {
		time.Sleep(time.Hour)
		must(t, w.Write("/a.bin", []byte("ours")))
		var late *http.Request
		online := false // again
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			switch {
			case r.Method == http.MethodPut && late == nil:
				body, err := io.ReadAll(r.Body)
				must(t, err)
				late = r.Clone(t.Context())
				late.Body = io.NopCloser(bytes.NewReader(body))
				w.Server.SetOffline(true)
				return nil, errors.New("the connection breaks")
			case late != nil && late.Body != nil && r.Method == http.MethodGet && r.URL.Path == late.URL.Path && online:
				put(t, w.Far, "/a.bin", "theirs, unseen")
				answer, err := under.RoundTrip(late)
				must(t, err, answer.Body.Close())
				late.Body = nil
			}
			return under.RoundTrip(r)
		})
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); !errors.Is(err, graph.Offline) {
			t.Errorf("flush: %v", err)
		}
		w.Server.SetOffline(false)
		online = true
		if r := w.Flush(); r.Sent == 0 || late.Body != nil {
			t.Errorf("flush: %+v", r)
		}
		w.Between(nil)
		w.Skip(time.Hour)
		w.Flush()
		w.Equal()
		has(t, w, "ours", "theirs, unseen")
		w.Quiet()
	})
}
