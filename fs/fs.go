// Package fs gives the tree of the cache the manners of a POSIX file system: handles, attributes,
// errors, bytes fetched when they are read. It can be called without a kernel and knows no FUSE;
// fs/fusemount connects it to one.
//
// Files and folders are named by their ino. No call waits for the network but a read of bytes that
// are not here, a write to a file that is not here whole, and the first look into a folder that is
// not known yet. These end with their context, and after Options.Timeout.
//
// Errors are what the cache and the remote said; [Errno] turns each into an errno.
package fs

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// Root is the ino of what is mounted: the root of the drive if there is one, else a read-only
// folder that holds one folder a drive, or a group of drives.
const Root cache.Ino = 1

// MaxFile is the size of the largest file that can be sent, in bytes.
const MaxFile = graph.MaxFile

// Remote is what a file system needs of the service for one drive.
type Remote interface {
	// Content opens n bytes from off of version v of an item, as graph.Reader does.
	Content(ctx context.Context, item graph.ItemID, v graph.Version, off, n int64) (io.ReadCloser, error)
	// List reads the children of a folder that is cache.Unlisted and applies them to the tree.
	List(ctx context.Context, folder cache.Ino) error
}

// Drive is one drive to show.
type Drive struct {
	Info cache.DriveInfo
	// Name of its folder if several drives are shown. A name of two parts with a slash between is that of a folder in a
	// folder, which drives with the same first part share.
	Name string
	// ReadOnly refuses every change with EROFS; see also FS.Refuse.
	ReadOnly bool
	// Remote is where bytes and listings come from; nil is a drive that is out of reach.
	Remote Remote
	// Space returns the quota as last seen and the bytes that are waiting to be sent. It must not
	// wait for the network. Nil means the quota in Info and nothing waiting.
	Space func() (quota graph.Quota, pending int64)

	room    *room // made by New
	refused atomic.Bool
}

// readOnly reports whether every change is refused.
func (d *Drive) readOnly() bool { return d.ReadOnly || d.refused.Load() }

// Options of a file system.
type Options struct {
	Tree    *cache.Tree
	Content *content.Store
	Drives  []Drive

	// UID and GID own what came from the remote; FileMode and DirMode are its permissions,
	// defaults 0644 and 0755.
	UID, GID          uint32
	FileMode, DirMode uint32

	// CaseBlind says that the tree finds names in any letter case (as cache.Options.CaseBlind).
	CaseBlind bool

	// Sync makes the tree survive a power cut (cache.Store.Sync); nil does nothing.
	Sync func() error
	// WantRefresh is told when a read met a file that the remote has changed; nil does nothing. It
	// must not block.
	WantRefresh func(cache.DriveNum)

	Timeout     time.Duration    // for one wait for the remote; without a byte; default 30 s
	SettleEvery time.Duration    // how often size and time of files being written are recorded; default 5 s
	Now         func() time.Time // default time.Now
	Logger      *slog.Logger     // default discards
}

// FS is a file system. All methods are safe for concurrent use.
type FS struct {
	o      Options
	tree   *cache.Tree
	bytes  *content.Store
	log    *slog.Logger
	now    func() time.Time
	drives map[cache.DriveNum]*Drive // read only after New
	order  []*Drive
	began  time.Time

	shelves map[cache.Ino]*shelf    // read only after New: the folders that hold drives
	above   map[cache.Ino]cache.Ino // read only after New: on which shelf the root of a drive stands

	mu      sync.Mutex                   // held for moments only, never with another lock
	bodies  map[cache.Ino]*body          // guarded by mu: what is open
	waits   map[*wait]context.CancelFunc // guarded by mu: waits for the network under way
	lists   map[cache.Ino]*listing       // guarded by mu: listings under way
	limbo   limbo                        // guarded by mu: what was removed a short while ago
	stopped bool                         // guarded by mu
	dirty   map[*body]struct{}           // guarded by mu: bodies whose size and time are not recorded
	timer   *time.Timer                  // guarded by mu: runs settleAll; nil while nothing is dirty

	watching sync.RWMutex // held while watchers are told, who do not block
	watchers []*watcher   // guarded by watching

	records atomic.Uint64 // how often size and time of a body have been recorded

	owned sync.WaitGroup // goroutines of this file system
}

type wait struct{ _ byte }

