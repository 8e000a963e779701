package flush

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

// rounds is how often a flush plans if nothing else is said.
const rounds = 3

// staleAfter is the least time without a look at the service after which the tree counts as stale.
const staleAfter = time.Hour

// keeper runs the cycles of one drive.
type keeper struct {
	o         Options
	d         Drive
	outbox    *cache.Outbox
	reports   *cache.Reports
	refresher *refresh.Refresher
	pusher    *push.Pusher
	note      *note

	turn   chan struct{} // holds one token: whoever has it runs a cycle
	bell   chan struct{} // wakes the loop
	wanted atomic.Bool   // somebody asked for a refresh
	awake  chan struct{} // closed when the drive is to be followed
	rouse  sync.Once     // closes awake

	mu          sync.Mutex // guards what follows; a leaf
	state       State
	progress    *Progress
	lastRefresh time.Time
	met         bool // reached since the engine was made
	wrote       bool // the service has taken a change since then
	refused     bool // it has not, and said that it may not be made
	settled     bool // since the last receipt a flush for all of the drive has ended well that had nothing to send
	err         error
	errAt       time.Time
	told        map[NoticeKind]bool // what was announced and has not ended
}

func newKeeper(d Drive, o Options, n *note, throttle *push.Throttle) *keeper {
	k := &keeper{
		o: o, d: d, state: Idle, note: n, lastRefresh: n.reached(d.Num), told: map[NoticeKind]bool{},
		outbox: o.Store.Outbox(d.Num), reports: o.Store.Reports(d.Num),
		turn: make(chan struct{}, 1), bell: make(chan struct{}, 1),
	}
	if !d.ReadOnly {
		if err := finishReceipts(o.State, d.Num); err != nil {
			o.Logger.Warn("what a flush did that was killed cannot be told", "drive", d.Name, "err", err)
		}
	}
	k.awake = make(chan struct{})
	if !d.Asleep || !d.ReadOnly {
		k.wakeUp()
	}
	k.turn <- struct{}{}
	k.refresher = refresh.New(refresh.Options{
		Store: o.Store, Drive: d.Num, Service: d.Service, FollowOnly: d.ReadOnly,
		Logger: o.Logger, Now: o.Now,
	})
	k.pusher = push.New(push.Options{
		Outbox: k.outbox, Nodes: o.Store.Tree(), Content: o.Store.Content(), Service: d.Service,
		Writeback: o.Writeback, Logger: o.Logger, Now: o.Now, Parallel: o.Parallel,
		Drive: d.Num, Throttle: throttle, Overtaken: k.rescue, Unpublished: k.hidden, Sessions: sessions{n, d.Num},
	})
	return k
}

// learn concludes from a flush whether this person may change anything in the drive: nobody says so but
// an attempt. One folder that is closed to somebody who writes elsewhere means nothing.
func (k *keeper) learn(sent, denied int) {
	k.mu.Lock()
	was := k.refused
	switch {
	case sent > 0:
		k.wrote, k.refused = true, false
	case denied > 0 && !k.wrote:
		k.refused = true
	}
	is := k.refused
	k.mu.Unlock()
	if is != was && k.o.Refused != nil {
		k.o.Refused(k.d.Num, is)
	}
}

// settle takes in whether the last flush has left no receipt since it ended well with nothing to send.
func (k *keeper) settle(settled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = settled
}

// wakeUp ends the sleep of a drive.
func (k *keeper) wakeUp() { k.rouse.Do(func() { close(k.awake) }) }

// asleep reports whether nobody has looked into the drive yet.
func (k *keeper) asleep() bool {
	select {
	case <-k.awake:
		return false
	default:
		return true
	}
}

func (k *keeper) wake() {
	select {
	case k.bell <- struct{}{}:
	default: // it is awake already
	}
}

// begin waits for the drive's turn, and tells meanwhile what it waits for; tell may be nil. The func it returns ends the cycle.
func (k *keeper) begin(ctx context.Context, s State, tell func(Progress)) (end func(error), err error) {
	if err := k.queue(ctx, tell); err != nil {
		return nil, err
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
		k.judge(err)
	}, nil
}

// refresh is one cycle that sends no changes.
func (k *keeper) refresh(ctx context.Context) (res DriveRefresh, err error) {
	res = DriveRefresh{Drive: k.d.Num, Name: k.d.Name}
	end, err := k.begin(ctx, Refreshing, nil)
	if err == nil {
		var r refresh.Result
		r, err = k.receive(ctx, false)
		res.Received, res.Applied, res.Waiting = r.Received, r.Applied, r.Waiting
		end(err)
	}
	if err != nil {
		res.Error, res.Kind = err.Error(), graph.KindOf(err)
	}
	return res, err
}

// receive settles what an earlier process left under way, as far as that may send, and brings remote changes in.
func (k *keeper) receive(ctx context.Context, dry bool) (refresh.Result, error) {
	info, err := k.o.Store.Drive(k.d.Num)
	if err != nil {
		return refresh.Result{}, err
	}
	if err := k.pusher.Recover(ctx, info.Drive.Library(), !dry && !k.d.ReadOnly); err != nil {
		return refresh.Result{}, err
	}
	r, err := k.refresher.Run(ctx)
	if err == nil {
		now := k.o.Now().Round(0)
		k.mu.Lock()
		k.lastRefresh, k.met = now, true
		k.mu.Unlock()
		k.note.reach(k.d.Num, now)
	}
	if r.Conflicts > 0 {
		k.tell(Notice{Kind: NoticeConflict, Text: "something was changed here and on the server; `duskfs conflicts` shows it"})
	}
	return r, err
}

// reached reports whether the drive has been looked at since the engine was made.
func (k *keeper) reached() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.met
}

func (k *keeper) status() DriveStatus {
	s := DriveStatus{Drive: k.d.Num, Name: k.d.Name, ReadOnly: k.d.ReadOnly, Conflicts: []cache.Report{}}
	k.mu.Lock()
	s.State, s.LastRefresh, s.Refused = k.state, k.lastRefresh, k.refused
	settled := k.settled
	if k.progress != nil {
		p := *k.progress
		s.Progress = &p
	}
	if k.err != nil {
		s.Error, s.Kind, s.ErrAt = k.err.Error(), graph.KindOf(k.err), k.errAt
	}
	k.mu.Unlock()
	s.Asleep = k.asleep()
	s.Stale = !s.Asleep && k.o.Poll > 0 && k.o.Now().Sub(s.LastRefresh) > max(3*k.o.Poll, staleAfter)
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
	for _, u := range k.note.unpublished(k.d.Num) {
		s.Pending.Deferred = append(s.Pending.Deferred, cache.Deferred{Path: u.Path, Deferral: cache.Deferral{
			Kind: graph.Invalid, Reason: u.Reason, At: u.Since, Tries: u.Tries,
		}})
	}
	conflicts, err := k.reports.Conflicts()
	failed(err)
	s.Conflicts = append(s.Conflicts, conflicts...)
	receipts, err := k.reports.Receipts(1)
	failed(err)
	if len(receipts) > 0 {
		s.LastFlush = &receipts[0]
	}
	if s.LastFlush != nil && s.Pending.Items > 0 && !settled {
		if s.Interrupted = s.LastFlush.Error == WhyEnded(context.Canceled); !s.Interrupted {
			s.FlushError = s.LastFlush.Error
		}
	}
	return s
}
