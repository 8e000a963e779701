package push

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// quiet is how long a file that is open must not have been written to before it is sent.
const quiet = 2 * time.Second

// upload carries out a Create or a Replace.
func (t *task) upload(ctx context.Context) verdict {
	t.p.o.Writeback(t.s.Ino)
	body, err := t.p.o.Bodies.Local(t.s.Ino)
	if errors.Is(err, fs.ErrNotExist) {
		return t.old()
	} else if err != nil {
		return t.fail(err, Deferred)
	}
	defer body.Close()
	if v, ok := t.spare(ctx); !ok {
		return v
	}
	busy, err := t.busy(ctx, body)
	switch {
	case err != nil:
		return t.fatal(err)
	case busy && t.req.IncludeOpen, !busy && t.haunted(body):
		return t.frozen(ctx, body)
	case busy:
		return t.meddled()
	}
	snap, err := body.Seal(ctx, t.s.Seq)
	if err != nil {
		return t.fail(err, Deferred)
	}
	defer snap.Release()
	t.a.Size, t.a.ModTime = snap.Size(), snap.ModTime().UTC()
	t.a.Hash, err = hashOf(ctx, snap)
	switch {
	case ctx.Err() != nil:
		return t.fatal(ctx.Err())
	case errors.Is(err, content.ErrUnsealed):
		return t.meddled()
	case err != nil:
		return t.fail(err, Deferred)
	}
	if t.s.Op == plan.Replace {
		if v, same := t.same(ctx, snap); same {
			return v
		}
	}
	t.a.Session = t.p.session(ctx, t.a)
	if v, ok := t.begin(); !ok {
		return v
	}
	return t.send(ctx, snap)
}

// busy waits until nobody has the file open, or it has not been written to for a moment. The
// kernel tells of the end of an open late, so a program that has just closed its file may seem to
// have it open still. It reports whether the file is being written to even so. A file's time alone
// does not tell that: it can be anything.
func (t *task) busy(ctx context.Context, body Body) (bool, error) {
	size, mtime := body.Size(), body.ModTime()
	if age := t.p.o.Now().Sub(mtime); age >= quiet {
		return false, nil
	}
	patience := time.NewTimer(quiet)
	defer patience.Stop()
	for pause := 5 * time.Millisecond; t.p.o.Nodes.Held(t.s.Ino) > 0; pause = min(2*pause, 200*time.Millisecond) {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-patience.C:
			return body.Size() != size || !body.ModTime().Equal(mtime), nil
		case <-time.After(pause):
		}
	}
	return false, nil
}

const (
	// skips is how often a file is passed over, or its upload broken off, until a copy of it is sent.
	skips = 2
	// still is how long such a file must not have been written to.
	still = 10 * time.Second
)

// haunted reports whether writers have met this file again and again, and have left it alone for a
// moment.
func (t *task) haunted(body Body) bool {
	t.p.mu.Lock()
	met := t.p.busy[t.s.Ino]
	t.p.mu.Unlock()
	return met >= skips && t.p.o.Nodes.Held(t.s.Ino) > 0 && t.p.o.Now().Sub(body.ModTime()) >= still
}

// frozen sends a copy of the file as it is at this moment, while writers go on.
func (t *task) frozen(ctx context.Context, body Body) verdict {
	// Begun before it is sealed: the writer whom the seal meets makes the plan old.
	if v, ok := t.begin(); !ok {
		return v
	}
	snap, err := body.Seal(ctx, t.s.Seq)
	if err != nil {
		return t.fail(err, Deferred)
	}
	copied, err := snap.Freeze()
	snap.Release()
	if errors.Is(err, content.ErrUnsealed) {
		return t.forget(t.meddled())
	} else if err != nil {
		return t.fail(err, Deferred)
	}
	defer copied.Close()
	t.a.Size, t.a.ModTime = copied.Size(), copied.ModTime().UTC()
	if t.a.Hash, err = hashOf(ctx, copied); err != nil {
		return t.fatal(err)
	}
	if b := t.n.Base; t.s.Op == plan.Replace && b != nil && b.Size == t.a.Size && b.Hash.Equal(t.a.Hash) {
		if same, err := t.p.equal(ctx, b, copied); err != nil {
			return t.refused(ctx, err)
		} else if same {
			return t.forget(verdict{Done: Done{Outcome: Unchanged, Reason: "the same bytes are there"}})
		}
	}
	if err := t.p.o.Outbox.Intend(t.a); err != nil {
		return t.fatal(err)
	}
	return t.send(ctx, copied)
}

// spare completes the bodies of removed files that are still being read and whose bytes an upload
// replaces: their item has gone over to this one (heirs). If ok is false the verdict counts.
func (t *task) spare(ctx context.Context) (_ verdict, ok bool) {
	if t.s.Op != plan.Replace {
		return verdict{}, true
	}
	readers, err := t.p.o.Nodes.Readers(t.p.o.Drive, t.s.Item)
	if err != nil {
		return t.fatal(err), false
	}
	for _, n := range readers {
		err := t.p.Complete(ctx, n)
		if err != nil && !errors.Is(err, graph.NotExist) && !errors.Is(err, graph.Changed) {
			return t.refused(ctx, err), false
		}
	}
	return verdict{}, true
}

