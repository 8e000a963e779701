// Package flush owns the cycles of a mount: it looks for remote changes, and at a time of day or
// when asked it sends the local ones. It is the only scheduler of such work and owns every
// goroutine below it.
//
// A flush of one drive is a refresh, then rounds of view, plan (package plan, pure) and push
// (package push). A round that met somebody else's change is followed by another refresh and
// another plan, so that one flush ends with both versions there. One cycle at a time runs on a
// drive; drives do not wait for each other.
package flush

import (
	"errors"
	"log/slog"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/flush/schedule"
	"github.com/duskfs/duskfs/graph"
)

// DefaultPoll is how often an engine looks for remote changes if nothing else is said.
const DefaultPoll = 5 * time.Minute

// Errors.
var (
	// ErrStopped: the engine's Run has ended.
	ErrStopped = errors.New("the flush engine has stopped")
	// ErrNoDrive: the engine has no such drive.
	ErrNoDrive = errors.New("no such drive in this mount")
	// ErrReadOnly: the drive is mounted read-only.
	ErrReadOnly = errors.New("drive is mounted read-only")
)

// Drive is one drive for an engine to keep. It must be known to the store (Store.AddDrive).
type Drive struct {
	Num  cache.DriveNum
	Name string // as people see it: the folder that stands for it
	// ReadOnly: nothing is ever sent, and the drive is followed, not enumerated.
	ReadOnly bool
	// Asleep: the drive costs nothing until a folder of it is listed for the first time, and is followed from then on.
	// For read-only drives that nobody may ever look into.
	Asleep  bool
	Service graph.Service
}

// Options of an engine. Store and Drives are needed, the rest has defaults.
type Options struct {
	Store  *cache.Store
	Drives []Drive
	// Schedule says at which times of day a flush starts by itself; zero: only when asked.
	Schedule schedule.Rule
	// Poll is how often remote changes are looked for: 0 means DefaultPoll, negative never.
	Poll time.Duration
	// Parallel is how many steps of one drive are under way at once; default 4.
	Parallel int
	// Rounds is how often one flush plans at most: again after it met somebody else's change, or lost an
	// answer. Default 3.
	Rounds int
	// Guard holds deletions back when there are many; zero means plan's default.
	Guard plan.Guard
	// After starts a flush by itself when nothing has been changed for so long; 0 does not.
	After time.Duration
	// Order is what is sent first; the default is folders, then small files, then large ones.
	Order plan.Order
	// NoDeletes never deletes anything there. What was deleted here stays pending.
	NoDeletes bool
	// Limits bound every flush, also one that a person asks for.
	Limits Limits
	// Throttle keeps to Limits.Rate, perhaps together with others; default one of the engine's own.
	Throttle *push.Throttle
	// StuckAfter is for how long a change is refused until a conflict copy of it is offered; 0 means
	// DefaultStuckAfter.
	StuckAfter time.Duration
	// State is the folder of the account's state, where receipts go and a note of the engine's own: that
	// it is paused, when it last reached the service. Default the folder of the store.
	State string
	// Account is the sign-in name, for receipts.
	Account string
	// Notify is told what a person should hear of at once. It is called by any goroutine, with no lock held, and must
	// return soon; nil tells nobody.
	Notify func(Notice)
	// Refused is told when it turns out that the service lets this person change nothing in a drive, and when it does
	// after all. It is called with no lock held; nil tells nobody.
	Refused func(drive cache.DriveNum, refused bool)
	// Writeback makes the kernel hand over what programs wrote through memory maps into a file. It
	// is called before the file is sealed, with no lock held; nil does nothing.
	Writeback func(cache.Ino)
	Logger    *slog.Logger     // default discards
	Now       func() time.Time // default time.Now
}

// DefaultStuckAfter is how long a change is refused before a conflict copy is offered.
const DefaultStuckAfter = 3 * 24 * time.Hour

// Limits bound one flush of one drive. What is left over stays for the next.
type Limits struct {
	// Bytes: no upload begins once those that have begun have so many bytes; what is under way is finished. 0 is no limit.
	Bytes int64
	// Time: nothing begins, and uploads are broken off to be gone on with, after so long; 0 is no limit.
	Time time.Duration
	// Until says at which times of day a flush that runs stops, as Time does.
	Until schedule.Rule
	// Rate is how many bytes a second are sent, by all drives together.
	Rate schedule.Rate
}

