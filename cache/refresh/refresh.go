// Package refresh brings remote changes in: it receives the change feed of a drive into the inbox,
// has each item ruled on by cache/merge and the ruling applied, lists folders that are not known
// yet, and once a day compares everything.
//
// Nothing is held over the network: what is asked of the service is noted first, asked then, and
// the case built again.
package refresh

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// Service is what a Refresher asks of a drive. Any graph.Service is one.
type Service interface {
	graph.Feed
	graph.Reader
}

// Options of a Refresher.
type Options struct {
	Store   *cache.Store
	Drive   cache.DriveNum
	Service Service

	// FollowOnly is for drives that are only read: the feed is followed from now on, and folders
	// are listed when somebody looks into them, instead of reading the whole drive first.
	FollowOnly bool
	// ReconcileEvery is how often the whole drive is enumerated and compared, since the feed loses
	// deletions now and then (Q9). Default a day; negative is never. Not done with FollowOnly.
	ReconcileEvery time.Duration
	// Progress, if set, is told how many items Run has received so far. It must not block.
	Progress func(items int)

	Logger *slog.Logger     // default discards
	Now    func() time.Time // default time.Now
}

// Result is what one Run did.
type Result struct {
	Received  int // items that the feed brought
	Applied   int // items whose ruling was carried out, echoes included
	Waiting   int // items that wait: a file is open, a step is under way
	Conflicts int // conflict copies made, and other rulings that people are told of
	Full      bool
}

// Refresher brings in the remote changes of one drive. It is safe for concurrent use.
type Refresher struct {
	o     Options
	store *cache.Store
	inbox *cache.Inbox

	// turn holds one token: whoever has it may use the inbox. It is a channel so that waiting for
	// it ends with a context.
	turn chan struct{}

	mu       sync.Mutex
	listings map[cache.Ino]*listing // under way; guarded by mu
}

// New makes a Refresher. It starts nothing.
func New(o Options) *Refresher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ReconcileEvery == 0 {
		o.ReconcileEvery = 24 * time.Hour
	}
	r := &Refresher{
		o: o, store: o.Store, inbox: o.Store.Inbox(o.Drive),
		turn: make(chan struct{}, 1), listings: map[cache.Ino]*listing{},
	}
	r.turn <- struct{}{}
	return r
}

// Run does one cycle: it receives all that the feed has and applies what can be applied. One Run at
// a time: a second one waits for the first. What was received before an error or the end of ctx
// stays received, and the next Run goes on there; the Result counts what was done in either case.
// Errors are those of the service (graph kinds) and of the store.
func (r *Refresher) Run(ctx context.Context) (Result, error) {
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	c := cycle{Refresher: r, probed: map[graph.ItemID]bool{}, there: map[graph.ItemID]graph.Item{}}
	err := c.receive(ctx)
	if err == nil {
		err = c.inbox.Claim()
	}
	if err == nil {
		err = c.apply(ctx)
	}
	if err == nil {
		err = c.compare(ctx)
	}
	if n, werr := r.inbox.Waiting(); werr == nil {
		c.result.Waiting = n
	}
	return c.result, err
}

// cycle is one Run under way.
type cycle struct {
	*Refresher
	result Result
	// holders are the items that the last pass found standing in the way of others; probed are
	// those that were asked for already.
	holders []graph.ItemID
	probed  map[graph.ItemID]bool
	// there is what the service said of holders that it has.
	there map[graph.ItemID]graph.Item
	// quiet: the feed in the store is complete, and nothing has come since.
	quiet bool
}