// meddled is the verdict on a file that somebody is writing to.
func (t *task) meddled() verdict {
	t.p.mu.Lock()
	t.p.busy[t.s.Ino]++
	t.p.mu.Unlock()
	return verdict{Done: Done{Outcome: Busy, Reason: "being written to just now"}}
}

// same adopts local work that has the bytes of its base after all, and sends its time if that
// differs.
func (t *task) same(ctx context.Context, snap source) (_ verdict, same bool) {
	n, err := t.p.o.Nodes.Get(t.s.Ino)
	if err != nil || n.Base == nil {
		return t.old(), true
	}
	if n.Base.Size != t.a.Size || !n.Base.Hash.Equal(t.a.Hash) {
		return verdict{}, false
	}
	switch same, err := t.p.equal(ctx, n.Base, snap); {
	case errors.Is(err, content.ErrUnsealed):
		return t.meddled(), true
	case err != nil:
		return t.refused(ctx, err), true
	case !same:
		return verdict{}, false
	}
	if err := t.p.o.Outbox.Adopt(t.s.Ino, t.s.Seq); errors.Is(err, cache.ErrStale) || errors.Is(err, cache.ErrNotExist) {
		return t.old(), true
	} else if err != nil {
		return t.fatal(err), true
	}
	n, err = t.p.o.Nodes.Get(t.s.Ino)
	if err != nil || n.Base == nil || !n.Diff(n.Base.Parent).ModTime {
		return verdict{Done: Done{Outcome: Unchanged, Reason: "the same bytes are there"}}, true
	}
	touch := *t
	touch.s.Op, touch.a.Op = plan.Touch, string(plan.Touch)
	touch.s.Seq, touch.a.Seq = n.Seq, n.Seq
	return touch.update(ctx), true
}

// equal reads what the service has and compares it with a source of the same size and hash. The service's hash is
// not one to rely on: two rows swapped in a table are enough to meet the same one. What the service
// does not have any more is not equal.
func (p *Pusher) equal(ctx context.Context, b *cache.Base, snap source) (bool, error) {
	if b.Size == 0 {
		return true, nil
	}
	there, err := p.o.Service.Content(ctx, b.Item, b.Version(), 0, b.Size)
	if errors.Is(err, graph.NotExist) || errors.Is(err, graph.Changed) {
		return false, nil // the upload finds out
	}
	if err != nil {
		return false, err
	}
	defer there.Close()
	same, err := graph.EqualBytes(io.NewSectionReader(snap, 0, snap.Size()), there)
	if errors.Is(err, graph.NotExist) || errors.Is(err, graph.Changed) {
		return false, nil
	}
	return same, err
}

// source is what is sent: a snapshot, or a frozen copy.
type source interface {
	io.ReaderAt
	Size() int64
	// Broken is closed when the bytes are no more what they were.
	Broken() <-chan struct{}
}

// hashOf reads a source through.
func hashOf(ctx context.Context, snap source) (graph.Hash, error) {
	h := graph.NewQuickXor()
	in := io.NewSectionReader(snap, 0, snap.Size())
	for {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if _, err := io.CopyN(h, in, 8<<20); err == io.EOF {
			return graph.HashOf(h), nil
		} else if err != nil {
			return "", err
		}
	}
}

// send uploads a snapshot. A writer who meets it goes on at once, and the upload ends.
func (t *task) send(ctx context.Context, snap source) verdict {
	if b := t.n.Base; t.s.Op == plan.Replace && (b == nil || b.Item != t.a.Item) {
		return t.forget(t.old())
	}
	uploading, end := whole(ctx, snap)
	defer end()
	body := &passing{ctx: uploading, body: snap, t: t.p.o.Throttle, told: t.sent, last: time.Now()}
	defer body.end()
	u := t.offer(body)
	var missed error // what kept bytes that were overtaken from being fetched
	if u.ID != "" && t.p.o.Overtaken != nil {
		u.Overtaken = func(between []graph.Past) { missed = t.p.o.Overtaken(ctx, t.s, u.ID, between) }
	}
	for try := 1; ; try++ {
		u.Session = t.a.Session
		item, err := t.svc.Upload(uploading, u)
		// A session from before may have been at its end already, and nobody has looked what it overtook.
		unchecked := err == nil && u.Session != "" || errors.Is(err, graph.Lost) && item.ID != ""
		switch {
		case missed != nil:
			return t.fatal(missed) // Recover looks again
		case unchecked:
			if err := t.p.rescue(ctx, t.a, t.s, item); err != nil {
				return t.fatal(err) // Recover looks again
			}
			return t.uploaded(ctx, item, Sent)
		case err == nil:
			return t.uploaded(ctx, item, Sent)
		case broken(snap):
			return t.interrupted(ctx)
		case ctx.Err() != nil || !errors.Is(err, graph.Changed) && !errors.Is(err, graph.Exist) && !errors.Is(err, graph.Lost):
			return t.refused(ctx, err)
		}
		if v, again := t.lookUp(ctx, err); !again {
			return v
		}
		if try == tries {
			return t.stubborn(err)
		}
	}
}

