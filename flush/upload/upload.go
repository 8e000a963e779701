// Package upload brings a plain folder to a drive: the upload script's job. What is new or changed since the
// last time is sent with the steps of a flush (package push), so sessions, looks after lost answers, throttle
// and verification are those of a flush; whose version counts where both sides changed is ruled by package
// merge. Nothing of the folder is copied to the state of the account: bytes are read where they lie.
//
// What was sent is remembered by path in a cache.Copy. A file is unchanged if size, times and inode are as they
// were; one that only seems to have changed is read and its hash compared. What the remote has lost meanwhile is
// learnt from the drive's change feed, or where that cannot tell by listing.
//
// An upload is a scan, which counts and sends nothing, and then rounds of the same walk that send. Both hold one
// folder at a time and the steps of one plan, however large the whole is.
package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Options of an upload. Store, Service, Drive, Folder and Target are needed.
type Options struct {
	Store   *cache.Store
	Service graph.Service
	Drive   graph.Drive // that Service is, as it is now
	// State is the folder of the account's state, where receipts go; default the folder of the store.
	State   string
	Account string // sign-in name, for receipts

	Folder string   // absolute, free of links
	Target []string // names of folders from the root of the drive: where the content of Folder goes

	// Take says whether a file or folder takes part, by its path in Folder; nil takes all. A folder that does not goes
	// with all below it.
	Take func(path string, dir bool) bool
	// Bar keeps a folder of the disk out with all below it, or a file that a link leads to, whatever Take says; crossing is
	// whether another file system begins there. nil keeps none out.
	Bar func(place string, crossing bool) bool
	// Sparse makes a folder only for what is sent into it.
	Sparse bool
	// Follow sends what a symbolic link leads to in its place; without, links are left out.
	Follow bool
	// Delete deletes there what was sent earlier and is not in Folder any more. What others have put there stays.
	Delete bool
	// AllowDeletes lets pass deletions that Guard would hold back.
	AllowDeletes bool
	Guard        plan.Guard
	// AllowEmpty goes on though there is nothing in Folder, as when its disk is not mounted.
	AllowEmpty bool
	DryRun     bool

	Policy    cache.Policy // for files that both sides changed
	Host      string       // for the names of conflict copies; default the machine's name
	Order     plan.Order
	Limits    flush.Limits
	Throttle  *push.Throttle // may be shared; default one of Limits.Rate
	Parallel  int            // steps under way at once; default 4
	Scheduled bool           // started by a timer; for receipts

	Progress func(flush.Progress) // one call at a time; may be nil
	Logger   *slog.Logger         // default discards
	Now      func() time.Time     // default time.Now
}

// Result tells what an upload did.
type Result struct {
	Drive  string `json:"drive"`  // as people see it
	Folder string `json:"folder"` // that was brought up
	Target string `json:"target"` // where its content is, from the root of the drive

	Files     int   `json:"files"` // that take part
	Folders   int   `json:"folders"`
	Size      int64 `json:"size"`      // bytes of these files
	Unchanged int   `json:"unchanged"` // files that were there already
	Sent      int   `json:"sent"`      // changes made there
	Bytes     int64 `json:"bytes"`     // bytes of files sent
	Deleted   int   `json:"deleted"`   // items, included in Sent

	Left      Left `json:"left_out"`
	Deferred  int  `json:"deferred"`  // could not be sent; the next upload tries again
	Busy      int  `json:"busy"`      // changed again and again while being read
	Conflicts int  `json:"conflicts"` // both sides changed it
	Refused   int  `json:"refused"`   // names that a drive cannot have, files that cannot be read
	Guarded   int  `json:"guarded"`   // deletions held back
	Over      int  `json:"over"`      // left for the next upload by a limit

	// Plan is what would be sent; only in a dry run.
	Plan *plan.Summary `json:"plan,omitempty"`
	// Problems lists what was not simply sent, of very many the first.
	Problems []Problem `json:"problems"`
	// Receipt is the file that records everything that was done; empty if nothing was.
	Receipt string `json:"receipt,omitempty"`
	// Error is why it ended early, empty if it did not; Kind its kind.
	Error string     `json:"error,omitempty"`
	Kind  graph.Kind `json:"kind,omitempty"`
}

// Left counts what takes no part.
type Left struct {
	Excluded  int `json:"excluded"`   // by Options.Take; what is below them is not counted
	LocalOnly int `json:"local_only"` // names that are never sent
	Links     int `json:"links"`      // symbolic links
	Special   int `json:"special"`    // neither file, folder nor link
}

// Problem is something that was not simply sent.
type Problem struct {
	Path    string `json:"path"`    // in the folder
	Outcome string `json:"outcome"` // as in receipts, and "refused"
	Reason  string `json:"reason"`
}

// maxProblems is how many a Result lists.
const maxProblems = 1000

// InPart reports whether something was not done that was asked for.
func (r Result) InPart() bool {
	return r.Deferred+r.Busy+r.Conflicts+r.Refused+r.Guarded+r.Over > 0
}

