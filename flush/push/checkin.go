package push

import (
	"context"

	"github.com/duskfs/duskfs/graph"
)

// checkOut is what is known of a library: whether what is uploaded there is checked out.
type checkOut uint8

const (
	unknown checkOut = iota
	never
	always
)

// Unpublished says for people that a file was sent and could not be checked in.
func Unpublished(err error) string {
	return "sent, but others do not see it before it is checked in there; a column may have to be filled in first: " + err.Error()
}

// publish checks a file in that its upload has left checked out, so that others see it. Where the first
// upload of a run was not, the others are not asked about.
func (t *task) publish(ctx context.Context, v verdict) verdict {
	t.p.mu.Lock()
	delete(t.p.busy, t.s.Ino)
	known := t.p.checkOut
	t.p.mu.Unlock()
	c, ok := t.p.o.Service.(graph.CheckIner)
	if !ok || !t.req.Library || v.Outcome != Sent || v.fatal != nil || known == never {
		return v
	}
	out, err := c.CheckedOut(ctx, v.Item)
	if err == nil && known == unknown {
		t.p.mu.Lock()
		if t.p.checkOut = never; out {
			t.p.checkOut = always
		}
		t.p.mu.Unlock()
	}
	if err == nil && out {
		err = c.CheckIn(ctx, v.Item, "")
	}
	if err != nil {
		v.Unpublished, v.Reason = true, Unpublished(err)
	}
	return v
}