// whole is a context that ends with the bytes that are sent, too. end has to be called.
func whole(ctx context.Context, snap source) (_ context.Context, end func()) {
	ctx, stop := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-snap.Broken():
			stop(graph.Changed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { stop(nil); <-watched }
}

// offer says what goes where.
func (t *task) offer(body io.ReaderAt) graph.Upload {
	u := graph.Upload{
		Size: t.a.Size, ModTime: t.a.ModTime, Created: t.a.Created, Body: body,
		Parent: t.a.Parent, Name: t.a.Name,
		Begun: func(session string) error {
			t.a.Session = session
			return t.p.o.Outbox.Intend(t.a)
		},
		Sent: t.sent,
	}
	if t.s.Op == plan.Replace {
		u.ID, u.Parent, u.Name, u.Base = t.a.Item, "", t.n.Base.Name, t.a.Base
	}
	return u
}

// lookUp finds out what became of an upload that failed with Changed, Exist or Lost. It goes again if nothing was changed
// there; else the verdict counts. A file that may have been made and is not there by that name may have been moved: the
// next refresh tells (see Outbox.Missed).
func (t *task) lookUp(ctx context.Context, err error) (_ verdict, again bool) {
	now, look := t.look(ctx)
	lost := errors.Is(err, graph.Lost)
	// What was changed may be our own doing: an earlier try of this upload that got through, over somebody else's bytes.
	if look == nil {
		if err := t.p.rescue(ctx, t.a, t.s, now); err != nil {
			return t.fatal(err), false
		}
	}
	switch {
	case look == nil && arrived(t.a, now) && lost:
		return t.uploaded(ctx, now, Sent), false
	case look == nil && arrived(t.a, now):
		return t.uploaded(ctx, now, Unchanged), false // somebody else has sent the same bytes, or an earlier try has
	case t.s.Op == plan.Create && (look == nil || errors.Is(look, graph.NotExist)) && lost && !answered(err):
		return t.refused(ctx, err), false
	case errors.Is(look, graph.NotExist) && t.s.Op == plan.Create, look == nil && t.s.Op == plan.Replace && sameBytes(now, t.n.Base):
		return verdict{}, true
	case look != nil && lost && graph.Stops(ctx, look):
		return t.fatal(look), false // Recover looks again
	case look != nil:
		return t.refused(ctx, look), false
	}
	return t.refused(ctx, &graph.Error{Op: "upload", Kind: otherBytes(t.s.Op), Item: t.s.Path, Err: err}), false
}

// answered reports whether the service itself has said that it failed, so that nothing was made.
func answered(err error) bool {
	var e *graph.Error
	return errors.As(err, &e) && e.Status == http.StatusInternalServerError
}

// stubborn is the verdict on an upload that the service refuses as if something had been changed there, though
// nothing was: another upload is under way, for one.
func (t *task) stubborn(err error) verdict {
	if v, ok := t.apart(err); ok {
		return v
	}
	e := graph.Error{Op: "upload", Kind: graph.Failed, Item: t.s.Path, Message: "it is refused, though nothing was changed there: " + err.Error(), Err: err}
	var said *graph.Error
	if errors.As(err, &said) {
		e.Status, e.Code, e.Request, e.RetryAfter = said.Status, said.Code, said.Request, said.RetryAfter
		e.Message = "it is refused, though nothing was changed there: " + said.Message
	}
	return t.fail(&e, Deferred)
}

// otherBytes is what it means to find other bytes where an upload was to go.
func otherBytes(op plan.Op) graph.Kind {
	if op == plan.Create {
		return graph.Exist
	}
	return graph.Changed
}

func broken(snap source) bool {
	select {
	case <-snap.Broken():
		return true
	default:
		return false
	}
}

// look reads the item that an upload makes or replaces.
func (t *task) look(ctx context.Context) (graph.Item, error) { return t.p.look(ctx, t.a) }

// interrupted ends an upload that a writer broke off. Its last bytes may have got through even so.
func (t *task) interrupted(ctx context.Context) verdict {
	v := t.meddled()
	now, err := t.look(ctx)
	switch {
	case ctx.Err() != nil:
		return t.fatal(ctx.Err())
	case errors.Is(err, graph.NotExist) && t.s.Op != plan.Create:
		return t.forget(v)
	case err != nil:
		return v // Recover looks again: what was made just now may not be found by its name yet (Q6)
	}
	if err := t.p.rescue(ctx, t.a, t.s, now); err != nil {
		return t.fatal(err)
	}
	if !arrived(t.a, now) {
		return t.forget(v)
	}
	t.publish(ctx, now.ID, Sent)
	if c := t.commit(now, Sent); c.fatal != nil {
		return c
	}
	return v
}