// Errors that end an upload before anything is sent.
var (
	ErrEmpty    = errors.New("there is nothing in the folder")
	ErrVanished = errors.New("nothing of what was sent earlier is in the folder any more")
)

// rounds is how often an upload goes through the folder, so that what changed while it was read, or met somebody else's
// change, is tried again.
const rounds = 3

// Run brings the folder up. It goes on past what fails by itself, and returns an error for what ends it early: what
// package push calls that, a folder that is empty (ErrEmpty, ErrVanished), a drive with too little room (graph.Full). What
// was done until then is in the result, and the next Run goes on from there. One Run at a time for a folder and target.
func Run(ctx context.Context, o Options) (Result, error) {
	r, err := newRun(o)
	if err == nil {
		err = r.all(ctx)
		err = errors.Join(err, r.close(err))
	}
	if err != nil {
		r.res.Error, r.res.Kind = err.Error(), graph.KindOf(err)
	}
	return r.res, err
}

// run is one upload.
type run struct {
	o      Options
	copy   *cache.Copy
	info   cache.CopyInfo
	ledger *ledger
	pusher *push.Pusher
	meter  *flush.Meter
	began  time.Time
	until  time.Time // zero: no limit
	res    Result
	target string // path of it
	top    *entry

	localOnly name.LocalOnly

	receipt *flush.ReceiptFile
	shown   push.Progress // of what has ended well, in all plans

	buf      []byte // in which files are hashed, one after another
	scanning bool
	last     bool            // no other round will follow
	again    bool            // another round may do more
	busy     bool            // since something changed while it was read
	over     bool            // a limit was reached
	recheck  map[string]bool // paths to be compared with the remote anew
	copies   map[string]int  // conflict copies tried, by path
	met      map[string]bool // paths counted as problems
	failed   map[string]bool // paths not to be tried again in this run
	shared   map[string]bool // paths of folders that go, and have somebody else's work in them
	waiting  map[string]bool // paths that wait until something of another type is deleted
	steps    []plan.Step
	todo     int             // changes found by the scan
	bytes    int64           // of these
	found    int             // rows that have their file or folder
	planned  plan.Summary    // of what a dry run has found
	touched  []cache.CopyRow // to be stored with the plan
}

