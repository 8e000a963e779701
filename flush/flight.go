package flush

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

const (
	// longGap is after how long without a look at the service every item is read by its id before it
	// is changed.
	longGap = 24 * time.Hour
	// roundTrip is what an estimate takes a request to need.
	roundTrip = 200 * time.Millisecond
	// guessedRate is what an estimate takes the line to carry as long as nothing is known, in bytes a second.
	guessedRate = 2 << 20
)

// flush is one cycle that sends what is pending.
func (k *keeper) flush(ctx context.Context, j job, progress func(Progress)) (DriveResult, error) {
	f := &flight{
		keeper: k, job: j, show: display{tell: progress, now: k.o.Now, base: Progress{Drive: k.d.Num, Name: k.d.Name}},
		res:     DriveResult{Drive: k.d.Num, Name: k.d.Name},
		receipt: cache.Receipt{Started: k.o.Now(), Part: len(j.paths) > 0},
		gap:     k.o.Now().Sub(k.note.reached(k.d.Num)) > longGap,
	}
	f.show.shown = func(p Progress) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.progress = &p
	}
	if p, ok := k.d.Service.(graph.Pacer); ok {
		f.show.pause = p.Pause
	}
	end, err := k.begin(ctx, Flushing, progress)
	if err == nil {
		err = f.run(ctx)
		err = errors.Join(err, f.close(ctx, err))
		f.show.phase("done")
		end(err)
	} else {
		p, perr := k.outbox.Pending()
		f.res.Left, err = p.Items, errors.Join(err, perr)
	}
	if err != nil {
		f.res.Error, f.res.Kind = WhyEnded(err), graph.KindOf(err)
	}
	if j.Scheduled {
		k.watch(ctx, f.res, err)
	}
	return f.res, err
}

// flight is a flush under way.
type flight struct {
	*keeper
	job
	show    display
	res     DriveResult
	receipt cache.Receipt
	items   []ReceiptItem
	part    *ReceiptFile // what it did so far, in case the process is killed; nil if that cannot be written
	last    plan.Plan    // of the last round
	root    graph.Item   // as the service has it, once that was asked
	library bool
	gap     bool  // nobody has looked at the service for long
	sent    int64 // bytes, for the limit
	denied  int   // changes that this person may not make
}

// run does the rounds.
func (f *flight) run(ctx context.Context) error {
	until := f.o.Limits.End(f.receipt.Started)
	defer f.gate.close()
	var ask []graph.ItemID // that were not what they were believed to be
	for round, last := 1, f.o.Rounds; ; round++ {
		f.show.phase("refresh")
		if err := f.refresher.Ask(ctx, ask...); err != nil {
			return err
		}
		r, err := f.receive(ctx, f.DryRun)
		f.res.Conflicts += r.Conflicts
		if err != nil {
			return err
		}
		if round == 1 && !f.DryRun {
			if err := f.publish(ctx); err != nil {
				return err
			}
		}
		f.show.phase("plan")
		if f.gate.plan() {
			last = round + f.o.Rounds - 1 // somebody wants what was changed since the last plan
		}
		todo, err := f.plan(round)
		if err != nil {
			return err
		}
		f.last = todo
		s := todo.Within(f.o.Limits.Bytes)
		f.res.Guarded, f.res.Emptied, f.res.Kept = s.Guarded, s.Emptied, s.Kept
		if f.DryRun {
			s.Time = s.Estimate(roundTrip, max(f.o.Parallel, 1), f.rate())
			f.res.Plan, f.res.Over = &s, s.Over
			return nil
		}
		if len(todo.Steps) == 0 {
			if !f.gate.end() {
				continue
			}
			f.pusher.EndSessions(ctx)
			return nil
		}
		if err := f.same(ctx); err != nil {
			return err
		}
		done, over, err := f.send(ctx, todo, round >= last, until)
		ask = done.Ask
		final := err != nil || over || !done.Again || round >= last
		f.count(done, final)
		if over {
			f.res.Over += len(todo.Steps) - len(done.Steps)
		}
		if err != nil || over || final && f.gate.end() {
			return err
		}
	}
}

