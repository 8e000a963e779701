package upload

import (
	"cmp"
	"context"
	"path"
	"slices"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
)

// maxSteps is how many steps are planned, and held, at a time.
const maxSteps = 1000

// againAfter is how long files that changed while they were read are left alone before the next round.
const againAfter = 3 * time.Second

// send goes through the folder in rounds until nothing more can be done.
func (r *run) send(ctx context.Context) error {
	r.again = false
	for round := 1; ; round++ {
		r.last = round == rounds
		if err := r.walk(ctx); err != nil {
			return err
		}
		if err := r.carryOut(ctx); err != nil {
			return err
		}
		if r.o.Delete && !r.over {
			if err := r.remove(ctx); err != nil {
				return err
			}
		}
		if r.over || r.last || !r.again {
			break
		}
		if r.busy {
			pause := time.NewTimer(againAfter)
			select {
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			case <-pause.C:
			}
		}
		r.again, r.busy = false, false
	}
	// The sessions that nobody went on with are ended.
	_, err := r.pusher.Run(ctx, plan.Plan{}, push.Request{})
	return err
}

// ensure plans that a folder is made, and those above it.
func (r *run) ensure(ctx context.Context, e *entry) error {
	if e.row.Base != nil || e.fresh || e.failed {
		return nil
	}
	if e.up != nil {
		if err := r.ensure(ctx, e.up); err != nil {
			return err
		}
	}
	e.fresh = true
	return r.emit(ctx, e, plan.Step{Op: plan.Mkdir, Name: e.name, Dir: true})
}

// emit adds a step to the plan, and carries that out when it is full. A scan counts it.
func (r *run) emit(ctx context.Context, e *entry, s plan.Step) error {
	s.Path = path.Join(r.target, e.path)
	if e.path == above {
		s.Path = "/" + e.name
	}
	if e.up != nil && !s.Dir {
		if err := r.ensure(ctx, e.up); err != nil {
			return err
		}
	}
	if r.scanning {
		r.count(s)
		return nil
	}
	r.ledger.add(e)
	s.Ino, s.Seq, s.Dir = e.ino, seqOf(e), e.dir
	if (s.Op == plan.Mkdir || s.Op == plan.Create) && e.up != nil {
		if s.Folder = e.up.item(); s.Folder == "" {
			if e.up.failed || e.up.step < 0 {
				e.failed = true
				r.problem(e.path, "skipped", "its folder was not made", &r.res.Deferred)
				return nil
			}
			s.FolderIno, s.After = e.up.ino, []int{e.up.step}
		}
	}
	e.step = len(r.steps)
	if r.steps = append(r.steps, s); len(r.steps) >= maxSteps {
		return r.carryOut(ctx)
	}
	return nil
}

// count adds a step to what the scan has found.
func (r *run) count(s plan.Step) {
	if !r.scanning {
		return
	}
	r.todo++
	r.bytes += s.Size
	if r.o.DryRun {
		r.planned.Add(s)
	}
}

// carryOut sends the plan.
func (r *run) carryOut(ctx context.Context) error {
	if err := r.store(); err != nil {
		return err
	}
	todo := r.ordered()
	r.steps = nil
	if len(todo.Steps) == 0 || r.over {
		r.ledger.settle()
		return nil
	}
	if err := r.begin(); err != nil {
		return err
	}
	before := r.shown
	req := push.Request{
		Last: r.last, More: true, Library: r.library(), Ended: r.took,
		Progress: func(p push.Progress) { r.show(before, p) },
	}
	if most := r.o.Limits.Bytes; most > 0 {
		if req.Bytes = most - r.res.Bytes; req.Bytes <= 0 {
			req.Bytes = 1 // nothing with bytes begins but the first
		}
	}
	done, err := r.pusher.Run(ctx, todo, req)
	r.again = r.again || done.Again
	r.ledger.settle()
	if err != nil {
		return err
	}
	return r.store()
}

