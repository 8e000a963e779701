package flush

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

// rounds is how often a flush plans again after it met somebody else's change.
const rounds = 3

// keeper runs the cycles of one drive.
type keeper struct {
	o         Options
	d         Drive
	outbox    *cache.Outbox
	reports   *cache.Reports
	refresher *refresh.Refresher
	pusher    *push.Pusher

	turn   chan struct{} // holds one token: whoever has it runs a cycle
	bell   chan struct{} // wakes the loop
	wanted atomic.Bool   // somebody asked for a refresh

	mu          sync.Mutex // guards what follows; a leaf
	state       State
	progress    *Progress
	lastRefresh time.Time
	err         error
	errAt       time.Time
}

func newKeeper(d Drive, o Options) *keeper {
	k := &keeper{
		o: o, d: d, state: Idle,
		outbox: o.Store.Outbox(d.Num), reports: o.Store.Reports(d.Num),
		turn: make(chan struct{}, 1), bell: make(chan struct{}, 1),
	}
	k.turn <- struct{}{}
	k.refresher = refresh.New(refresh.Options{
		Store: o.Store, Drive: d.Num, Service: d.Service, FollowOnly: d.ReadOnly,
		Logger: o.Logger, Now: o.Now,
	})
	k.pusher = push.New(push.Options{
		Outbox: k.outbox, Nodes: o.Store.Tree(), Content: o.Store.Content(), Service: d.Service,
		Writeback: o.Writeback, Logger: o.Logger, Now: o.Now, Parallel: o.Parallel,
	})
	return k
}

func (k *keeper) wake() {
	select {
	case k.bell <- struct{}{}:
	default: // it is awake already
	}
}