// send carries out one round. over says that the time of the flush has run out.
func (f *flight) send(ctx context.Context, todo plan.Plan, last bool, until time.Time) (done push.Result, over bool, err error) {
	req := push.Request{Last: last, IncludeOpen: f.IncludeOpen, Look: f.gap, Library: f.library, Progress: f.show.step, Ended: f.ended}
	if most := f.o.Limits.Bytes; most > 0 {
		if req.Bytes = most - f.sent; req.Bytes <= 0 {
			req.Bytes = 1 // nothing with bytes begins but the first
		}
	}
	sending := ctx
	if !until.IsZero() {
		if !f.o.Now().Before(until) {
			return done, true, nil
		}
		var cancel context.CancelFunc
		sending, cancel = WithDeadline(ctx, until, f.o.Now)
		defer cancel()
	}
	f.beginPart()
	stop := f.show.run()
	done, err = f.pusher.Run(sending, todo, req)
	stop()
	for _, d := range done.Steps {
		f.sent += d.Bytes
	}
	if err != nil && ctx.Err() == nil && sending.Err() != nil {
		return done, true, nil
	}
	return done, false, err
}

// beginPart begins what FinishReceipt makes a receipt of if this process is killed.
func (f *flight) beginPart() {
	if f.part != nil {
		return
	}
	r := f.full()
	r.Totals, r.Items = ReceiptTotals{}, nil
	var err error
	if f.part, err = BeginReceipt(f.o.State, r); err != nil {
		f.o.Logger.Warn("what this flush does is written down at its end alone", "drive", f.d.Name, "err", err)
	}
}

// ended writes down how a step ended, unless the next round tries it again.
func (f *flight) ended(d push.Done) {
	if f.part != nil && (d.Outcome == push.Sent || d.Outcome == push.Unchanged || d.Outcome == push.Deferred) {
		f.part.Add(ReceiptItemOf(d))
		f.part.Flush() // so that it is known whatever ends this process
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
	if round == 1 && !f.DryRun {
		if err := f.offer(v); err != nil {
			return plan.Plan{}, err
		}
	}
	o := plan.Options{
		Guard: f.o.Guard, AllowDeletes: f.AllowDeletes, NoDeletes: f.o.NoDeletes, Order: f.o.Order,
		Paths: f.paths, Partial: !info.Enumerated,
	}
	if f.Scheduled {
		o.Due = f.receipt.Started
	}
	if round > 1 {
		o.Since = f.receipt.Started
	}
	return plan.Make(v, o), nil
}

// offer reports what has been refused for so long that a conflict copy may be better.
func (f *flight) offer(v cache.View) error {
	after := f.o.StuckAfter
	if after == 0 {
		after = DefaultStuckAfter
	}
	var known map[cache.Ino]bool
	for _, ino := range v.Dirty {
		n := v.Nodes[ino]
		if n.Deferred == nil || n.Base == nil || !n.Written || f.o.Now().Sub(n.Since) < after {
			continue
		}
		if known == nil {
			list, err := f.reports.Conflicts()
			if err != nil {
				return err
			}
			known = map[cache.Ino]bool{}
			for _, r := range list {
				known[r.Ino] = known[r.Ino] || r.Kind == "stuck"
			}
		}
		if known[ino] {
			continue
		}
		text := fmt.Sprintf("%q could not be sent for days: %s. `duskfs conflicts --keep keep-both` sends it as a copy beside the server's version.", n.Name, n.Deferred.Reason)
		if err := f.reports.Add(cache.Report{Kind: "stuck", Ino: ino, Text: text}); err != nil {
			return err
		}
		f.tell(Notice{Kind: NoticeStuck, Text: text})
	}
	return nil
}

// ErrOtherDrive: the service has another drive, or another root folder, in the place of the one that the
// local changes belong to.
var ErrOtherDrive = errors.New("this is not the drive that the local changes belong to; nothing was sent")

// same makes sure, before anything is sent, that the drive is the one that it was.
func (f *flight) same(ctx context.Context) error {
	if f.root.ID != "" {
		return nil
	}
	info, err := f.o.Store.Drive(f.d.Num)
	if err != nil {
		return err
	}
	d, err := f.d.Service.Drive(ctx)
	if err != nil {
		return err
	}
	root, err := f.d.Service.Root(ctx)
	if err != nil {
		return err
	}
	n, err := f.o.Store.Tree().Get(info.Root)
	if err != nil {
		return err
	}
	if !graph.SameDrive(d.ID, info.Drive.ID) || n.Base == nil || n.Base.Item != root.ID {
		return fmt.Errorf("%s: %w", f.d.Name, ErrOtherDrive)
	}
	f.root, f.library = root, d.Library()
	return nil
}

// rate guesses how many bytes a second go up: as in the last flush that sent many, and no more than may just now.
func (f *flight) rate() int64 {
	rate := f.lastRate()
	if limit := f.o.Limits.Rate.At(f.o.Now()); limit > 0 {
		rate = min(rate, limit)
	}
	return rate
}

func (f *flight) lastRate() int64 {
	receipts, err := f.reports.Receipts(20)
	if err != nil {
		return guessedRate
	}
	for _, r := range receipts {
		if took := r.Ended.Sub(r.Started); r.Bytes > guessedRate && took >= time.Second {
			return int64(float64(r.Bytes) / took.Seconds())
		}
	}
	return guessedRate
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
			if d.Kind == graph.Denied {
				f.denied++
			}
		case push.Busy:
			f.res.Busy++
		case push.Conflict:
			f.res.Conflicts++
		case push.Left:
			f.res.Over++
		}
		if d.Unpublished {
			f.res.Deferred++
		}
		f.receipt.Steps = append(f.receipt.Steps, cache.ReceiptStep{
			Op: string(d.Step.Op), Path: d.Step.Path, From: d.Step.From, Item: string(d.Item),
			Bytes: d.Bytes, Outcome: string(d.Outcome), Reason: d.Reason,
		})
		f.items = append(f.items, ReceiptItemOf(d))
	}
}