func newRun(o Options) (*run, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.State == "" {
		o.State = o.Store.Dir()
	}
	if o.Host == "" {
		host, _ := os.Hostname() // name.Conflict has a word for none
		o.Host, _, _ = strings.Cut(host, ".")
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Throttle == nil {
		o.Throttle = push.NewThrottle(o.Limits.Rate, o.Now)
	}
	r := &run{
		o: o, began: o.Now(), target: "/" + path.Join(o.Target...),
		recheck: map[string]bool{}, copies: map[string]int{}, met: map[string]bool{}, failed: map[string]bool{}, shared: map[string]bool{}, waiting: map[string]bool{},
	}
	r.planned = plan.Plan{}.Summary()
	r.until = o.Limits.End(r.began)
	r.res = Result{Drive: o.Drive.Name, Folder: o.Folder, Target: r.target, Problems: []Problem{}}
	var err error
	if r.localOnly, err = name.NewLocalOnly(name.DefaultLocalOnly()); err != nil {
		return r, err
	}
	var pause func() time.Duration
	if p, ok := o.Service.(graph.Pacer); ok {
		pause = p.Pause
	}
	tell := o.Progress
	if tell == nil {
		tell = func(flush.Progress) {}
	}
	r.meter = flush.NewMeter(o.Drive.Name, o.Now, pause, tell)
	if r.copy, err = o.Store.Copy(cache.CopyKey{Drive: o.Drive.ID, Folder: o.Folder, Target: r.target}); err != nil {
		return r, err
	}
	if r.info, err = r.copy.Info(); err != nil {
		return r, err
	}
	r.ledger = newLedger(r.copy, o.Now)
	r.pusher = push.New(push.Options{
		Outbox: r.ledger, Nodes: r.ledger, Bodies: r.ledger, Service: o.Service,
		Logger: o.Logger, Now: o.Now, Parallel: o.Parallel, Throttle: o.Throttle,
	})
	return r, nil
}

// all does everything, in order.
func (r *run) all(ctx context.Context) error {
	if err := r.source(); err != nil {
		return err
	}
	if r.info.Receipt != "" {
		if err := flush.FinishReceipt(r.o.State, r.info.Receipt, "the process ended before the upload had"); err != nil {
			return err
		}
	}
	r.meter.Phase("refresh")
	if err := r.pusher.Recover(ctx, r.library(), !r.o.DryRun); err != nil {
		return err
	}
	if err := r.receive(ctx); err != nil {
		return err
	}
	if err := r.findTop(ctx); err != nil {
		return err
	}
	r.meter.Phase("plan")
	if err := r.scan(ctx); err != nil {
		return err
	}
	if r.o.DryRun {
		return r.dry(ctx)
	}
	sending := ctx
	if !r.until.IsZero() {
		var cancel context.CancelFunc
		sending, cancel = flush.WithDeadline(ctx, r.until, r.o.Now)
		defer cancel()
	}
	stop := r.meter.Run()
	err := r.send(sending)
	stop()
	if err != nil && ctx.Err() == nil && sending.Err() != nil {
		r.over, err = true, nil
	}
	if r.over {
		r.res.Over = max(r.res.Over, r.todo-r.shown.Done, 1)
	}
	return err
}

// source looks whether the folder is there.
func (r *run) source() error {
	st, err := os.Stat(r.o.Folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist: is its disk mounted?", r.o.Folder)
	case err != nil:
		return fmt.Errorf("the folder cannot be read: %w", err)
	case !st.IsDir():
		return fmt.Errorf("%s is no folder", r.o.Folder)
	}
	return nil
}

// scan counts what there is to do, and refuses what must not begin.
func (r *run) scan(ctx context.Context) error {
	before, err := r.copy.Rows("", "", 2)
	if err != nil {
		return err
	}
	r.scanning = true
	err = r.walk(ctx)
	r.scanning = false
	if err != nil {
		return err
	}
	if err := r.store(); err != nil {
		return err
	}
	if !r.o.AllowEmpty {
		if r.res.Files+r.res.Folders == 0 {
			return fmt.Errorf("%w %s: is its disk mounted? --allow-empty goes on", ErrEmpty, r.o.Folder)
		}
		if r.found == 0 && len(before) > 1 {
			return fmt.Errorf("%w (%s): is the right disk mounted? --allow-empty goes on", ErrVanished, r.o.Folder)
		}
	}
	if q := r.o.Drive.Quota; q.Total > 0 && r.bytes > q.Remaining {
		return &graph.Error{Op: "upload", Kind: graph.Full, Item: r.o.Folder, Message: fmt.Sprintf("%s are to be sent, and the drive has room for %s; nothing was sent",
			humanize.IBytes(uint64(r.bytes)), humanize.IBytes(uint64(max(q.Remaining, 0))))}
	}
	return nil
}

// dry completes the result of a dry run.
func (r *run) dry(ctx context.Context) error {
	if r.o.Delete {
		gone, _, count, known, err := r.vanished(ctx)
		if err != nil {
			return err
		}
		if !r.o.AllowDeletes && r.o.Guard.Holds(count, known) {
			r.res.Guarded = count
		} else {
			for _, s := range gone {
				r.planned.Add(s)
			}
		}
	}
	s := r.planned
	s.Time = s.Estimate(roundTrip, r.o.Parallel, guessedRate)
	s.Guarded = r.res.Guarded
	r.res.Plan = &s
	return nil
}

const (
	// roundTrip and guessedRate (bytes a second) are what an estimate takes line and service to be like.
	roundTrip   = 200 * time.Millisecond
	guessedRate = 2 << 20
)

// problem records what was not simply sent, once a path.
func (r *run) problem(path, outcome, reason string, count *int) {
	if r.met[path] {
		return
	}
	r.met[path] = true
	*count++
	if len(r.res.Problems) < maxProblems {
		r.res.Problems = append(r.res.Problems, Problem{Path: path, Outcome: outcome, Reason: reason})
	}
}

// close writes the receipt, and makes everything survive a power cut.
func (r *run) close(failed error) error {
	if r.copy == nil {
		return nil
	}
	var errs []error
	if r.ledger != nil && !r.o.DryRun {
		errs = append(errs, r.store())
	}
	if r.receipt != nil && r.receipt.Empty() {
		errs = append(errs, r.receipt.Discard())
		r.info.Receipt = ""
	} else if r.receipt != nil {
		rec := r.record()
		rec.Error = flush.WhyEnded(failed)
		errs = append(errs, r.receipt.End(rec))
		r.res.Receipt = flush.ReceiptPath(r.o.State, r.receipt.ID)
		r.info.Receipt = ""
	}
	if !r.o.DryRun {
		if failed == nil {
			r.info.Ended = r.o.Now()
		}
		errs = append(errs, r.copy.SetInfo(r.info), r.o.Store.Sync())
	}
	r.meter.Phase("done")
	return errors.Join(errs...)
}

// record is the receipt without its items.
func (r *run) record() flush.Receipt {
	rec := flush.Receipt{
		Schema: flush.ReceiptSchema, Started: r.began.UTC(), Ended: r.o.Now().UTC(), Account: r.o.Account,
		Drive: r.o.Drive.ID, Name: r.o.Drive.Name, Trigger: "asked", Folder: r.o.Folder, Target: r.target,
		Totals: flush.ReceiptTotals{
			Sent: r.res.Sent, Bytes: r.res.Bytes, Deferred: r.res.Deferred + r.res.Refused, Busy: r.res.Busy, Conflicts: r.res.Conflicts,
			Guarded: r.res.Guarded, Left: r.res.Deferred + r.res.Refused + r.res.Busy + r.res.Guarded + r.res.Over,
			Took: r.o.Now().Sub(r.began).Milliseconds(), Throttled: r.meter.Throttled().Milliseconds(),
		},
	}
	if r.o.Scheduled {
		rec.Trigger = "schedule"
	}
	rec.Host, _ = os.Hostname() // nobody needs it
	return rec
}