// New makes a file system. It starts nothing. Close ends it.
func New(o Options) (*FS, error) {
	if o.Tree == nil || o.Content == nil || len(o.Drives) == 0 {
		return nil, syscall.EINVAL
	}
	if o.FileMode == 0 {
		o.FileMode = 0o644
	}
	if o.DirMode == 0 {
		o.DirMode = 0o755
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.SettleEvery == 0 {
		o.SettleEvery = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &FS{
		o: o, tree: o.Tree, bytes: o.Content, log: o.Logger, now: o.Now, began: o.Now(),
		drives: map[cache.DriveNum]*Drive{},
		bodies: map[cache.Ino]*body{},
		waits:  map[*wait]context.CancelFunc{},
		lists:  map[cache.Ino]*listing{},
		dirty:  map[*body]struct{}{},
	}
	for i := range o.Drives {
		d := &o.Drives[i]
		d.room = &room{}
		f.drives[d.Info.Num] = d
		f.order = append(f.order, d)
	}
	f.shelves, f.above = arrange(f.order)
	return f, nil
}

// Stop cancels every wait for the remote that is under way and refuses new ones: requests that
// hang end with EIO. Everything that is here goes on working.
func (f *FS) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	for _, cancel := range f.waits {
		cancel()
	}
}

// Close stops the file system, records size and time of what was written, and waits for its
// goroutines. Handles still open are closed. Call it when no request can come any more.
func (f *FS) Close() error {
	f.Stop()
	f.mu.Lock()
	if f.timer != nil && f.timer.Stop() {
		f.timer = nil
		f.owned.Done()
	}
	open := make([]*body, 0, len(f.bodies))
	for _, b := range f.bodies {
		open = append(open, b)
	}
	f.mu.Unlock()
	f.owned.Wait()
	var first error
	for _, b := range open {
		if err := f.abandon(b); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// waiting derives the context of a wait for the remote: it ends with ctx, after the timeout, and
// when the file system stops.
func (f *FS) waiting(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, f.o.Timeout)
	w := &wait{}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		cancel()
		return nil, nil, errStopped
	}
	f.waits[w] = cancel
	return ctx, func() {
		f.mu.Lock()
		delete(f.waits, w)
		f.mu.Unlock()
		cancel()
	}, nil
}

// Stuck reports whether a lock of this file system, or of the store below it, is not let go for so long: a
// request that panicked has taken it to its grave. What then looks for it waits as long as the process lives.
func (f *FS) Stuck(wait time.Duration) bool {
	free := make(chan struct{})
	go func() {
		f.mu.Lock()
		var open []*body
		for _, b := range f.bodies {
			select {
			case <-b.ready:
				if b.err == nil {
					open = append(open, b)
				}
			default: // whoever opens it takes no other lock
			}
		}
		f.mu.Unlock()
		f.tree.Held(0)
		for _, b := range open {
			b.mu.Lock()
			b.file.Complete()
			b.mu.Unlock()
		}
		close(free)
	}()
	select {
	case <-free:
		return false
	case <-time.After(wait):
		return true
	}
}

// inner is the ino in the tree of one that was given from outside.
func (f *FS) inner(ino cache.Ino) cache.Ino {
	if ino == Root && len(f.shelves) == 0 {
		return f.order[0].Info.Root
	}
	return ino
}

// outer is the ino to give outside of one in the tree.
func (f *FS) outer(ino cache.Ino) cache.Ino {
	if len(f.shelves) == 0 && ino == f.order[0].Info.Root {
		return Root
	}
	return ino
}

// get returns a node and its drive. A node that is gone, or of a drive that is not shown, is
// ESTALE: who asks by ino had it once and shall look its name up again.
func (f *FS) get(ino cache.Ino) (cache.Node, *Drive, error) {
	n, err := f.tree.Get(ino)
	if err != nil {
		return n, nil, stale(err)
	}
	d := f.drives[n.Drive]
	if d == nil {
		return n, nil, syscall.ESTALE
	}
	return n, d, nil
}

// folder is get for the folder that something is to be done in.
func (f *FS) folder(ino cache.Ino, change bool) (cache.Node, *Drive, error) {
	if f.virtual(ino) {
		return cache.Node{}, nil, syscall.EROFS
	}
	n, d, err := f.get(f.inner(ino))
	switch {
	case err != nil:
	case !n.Dir:
		err = syscall.ENOTDIR
	case change && d.readOnly():
		err = syscall.EROFS
	case n.Removed:
		err = syscall.ENOENT
	}
	return n, d, err
}

// Refuse makes a drive refuse every change with EROFS, or not any more: it has turned out that the
// service takes none of this person. What was changed before stays.
func (f *FS) Refuse(num cache.DriveNum, on bool) {
	d := f.drives[num]
	if d == nil || d.refused.Swap(on) == on || d.ReadOnly {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.owned.Go(func() { f.tellAll(d.Info.Root) })
	}
}

// tellAll reports that the attributes of everything known at or below a folder are other ones.
func (f *FS) tellAll(dir cache.Ino) {
	f.tell(cache.Event{Ino: dir})
	for after := cache.Ino(0); !f.isStopped(); {
		nodes, err := f.tree.List(dir, after, 1000)
		if err != nil || len(nodes) == 0 {
			return // nobody has seen what is not listed
		}
		for _, n := range nodes {
			after = n.Ino
			if n.Dir {
				f.tellAll(n.Ino)
			} else {
				f.tell(cache.Event{Ino: n.Ino})
			}
		}
	}
}

// Watch calls fn after every change that did not come through this file system, in the numbering
// of this file system, for the kernel's caches. fn must not block, and is not called any more when
// cancel has returned.
func (f *FS) Watch(fn func(cache.Event)) (cancel func()) {
	w := &watcher{fn: fn}
	f.watching.Lock()
	f.watchers = append(f.watchers, w)
	f.watching.Unlock()
	end := f.tree.Watch(func(e cache.Event) { fn(f.Outer(e)) })
	return func() {
		f.watching.Lock()
		f.watchers = slices.DeleteFunc(f.watchers, func(o *watcher) bool { return o == w })
		f.watching.Unlock()
		end()
	}
}

type watcher struct{ fn func(cache.Event) }

// tell reports something that a file system does by itself: the blocks of a file that was fetched.
func (f *FS) tell(e cache.Event) {
	f.watching.RLock()
	defer f.watching.RUnlock()
	for _, w := range f.watchers {
		w.fn(f.Outer(e))
	}
}

// Outer is an event of the tree in the numbering of this file system.
func (f *FS) Outer(e cache.Event) cache.Event {
	e.Ino, e.Parent = f.outer(e.Ino), f.outer(e.Parent)
	return e
}

// Exact reports whether Lookup compares names exactly, so that a name that was not found may be
// remembered as missing.
func (f *FS) Exact() bool { return !f.o.CaseBlind }

// ReadOnly reports whether nothing at all can be changed.
func (f *FS) ReadOnly() bool {
	for _, d := range f.order {
		if !d.ReadOnly {
			return false
		}
	}
	return true
}
