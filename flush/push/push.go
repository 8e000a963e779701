// Package push carries a plan out on a drive: it sends, looks where an answer does not tell, and
// records each step in the outbox.
//
// A step is begun in the store before the service is asked and committed after it has answered, so
// that a process killed in between leaves a note of what may have happened; Recover reads those
// notes, looks at the remote, and settles them. No lock is held while the service is asked.
package push

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// Outbox is what is recorded of a step. *cache.Outbox is one.
type Outbox interface {
	Begin(a cache.Attempt) (cache.Node, error)
	Intend(a cache.Attempt) error
	Commit(a cache.Attempt, item graph.Item) (cache.Node, error)
	Deleted(a cache.Attempt) error
	Forget(a cache.Attempt) error
	Missed(a cache.Attempt) error
	Fail(a cache.Attempt, d cache.Deferral) error
	Apart(a cache.Attempt) (called string, err error)
	Doubt(a cache.Attempt, d cache.Deferral) error
	Adopt(ino cache.Ino, seq cache.Seq) error
	Attempts() ([]cache.Attempt, error)
}

// Nodes is what a step asks about the tree. *cache.Tree is one.
type Nodes interface {
	Get(ino cache.Ino) (cache.Node, error)
	Held(ino cache.Ino) int
	Readers(d cache.DriveNum, item graph.ItemID) ([]cache.Node, error)
}

// Service is the drive that is sent to. Any graph.Service is one. One that is an Abandoner as well
// is told of upload sessions that nobody will go on with.
type Service interface {
	graph.Reader
	graph.Writer
}

// Abandoner ends an upload session without its file. Left alone, a session holds the file and
// counts against the quota for a day (Q20).
type Abandoner interface {
	Abandon(ctx context.Context, session string) error
}

// Options of a Pusher. Outbox, Nodes, Service and Content or Bodies are needed.
type Options struct {
	Outbox Outbox
	Nodes  Nodes
	// Content has the bodies of a mount; nil if nobody reads what is sent, as in an upload.
	Content *content.Store
	Bodies  Bodies // default those of Content
	Service Service
	// Writeback makes the kernel hand over what programs wrote through memory maps into a file,
	// before the file is sealed; nil does nothing.
	Writeback func(cache.Ino)
	Logger    *slog.Logger     // default discards
	Now       func() time.Time // default time.Now
	Parallel  int              // steps under way at once; default 4
	Drive     cache.DriveNum
	// Throttle keeps uploads to a number of bytes a second; nil does not. Several pushers may share one.
	Throttle *Throttle
	// Overtaken is told of the bytes of somebody else that an upload replaced unseen: they are older
	// versions of the item now. It is called by several goroutines, and again for the same bytes if the upload
	// could not be recorded, or if it returned an error: something that stops everything for now. nil ignores them.
	Overtaken func(ctx context.Context, s plan.Step, item graph.ItemID, between []graph.Past) error
	// Unpublished is told of a file that was sent and could not be checked in, before it is recorded as sent. It is called
	// by several goroutines, and may be called again for the same file. nil logs it.
	Unpublished func(item graph.ItemID, path, reason string)
	// Sessions remembers upload sessions beyond the life of this Pusher; nil remembers none.
	Sessions Sessions
}

// Sessions remembers upload sessions that were broken off, so that another process can go on with them. The service refuses a
// second one for the same file until the first has expired (Q20). They carry credentials.
type Sessions interface {
	Sessions() []cache.Attempt
	// KeepSessions replaces them. Losing them costs time alone.
	KeepSessions([]cache.Attempt)
}

// Pusher sends to one drive. One Recover or Run at a time.
type Pusher struct {
	o Options

	mu       sync.Mutex
	sessions map[cache.Ino]cache.Attempt // upload sessions that can be gone on with; guarded by mu
	busy     map[cache.Ino]int           // how often a file was skipped or broken off by a writer; guarded by mu
	checkOut checkOut                    // guarded by mu
	unseen   map[key]unseenStep          // steps under way at which the last Recover could not look; guarded by mu
}

// New makes a Pusher.
func New(o Options) *Pusher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Bodies == nil {
		o.Bodies = contentBodies{o.Content}
	}
	if o.Writeback == nil {
		o.Writeback = func(cache.Ino) {}
	}
	p := &Pusher{o: o, sessions: map[cache.Ino]cache.Attempt{}, busy: map[cache.Ino]int{}}
	if o.Sessions != nil {
		for _, a := range o.Sessions.Sessions() {
			p.sessions[a.Ino] = a
		}
	}
	return p
}

// Request says how to run a plan.
type Request struct {
	// Last says that there will be no other round: what would be looked at again is deferred.
	Last bool
	// Bytes: no upload begins when so many bytes have been sent; 0 is no limit.
	Bytes int64
	// IncludeOpen sends files that are being written to, as they are after a moment's wait.
	IncludeOpen bool
	// Library says that the drive is a library, in which files can be checked out.
	Library bool
	// Look reads every item by its id before it is replaced, moved or deleted: what is known of it is
	// old.
	Look bool
	// More says that other plans follow, which may go on with upload sessions that this one did not.
	More bool
	// Progress is told how far it has come, one call at a time, by the goroutine that called Run.
	Progress func(Progress)
	// Ended is told of each step when it has ended, before the result has them all, by the same goroutine.
	Ended func(Done)
}

// Progress tells how far a plan has been carried out.
type Progress struct {
	Steps int   // in all
	Done  int   // that have ended, however
	Bytes int64 // to be sent in all
	Sent  int64 // of these
	// Step is the one that began, got on or ended.
	Step plan.Step
	// Under are the paths of the steps under way, oldest first.
	Under []string
}

// Outcome is how a step ended. The words are those of receipts.
type Outcome string

// The outcomes.
const (
	Sent      Outcome = "sent"
	Unchanged Outcome = "unchanged" // the remote had it already
	Deferred  Outcome = "deferred"  // refused; tried again later
	Busy      Outcome = "busy"      // being written to just now
	Conflict  Outcome = "conflict"  // met somebody else's change: refresh, then plan again
	Skipped   Outcome = "skipped"   // not tried, since another step did not succeed or the plan is old
	Left      Outcome = "left"      // left for the next flush by a limit
)

// Done is a step and how it ended.
type Done struct {
	Step    plan.Step
	Outcome Outcome
	Reason  string       // for people; why it was not sent
	Kind    graph.Kind   // of the refusal, if it was refused
	Item    graph.ItemID // that it made or changed
	Bytes   int64        // bytes of a file that were sent
	Hash    graph.Hash   // of these
	OldETag string       // of the item before, empty for a new one
	ETag    string       // of the item now, empty if it was deleted or not sent
	Took    time.Duration
	// Unpublished: it was sent, and others do not see it: it could not be checked in, as Reason says.
	Unpublished bool
	Request     string   // the service's id of the request that it refused
	Requests    []string // its ids of those that may have changed something, the last ten
}

// Result tells what became of a plan.
type Result struct {
	Steps []Done // in the order in which they ended
	// Again says that something was met that a refresh and another plan may settle.
	Again bool
	// Ask are items that are not what they are believed to be. The change feed may say so late, or never
	// (Q8, Q9): they have to be read by their ids.
	Ask []graph.ItemID
}

// Count returns how many steps ended in a way.
func (r Result) Count(o Outcome) int {
	n := 0
	for _, d := range r.Steps {
		if d.Outcome == o {
			n++
		}
	}
	return n
}