// End returns when a flush that began at a time must stop, zero if never.
func (l Limits) End(began time.Time) time.Time {
	var until time.Time
	if l.Time > 0 {
		until = began.Add(l.Time)
	}
	if next := l.Until.Next(began); !next.IsZero() && (until.IsZero() || next.Before(until)) {
		until = next
	}
	return until
}

// Notice is something that a person should hear of, such as by a desktop notification. It comes once
// for each time that something begins, not for every time that it is met again.
type Notice struct {
	Drive cache.DriveNum `json:"drive"`
	Name  string         `json:"name"` // of the drive
	Kind  NoticeKind     `json:"kind"`
	Text  string         `json:"text"` // a sentence
	At    time.Time      `json:"at"`
	// Err is what a notice of NoticeSignIn is due to, which says what to do: whoever tells people words it. Else nil.
	Err error `json:"-"`
}

// NoticeKind says what a Notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeSignIn   NoticeKind = "sign-in"  // nobody is signed in any more
	NoticeOffline  NoticeKind = "offline"  // the service is out of reach while there is something to send
	NoticeFailed   NoticeKind = "failed"   // a flush that nobody watched ended early
	NoticeDeferred NoticeKind = "deferred" // such a flush could not send everything
	NoticeGuarded  NoticeKind = "guarded"  // deletions, or files that became empty, wait to be confirmed
	NoticeConflict NoticeKind = "conflict" // both sides changed something
	NoticeStuck    NoticeKind = "stuck"    // refused for days; a conflict copy is offered
	NoticeBack     NoticeKind = "back"     // signed in, or in reach, again
	NoticeUnsent   NoticeKind = "unsent"   // the machine is about to sleep or to end, or the battery is low
)

// Path names something in a drive.
type Path struct {
	Drive cache.DriveNum `json:"drive"`
	Path  string         `json:"path"` // from the root of the drive, "/" for all of it
}

// Request says what a flush shall do. The zero value sends everything of every drive, tries
// deferred changes whose time has not come, and keeps deletions back that the guard holds.
type Request struct {
	// Drives to flush; empty means every one that is not read-only.
	Drives []cache.DriveNum `json:"drives,omitempty"`
	// Paths, if any, limits a flush to what is at or below them; Drives is then not looked at.
	Paths []Path `json:"paths,omitempty"`
	// DryRun plans and sends nothing. Remote changes are looked for all the same.
	DryRun bool `json:"dry_run,omitempty"`
	// AllowDeletes lets pass what the guards would hold back: many deletions, and files that became
	// empty though nobody emptied them.
	AllowDeletes bool `json:"allow_deletes,omitempty"`
	// IncludeOpen sends files that are being written to as well, as they are at a quiet moment.
	IncludeOpen bool `json:"include_open,omitempty"`
	// Scheduled leaves deferred changes alone until their next try is due.
	Scheduled bool `json:"scheduled,omitempty"`
	// Progress is told how far it has come, one call at a time; it must return soon. May be nil.
	Progress func(Progress) `json:"-"`
}

// Progress tells how far the flush of one drive has come.
type Progress struct {
	Drive cache.DriveNum `json:"drive"`
	Name  string         `json:"name"`
	// Phase is "refresh", "plan", "send" or "done". Before these it is "wait" while something else has the drive: Pause then
	// says what, and the numbers are those of the flush that it waits for.
	Phase string `json:"phase"`
	Steps int    `json:"steps"` // steps of the plan of this round
	Done  int    `json:"done"`  // of these, how many have ended
	Bytes int64  `json:"bytes"` // to be sent in this round
	Sent  int64  `json:"sent"`  // of these, how many have been
	Op    string `json:"op,omitempty"`
	Path  string `json:"path,omitempty"` // of the step that changed last
	// Files are those under way, oldest first.
	Files []string `json:"files,omitempty"`
	// Rate is in bytes a second over the last while; Left is how long the rest will take, 0 if
	// that cannot be said yet.
	Rate int64         `json:"rate,omitempty"`
	Left time.Duration `json:"left_ns,omitempty"`
	// Pause says in words why nothing moves just now; empty if something does.
	Pause string `json:"pause,omitempty"`
}

// Result tells what a flush did, drive by drive.
type Result struct {
	Drives []DriveResult `json:"drives"`
}

