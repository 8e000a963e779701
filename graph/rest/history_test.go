package rest_test

import (
	"bytes"
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

// Between the last look and the commit of a session nothing holds others off (Q19). What they wrote then is told of.
func TestWhoWasOvertakenIsToldOf(t *testing.T) {
	for _, c := range []struct {
		name               string
		personal, paranoid bool
		size, theirs       int // bytes
		pause              time.Duration
		told               int
		looks              int // at the versions
	}{
		{"nobody", false, false, 2 * fragment, 0, 0, 0, 0},
		{"nobody, paranoid", false, true, 2 * fragment, 0, 0, 0, 1},
		{"one", false, false, 2 * fragment, 1, time.Minute, 1, 1},
		{"one, small file", false, false, 100, 1, time.Minute, 1, 1},
		{"two", false, false, 100, 2, time.Minute, 2, 1},
		{"one in the same second", false, false, 100, 1, 0, 1, 1},
		{"on a personal drive", true, false, 100, 1, time.Minute, 0, 0},
		{"on a personal drive, paranoid", true, true, 100, 1, time.Minute, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := func() {}
			in(t, graphtest.Options{Personal: c.personal}, func(o *rest.Options) {
				o.Paranoid = c.paranoid
				inner := o.Transport
				o.StorageTransport = carrier(func(r *http.Request) (*http.Response, error) {
					if part := r.Header.Get("Content-Range"); strings.HasSuffix(part, fmt.Sprintf("-%d/%d", c.size-1, c.size)) {
						before()
					}
					return inner.RoundTrip(r)
				})
			}, func(w *world) {
				i := w.put("/f", []byte("before"))
				before = func() {
					for n := range c.theirs {
						time.Sleep(c.pause)
						w.put("/f", []byte("theirs "+strings.Repeat("!", n)))
					}
				}
				time.Sleep(time.Second / 3)
				ours := noise(c.size, 1)
				var told []graph.Past
				u := upload(graph.Upload{ID: i.ID, Base: i.Version()}, ours)
				u.Overtaken = func(between []graph.Past) { told = append(told, between...) }
				w.ResetCounts()
				_, err := w.near.Upload(w.ctx(), u)
				must(t, err)
				if n := w.Counts().Of(graphtest.OpVersions); n != c.looks {
					t.Errorf("looked %d times at the versions, want %d", n, c.looks)
				}
				w.holds("/f", ours)
				if len(told) != c.told {
					t.Fatalf("told of %+v, want %d", told, c.told)
				}
				for n, p := range told {
					r, err := w.near.PastContent(w.ctx(), i.ID, p)
					must(t, err)
					got, err := io.ReadAll(r)
					if want := "theirs " + strings.Repeat("!", n); err != nil || string(got) != want || p.By == "" {
						t.Errorf("version %+v holds %q, %v, want %q", p, got, err, want)
					}
					must(t, r.Close())
				}
			})
		})
	}
}

// What was there in the second of the last look, but before it, has been overtaken by nobody. What came after it has been,
// also if it is written over once more before the versions are read.
func TestWhatWasThereBeforeTheLastLookIsNotToldOf(t *testing.T) {
	const ours = "ours, of which the service has bytes enough"
	for _, c := range []struct {
		name   string
		before string // the bytes right before those that are seen
		unseen string
		later  string // written after ours
		told   []string
	}{
		{"of another size", "longer than what is seen", "theirs", "", []string{"theirs"}},
		{"of another size, nobody", "longer than what is seen", "", "", nil},
		{"of the same size", "replaced", "theirs", "", []string{"are seen", "theirs"}}, // which of two was seen nothing says
		{"written over", "longer than what is seen", "theirs", "later", []string{"theirs", ours}},
	} {
		t.Run(c.name, func(t *testing.T) {
			happens := map[string]func(){}
			carry := func(inner http.RoundTripper) carrier {
				return func(r *http.Request) (*http.Response, error) {
					for part, f := range happens {
						if strings.Contains(r.Method+" "+r.URL.Path, part) {
							delete(happens, part)
							f()
						}
					}
					return inner.RoundTrip(r)
				}
			}
			in(t, graphtest.Options{}, func(o *rest.Options) {
				o.Paranoid = true
				inner := o.Transport
				o.Transport, o.StorageTransport = carry(inner), carry(inner)
			}, func(w *world) {
				w.put("/f", []byte("the first"))
				w.put("/f", []byte(c.before))
				i := w.put("/f", []byte("are seen"))
				write := func(text string) func() {
					return func() {
						if text != "" {
							w.put("/f", []byte(text))
						}
					}
				}
				happens["PUT "], happens["/versions"] = write(c.unseen), write(c.later)
				var past []graph.Past
				u := upload(graph.Upload{ID: i.ID, Base: i.Version()}, []byte(ours))
				u.Overtaken = func(between []graph.Past) { past = between }
				_, err := w.near.Upload(w.ctx(), u)
				must(t, err)
				var told []string
				for _, p := range past {
					r, err := w.near.PastContent(w.ctx(), i.ID, p)
					must(t, err)
					b, err := io.ReadAll(r)
					must(t, errors.Join(err, r.Close()))
					told = append(told, string(b))
				}
				if !slices.Equal(told, c.told) || len(happens) > 0 {
					t.Errorf("told of %q, want %q; %d things did not happen", told, c.told, len(happens))
				}
			})
		})
	}
}

