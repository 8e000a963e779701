package rest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// folders are calls that make n folders below the root.
func (w *world) folders(n int) []graph.Call {
	var calls []graph.Call
	root := w.root()
	for i := range n {
		calls = append(calls, graph.Call{Do: graph.DoMkdir, Parent: root, Name: fmt.Sprintf("d%02d", i)})
	}
	return calls
}

// all checks that all calls succeeded.
func (w *world) all(results []graph.Result, n int) {
	w.t.Helper()
	if len(results) != n {
		w.t.Fatalf("%d results, want %d", len(results), n)
	}
	for i, r := range results {
		if r.Err != nil {
			w.t.Errorf("call %d: %v", i, r.Err)
		}
	}
}

func TestABatchOfEverything(t *testing.T) {
	for _, personal := range []bool{false, true} {
		in(t, graphtest.Options{Personal: personal}, nil, func(w *world) {
			a, b, c := w.put("/a 100%", []byte("x")), w.put("/b", []byte("x")), w.put("/c", []byte("before"))
			data := []byte("ours")
			w.ResetCounts()
			r := w.near.Batch(w.ctx(), []graph.Call{
				{Do: graph.DoMkdir, Parent: a.Parent, Name: "new #1"},
				{Do: graph.DoUpdate, ID: a.ID, Change: graph.Change{Name: "A", ModTime: yesterday}, IfMatch: a.ETag},
				{Do: graph.DoDelete, ID: b.ID, IfMatch: b.ETag},
				{Do: graph.DoBegin, Upload: upload(graph.Upload{Parent: a.Parent, Name: "up %41"}, data)},
				{Do: graph.DoBegin, Upload: upload(graph.Upload{ID: c.ID, Base: c.Version()}, data)},
				{},
				{Do: graph.DoBegin},
				{Do: graph.DoMkdir, Parent: a.Parent, Name: "C"},
				{Do: graph.DoDelete, ID: c.ID, IfMatch: `"{00000000-0000-0000-0000-000000000000},9"`},
			})
			w.all(r[:5], 5)
			wants(t, r[5].Err, graph.Invalid)
			wants(t, r[6].Err, graph.Invalid)
			wants(t, r[7].Err, graph.Exist)
			wants(t, r[8].Err, graph.Changed)
			if w.Counts().Of(graphtest.OpBatch) != 1 {
				t.Errorf("asked %v", w.Counts().Kinds)
			}
			if r[0].Item.Name != "new #1" || r[1].Item.Name != "A" || !r[1].Item.ModTime.Equal(yesterday) {
				t.Errorf("got %+v and %+v", r[0].Item, r[1].Item)
			}
			if _, err := w.far.Stat("/b"); err == nil {
				t.Error("b is still there")
			}
			w.ResetCounts()
			must(t, w.near.Abandon(w.ctx(), r[3].Session))
			w.send(graph.Upload{ID: c.ID, Base: c.Version(), Session: r[4].Session}, data, "/c")
			if n := w.Counts().Of(graphtest.OpCreateSession); n > 0 || w.OpenSessions() > 0 {
				t.Errorf("%d sessions more, %d open", n, w.OpenSessions())
			}
		})
	}
}

func TestABatchOfManyGoesByTwenties(t *testing.T) {
	simply(t, func(w *world) {
		calls := w.folders(45)
		n := w.counted(func() { w.all(w.near.Batch(w.ctx(), calls), 45) }, graphtest.OpBatch)
		if n != 3 || w.Counts().Of(graphtest.OpMkdir) != 45 {
			t.Errorf("%d batches with %d folders", n, w.Counts().Of(graphtest.OpMkdir))
		}
		w.all(w.near.Batch(w.ctx(), nil), 0)
	})
}

// Q29: what is inside is judged one by one.
func TestInnerAnswersOfABatchAreJudgedByThemselves(t *testing.T) {
	simply(t, func(w *world) {
		var calls []graph.Call
		for n := range 6 {
			name := fmt.Sprintf("f%d", n)
			calls = append(calls, graph.Call{Do: graph.DoUpdate, ID: w.put("/"+name, nil).ID, Change: graph.Change{Name: "new " + name}})
		}
		at := func(n int, f graphtest.Fault) graphtest.Fault {
			f.Op, f.Item = graphtest.OpUpdate, string(calls[n].ID)
			return f
		}
		w.Inject(at(1, graphtest.Fault{Status: 429, RetryAfter: 30}), at(2, graphtest.Fault{Status: 404, Times: 2}), at(3, graphtest.Fault{Status: 503}),
			at(4, graphtest.Fault{Status: 403}), at(5, graphtest.Fault{Status: 204, Work: true}))
		began := time.Now()
		r := w.near.Batch(w.ctx(), calls)
		w.all(r[:3], 3)
		wants(t, r[3].Err, graph.Lost)
		wants(t, r[4].Err, graph.Denied)
		if r[5].Err != nil || r[5].Item.Name != "new f5" {
			t.Errorf("done without saying so: %+v", r[5])
		}
		if took := time.Since(began); took < 30*time.Second || took > 32*time.Second {
			t.Errorf("took %v", took)
		}
		var e *graph.Error
		if !errors.As(r[4].Err, &e) || e.Op != "update" || e.Item != string(calls[4].ID) || e.Status != 403 {
			t.Errorf("got %#v", r[4].Err)
		}
		if left := w.ClearFaults(); left > 0 {
			t.Errorf("%d faults were not met", left)
		}
	})
}

