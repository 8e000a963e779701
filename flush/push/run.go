package push

import (
	"container/heap"
	"context"
	"errors"
	"slices"

	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// Run carries a plan out. It goes on past steps that fail by themselves and returns an error only
// for what stops all of them: the service is out of reach (graph.Offline), sign-in is needed
// (graph.SignIn), the service throttles (graph.Throttled), the store fails, ctx ended. What was not
// sent stays pending, and nothing is under way when Run returns.
func (p *Pusher) Run(ctx context.Context, todo plan.Plan, req Request) (Result, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.mu.Lock()
	p.checkOut = unknown
	p.mu.Unlock()
	r := newRun(p, todo, req)
	for {
		for r.fatal == nil && ctx.Err() == nil && r.running < p.o.Parallel && len(r.ready)+len(r.light) > 0 {
			r.next(ctx)
		}
		if r.running == 0 {
			break
		}
		e := <-r.events
		if !e.end {
			r.sent(e)
			continue
		}
		if *e.seats--; *e.seats == 0 {
			r.running--
		}
		r.under.remove(e.i)
		r.finish(e.i, e.verdict)
		if r.fatal != nil {
			stop() // uploads under way need not go on
		}
	}
	if r.fatal == nil {
		r.fatal = ctx.Err()
	}
	if r.fatal == nil && !req.More {
		p.EndSessions(ctx)
	}
	return r.result, r.fatal
}

// run is one plan under way. Only the goroutine of Run touches it; steps report by events.
type run struct {
	p     *Pusher
	req   Request
	steps []plan.Step
	waits []waits
	ready indexes // steps that may begin
	light indexes // those of them that go into batches
	under under

	running  int // steps and batches under way
	early    int // steps not ended that are no trailing deletion
	noSpace  bool
	begun    int64 // bytes of the steps begun
	fatal    error
	events   chan event
	progress Progress
	partial  []int64 // bytes sent by each step, as far as counted in progress
	result   Result
}

// waits is what stands between a step and its beginning.
type waits struct {
	left     int  // steps that it waits for
	failed   bool // one that it needs did not succeed
	ended    bool
	needs    []int // steps behind it that need it
	follows  []int // steps of the same node behind it
	trailing bool  // a deletion that nobody waits for: it begins when all else has ended
}

// event is what a step under way reports.
type event struct {
	i       int
	sent    int64
	end     bool
	verdict verdict
	seats   *int // steps of the same batch that have not ended; touched by Run's goroutine alone
}

// verdict is how a step ended.
type verdict struct {
	Done
	again bool
	ask   []graph.ItemID
	full  bool  // no space left in the drive
	fatal error // stops everything
}

func newRun(p *Pusher, todo plan.Plan, req Request) *run {
	r := &run{
		p: p, req: req, steps: todo.Steps,
		waits: make([]waits, len(todo.Steps)), partial: make([]int64, len(todo.Steps)),
		events: make(chan event, p.o.Parallel),
	}
	r.progress.Steps = len(r.steps)
	before := map[uint64]int{}
	for i, s := range r.steps {
		r.progress.Bytes += s.Size
		for _, dep := range s.After {
			r.waits[dep].needs = append(r.waits[dep].needs, i)
		}
		r.waits[i].left += len(s.After)
		if s.Op != plan.Delete {
			if j, ok := before[uint64(s.Ino)]; ok {
				r.waits[j].follows = append(r.waits[j].follows, i)
				r.waits[i].left++
			}
			before[uint64(s.Ino)] = i
		}
	}
	for i, s := range r.steps {
		r.waits[i].trailing = s.Op == plan.Delete && len(r.waits[i].needs) == 0
		if !r.waits[i].trailing {
			r.early++
		}
	}
	for i := range r.steps {
		r.enter(i)
	}
	return r
}

// enter makes a step ready if nothing stands before it.
func (r *run) enter(i int) {
	w := r.waits[i]
	if w.left > 0 || w.ended || w.trailing && r.early > 0 {
		return
	}
	if r.batches() && light(r.steps[i]) {
		heap.Push(&r.light, i)
	} else {
		heap.Push(&r.ready, i)
	}
}

// batches reports whether steps go into batches.
func (r *run) batches() bool {
	_, ok := r.p.o.Service.(graph.Batcher)
	return ok
}

// next begins what stands first in the plan: a step, or a batch of light ones.
func (r *run) next(ctx context.Context) {
	if len(r.light) == 0 || len(r.ready) > 0 && r.ready[0] < r.light[0] {
		if i := heap.Pop(&r.ready).(int); r.may(i) {
			r.start(ctx, i, nil)
		}
		return
	}
	var batch []int
	for len(batch) < maxBatch && len(r.light) > 0 {
		if i := heap.Pop(&r.light).(int); r.may(i) {
			batch = append(batch, i)
		}
	}
	if len(batch) > 0 {
		r.start(ctx, batch[0], batch[1:])
	}
}

// may reports whether a step begins, and ends it if not.
func (r *run) may(i int) bool {
	s := r.steps[i]
	end := func(o Outcome, why string) bool {
		r.finish(i, verdict{Done: Done{Step: s, Outcome: o, Reason: why}})
		return false
	}
	switch {
	case r.waits[i].failed:
		return end(Skipped, "needs something that was not sent")
	case r.noSpace && s.Size > 0:
		return end(Skipped, "no space left in the drive")
	case r.req.Bytes > 0 && s.Size > 0 && r.begun >= r.req.Bytes:
		return end(Left, "this flush has sent as much as it may")
	}
	r.begun += s.Size
	return true
}

// start begins a step, or several whose calls are made together.
func (r *run) start(ctx context.Context, first int, others []int) {
	r.running++
	seats := 1 + len(others)
	var g *group
	if len(others) > 0 {
		g = &group{batch: r.p.o.Service.(graph.Batcher), left: seats}
	}
	for _, i := range append([]int{first}, others...) {
		s := r.steps[i]
		r.under.add(i)
		r.tell(s)
		go func() {
			t := &task{p: r.p, s: s, req: r.req, svc: r.p.o.Service, sent: func(n int64) { r.events <- event{i: i, sent: n} }}
			leave := func() {}
			if g != nil {
				seat := &seat{Service: r.p.o.Service, group: g}
				t.svc, leave = seat, func() { seat.leave(ctx) }
			}
			began := r.p.o.Now()
			var made graph.Requests
			v := t.run(made.In(ctx))
			v.Requests = made.IDs()
			v.Step, v.Took, v.OldETag = t.s, r.p.o.Now().Sub(began), t.before()
			leave()
			r.events <- event{i: i, end: true, verdict: v, seats: &seats}
		}()
	}
}

func (r *run) sent(e event) {
	n := min(e.sent, r.steps[e.i].Size)
	r.progress.Sent += n - r.partial[e.i]
	r.partial[e.i] = n
	r.tell(r.steps[e.i])
}

// finish takes the end of a step in and lets go on who waited for it.
func (r *run) finish(i int, v verdict) {
	w := &r.waits[i]
	w.ended = true
	ok := v.Outcome == Sent || v.Outcome == Unchanged
	for _, b := range w.needs {
		r.waits[b].failed = r.waits[b].failed || !ok
	}
	for _, behind := range [][]int{w.needs, w.follows} {
		for _, b := range behind {
			r.waits[b].left--
			r.enter(b)
		}
	}
	if !w.trailing {
		if r.early--; r.early == 0 {
			for j := range r.waits {
				if r.waits[j].trailing {
					r.enter(j)
				}
			}
		}
	}
	if v.fatal != nil {
		if r.fatal == nil || errors.Is(r.fatal, context.Canceled) {
			r.fatal = v.fatal
		}
		return // it is no outcome of this step alone
	}
	r.noSpace = r.noSpace || v.full
	r.result.Again = r.result.Again || v.again
	r.result.Ask = append(r.result.Ask, v.ask...)
	r.result.Steps = append(r.result.Steps, v.Done)
	if r.req.Ended != nil {
		r.req.Ended(v.Done)
	}
	r.progress.Done++
	r.sent(event{i: i, sent: r.steps[i].Size})
}

func (r *run) tell(s plan.Step) {
	if r.req.Progress != nil {
		r.progress.Step, r.progress.Under = s, r.under.paths(r.steps)
		r.req.Progress(r.progress)
	}
}

// under are the steps under way, in the order in which they began.
type under []int

func (u *under) add(i int) { *u = append(*u, i) }

func (u *under) remove(i int) {
	if at := slices.Index(*u, i); at >= 0 {
		*u = slices.Delete(*u, at, at+1)
	}
}

// mostPaths is how many of them anybody wants to see.
const mostPaths = 8

func (u under) paths(steps []plan.Step) []string {
	paths := make([]string, 0, mostPaths)
	for _, i := range u[:min(len(u), mostPaths)] {
		paths = append(paths, steps[i].Path)
	}
	return paths
}

// indexes is a heap, smallest first: what stands first in the plan is begun first.
type indexes []int

func (h indexes) Len() int           { return len(h) }
func (h indexes) Less(i, j int) bool { return h[i] < h[j] }
func (h indexes) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *indexes) Push(x any)        { *h = append(*h, x.(int)) }
func (h *indexes) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