// maxSteps is how many steps a receipt in the store lists. It is one row there; the file has them all.
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

// close writes the receipts of a flush that ended with err, and brings the quota up to date.
func (f *flight) close(ctx context.Context, err error) error {
	f.learn(f.res.Sent, f.denied)
	told := false // in a receipt, or there is nothing to tell
	if f.part != nil {
		defer func() {
			end := f.part.Leave
			if told {
				end = f.part.Discard
			}
			if err := end(); err != nil {
				f.o.Logger.Warn("a part of a receipt is left", "drive", f.d.Name, "err", err)
			}
		}()
	}
	p, perr := f.outbox.Pending()
	f.res.Left = p.Items
	if perr != nil || len(f.receipt.Steps) == 0 {
		told = len(f.receipt.Steps) == 0
		if perr == nil && err == nil && len(f.last.Steps) == 0 && !f.DryRun && !f.receipt.Part {
			f.settle(true)
		}
		return perr
	}
	f.receipt.Ended, f.receipt.Sent, f.receipt.Bytes = f.o.Now(), f.res.Sent, f.res.Bytes
	f.receipt.Deferred = f.res.Deferred
	f.receipt.Steps = brief(f.receipt.Steps)
	f.receipt.Error = WhyEnded(err)
	full := f.full()
	if err := keepReceipt(f.o.State, &full); err != nil {
		return err
	}
	told = true
	f.res.File = full.ID
	r, err := f.reports.AddReceipt(f.receipt)
	if err != nil {
		return err
	}
	f.res.Receipt = &r
	f.settle(false)
	if err := f.o.Store.Sync(); err != nil {
		return err
	}
	if f.res.Sent > 0 && f.receipt.Error == "" && f.root.ID != "" {
		f.measure(ctx)
	}
	return nil
}

// full is the receipt that goes into a file.
func (f *flight) full() Receipt {
	r := Receipt{
		Schema: ReceiptSchema, Started: f.receipt.Started.UTC(), Ended: f.receipt.Ended.UTC(), Account: f.o.Account,
		Num: f.d.Num, Name: f.d.Name, Trigger: "asked", Paths: f.paths, Error: f.receipt.Error, Items: f.items,
		Totals: ReceiptTotals{
			Sent: f.res.Sent, Bytes: f.res.Bytes, Deferred: f.res.Deferred, Busy: f.res.Busy, Conflicts: f.res.Conflicts,
			Guarded: f.res.Guarded, Left: f.res.Left, Took: f.receipt.Ended.Sub(f.receipt.Started).Milliseconds(),
			Throttled: f.show.throttled().Milliseconds(),
		},
	}
	if info, err := f.o.Store.Drive(f.d.Num); err == nil {
		r.Drive = info.Drive.ID
	}
	if f.Scheduled {
		r.Trigger = "schedule"
	}
	r.Host, _ = os.Hostname() // nobody needs it
	for _, s := range f.last.Guarded {
		r.Guarded = append(r.Guarded, s.Path)
	}
	for _, s := range f.last.Kept {
		r.Kept = append(r.Kept, s.Path)
	}
	for _, s := range f.last.Emptied {
		r.Emptied = append(r.Emptied, s.Path)
	}
	return r
}

// measure asks for the quota, which the file system shows as the space that is left.
func (f *flight) measure(ctx context.Context) {
	d, err := f.d.Service.Drive(ctx)
	if err == nil {
		_, err = f.o.Store.AddDrive(d, f.root)
	}
	if err != nil {
		f.o.Logger.Debug("the space that is left is not known", "drive", f.d.Name, "err", err)
	}
}
