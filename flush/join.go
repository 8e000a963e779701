package flush

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// Flush sends local changes and returns when that is done. It works beside Run and without. A drive
// whose flush ended early has its Error set in the Result; the error returned joins them
// (graph.Offline, graph.SignIn, …). Everything not sent is kept.
//
// A second Flush that asks for the same joins the one under way: both are told how far it has come and get the
// same Result, and what was changed before the second came is sent too. It ends early when all who wait for it
// have gone; who goes before hears that, and how much is left just then. Flushes that ask for something else, and those of
// the schedule, wait for their drives' turn; who waits is told what for, and how far that is.
func (e *Engine) Flush(ctx context.Context, r Request) (Result, error) {
	jobs, err := e.jobs(r)
	if err != nil {
		return Result{}, err
	}
	key, err := json.Marshal(r)
	if err != nil {
		return Result{}, err
	}
	e.mu.Lock()
	s := e.under[string(key)]
	if s != nil {
		if ear := s.join(); ear != nil {
			e.mu.Unlock()
			return s.wait(ctx, ear, r.Progress)
		}
	}
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s = &shared{jobs: jobs, cancel: cancel, done: make(chan struct{}), waiting: 1, last: map[cache.DriveNum]Progress{}}
	first := s.listen()
	e.under[string(key)] = s
	e.mu.Unlock()
	running, leave, err := e.enter(running)
	if err != nil {
		e.forget(string(key), s)
		s.finish(Result{}, err)
		return Result{}, err
	}
	go func() {
		defer leave()
		res, err := e.flushAll(running, jobs, s.tell)
		e.forget(string(key), s)
		s.finish(res, err)
		cancel(nil)
	}()
	return s.wait(ctx, first, r.Progress)
}

// forget takes a flush that has ended from those that can be joined.
func (e *Engine) forget(key string, s *shared) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.under[key] == s {
		delete(e.under, key)
	}
}

// flushAll flushes some drives at once.
func (e *Engine) flushAll(ctx context.Context, jobs []job, tell func(Progress)) (Result, error) {
	res := Result{Drives: make([]DriveResult, len(jobs))}
	errs := make([]error, len(jobs))
	var flushes sync.WaitGroup
	for i, j := range jobs {
		flushes.Go(func() { res.Drives[i], errs[i] = j.k.flush(ctx, j, tell) })
	}
	flushes.Wait()
	return res, e.join(ctx, errs)
}

// shared is a flush under way with all who wait for it.
type shared struct {
	jobs   []job
	cancel context.CancelCauseFunc
	done   chan struct{}
	res    Result // once done is closed
	err    error  // once done is closed

	mu      sync.Mutex // guards what follows; a leaf
	waiting int
	ears    []*ear
	last    map[cache.DriveNum]Progress // what was told last
}

// ear hears how far a flush has come. Who listens too slowly misses the oldest of what waits for it: nobody holds up a flush,
// such as a terminal that was stopped.
type ear struct{ news chan Progress }

// unheard is how much may wait for an ear.
const unheard = 256

// join counts one more who waits. It returns nil if what is changed until now may not be sent.
func (s *shared) join() *ear {
	for _, j := range s.jobs {
		if !j.gate.join() {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == 0 {
		return nil
	}
	s.waiting++
	return s.listen()
}

// listen adds an ear. The caller has mu, or nobody else has s.
func (s *shared) listen() *ear {
	e := &ear{news: make(chan Progress, unheard)}
	for _, p := range s.last {
		e.hear(p)
	}
	s.ears = append(s.ears, e)
	return e
}

func (e *ear) hear(p Progress) {
	for {
		select {
		case e.news <- p:
			return
		default:
			select {
			case <-e.news:
			default: // it was heard just now
			}
		}
	}
}

// wait waits for the end, telling how far it has come. Whoever goes last ends the flush.
func (s *shared) wait(ctx context.Context, e *ear, progress func(Progress)) (Result, error) {
	canceled := ctx.Done()
	for {
		select {
		case p := <-e.news:
			if progress != nil {
				progress(p)
			}
		case <-s.done:
			for len(e.news) > 0 {
				if p := <-e.news; progress != nil {
					progress(p)
				}
			}
			if ctx.Err() != nil && errors.Is(s.err, context.Canceled) {
				return s.res, context.Cause(ctx)
			}
			return s.res, s.err
		case <-canceled:
			s.mu.Lock()
			s.waiting--
			last := s.waiting == 0
			s.mu.Unlock()
			if !last {
				return s.leave(context.Cause(ctx))
			}
			s.cancel(context.Cause(ctx))
			canceled = nil // the end comes soon
		}
	}
}

// leave returns what is known to who goes, because of why, while others still wait.
func (s *shared) leave(why error) (Result, error) {
	res := Result{Drives: make([]DriveResult, len(s.jobs))}
	err := why
	for i, j := range s.jobs {
		p, perr := j.k.outbox.Pending()
		err = errors.Join(err, perr)
		res.Drives[i] = DriveResult{
			Drive: j.k.d.Num, Name: j.k.d.Name, Left: p.Items, Kind: graph.KindOf(why),
			Error: WhyEnded(why) + "; the flush goes on, since others wait for it",
		}
	}
	return res, err
}

// tell passes on how far the flush has come, one call at a time a drive. What is heard is in order.
func (s *shared) tell(p Progress) {
	s.mu.Lock()
	s.last[p.Drive] = p
	ears := slices.Clone(s.ears)
	s.mu.Unlock()
	for _, e := range ears {
		e.hear(p)
	}
}

func (s *shared) finish(res Result, err error) {
	s.res, s.err = res, err
	close(s.done)
}

// gate lets others join a flush of a drive while that can still send what they have changed.
type gate struct {
	mu      sync.Mutex // guards what follows; a leaf
	planned bool       // what is changed from now on is not in the plan
	more    bool       // somebody has come since
	closed  bool
}

func (g *gate) join() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.more = g.more || g.planned
	return !g.closed
}

// plan says that a plan is about to be made, and reports whether somebody has come since the last.
func (g *gate) plan() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	more := g.more
	g.planned, g.more = true, false
	return more
}

// end closes the gate, unless another plan must be made for somebody who has come.
func (g *gate) end() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = !g.more
	return g.closed
}

// close lets nobody in any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// queue waits for the drive's turn. Meanwhile it tells, unless tell is nil, what has the drive and how far that is: a flush at
// once and every second, anything else from the first second on, since that is short as a rule.
func (k *keeper) queue(ctx context.Context, tell func(Progress)) error {
	select {
	case <-k.turn:
		return nil
	default:
	}
	var tick <-chan time.Time
	if tell != nil {
		if p, flushing := k.before(); flushing {
			tell(p)
		}
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-k.turn:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick:
			p, _ := k.before()
			tell(p)
		}
	}
}

// before is what a flush of the drive says while it waits for its turn.
func (k *keeper) before() (p Progress, flushing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state != Flushing {
		return Progress{Drive: k.d.Num, Name: k.d.Name, Phase: "wait", Pause: "waiting for the refresh that runs"}, false
	}
	if k.progress != nil {
		p = *k.progress
	}
	p.Drive, p.Name, p.Phase = k.d.Num, k.d.Name, "wait"
	if p.Pause != "" {
		p.Pause = "; " + p.Pause
	}
	p.Pause = "waiting for the flush that runs" + p.Pause
	return p, true
}
