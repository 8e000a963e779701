package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph"
)

// body is an open file: one an ino, shared by all its handles. It holds the node in the tree, so
// that nothing but these handles changes its bytes.
type body struct {
	ino   cache.Ino
	drive *Drive
	refs  int  // guarded by FS.mu
	gone  bool // guarded by FS.mu: closed by FS.Close, whatever its uses

	ready chan struct{} // closed when what follows is set
	err   error
	file  *content.File
	// item and version are where missing bytes come from. A node that is replaced or removed loses
	// its base, and this is what then remains.
	item    graph.ItemID
	version graph.Version

	// mu makes Mark and Unseal, or a change of time, one. It is never held over the network.
	mu      sync.Mutex
	writers atomic.Int32 // handles open for writing
	wrote   atomic.Int64 // unix nanoseconds of the last write, 0 for none
	dirty   atomic.Bool  // size and time are not recorded in the tree yet
	fetched atomic.Bool  // bytes were asked for, so that the file takes more room than was told
	late    atomic.Pointer[late]
}

// late is a wait for bytes that came to nothing.
type late struct {
	off, n, here int64 // what was waited for, and how much was here then
	at           time.Time
}

// lateFor is how long who asks for the same bytes is not made to wait once more: the kernel asks for what it wanted to read
// ahead and did not get at once again, for the same reader.
const lateFor = time.Second

// stands reports whether what was said of the bytes from off still is all there is to say.
func (l *late) stands(off, here int64, now time.Time) bool {
	return l != nil && l.here == here && l.off <= off && off < l.off+l.n && now.Sub(l.at) < lateFor
}

