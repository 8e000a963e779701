package flush

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/push"
)

// Engine runs the cycles of some drives. All methods are safe for concurrent use.
type Engine struct {
	o      Options
	drives []*keeper

	note *note

	mu      sync.Mutex // guards what follows; a leaf
	stopped bool
	calls   map[*call]struct{}
	idle    *sync.Cond         // no call is left
	under   map[string]*shared // flushes under way, by what they were asked
}

// call is a Flush, Refresh or List under way.
type call struct{ cancel context.CancelCauseFunc }

// New makes an engine. It does nothing before it is told to.
func New(o Options) *Engine {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.State == "" {
		o.State = o.Store.Dir()
	}
	if o.Poll == 0 {
		o.Poll = DefaultPoll
	}
	if o.Rounds <= 0 {
		o.Rounds = rounds
	}
	e := &Engine{o: o, note: readNote(o.State, o.Logger), calls: map[*call]struct{}{}, under: map[string]*shared{}}
	e.idle = sync.NewCond(&e.mu)
	if o.Throttle == nil {
		o.Throttle = push.NewThrottle(o.Limits.Rate, o.Now)
	}
	for _, d := range o.Drives {
		e.drives = append(e.drives, newKeeper(d, o, e.note, o.Throttle))
	}
	return e
}

// Run keeps the drives until ctx ends: it enumerates those that are written to, looks for remote
// changes, and flushes at the times of the schedule. When it returns, nothing of the engine is
// running any more and later calls fail with ErrStopped. Failed cycles are logged and shown by
// Status, never returned; Run returns nil when ctx ends. Call it once.
func (e *Engine) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, k := range e.drives {
		loops.Go(func() {
			select {
			case <-k.awake:
			case <-ctx.Done():
				return
			}
			loops.Go(func() { e.listen(ctx, k) })
			e.keep(ctx, k)
		})
	}
	<-ctx.Done()
	loops.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	for c := range e.calls {
		c.cancel(ErrStopped)
	}
	for len(e.calls) > 0 {
		e.idle.Wait()
	}
	e.note.save()
	return nil
}

// enter begins a call that the end of Run cancels and waits for.
func (e *Engine) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil, nil, ErrStopped
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := &call{cancel}
	e.calls[c] = struct{}{}
	return ctx, func() {
		cancel(nil)
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.calls, c)
		e.idle.Broadcast()
	}, nil
}

// join makes one error of those of the drives, naming the drive if there are several.
func (e *Engine) join(ctx context.Context, errs []error) error {
	if err := context.Cause(ctx); errors.Is(err, ErrStopped) {
		return err
	}
	return errors.Join(errs...)
}

// job is a flush to do on one drive.
type job struct {
	Request
	k     *keeper
	paths []string // limits it, unless empty
	gate  *gate
}

func newJob(r Request, k *keeper) job {
	return job{Request: r, k: k, gate: &gate{}}
}

// jobs finds the drives that a request means.
func (e *Engine) jobs(r Request) ([]job, error) {
	var jobs []job
	add := func(n cache.DriveNum, path string) error {
		k := e.keeper(n)
		if k == nil {
			return fmt.Errorf("flush: drive %d: %w", n, ErrNoDrive)
		}
		if k.d.ReadOnly {
			return fmt.Errorf("%s: %w", k.d.Name, ErrReadOnly)
		}
		for i := range jobs {
			if jobs[i].k == k {
				if path != "" {
					jobs[i].paths = append(jobs[i].paths, path)
				}
				return nil
			}
		}
		j := newJob(r, k)
		if path != "" {
			j.paths = []string{path}
		}
		jobs = append(jobs, j)
		return nil
	}
	for _, p := range r.Paths {
		if p.Path == "" {
			p.Path = "/"
		}
		if err := add(p.Drive, p.Path); err != nil {
			return nil, err
		}
	}
	if len(r.Paths) > 0 {
		return jobs, nil
	}
	for _, n := range r.Drives {
		if err := add(n, ""); err != nil {
			return nil, err
		}
	}
	if len(r.Drives) > 0 {
		return jobs, nil
	}
	for _, k := range e.drives {
		if !k.d.ReadOnly {
			jobs = append(jobs, newJob(r, k))
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("flush: %w", ErrReadOnly)
	}
	return jobs, nil
}

func (e *Engine) keeper(n cache.DriveNum) *keeper {
	for _, k := range e.drives {
		if k.d.Num == n {
			return k
		}
	}
	return nil
}

// Refresh looks for remote changes of some drives, of all that are not asleep if none is named, and applies them.
func (e *Engine) Refresh(ctx context.Context, drives ...cache.DriveNum) (RefreshResult, error) {
	keepers := slices.DeleteFunc(slices.Clone(e.drives), (*keeper).asleep)
	if len(drives) > 0 {
		keepers = nil
		for _, n := range drives {
			k := e.keeper(n)
			if k == nil {
				return RefreshResult{}, fmt.Errorf("refresh: drive %d: %w", n, ErrNoDrive)
			}
			keepers = append(keepers, k)
		}
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return RefreshResult{}, err
	}
	defer leave()
	res := RefreshResult{Drives: make([]DriveRefresh, len(keepers))}
	errs := make([]error, len(keepers))
	var refreshes sync.WaitGroup
	for i, k := range keepers {
		refreshes.Go(func() { res.Drives[i], errs[i] = k.refresh(ctx) })
	}
	refreshes.Wait()
	return res, e.join(ctx, errs)
}

// List fetches the children of a folder that is Unlisted, for whoever met cache.ErrUnlisted. It
// does not wait for a cycle under way.
func (e *Engine) List(ctx context.Context, folder cache.Ino) error {
	n, err := e.o.Store.Tree().Get(folder)
	if err != nil {
		return err
	}
	k := e.keeper(n.Drive)
	if k == nil {
		return fmt.Errorf("list: drive %d: %w", n.Drive, ErrNoDrive)
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if k.asleep() {
		// First the place in the feed, then the folder, so that no change falls in between.
		if _, err := k.refresh(ctx); err != nil {
			return err
		}
		k.wakeUp()
	}
	return k.refresher.List(ctx, folder)
}

// Want asks for a refresh of a drive soon, without waiting for it: a reader met bytes that the
// remote has no more. It does nothing unless Run is running.
func (e *Engine) Want(drive cache.DriveNum) {
	if k := e.keeper(drive); k != nil {
		k.wanted.Store(true)
		k.wake()
	}
}

// Pause stops cycles from starting by themselves until Resume, also after a restart; what is under way
// ends normally, and an explicit Flush or Refresh still works.
func (e *Engine) Pause() { e.setPaused(true) }

// Resume ends a Pause, and runs what was missed.
func (e *Engine) Resume() { e.setPaused(false) }

func (e *Engine) setPaused(paused bool) {
	e.note.pause(paused)
	for _, k := range e.drives {
		k.wake()
	}
}

func (e *Engine) isPaused() bool { return e.note.paused() }

// Status tells how things stand.
func (e *Engine) Status() Status {
	s := Status{Paused: e.isPaused(), Rule: e.o.Schedule.String(), Drives: []DriveStatus{}}
	if !s.Paused {
		s.Next = e.o.Schedule.Next(e.o.Now())
	}
	for _, k := range e.drives {
		s.Drives = append(s.Drives, k.status())
	}
	return s
}
