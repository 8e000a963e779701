package fusemount

import (
	"context"
	"log/slog"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
)

// workers is how many notices may be under way at once: one that hangs behind a read that hangs
// holds up only its own share of files.
const workers = 8

// notices tells the kernel what it must not remember any longer. Nothing waits for a notice but
// writeback. Queues grow as needed; a notice that waits already is not queued again.
type notices struct {
	log    *slog.Logger
	mute   bool // the kernel takes none
	server *fuse.Server
	cancel func() // ends the watching of the tree
	queues [workers]queue
	owned  sync.WaitGroup
}

// notice is one call to make. The name counts for entries alone.
type notice struct {
	ino  uint64
	name string
	kind kind
}

type kind uint8

const (
	attrs kind = iota // attributes
	pages             // bytes of a file or entries of a folder, and attributes
	entry             // what a name means
)

type queue struct {
	mu      sync.Mutex
	wake    sync.Cond
	waiting []notice            // guarded by mu
	busy    bool                // guarded by mu: a batch is being told
	known   map[notice]struct{} // guarded by mu: what waits
	closed  bool                // guarded by mu
}

func newNotices(l *slog.Logger) *notices {
	n := &notices{log: l}
	for i := range n.queues {
		q := &n.queues[i]
		q.wake.L = &q.mu
		q.known = map[notice]struct{}{}
	}
	return n
}

// start begins to watch a file system and to tell the kernel.
func (n *notices) start(s *fuse.Server, f *fs.FS) {
	n.server = s
	for i := range n.queues {
		n.owned.Add(1)
		go n.work(&n.queues[i])
	}
	n.cancel = f.Watch(n.add)
}

// stop ends the workers and waits for them.
func (n *notices) stop() {
	n.cancel()
	for i := range n.queues {
		q := &n.queues[i]
		q.mu.Lock()
		q.closed = true
		q.wake.Broadcast()
		q.mu.Unlock()
	}
	n.owned.Wait()
}

// add queues what an event takes: the name, the pages of its folder, the file.
func (n *notices) add(e cache.Event) {
	if e.Parent != 0 {
		n.push(notice{ino: uint64(e.Parent), name: e.Name, kind: entry})
		n.push(notice{ino: uint64(e.Parent), kind: pages})
	}
	switch {
	case e.Ino == 0:
	case e.Bytes:
		n.push(notice{ino: uint64(e.Ino), kind: pages})
	default:
		n.push(notice{ino: uint64(e.Ino), kind: attrs})
	}
}

func (n *notices) push(x notice) {
	if n.mute {
		return
	}
	q := &n.queues[x.ino%workers]
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.known[x]; ok || q.closed {
		return
	}
	q.known[x] = struct{}{}
	q.waiting = append(q.waiting, x)
	q.wake.Broadcast()
}

func (n *notices) work(q *queue) {
	defer n.owned.Done()
	for {
		q.mu.Lock()
		q.busy = false
		q.wake.Broadcast()
		for len(q.waiting) == 0 && !q.closed {
			q.wake.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		batch := q.waiting
		q.waiting, q.busy = nil, true
		q.mu.Unlock()
		for _, x := range batch {
			// From here on a new event of the same kind must be told anew.
			q.mu.Lock()
			delete(q.known, x)
			closed := q.closed
			q.mu.Unlock()
			if closed {
				return
			}
			n.tell(x)
		}
	}
}

// drain waits until nothing is queued or being told, or ctx ends.
func (n *notices) drain(ctx context.Context) {
	for i := range n.queues {
		q := &n.queues[i]
		stop := context.AfterFunc(ctx, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.wake.Broadcast()
		})
		q.mu.Lock()
		for (len(q.waiting) > 0 || q.busy) && !q.closed && ctx.Err() == nil {
			q.wake.Wait()
		}
		q.mu.Unlock()
		stop()
	}
}

// tell makes one call. ENOENT says that the kernel remembers no such thing.
func (n *notices) tell(x notice) {
	if n.mute {
		return
	}
	var s fuse.Status
	switch x.kind {
	case attrs:
		s = n.server.InodeNotify(x.ino, -1, 0)
	case pages:
		s = n.server.InodeNotify(x.ino, 0, 0)
	case entry:
		s = n.server.EntryNotify(x.ino, x.name)
	}
	if !s.Ok() && s != fuse.ENOENT && s != fuse.ENODEV {
		n.log.Debug("the kernel did not take a notice", "ino", x.ino, "status", s)
	}
}

// writeback has the kernel write back and forget the pages of a file.
func (n *notices) writeback(ino uint64) {
	n.tell(notice{ino: ino, kind: pages})
}