// An upload is not a failure because the versions cannot be read afterwards.
func TestALookAtTheVersionsThatFailsIsNoFailure(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.Paranoid = true }, func(w *world) {
		i := w.put("/f", []byte("before"))
		w.Inject(graphtest.Fault{Op: graphtest.OpVersions, Status: 403})
		u := upload(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours"))
		u.Overtaken = func([]graph.Past) { t.Error("told of nothing") }
		_, err := w.near.Upload(w.ctx(), u)
		must(t, err)
		if !strings.Contains(w.logs.String(), "version history") {
			t.Error("nobody was told")
		}
	})
}

// Where only just now nobody can read them, whoever uploads has to look again, and knows what was made.
func TestALookAtTheVersionsThatFailsForNowIsLost(t *testing.T) {
	for name, fault := range map[string]graphtest.Fault{
		"throttled":  {Status: 429, RetryAfter: 60},
		"slow":       {Delay: graphtest.Duration(time.Minute)},
		"signed out": {Status: 401, Times: -1},
		"broken":     {Drop: graphtest.DropBefore, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, graphtest.Options{}, func(o *rest.Options) { o.Paranoid = true }, func(w *world) {
				i := w.put("/f", []byte("before"))
				fault.Op = graphtest.OpVersions
				w.Inject(fault)
				u := upload(graph.Upload{ID: i.ID, Base: i.Version()}, []byte("ours"))
				u.Overtaken = func([]graph.Past) { t.Error("told of nothing") }
				made, err := w.near.Upload(w.ctx(), u)
				wants(t, err, graph.Lost)
				w.ClearFaults()
				if made.Version() != w.at("/f").Version() {
					t.Errorf("made %+v", made)
				}
				w.holds("/f", []byte("ours"))
			})
		})
	}
}

func TestVersionsAndTheirBytes(t *testing.T) {
	simply(t, func(w *world) {
		bodies := [][]byte{noise(100_000, 1), nil, []byte("third"), noise(5000, 4)}
		var i graph.Item
		for _, b := range bodies {
			i = w.put("/f", b)
			time.Sleep(time.Minute)
		}
		versions, err := w.near.Versions(w.ctx(), i.ID)
		must(t, err)
		if len(versions) != len(bodies) || !versions[0].ModTime.After(versions[1].ModTime) {
			t.Fatalf("versions %+v", versions)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 1000})
		for n, p := range versions {
			want := bodies[len(bodies)-1-n]
			r, err := w.near.PastContent(w.ctx(), i.ID, p)
			must(t, err)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) || p.Size != int64(len(want)) {
				t.Errorf("version %+v: %d bytes, %v", p, len(got), err)
			}
			must(t, r.Close())
		}
		_, err = w.near.Versions(w.ctx(), "nothing")
		wants(t, err, graph.NotExist)
		_, err = w.near.PastContent(w.ctx(), i.ID, graph.Past{ID: "99.0", Size: 5})
		wants(t, err, graph.NotExist)
	})
}
