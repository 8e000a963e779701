package flush_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// day is a day's work with every kind of step in it.
func day(t *testing.T, w *simtest.World) {
	t.Helper()
	must(t,
		w.Write("/edit.txt", []byte("after")),
		w.Write("/large.bin", simtest.Data("new", 900<<10)),
		w.Write("/fresh.bin", simtest.Data("fresh", 700<<10)),
		w.Mkdir("/new"),
		w.Write("/new/file.txt", []byte("deep")),
		w.Move("/old/name.txt", "/new/name.txt"),
		w.Exchange("/x", "/y"),
		w.Move("/one.txt", "/tmp"), w.Move("/two.txt", "/one.txt"), w.Move("/tmp", "/two.txt"),
		w.Remove("/dir"),
		w.Write("/sub/a.txt", []byte("a2")),
		w.Move("/sub", "/new/sub"),
	)
}

func dawn(d *graphtest.Drive) {
	for p, data := range map[string]string{
		"/edit.txt": "before", "/old/name.txt": "name", "/x": "x", "/y": "y",
		"/one.txt": "1", "/two.txt": "2", "/dir/a.txt": "a", "/dir/b/c.txt": "c", "/sub/a.txt": "a1", "/sub/b.txt": "b",
	} {
		if _, err := d.Put(p, []byte(data)); err != nil {
			panic(err)
		}
	}
	if _, err := d.Put("/large.bin", simtest.Data("old", 800<<10)); err != nil {
		panic(err)
	}
}

// evening is what must be there after the day.
func evening(t *testing.T) map[string]string {
	want := map[string]string{}
	in(t, dawn, func(t *testing.T, w *simtest.World) {
		day(t, w)
		want = w.Here()
		w.Flush()
		w.Equal()
		w.Quiet()
	})
	return want
}

var errDead = errors.New("the process is dead")

// killer is a network on which the process dies at the n-th request that changes something.
type killer struct {
	n     int64
	after bool   // the request has taken effect
	die   func() // keeps the state as of this moment
	asked atomic.Int64
	dead  atomic.Bool
}

func (k *killer) carry(r *http.Request, under http.RoundTripper) (*http.Response, error) {
	if k.dead.Load() {
		return nil, errDead
	}
	if r.Method == http.MethodGet || k.asked.Add(1) != k.n {
		return under.RoundTrip(r)
	}
	if k.after {
		if answer, err := under.RoundTrip(r); err == nil {
			answer.Body.Close()
		}
	}
	k.dead.Store(true)
	k.die()
	return nil, errDead
}

func TestKilledAtAnyRequestNothingIsLostAndNothingComesTwice(t *testing.T) {
	want := evening(t)
	deaths, unsent := 0, 0
	for n := int64(1); ; n++ {
		died := false
		for _, after := range []bool{false, true} {
			if !after && n%3 != 1 {
				continue // much like the death right after the request before it
			}
			t.Run(fmt.Sprintf("at %d, after %v", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := simtest.New(t, graphtest.Options{}, dawn)
					day(t, w)
					w.Options.Parallel = 1
					w.Use(w.Near)
					kept := filepath.Join(t.TempDir(), "kept")
					k := &killer{n: n, after: after, die: func() { w.Keep(kept) }}
					w.Between(k.carry)
					_, err := w.Engine.Flush(t.Context(), flush.Request{AllowDeletes: true})
					if !k.dead.Load() {
						return
					}
					died = true
					if err == nil {
						t.Log("the flush took its death for a refusal")
					}
					w.Between(nil)
					w.Open(kept)
					if w.Engine.Status().Drives[0].Pending.Items > 0 {
						unsent++
					}
					deaths++
					if r := w.Flush(); r.Deferred+r.Conflicts+r.Busy > 0 {
						t.Errorf("the flush after it: %+v", r)
					}
					if got := w.There(); !maps.Equal(got, want) {
						t.Errorf("there: %v", names(got))
					}
					w.Equal()
					w.Quiet()
				})
			})
		}
		if !died {
			break
		}
	}
	if deaths < 20 || unsent < 20 {
		t.Errorf("%d deaths, %d with unsent work: too few to prove anything", deaths, unsent)
	}
}

func names(m map[string]string) []string {
	var out []string
	for p, data := range m {
		out = append(out, fmt.Sprintf("%s=%.12s", p, data))
	}
	return out
}

func TestALostAnswerAtAnyRequestIsLookedUp(t *testing.T) {
	want := evening(t)
	for how, stride := range map[string]int{graphtest.DropBefore: 3, graphtest.DropAfter: 1} {
		struck := 0
		for n := 0; ; n += stride {
			done := false
			t.Run(fmt.Sprintf("%s request %d", how, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := simtest.New(t, graphtest.Options{}, dawn)
					day(t, w)
					w.Server.Inject(graphtest.Fault{Op: "write", Skip: n, Drop: how})
					r, err := w.Engine.Flush(t.Context(), flush.Request{AllowDeletes: true})
					if err != nil && !errors.Is(err, graph.Offline) {
						t.Fatal(err)
					}
					if d := r.Drives[0]; err == nil && d.Deferred+d.Conflicts+d.Left > 0 {
						t.Errorf("one lost answer, and the flush did not do all: %+v", d)
					}
					if done = w.Server.ClearFaults() > 0; done {
						return
					}
					struck++
					w.Flush()
					if got := w.There(); !maps.Equal(got, want) {
						t.Errorf("there: %v", names(got))
					}
					w.Equal()
					w.Quiet()
				})
			})
			if done {
				break
			}
		}
		if struck < 18/stride {
			t.Errorf("%s struck %d times", how, struck)
		}
	}
}
