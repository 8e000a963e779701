package push

import (
	"container/heap"
	"context"
	"errors"

	"github.com/duskfs/duskfs/flush/plan"
)

// Run carries a plan out. It goes on past steps that fail by themselves and returns an error only
// for what stops all of them: the service is out of reach (graph.Offline), sign-in is needed
// (graph.SignIn), the service throttles (graph.Throttled), the store fails, ctx ended. What was not
// sent stays pending, and nothing is under way when Run returns.
func (p *Pusher) Run(ctx context.Context, todo plan.Plan, req Request) (Result, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := newRun(p, todo, req)
	for {
		for r.fatal == nil && ctx.Err() == nil && r.running < p.o.Parallel && len(r.ready) > 0 {
			r.start(ctx, heap.Pop(&r.ready).(int))
		}
		if r.running == 0 {
			break
		}
		e := <-r.events
		if !e.end {
			r.sent(e)
			continue
		}
		r.running--
		r.finish(e.i, e.verdict)
		if r.fatal != nil {
			stop() // uploads under way need not go on
		}
	}
	if r.fatal == nil {
		r.fatal = ctx.Err()
	}
	if r.fatal == nil {
		p.abandonRest(ctx)
	}
	return r.result, r.fatal
}

// run is one plan under way. Only the goroutine of Run touches it; steps report by events.
type run struct {
	p     *Pusher
	req   Request
	steps []plan.Step
	waits []waits
	ready indexes

	running  int
	early    int // steps not ended that are no trailing deletion
	noSpace  bool
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
}

// verdict is how a step ended.
type verdict struct {
	Done
	again bool
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
	if w.left == 0 && !w.ended && (!w.trailing || r.early == 0) {
		heap.Push(&r.ready, i)
	}
}

func (r *run) start(ctx context.Context, i int) {
	s := r.steps[i]
	if r.waits[i].failed {
		r.finish(i, verdict{Done: Done{Step: s, Outcome: Skipped, Reason: "needs something that was not sent"}})
		return
	}
	if r.noSpace && s.Size > 0 {
		r.finish(i, verdict{Done: Done{Step: s, Outcome: Skipped, Reason: "no space left in the drive"}})
		return
	}
	r.running++
	r.tell(s)
	go func() {
		v := r.p.step(ctx, s, r.req.Last, func(n int64) { r.events <- event{i: i, sent: n} })
		v.Step = s
		r.events <- event{i: i, end: true, verdict: v}
	}()
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
	r.result.Steps = append(r.result.Steps, v.Done)
	r.progress.Done++
	r.sent(event{i: i, sent: r.steps[i].Size})
}

func (r *run) tell(s plan.Step) {
	if r.req.Progress != nil {
		r.progress.Step = s
		r.req.Progress(r.progress)
	}
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