// library reports whether files can be checked out there.
func (r *run) library() bool { return r.o.Drive.Library() }

// ordered is the plan in the order that was asked for: folders first, parents before what is in them.
func (r *run) ordered() plan.Plan {
	order := make([]int, len(r.steps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := r.steps[a], r.steps[b]
		if x.Dir != y.Dir {
			if x.Dir {
				return -1
			}
			return 1
		}
		switch r.o.Order {
		case plan.Oldest:
			if x.Op == plan.Delete {
				return 0
			}
			return r.ledger.entry(x.Ino).stamp.Mtime.Compare(r.ledger.entry(y.Ino).stamp.Mtime)
		case plan.Large:
			return cmp.Compare(y.Size, x.Size)
		}
		return cmp.Compare(x.Size, y.Size)
	})
	at := make([]int, len(order))
	for i, o := range order {
		at[o] = i
	}
	p := plan.Plan{Steps: make([]plan.Step, 0, len(order))}
	for _, o := range order {
		s := r.steps[o]
		for i := range s.After {
			s.After[i] = at[s.After[i]]
		}
		p.Steps = append(p.Steps, s)
	}
	return p
}

// begin begins the receipt, before anything is done.
func (r *run) begin() error {
	if r.receipt != nil {
		return nil
	}
	var err error
	if r.receipt, err = flush.BeginReceipt(r.o.State, r.record()); err != nil {
		return err
	}
	r.info.Receipt = r.receipt.ID
	return r.copy.SetInfo(r.info)
}

// show tells how far it has come, of all plans: those before, and the one under way.
func (r *run) show(before, p push.Progress) {
	done, sent := before.Done+p.Done, before.Sent+p.Sent
	p.Steps, p.Bytes = max(r.todo, done), max(r.bytes, sent)
	p.Done, p.Sent = done, sent
	r.meter.Step(p)
}

// took enters how a step ended.
func (r *run) took(d push.Done) {
	final := true
	if d.Step.Op == plan.Delete {
		r.shown.Done++
		final = r.removed(d)
	} else {
		final = r.brought(d)
	}
	if !final {
		return // the next round will tell
	}
	item := flush.ReceiptItemOf(d)
	item.From = "" // it was here before it was there, which is nobody's concern
	r.receipt.Add(item)
	r.receipt.Flush() // so that it is known whatever ends this process
}

// brought enters how a step ended that is no deletion.
func (r *run) brought(d push.Done) (final bool) {
	e := r.ledger.entry(d.Step.Ino)
	if e == nil {
		return true
	}
	at := e.path
	if at == above {
		at = ".." // in no folder of ours
	}
	switch d.Outcome {
	case push.Sent, push.Unchanged:
		if d.Outcome == push.Sent {
			r.res.Sent++
			r.res.Bytes += d.Bytes
		} else if !e.dir {
			r.res.Unchanged++
		}
		r.shown.Done++
		r.shown.Sent += d.Step.Size
		if e.dir && e.path != above {
			e.row.Epoch = r.info.Epoch // there was nothing in it, and we know what comes
			r.touched = append(r.touched, e.row)
		}
		delete(r.recheck, at)
		return true
	case push.Conflict:
		r.recheck[at] = true
		if r.last {
			r.problem(at, "conflict", d.Reason, &r.res.Conflicts)
		}
	case push.Busy:
		r.again, r.busy = true, true
		if r.last {
			r.problem(at, "busy", "it changes again and again while it is read", &r.res.Busy)
		}
	case push.Skipped:
		if r.last {
			r.problem(at, "skipped", d.Reason, &r.res.Deferred)
		}
	case push.Left:
		r.over = true
		r.res.Over++
		return true
	default:
		r.failed[at] = true
		r.problem(at, string(d.Outcome), d.Reason, &r.res.Deferred)
	}
	if e.dir && e.row.Base == nil {
		e.fresh, e.failed = false, true
	}
	return r.last || d.Outcome == push.Deferred
}