func (b *body) lastWrite() time.Time {
	if ns := b.wrote.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// acquire opens the body of a file, or shares it with who has it open. Each wants a release.
func (f *FS) acquire(ino cache.Ino) (*body, error) {
	f.mu.Lock()
	b := f.bodies[ino]
	if b != nil {
		b.refs++
		f.mu.Unlock()
		<-b.ready
		if b.err != nil {
			f.release(b)
			return nil, b.err
		}
		return b, nil
	}
	b = &body{ino: ino, refs: 1, ready: make(chan struct{})}
	f.bodies[ino] = b
	f.mu.Unlock()

	b.err = f.open(b)
	close(b.ready)
	if b.err != nil {
		f.release(b)
		return nil, b.err
	}
	return b, nil
}

// borrow is acquire of what is open already; nil if it is not.
func (f *FS) borrow(ino cache.Ino) *body {
	f.mu.Lock()
	b := f.bodies[ino]
	if b == nil {
		f.mu.Unlock()
		return nil
	}
	b.refs++
	f.mu.Unlock()
	<-b.ready
	if b.err != nil {
		f.release(b)
		return nil
	}
	return b
}

// release ends one use. With the last one size and time are recorded, before anybody can find the
// file closed, and the body is closed. Who comes and writes while they are recorded goes before this
// one does: then they are recorded again.
func (f *FS) release(b *body) {
	for {
		f.mu.Lock()
		if b.refs > 1 || b.gone {
			b.refs--
			f.mu.Unlock()
			return
		}
		if b.err != nil || !b.dirty.Load() {
			break
		}
		f.mu.Unlock()
		if err := f.record(b); err != nil {
			f.log.Error("size and time of a file could not be recorded", "ino", b.ino, "err", err)
		}
	}
	b.refs--
	delete(f.bodies, b.ino)
	delete(f.dirty, b)
	f.mu.Unlock()
	if b.err != nil {
		return
	}
	if err := b.file.Close(); err != nil {
		f.log.Error("a body could not be closed", "ino", b.ino, "err", err)
	}
	f.tree.Unhold(b.ino)
	if b.fetched.Load() {
		f.tell(cache.Event{Ino: b.ino})
	}
}

// abandon closes a body whatever its uses.
func (f *FS) abandon(b *body) error {
	<-b.ready
	if b.err != nil {
		return nil
	}
	err := f.record(b)
	f.mu.Lock()
	open := f.bodies[b.ino] == b
	if open {
		delete(f.bodies, b.ino)
		b.gone = true
	}
	f.mu.Unlock()
	if !open {
		return err // its last handle was quicker
	}
	err = errors.Join(err, b.file.Close())
	f.tree.Unhold(b.ino)
	return err
}

// open holds the node and opens its bytes.
func (f *FS) open(b *body) error {
	n, err := f.tree.Hold(b.ino)
	if err != nil {
		return stale(err)
	}
	if err = f.openHeld(b, n); err != nil {
		f.tree.Unhold(b.ino)
	}
	return err
}

// openHeld opens the bytes. Between the look at the node and the opening a commit may turn local
// work into a clean version, or somebody mark the node; then it looks again.
func (f *FS) openHeld(b *body, n cache.Node) error {
	var err error
	for range 10 {
		if b.drive = f.drives[n.Drive]; b.drive == nil {
			return syscall.ESTALE
		}
		if n.Dir {
			return syscall.EISDIR
		}
		err = f.openNode(b, n)
		if !errors.Is(err, content.ErrLocal) && !errors.Is(err, cache.ErrNotExist) {
			return err
		}
		f.tree.Followed(b.ino)
		var getErr error
		if n, getErr = f.tree.Get(b.ino); getErr != nil {
			return stale(getErr)
		}
	}
	// The cause says "not exist", which is not what the program shall be told.
	return fmt.Errorf("%w (ino %d): %v", errNoBody, b.ino, err)
}

func (f *FS) openNode(b *body, n cache.Node) (err error) {
	switch {
	case n.Written:
		b.file, err = f.bytes.Local(uint64(n.Ino))
		if errors.Is(err, cache.ErrNotExist) && n.Base == nil && n.Size == 0 {
			// Killed between the making of the node and that of its body: nothing was written.
			b.file, err = f.fresh(b, n, n.Marked)
		}
	case n.Base != nil:
		b.item, b.version = n.Base.Item, n.Base.Version()
		b.file, err = f.bytes.Version(uint64(n.Ino), b.version, n.Mtime)
	default:
		err = syscall.ESTALE // replaced, and the one that replaced it has its item now
	}
	return err
}

// adopt enters the body of a node just created.
func (f *FS) adopt(n cache.Node, d *Drive) (*body, error) {
	b := &body{ino: n.Ino, drive: d, refs: 1, ready: make(chan struct{})}
	f.mu.Lock()
	if f.bodies[n.Ino] != nil { // somebody found the name and was quicker
		f.mu.Unlock()
		return f.acquire(n.Ino)
	}
	f.bodies[n.Ino] = b
	f.mu.Unlock()
	if _, b.err = f.tree.Hold(n.Ino); b.err == nil {
		seq := max(n.Seq, n.Marked)
		if b.file, b.err = f.fresh(b, n, seq); b.err != nil {
			f.tree.Unhold(n.Ino)
		}
	}
	close(b.ready)
	if b.err != nil {
		f.release(b)
		return nil, b.err
	}
	return b, nil
}

// fresh makes the body of a node that has none, with the time that the node has.
func (f *FS) fresh(b *body, n cache.Node, seq cache.Seq) (*content.File, error) {
	file, err := f.bytes.Create(uint64(n.Ino), uint64(seq), f.tag(b))
	if err != nil {
		return nil, err
	}
	if err := file.SetModTime(n.Mtime); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// tag says whose bytes local work is, for whoever finds the body without the tree. What the tree
// does not tell stays empty: a tag is a help, never a condition.
func (f *FS) tag(b *body) content.Tag {
	t := content.Tag{Drive: b.drive.Info.Drive.ID}
	t.Path, _ = f.tree.Path(b.ino)
	if n, err := f.tree.Get(b.ino); err == nil && n.Base != nil {
		t.Item, t.ETag = n.Base.Item, n.Base.ETag
	}
	return t
}

// chunk is how much is fetched in one wait by who needs a file whole.
const chunk = 16 << 20

// hydrate fetches what is missing of n bytes from off. It gives up when no byte came for the time of
// one wait: a slow line is none that is dead.
func (f *FS) hydrate(ctx context.Context, b *body, off, n int64) error {
	if b.late.Load().stands(off, b.file.Here(), time.Now()) {
		return context.DeadlineExceeded
	}
	for {
		here := b.file.Here()
		err := f.fetch(ctx, b, off, n)
		switch {
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return err
		case b.file.Here() <= here:
			b.late.Store(&late{off: off, n: n, here: here, at: time.Now()})
			return err
		}
	}
}

// fetch waits once for missing bytes.
func (f *FS) fetch(ctx context.Context, b *body, off, n int64) error {
	item, version := b.item, b.version
	// A rename on the remote changes the eTag of the same bytes: ask for them by the fresh one.
	if node, err := f.tree.Get(b.ino); err == nil && node.Base != nil && node.Base.Version().Same(version) {
		item, version = node.Base.Item, node.Base.Version()
	}
	remote := b.drive.Remote
	if remote == nil {
		return errNoRemote
	}
	ctx, done, err := f.waiting(ctx)
	if err != nil {
		return err
	}
	defer done()

	b.fetched.Store(true)
	err = b.file.Hydrate(ctx, sourceOf(remote, item, version), off, n)
	if k := graph.KindOf(err); (k == graph.Changed || k == graph.NotExist) && f.o.WantRefresh != nil {
		f.o.WantRefresh(b.drive.Info.Num)
	}
	if err != nil && f.isStopped() {
		return errStopped
	}
	return err
}

func sourceOf(r Remote, item graph.ItemID, v graph.Version) content.Source {
	return func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		return r.Content(ctx, item, v, off, n)
	}
}

// whole fetches all that is missing, piece by piece: each may take its time.
func (f *FS) whole(ctx context.Context, b *body) error {
	for off := int64(0); !b.file.Complete(); off += chunk {
		n := min(chunk, b.file.Size()-off)
		if n <= 0 {
			return nil
		}
		if err := f.hydrate(ctx, b, off, n); err != nil {
			return err
		}
	}
	return nil
}

func (f *FS) isStopped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped
}

