package push

import (
	"context"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// checkOut is what the uploads of a run have told of a library: whether what is uploaded there is checked out.
type checkOut uint8

const (
	unknown checkOut = iota
	kept             // a replaced file was not; a new one may be
	never            // a new file was not
	always
)

// asks reports whether the next upload has to be asked about.
func (c checkOut) asks(op plan.Op) bool {
	return c != never && (c != kept || op != plan.Replace)
}

// seen is what is known when an upload was found to be checked out, or not.
func (c checkOut) seen(op plan.Op, out bool) checkOut {
	switch {
	case out || c == always:
		return always
	case op == plan.Create:
		return never
	case c == unknown:
		return kept
	}
	return c
}

// Unpublished says for people that a file was sent and could not be checked in.
func Unpublished(err error) string {
	return "sent, but others do not see it before it is checked in there; a column may have to be filled in first: " + err.Error()
}

// CheckIn checks a file in if it is checked out, and reports whether it was.
func CheckIn(ctx context.Context, c graph.CheckIner, id graph.ItemID) (out bool, err error) {
	if out, err = c.CheckedOut(ctx, id); err == nil && out {
		err = c.CheckIn(ctx, id, "")
	}
	return out, err
}

// uploaded publishes what an upload has brought there, and records it.
func (t *task) uploaded(ctx context.Context, item graph.Item, o Outcome) verdict {
	t.p.mu.Lock()
	delete(t.p.busy, t.s.Ino)
	t.p.mu.Unlock()
	why := t.publish(ctx, item.ID, o)
	v := t.commit(item, o)
	if why != "" && v.fatal == nil && v.Outcome == o {
		v.Unpublished, v.Reason = true, why
	}
	return v
}

// publish checks a file in that its upload has left checked out, so that others see it; it returns why it could not. It
// comes before the commit: as long as the step is under way, Recover comes back to it, whatever ends this process.
func (t *task) publish(ctx context.Context, id graph.ItemID, o Outcome) (unpublished string) {
	t.p.mu.Lock()
	known := t.p.checkOut
	t.p.mu.Unlock()
	c, ok := t.p.o.Service.(graph.CheckIner)
	if !ok || !t.req.Library || !known.asks(t.s.Op) {
		return ""
	}
	out, err := CheckIn(ctx, c, id)
	if out || err == nil && o == Sent { // what somebody else has sent may have been checked in by them
		t.p.mu.Lock()
		t.p.checkOut = t.p.checkOut.seen(t.s.Op, out)
		t.p.mu.Unlock()
	}
	if err == nil {
		return ""
	}
	return t.p.hidden(id, t.s.Path, err)
}

// republish is publish for an upload that Recover has found to have arrived. An error means that the service could not
// be asked.
func (p *Pusher) republish(ctx context.Context, a cache.Attempt, id graph.ItemID) error {
	c, ok := p.o.Service.(graph.CheckIner)
	if !ok {
		return nil
	}
	_, err := CheckIn(ctx, c, id)
	if err == nil || graph.Stops(ctx, err) {
		return err
	}
	called := a.Name
	if n, err := p.o.Nodes.Get(a.Ino); err == nil {
		called = n.Name
	}
	p.hidden(id, "/"+called, err)
	return nil
}

// hidden tells of a file that could not be checked in, and returns why.
func (p *Pusher) hidden(id graph.ItemID, path string, err error) (why string) {
	why = Unpublished(err)
	if p.o.Unpublished != nil {
		p.o.Unpublished(id, path, why)
	} else {
		p.o.Logger.Warn("a file cannot be checked in", "path", path, "err", err)
	}
	return why
}
