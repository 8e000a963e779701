package content

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/duskfs/duskfs/graph"
)

// Source opens n bytes from off of the version that a body is of. It fails with graph.Changed when
// the service has another version by now.
type Source func(ctx context.Context, off, n int64) (io.ReadCloser, error)

const (
	// chunk is how much is fetched before those who wait for it are told; fetches begin and end at
	// multiples of it.
	chunk = 128 << 10
	// A fetch brings at least windowMin bytes, and up to windowMax for a reader that goes on.
	windowMin = 1 << 20
	windowMax = 8 << 20
	// fetchMax is the most that one fetch brings for somebody who asked for a lot.
	fetchMax = 64 << 20
	// farAhead is how far a reader may be in front of a fetch and still wait for it.
	farAhead = 4 << 20
)

// fetch is one request for a run of bytes under way.
type fetch struct {
	cancel context.CancelFunc
	// All below is guarded by the body's mu.
	off      int64 // where it began
	pos, end int64 // what is still to come; end shrinks when somebody starts a fetch further on
	waiters  int
	followed bool // the fetch of what comes after it was considered
	dead     bool // nobody wants it any more
	done     bool
	err      error
}

// readAhead notices readers that go on where they stopped.
type readAhead struct {
	next   int64 // where the last window ended
	window int64
	asked  int64 // where the last one who asked began
}

// size returns how much to fetch for a reader that misses off.
func (r *readAhead) size(off int64) int64 {
	if r.window == 0 || off < r.next-chunk || off > r.next+chunk {
		r.window = windowMin
	} else {
		r.window = min(2*r.window, windowMax)
	}
	return r.window
}

// runningSum is the hash of the first n bytes, as far as they arrived in order.
type runningSum struct {
	sum hash.Hash
	n   int64
}

// Hydrate fetches what is missing of n bytes from off, and perhaps more for a reader that goes on.
// Equal fetches are shared: a caller whose context ends leaves, the others go on; the last one to
// leave so ends the fetch. graph.Changed if the service has another version: the body keeps what it
// has. When the last byte has come, the hash of the whole is compared with the version's, if that
// is known; bytes that are not those are dropped (graph.Failed).
func (f *File) Hydrate(ctx context.Context, src Source, off, n int64) error {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead.asked = off
	var x *fetch
	for {
		want, missing := b.missing(off, n)
		switch {
		case !missing:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case x != nil && x.done && x.err != nil:
			return x.err // some bytes came before it broke: that is no reason to ask for ever
		}
		var err error
		if x, err = b.join(ctx, src, want); err != nil {
			return err
		}
		x.waiters++
		err = b.await(ctx, x, want.off)
		x.waiters--
		if ctx.Err() != nil && x.waiters == 0 && !x.done {
			b.abandon(x)
		}
		if err != nil {
			return err
		}
	}
}

// missing returns what is not here of n bytes from off, from the first missing byte to the end of
// what was asked for. The caller has mu.
func (b *body) missing(off, n int64) (span, bool) {
	if b.local {
		return span{}, false
	}
	size := b.size.Load()
	want := span{max(off, 0), size}
	if n < size-want.off {
		want.end = want.off + max(n, 0)
	}
	gap, missing := b.have.gap(want)
	return span{gap.off, want.end}, missing
}

// await waits until the byte at off is here or the fetch has ended, with mu let go meanwhile.
func (b *body) await(ctx context.Context, x *fetch, off int64) error {
	for {
		if b.local || b.have.covers(span{off, off + 1}) {
			return nil
		}
		if x.done || x.dead {
			return x.err
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			b.mu.Lock()
			return ctx.Err()
		}
		b.mu.Lock()
	}
}

// join returns the fetch that brings the first byte of want, starting one if there is none. The
// caller has mu alone.
func (b *body) join(ctx context.Context, src Source, want span) (*fetch, error) {
	for _, x := range b.fetches {
		if x.dead || want.off < x.pos || want.off >= x.end {
			continue
		}
		if want.off-x.pos <= farAhead {
			return x, nil
		}
		x.end = want.off / chunk * chunk
	}
	return b.start(ctx, src, want)
}

