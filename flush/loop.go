package flush

import (
	"context"
	"errors"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

const (
	// tick is how often the clock on the wall is looked at while a schedule waits: timers stand
	// still while a laptop sleeps.
	tick = time.Minute
	// firstRetry is how soon a drive that has never been reached is tried again.
	firstRetry = 30 * time.Second
	// deaf is how long until notices are asked for again where there are none.
	deaf = 6 * time.Hour
	// breath is the least time between two refreshes that readers ask for.
	breath = 2 * time.Second
)

// keep runs the cycles of one drive until ctx ends.
func (e *Engine) keep(ctx context.Context, k *keeper) {
	var looked time.Time  // when remote changes were last looked for, by the clock on the wall
	var retry time.Time   // no scheduled flush before this
	var flushed time.Time // last scheduled flush that could reach the service
	var tidied time.Time  // when the local trash was last gone through
	var begun time.Time   // since when the clock on the wall has not been put back
	var seen time.Time    // what it last showed
	for ctx.Err() == nil {
		now := e.o.Now().Round(0)
		if begun.IsZero() || seen.Sub(now) > tick { // what was noted by the clock before is no time of this one
			begun, flushed, retry = now, time.Time{}, time.Time{}
		}
		seen = now
		switch {
		case e.isPaused():
		case !now.Before(retry) && e.due(k, begun, flushed, now):
			_, err := k.flush(ctx, newJob(Request{Scheduled: true}, k), func(Progress) {})
			looked = e.o.Now().Round(0)
			if k.report(ctx, "flush", err) {
				flushed, retry = now, looked.Add(tick)
			} else {
				retry = looked.Add(min(e.interval(k), DefaultPoll)) // who looks seldom wants it sent even so
			}
			continue
		case looked.IsZero(), e.o.Poll > 0 && now.Sub(looked) >= e.interval(k), now.Before(looked),
			k.wanted.Load() && now.Sub(looked) >= breath:
			k.wanted.Store(false)
			_, err := k.refresh(ctx)
			looked = e.o.Now().Round(0)
			k.report(ctx, "refresh", err)
			if since := looked.Sub(tidied); !k.d.ReadOnly && (since >= 24*time.Hour || since < 0) {
				tidied = looked
				k.report(ctx, "empty the local trash", k.emptyTrash())
			}
			continue
		}
		wait := e.wait(k, now, looked)
		if wait < 0 {
			select {
			case <-ctx.Done():
			case <-k.bell:
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-k.bell:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// wait returns how long the loop of a drive may sleep; negative is until somebody wakes it.
func (e *Engine) wait(k *keeper, now, looked time.Time) time.Duration {
	if e.isPaused() {
		return -1
	}
	wait := time.Duration(-1)
	sooner := func(d time.Duration) {
		if d = max(d, 0); wait < 0 || d < wait {
			wait = d
		}
	}
	if e.o.Poll > 0 {
		sooner(looked.Add(e.interval(k)).Sub(now))
	}
	if k.wanted.Load() {
		sooner(looked.Add(breath).Sub(now))
	}
	if k.d.ReadOnly {
		return wait
	}
	if e.o.After > 0 {
		sooner(tick)
	}
	if !e.o.Schedule.Zero() {
		sooner(tick)
		sooner(e.o.Schedule.Next(now).Sub(now))
	}
	return wait
}

// WithDeadline is context.WithDeadline by the clock on the wall, which now tells: timers stand still while a laptop sleeps.
// cancel must be called.
func WithDeadline(ctx context.Context, until time.Time, now func() time.Time) (_ context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer end()
		for left := until.Sub(now().Round(0)); left > 0; left = until.Sub(now().Round(0)) {
			timer := time.NewTimer(min(left, tick))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
	}()
	return ctx, func() { end(); <-watched }
}

// interval is how often a drive is looked at.
func (e *Engine) interval(k *keeper) time.Duration {
	if e.o.Poll < 0 {
		return firstRetry
	}
	if k.reached() {
		return e.o.Poll
	}
	return min(e.o.Poll, firstRetry)
}

// due reports whether a flush shall start by itself. begun is since when the clock on the wall has not been put back:
// a change made at a time that is still to come was made before that.
func (e *Engine) due(k *keeper, begun, flushed, now time.Time) bool {
	if e.o.Schedule.Zero() && e.o.After <= 0 || k.d.ReadOnly {
		return false
	}
	p, err := k.outbox.Pending()
	if err != nil || p.Items == 0 {
		return false
	}
	return e.timely(k, p, begun, flushed, now) || e.quiet(k, p, begun, flushed, now)
}

// quiet reports whether nothing has been changed for a while, and something since the last flush.
func (e *Engine) quiet(k *keeper, p cache.Pending, begun, flushed, now time.Time) bool {
	if p.Oldest.After(now) {
		p.Oldest = begun
	}
	if e.o.After <= 0 || now.Sub(p.Oldest) < e.o.After {
		return false
	}
	touched, err := k.outbox.Touched(begun)
	if err != nil || now.Sub(touched) < e.o.After {
		return false
	}
	since := flushed
	if r := k.lastWhole(now); r != nil && r.Started.After(since) {
		since = r.Started
	}
	return touched.After(since) || retried(p.Deferred, since, now)
}

// retried reports whether the next try of something deferred has come since a time.
func retried(list []cache.Deferred, since, now time.Time) bool {
	for _, d := range list {
		if !d.Next.IsZero() && d.Next.After(since) && !d.Next.After(now) {
			return true
		}
	}
	return false
}

// timely reports whether a time of the schedule has passed since the oldest pending change was made
// and since the last flush.
func (e *Engine) timely(k *keeper, p cache.Pending, begun, flushed, now time.Time) bool {
	if e.o.Schedule.Zero() {
		return false
	}
	last := p.Oldest
	if last.After(now) {
		last = begun.Add(-24 * time.Hour) // rather too early than a day late
	}
	later := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	later(flushed)
	if r := k.lastWhole(now); r != nil {
		later(r.Started)
	}
	return e.o.Schedule.Due(last, now)
}

// listen has a drive looked at whenever the service tells that something changed, until ctx ends.
// The poll goes on beneath: the feed may show a change only some time after the word of it (Q8).
func (e *Engine) listen(ctx context.Context, k *keeper) {
	n, ok := k.d.Service.(graph.Notifier)
	if !ok || e.o.Poll < 0 {
		return
	}
	for ctx.Err() == nil {
		err := n.Notices(ctx, func() {
			k.wanted.Store(true)
			k.wake()
		})
		if ctx.Err() != nil {
			return
		}
		k.o.Logger.Debug("no notices of changes; polling", "drive", k.d.Name, "err", err)
		timer := time.NewTimer(deaf)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// report takes in how a cycle that started by itself ended, and reports whether it reached its end.
func (k *keeper) report(ctx context.Context, what string, err error) bool {
	if err == nil {
		return true
	}
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		k.o.Logger.Warn("cycle ended early", "what", what, "drive", k.d.Name, "err", err)
	}
	return false
}

// lastWhole returns the newest receipt of a flush that was for all of the drive and did not end early, nil if there is none.
// One from a time that is still to come does not count.
func (k *keeper) lastWhole(now time.Time) *cache.Receipt {
	receipts, err := k.reports.Receipts(20)
	if err != nil {
		return nil
	}
	for i := range receipts {
		if receipts[i].Error == "" && !receipts[i].Part && !receipts[i].Started.After(now) {
			return &receipts[i]
		}
	}
	return nil
}