// maxMarks is how often a write asks anew because a step that sends the file sealed it again.
const maxMarks = 100

// modify does act, which changes bytes. If the body is sealed, the node is marked first and the
// body opened for writing, for which it must be whole.
func (f *FS) modify(ctx context.Context, b *body, act func() error) error {
	err := act()
	for range maxMarks {
		if !errors.Is(err, content.ErrSealed) {
			break
		}
		if err = f.whole(ctx, b); err != nil {
			return err
		}
		err = f.unseal(b, b.file.Unseal, act)
		if errors.Is(err, content.ErrMissing) {
			err = content.ErrSealed
		}
	}
	if err == nil {
		f.touched(b)
	}
	return err
}

// unseal marks the node, opens the body with how, and acts.
func (f *FS) unseal(b *body, how func(uint64, content.Tag) error, act func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := act(); !errors.Is(err, content.ErrSealed) {
		return err // another writer was here
	}
	seq, err := f.tree.Mark(b.ino)
	if err != nil {
		return stale(err)
	}
	if err := how(uint64(seq), f.tag(b)); err != nil {
		return err
	}
	return act()
}

// resize is truncate for who changes nothing if the size is right already.
func (f *FS) resize(ctx context.Context, b *body, size int64) error {
	if b.file.Size() == size {
		if n, err := f.tree.Get(b.ino); err == nil && !n.Written {
			return nil
		}
	}
	return f.truncate(ctx, b, size)
}

// truncate sets the size. Nothing is fetched for who wants none of the bytes.
func (f *FS) truncate(ctx context.Context, b *body, size int64) error {
	if size > MaxFile {
		return syscall.EFBIG
	}
	if err := f.room(b, size); err != nil {
		return err
	}
	act := func() error { return b.file.Truncate(size) }
	if size != 0 {
		return f.modify(ctx, b, act)
	}
	err := act()
	for range maxMarks {
		if !errors.Is(err, content.ErrSealed) {
			break
		}
		err = f.unseal(b, b.file.UnsealEmpty, act)
	}
	if err != nil {
		return err
	}
	f.touched(b)
	return stale(f.tree.Emptied(b.ino))
}