// start begins a fetch that brings want and what is around it.
func (b *body) start(ctx context.Context, src Source, want span) (*fetch, error) {
	size := b.size.Load()
	s := span{want.off / chunk * chunk, want.end}
	s.off = max(s.off, b.have.before(want.off))
	s.end = max(min(s.end, s.off+fetchMax), s.off+b.ahead.size(want.off))
	s.end = min((s.end+chunk-1)/chunk*chunk, size)
	if gap, missing := b.have.gap(span{want.off, s.end}); missing {
		s.end = gap.end
	}
	for _, x := range b.fetches {
		if !x.dead && x.pos > want.off {
			s.end = min(s.end, x.pos)
		}
		if !x.dead && x.end <= want.off {
			s.off = max(s.off, x.end)
		}
	}
	if err := b.store.space.take(s.end - s.off); err != nil {
		return nil, err
	}
	b.ahead.next = s.end

	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	x := &fetch{cancel: cancel, off: s.off, pos: s.off, end: s.end}
	b.store.mu.Lock()
	if b.store.closed {
		b.store.mu.Unlock()
		cancel()
		return nil, errClosed
	}
	b.users++
	b.store.fetches.Go(func() { b.run(own, x, src, b.era, s) })
	b.store.mu.Unlock()
	b.fetches = append(b.fetches, x)
	return x, nil
}

var errClosed = errors.New("store of bodies is closed")

// abandon ends a fetch that nobody waits for. The caller has mu alone.
func (b *body) abandon(x *fetch) {
	x.dead = true
	x.cancel()
	b.wake()
}

// stopFetches ends all fetches.
func (b *body) stopFetches() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.fetches {
		x.err = errClosed
		b.abandon(x)
	}
}

// stopFetchesIfUnused ends all fetches if no File is open.
func (b *body) stopFetchesIfUnused() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.files > 0 {
		return
	}
	for _, x := range b.fetches {
		b.abandon(x)
	}
}

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// run carries a fetch out.
func (b *body) run(ctx context.Context, x *fetch, src Source, era int, s span) {
	err := b.bring(ctx, x, src, era, s)
	x.cancel()
	b.mu.Lock()
	x.done = true
	if x.err == nil && !errors.Is(err, errUnwanted) {
		x.err = err
	}
	b.fetches = slices.DeleteFunc(b.fetches, func(o *fetch) bool { return o == x })
	b.wake()
	b.mu.Unlock()
	// A failure to record is a claim lost: the bytes are fetched again some day.
	_ = b.store.release(b)
}

// bring reads the bytes of s from the service into the body.
func (b *body) bring(ctx context.Context, x *fetch, src Source, era int, s span) (err error) {
	r, err := src(ctx, s.off, s.end-s.off)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for pos := s.off; ; {
		b.mu.RLock()
		end := x.end
		b.mu.RUnlock()
		if pos >= end {
			return nil
		}
		// Up to the next multiple of chunk, so that what follows is aligned.
		part := buf[:min(end-pos, chunk-pos%chunk)]
		n, err := io.ReadFull(r, part)
		if err == nil && pos+int64(n) == s.end && !ended(r) {
			return errors.Join(b.disown(s, era), failed("the service sent more bytes than it was asked for", nil))
		}
		if n > 0 {
			if ferr := b.fill(x, era, part[:n], pos); ferr != nil {
				return ferr
			}
			pos += int64(n)
			b.follow(ctx, x, src)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return failed(fmt.Sprintf("the service sent %d of %d bytes", pos-s.off, s.end-s.off), err)
		}
		if err != nil {
			return err
		}
	}
}