// begin waits for the drive's turn. The func it returns ends the cycle.
func (k *keeper) begin(ctx context.Context, s State) (end func(error), err error) {
	select {
	case <-k.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	k.mu.Lock()
	k.state = s
	k.mu.Unlock()
	return func(err error) {
		k.mu.Lock()
		k.state, k.progress = Idle, nil
		if !errors.Is(err, context.Canceled) && !errors.Is(err, ErrStopped) {
			k.err, k.errAt = err, k.o.Now()
		}
		k.mu.Unlock()
		k.turn <- struct{}{}
	}, nil
}

// refresh is one cycle that sends nothing.
func (k *keeper) refresh(ctx context.Context) (res DriveRefresh, err error) {
	res = DriveRefresh{Drive: k.d.Num, Name: k.d.Name}
	end, err := k.begin(ctx, Refreshing)
	if err == nil {
		var r refresh.Result
		r, err = k.receive(ctx)
		res.Received, res.Applied, res.Waiting = r.Received, r.Applied, r.Waiting
		end(err)
	}
	if err != nil {
		res.Error, res.Kind = err.Error(), graph.KindOf(err)
	}
	return res, err
}

// receive settles what an earlier process left under way and brings remote changes in.
func (k *keeper) receive(ctx context.Context) (refresh.Result, error) {
	if err := k.pusher.Recover(ctx); err != nil {
		return refresh.Result{}, err
	}
	r, err := k.refresher.Run(ctx)
	if err == nil {
		k.mu.Lock()
		k.lastRefresh = k.o.Now()
		k.mu.Unlock()
	}
	return r, err
}

// flush is one cycle that sends what is pending.
func (k *keeper) flush(ctx context.Context, j job, progress func(Progress)) (DriveResult, error) {
	f := &flight{
		keeper: k, job: j, tell: progress,
		res:     DriveResult{Drive: k.d.Num, Name: k.d.Name},
		receipt: cache.Receipt{Started: k.o.Now()},
	}
	end, err := k.begin(ctx, Flushing)
	if err == nil {
		err = f.run(ctx)
		err = errors.Join(err, f.close(err))
		f.phase("done")
		end(err)
	}
	if err != nil {
		f.res.Error, f.res.Kind = err.Error(), graph.KindOf(err)
	}
	return f.res, err
}

// flight is a flush under way.
type flight struct {
	*keeper
	job
	tell    func(Progress)
	now     Progress
	res     DriveResult
	receipt cache.Receipt
}

func (f *flight) phase(name string) {
	f.now.Phase = name
	f.show(f.now)
}

func (f *flight) show(p Progress) {
	p.Drive, p.Name = f.d.Num, f.d.Name
	f.now = p
	shown := p
	f.mu.Lock()
	f.keeper.progress = &shown
	f.mu.Unlock()
	f.tell(p)
}

// run does the rounds.
func (f *flight) run(ctx context.Context) error {
	for round := 1; ; round++ {
		f.phase("refresh")
		r, err := f.receive(ctx)
		f.res.Conflicts += r.Conflicts
		if err != nil {
			return err
		}
		f.phase("plan")
		todo, err := f.plan(round)
		if err != nil {
			return err
		}
		f.res.Guarded = deletions(todo.Guarded)
		if f.DryRun {
			s := todo.Summary()
			f.res.Plan = &s
			return nil
		}
		if len(todo.Steps) == 0 {
			return nil
		}
		done, err := f.pusher.Run(ctx, todo, push.Request{Last: round == rounds, Progress: func(p push.Progress) {
			f.show(Progress{
				Phase: "send", Steps: p.Steps, Done: p.Done, Bytes: p.Bytes, Sent: p.Sent,
				Op: string(p.Step.Op), Path: p.Step.Path,
			})
		}})
		final := err != nil || !done.Again || round == rounds
		f.count(done, final)
		if final {
			return err
		}
	}
}

// plan makes the plan of a round. What was deferred in this flush is not tried again in its later
// rounds.
func (f *flight) plan(round int) (plan.Plan, error) {
	info, err := f.o.Store.Drive(f.d.Num)
	if err != nil {
		return plan.Plan{}, err
	}
	v, err := f.outbox.View()
	if err != nil {
		return plan.Plan{}, err
	}
	o := plan.Options{Guard: f.o.Guard, AllowDeletes: f.AllowDeletes, Paths: f.paths, Partial: !info.Enumerated}
	if f.Scheduled || round > 1 {
		o.Due = f.receipt.Started
	}
	return plan.Make(v, o), nil
}

// deletions counts the items that steps delete.
func deletions(steps []plan.Step) int {
	n := 0
	for _, s := range steps {
		n += 1 + len(s.Known)
	}
	return n
}

// count enters a round into result and receipt. What a round left for the next one is not counted.
func (f *flight) count(done push.Result, final bool) {
	for _, d := range done.Steps {
		if !final && d.Outcome != push.Sent && d.Outcome != push.Unchanged && d.Outcome != push.Deferred {
			continue
		}
		switch d.Outcome {
		case push.Sent:
			f.res.Sent++
			f.res.Bytes += d.Bytes
		case push.Deferred, push.Skipped:
			f.res.Deferred++
		case push.Busy:
			f.res.Busy++
		case push.Conflict:
			f.res.Conflicts++
		}
		f.receipt.Steps = append(f.receipt.Steps, cache.ReceiptStep{
			Op: string(d.Step.Op), Path: d.Step.Path, From: d.Step.From, Item: string(d.Item),
			Bytes: d.Bytes, Outcome: string(d.Outcome), Reason: d.Reason,
		})
	}
}

// maxSteps is how many steps a receipt lists. It is one row of the store.
const maxSteps = 1000

// brief shortens a list of steps: what was not simply sent is what people look for.
func brief(steps []cache.ReceiptStep) []cache.ReceiptStep {
	drop := len(steps) - maxSteps
	if drop <= 0 {
		return steps
	}
	kept := make([]cache.ReceiptStep, 0, maxSteps)
	for _, s := range steps {
		if drop > 0 && s.Outcome == string(push.Sent) {
			drop--
		} else if len(kept) < maxSteps {
			kept = append(kept, s)
		}
	}
	return kept
}

// close writes the receipt of a flush that ended with err.
func (f *flight) close(err error) error {
	if len(f.receipt.Steps) > 0 {
		f.receipt.Ended, f.receipt.Sent, f.receipt.Bytes = f.o.Now(), f.res.Sent, f.res.Bytes
		f.receipt.Deferred = f.res.Deferred
		f.receipt.Steps = brief(f.receipt.Steps)
		if err != nil {
			f.receipt.Error = err.Error()
		}
		r, err := f.reports.AddReceipt(f.receipt)
		if err != nil {
			return err
		}
		f.res.Receipt = &r
		if err := f.o.Store.Sync(); err != nil {
			return err
		}
	}
	p, err := f.outbox.Pending()
	f.res.Left = p.Items
	return err
}

// reached reports whether the drive has been looked at since the engine was made.
func (k *keeper) reached() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.lastRefresh.IsZero()
}

func (k *keeper) status() DriveStatus {
	s := DriveStatus{Drive: k.d.Num, Name: k.d.Name, ReadOnly: k.d.ReadOnly, Conflicts: []cache.Report{}}
	k.mu.Lock()
	s.State, s.LastRefresh = k.state, k.lastRefresh
	if k.progress != nil {
		p := *k.progress
		s.Progress = &p
	}
	if k.err != nil {
		s.Error, s.Kind, s.ErrAt = k.err.Error(), graph.KindOf(k.err), k.errAt
	}
	k.mu.Unlock()
	failed := func(err error) {
		if err != nil && s.Error == "" {
			s.Error, s.Kind, s.ErrAt = err.Error(), graph.KindOf(err), k.o.Now()
		}
	}
	info, err := k.o.Store.Drive(k.d.Num)
	failed(err)
	s.Enumerated = info.Enumerated
	s.Pending, err = k.outbox.Pending()
	failed(err)
	conflicts, err := k.reports.Conflicts()
	failed(err)
	s.Conflicts = append(s.Conflicts, conflicts...)
	receipts, err := k.reports.Receipts(1)
	failed(err)
	if len(receipts) > 0 {
		s.LastFlush = &receipts[0]
	}
	return s
}