// DriveResult tells what a flush did to one drive.
type DriveResult struct {
	Drive cache.DriveNum `json:"drive"`
	Name  string         `json:"name"`
	// Plan is what would be sent; only in a dry run.
	Plan *plan.Summary `json:"plan,omitempty"`
	// Receipt is the record that the store keeps of this flush; nil in a dry run and if there was
	// nothing to send. Of very many steps it lists those that were not simply sent, and the last.
	Receipt *cache.Receipt `json:"receipt,omitempty"`
	// File is the name of the receipt in full, for Engine.Receipt; empty if there is none.
	File string `json:"file,omitempty"`

	Sent      int   `json:"sent"`  // steps carried out
	Bytes     int64 `json:"bytes"` // bytes of files sent
	Deferred  int   `json:"deferred"`
	Busy      int   `json:"busy"`      // being written to just now
	Guarded   int   `json:"guarded"`   // deletions held back by the guard
	Emptied   int   `json:"emptied"`   // files held back since they became empty and nobody emptied them
	Kept      int   `json:"kept"`      // deletions that are never sent (Options.NoDeletes)
	Over      int   `json:"over"`      // left for the next flush by a limit
	Conflicts int   `json:"conflicts"` // changes that met somebody else's
	// Left counts what is still pending in the drive afterwards.
	Left int `json:"left"`
	// Error is why the flush of this drive ended early, empty if it did not; Kind its kind.
	Error string     `json:"error,omitempty"`
	Kind  graph.Kind `json:"kind,omitempty"`
}

// InPart reports whether something asked for was not done: deferred, busy, guarded, over a limit or
// a conflict.
func (r Result) InPart() bool {
	for _, d := range r.Drives {
		if d.Deferred+d.Busy+d.Guarded+d.Emptied+d.Over+d.Conflicts > 0 {
			return true
		}
	}
	return false
}

// RefreshResult tells what a refresh brought, drive by drive.
type RefreshResult struct {
	Drives []DriveRefresh `json:"drives"`
}

// DriveRefresh tells what a refresh brought for one drive.
type DriveRefresh struct {
	Drive    cache.DriveNum `json:"drive"`
	Name     string         `json:"name"`
	Received int            `json:"received"` // items that the feed brought
	Applied  int            `json:"applied"`
	Waiting  int            `json:"waiting"` // left for later, such as files that are open
	Error    string         `json:"error,omitempty"`
	Kind     graph.Kind     `json:"kind,omitempty"`
}

// State says what an engine does with a drive.
type State string

// The states.
const (
	Idle       State = "idle"
	Refreshing State = "refreshing"
	Flushing   State = "flushing"
)

// Status is how an engine stands. Asking for it costs no request and no walk over the tree.
type Status struct {
	Paused bool          `json:"paused"`
	Next   time.Time     `json:"next"` // next flush by schedule, zero if none
	Rule   string        `json:"rule"` // the schedule in words
	Drives []DriveStatus `json:"drives"`
}

// DriveStatus is how one drive stands.
type DriveStatus struct {
	Drive    cache.DriveNum `json:"drive"`
	Name     string         `json:"name"`
	ReadOnly bool           `json:"read_only"`
	// Refused: the service has refused every change so far, so that the drive is as good as read-only. What is pending
	// stays, and a flush tries it again.
	Refused bool  `json:"refused"`
	State   State `json:"state"`
	// Progress of the flush under way, nil if there is none.
	Progress *Progress `json:"progress,omitempty"`
	// Stale: remote changes could not be looked for lately, so the tree may be out of date.
	Stale bool `json:"stale"`
	// Asleep: nobody has looked into the drive yet.
	Asleep bool `json:"asleep"`
	// Enumerated: the whole drive is known and followed.
	Enumerated  bool           `json:"enumerated"`
	Pending     cache.Pending  `json:"pending"`
	Conflicts   []cache.Report `json:"conflicts"`
	LastRefresh time.Time      `json:"last_refresh"` // last one that succeeded
	LastFlush   *cache.Receipt `json:"last_flush,omitempty"`
	// FlushError is why the last flush ended early. It is empty if it did not, if nothing is pending any more, if one for all
	// of the drive has ended well since, and if it was Interrupted: by whoever asked for it, or by the end of Run.
	FlushError  string `json:"flush_error,omitempty"`
	Interrupted bool   `json:"interrupted"`
	// Error is why the last cycle failed, empty if it did not; Kind its kind: Offline, SignIn, ….
	Error string     `json:"error,omitempty"`
	Kind  graph.Kind `json:"kind,omitempty"`
	ErrAt time.Time  `json:"error_at"`
}