// follow starts the fetch of the next window while the second half of this one comes, for a reader
// who keeps up: otherwise the line would lie idle between two requests. It goes one window ahead,
// and no further unless the reader comes after.
func (b *body) follow(ctx context.Context, x *fetch, src Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x.followed || x.dead || b.files == 0 || x.pos-x.off < (x.end-x.off)/2 {
		return
	}
	x.followed = true
	keepsUp := b.ahead.window > windowMin && b.ahead.next == x.end && x.off < b.ahead.asked && b.ahead.asked < x.end
	want, missing := b.missing(x.end, 1)
	if !keepsUp || !missing || want.off != x.end {
		return
	}
	for _, o := range b.fetches {
		if !o.dead && o.pos <= want.off && want.off < o.end {
			return
		}
	}
	// It is a guess: where there is no room for it, the reader will ask and be told.
	_, _ = b.start(ctx, src, want)
}

// ended reports whether a reader has no more bytes.
func ended(r io.Reader) bool {
	var one [1]byte
	n, _ := io.ReadFull(r, one[:])
	return n == 0
}

// disown takes bytes of a fetch back: nobody knows what the service sent.
func (b *body) disown(s span, era int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.era != era || b.local {
		return nil
	}
	b.have, b.sum = b.have.cut(s), runningSum{}
	return b.write(false)
}

func failed(message string, err error) error {
	return &graph.Error{Op: "download", Kind: graph.Failed, Message: message, Err: err}
}

// errUnwanted ends a fetch whose bytes nobody may have any more.
var errUnwanted = errors.New("bytes are not wanted any more")

// fill puts bytes that arrived in their place and tells those who wait.
func (b *body) fill(x *fetch, era int, p []byte, pos int64) error {
	if err := b.lay(x, era, p, pos); err != nil {
		return err
	}
	s := span{pos, pos + int64(len(p))}
	b.mu.Lock()
	if b.local || b.era != era {
		b.mu.Unlock()
		return errUnwanted
	}
	b.sum.feed(p, pos)
	whole := span{0, b.size.Load()}
	have := slices.Clone(b.have).add(s)
	if have.covers(whole) && !b.have.covers(whole) {
		sum, expected := b.sum, b.version.Hash
		b.sum = runningSum{}
		b.mu.Unlock()
		return b.finish(x, era, s, sum, expected)
	}
	b.have, b.behind, x.pos = have, true, s.end
	b.wake()
	b.mu.Unlock()
	return nil
}

// lay writes bytes to the disk, unless they are not wanted any more.
func (b *body) lay(x *fetch, era int, p []byte, pos int64) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.local || b.era != era || x.dead {
		return errUnwanted
	}
	_, err := b.data.WriteAt(p, pos)
	return noSpace(err)
}

// finish takes the last missing bytes, which are on the disk by now, into the body if the whole is
// what the version says; if not, all bytes are dropped.
func (b *body) finish(x *fetch, era int, s span, sum runningSum, expected graph.Hash) error {
	good := true
	if expected != "" {
		if sum.sum == nil {
			sum.sum = graph.NewQuickXor()
		}
		rest := io.NewSectionReader(b.data, sum.n, b.size.Load()-sum.n)
		if _, err := io.Copy(sum.sum, rest); err != nil {
			return err
		}
		good = graph.HashOf(sum.sum) == expected
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.local || b.era != era {
		return errUnwanted
	}
	if good {
		b.have, x.pos = b.have.add(s), s.end
	} else {
		b.have = nil
		b.era++
	}
	b.wake()
	if err := b.write(false); err != nil {
		return err
	}
	if !good {
		return failed("the bytes that the service sent are not those of the version: the hash differs", nil)
	}
	return nil
}

// feed takes bytes that arrived at pos into the sum if they are next.
func (r *runningSum) feed(p []byte, pos int64) {
	if r.sum == nil {
		if pos != 0 {
			return
		}
		r.sum = graph.NewQuickXor()
	}
	if pos <= r.n && r.n < pos+int64(len(p)) {
		p = p[r.n-pos:]
		_, _ = r.sum.Write(p) // a hash never fails
		r.n += int64(len(p))
	}
}