func TestOnlyTheThrottledOfABatchAreAskedAgain(t *testing.T) {
	simply(t, func(w *world) {
		calls := w.folders(20)
		w.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Skip: 14, Times: 3, Status: 429, RetryAfter: 60})
		began := time.Now()
		n := w.counted(func() { w.all(w.near.Batch(w.ctx(), calls), 20) }, graphtest.OpMkdir)
		if took := time.Since(began); n != 23 || took != time.Minute {
			t.Errorf("%d requests inside in %v", n, took)
		}
		if n := w.Counts().Of(graphtest.OpBatch); n != 2 {
			t.Errorf("%d batches", n)
		}
	})
}

func TestSmallerBatchesWhenRefused(t *testing.T) {
	for refusals, batches := range map[int]int{1: 1 + 2, 2: 2 + 4, 3: 3 + 10, 4: 4} {
		simply(t, func(w *world) {
			calls := w.folders(20)
			w.Inject(graphtest.Fault{Op: graphtest.OpBatch, Times: refusals, Status: 400, Code: "BadRequest", Message: "Number of requests inside batch exceed the limit"})
			n := w.counted(func() { w.all(w.near.Batch(w.ctx(), calls), 20) }, graphtest.OpBatch)
			if n != batches {
				t.Errorf("%d batches after %d refusals, want %d", n, refusals, batches)
			}
			if n := w.Counts().Of(graphtest.OpMkdir); n != 20 {
				t.Errorf("%d folders were asked for", n)
			}
		})
	}
}

func TestWhatWasInALostBatchIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		fault graphtest.Fault
		want  graph.Kind
		made  int
	}{
		"answer lost":  {graphtest.Fault{Drop: graphtest.DropAfter}, graph.Lost, 3},
		"request lost": {graphtest.Fault{Drop: graphtest.DropBefore}, graph.Lost, 0},
		"502 yet done": {graphtest.Fault{Status: 502, Work: true, Body: "<html>"}, graph.Lost, 3},
		"empty":        {graphtest.Fault{Empty: true}, graph.Lost, 3},
		"half":         {graphtest.Fault{Status: 200, Type: "application/json", Body: `{"responses":[{"id":"7","status":201}]}`}, graph.Lost, 0},
		"throttled":    {graphtest.Fault{Status: 429, RetryAfter: 30}, "", 3},
		"denied":       {graphtest.Fault{Status: 403}, graph.Denied, 0},
	} {
		t.Run(name, func(t *testing.T) {
			simply(t, func(w *world) {
				calls := w.folders(3)
				c.fault.Op = graphtest.OpBatch
				w.Inject(c.fault)
				r := w.near.Batch(w.ctx(), calls)
				for i := range r {
					if graph.KindOf(r[i].Err) != c.want {
						t.Errorf("call %d: %v", i, r[i].Err)
					}
				}
				if n := w.Counts().Of(graphtest.OpMkdir); n != c.made {
					t.Errorf("%d folders were made", n)
				}
			})
		})
	}
	simply(t, func(w *world) {
		calls := w.folders(3)
		ctx, stop := context.WithCancel(w.ctx())
		stop()
		for _, r := range w.near.Batch(ctx, calls) {
			if !errors.Is(r.Err, context.Canceled) {
				t.Errorf("given up: %v", r.Err)
			}
		}
	})
}

func TestATokenThatRunsOutBetweenBatches(t *testing.T) {
	simply(t, func(w *world) {
		calls := w.folders(25)
		w.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Skip: 3, Times: 2, Status: 401})
		w.all(w.near.Batch(w.ctx(), calls[:20]), 20)
		if w.tokens.refreshes != 1 {
			t.Errorf("%d refreshes", w.tokens.refreshes)
		}
		w.RevokeAccess()
		w.all(w.near.Batch(w.ctx(), calls[20:]), 5)
	})
}

// A batch is paid for by what is in it.
func TestABatchCostsWhatIsInIt(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.UnitsPerMinute, o.UnitsBurst = 60, 41 }, func(w *world) {
		calls := w.folders(40) // after a look at the root, for one unit
		began := time.Now()
		w.all(w.near.Batch(w.ctx(), calls[:20]), 20)
		if took := time.Since(began); took > 0 {
			t.Errorf("40 units took %v", took)
		}
		w.all(w.near.Batch(w.ctx(), calls[20:]), 20)
		if took := time.Since(began); took < 40*time.Second || took > 42*time.Second {
			t.Errorf("40 units more at 60 a minute took %v", took)
		}
	})
}

// A refusal inside a batch says as much about the service as one that came alone: fewer calls are under way afterwards.
func TestARefusalInABatchHalvesTheCrowd(t *testing.T) {
	crowded(t, func(w *world, c *crowd) {
		if n := c.ask(100); n != rest.DefaultConcurrency {
			t.Fatalf("%d at once when all goes well", n)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Status: 429, RetryAfter: 10})
		w.all(w.near.Batch(w.ctx(), w.folders(3)), 3)
		if n := c.ask(rest.DefaultConcurrency); n > rest.DefaultConcurrency/2+1 { // it grows again meanwhile
			t.Errorf("%d at once after a refusal", n)
		}
	})
}
