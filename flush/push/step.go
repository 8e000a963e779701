package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// tries is how often a call is made whose answer was lost, or whose condition failed for no reason
// that matters. Each time somebody has looked in between.
const tries = 3

// task is one step under way.
type task struct {
	p    *Pusher
	s    plan.Step
	req  Request
	svc  Service     // the drive, or a seat in a group
	sent func(int64) // told how many bytes the service has
	a    cache.Attempt
	n    cache.Node     // as of Begin
	met  []graph.ItemID // found where nobody here has seen them
}

// run carries the step out.
func (t *task) run(ctx context.Context) verdict {
	s, p := t.s, t.p
	t.a = cache.Attempt{
		Op: string(s.Op), Ino: s.Ino, Item: s.Item, Seq: s.Seq,
		Parent: s.Folder, Name: s.Name, Started: p.o.Now(),
	}
	if s.FolderIno != 0 {
		n, err := p.o.Nodes.Get(s.FolderIno)
		if err != nil || n.Base == nil {
			return t.old()
		}
		t.a.Parent = n.Base.Item
	}
	if s.Op == plan.Delete {
		t.a.Ino = 0
	}
	if err := p.unlooked(t.a); err != nil {
		return t.put(err, Deferred, p.o.Outbox.Doubt)
	}
	if t.req.Look && s.Item != "" {
		if v, ok := t.known(ctx); !ok {
			return v
		}
	}
	switch s.Op {
	case plan.Mkdir:
		return t.mkdir(ctx)
	case plan.Create, plan.Replace:
		return t.upload(ctx)
	case plan.Delete:
		return t.delete(ctx)
	}
	return t.update(ctx)
}

// before returns the tag of the item as it was before the step, empty if there was none.
func (t *task) before() string {
	switch {
	case t.s.Op == plan.Delete:
		return t.s.Base.ETag
	case t.n.Base != nil:
		return t.n.Base.ETag
	}
	return ""
}

// known looks whether the item is what it is believed to be. If ok is false the verdict counts.
func (t *task) known(ctx context.Context) (_ verdict, ok bool) {
	base := &t.s.Base
	if t.s.Op != plan.Delete {
		n, err := t.p.o.Nodes.Get(t.s.Ino)
		if err != nil || n.Base == nil || n.Base.Item != t.s.Item {
			return t.old(), false
		}
		base = n.Base
	}
	now, err := t.svc.Item(ctx, t.s.Item)
	switch {
	case errors.Is(err, graph.NotExist) && t.s.Op == plan.Delete:
		return verdict{}, true
	case err != nil:
		return t.refused(ctx, err), false
	case !unchanged(now, base):
		return t.refused(ctx, &graph.Error{Op: "look", Kind: graph.Changed, Item: t.s.Path}), false
	}
	return verdict{}, true
}

// begin notes that the step starts. If ok is false the verdict counts.
func (t *task) begin() (_ verdict, ok bool) {
	n, err := t.p.o.Outbox.Begin(t.a)
	if errors.Is(err, cache.ErrStale) || errors.Is(err, cache.ErrNotExist) {
		return t.old(), false
	}
	if err != nil {
		return t.fatal(err), false
	}
	t.n = n
	t.a.Created = cache.CreatedAs(n)
	if n.Base != nil {
		t.a.Base = n.Base.Version()
	}
	return verdict{}, true
}

func (t *task) mkdir(ctx context.Context) verdict {
	if v, ok := t.begin(); !ok {
		return v
	}
	for try := 1; ; try++ {
		item, err := t.svc.Mkdir(ctx, t.a.Parent, t.a.Name)
		if err == nil {
			return t.commit(item, Sent)
		}
		if !errors.Is(err, graph.Exist) && !errors.Is(err, graph.Lost) {
			return t.refused(ctx, err)
		}
		there, look := t.svc.Child(ctx, t.a.Parent, t.a.Name)
		switch {
		case look == nil && there.Type == graph.Folder:
			return t.commit(there, Sent) // made by us, or by somebody else: they merge
		case look == nil, errors.Is(look, graph.NotExist) && try == tries:
			return t.refused(ctx, err)
		case !errors.Is(look, graph.NotExist):
			return t.refused(ctx, look)
		}
	}
}

// update carries out a Move, a Park or a Touch.
func (t *task) update(ctx context.Context) verdict {
	n, err := t.p.o.Nodes.Get(t.s.Ino)
	if err != nil || n.Base == nil {
		return t.old()
	}
	if t.a.Item == "" { // made by an earlier step of this plan
		t.a.Item = n.Base.Item
	}
	base, c := n.Base, graph.Change{}
	if !n.Dir {
		c.ModTime = n.Mtime.UTC()
		if n.Written { // the time goes with the bytes
			c.ModTime = base.ModTime
		}
		t.a.ModTime = c.ModTime
	}
	if t.s.Op != plan.Touch {
		if c.Name = t.a.Name; t.a.Parent != base.Parent {
			c.Parent = t.a.Parent
			if c.Name == base.Name && name.Check(name.Remote(c.Name)) != nil {
				c.Name = "" // which the service would give nothing any more
			}
		}
	}
	if v, ok := t.begin(); !ok {
		return v
	}
	tag := base.ETag
	for try := 1; ; try++ {
		item, err := t.svc.Update(ctx, t.a.Item, c, tag)
		if err == nil {
			return t.commit(item, Sent)
		}
		if errors.Is(err, graph.Exist) && t.s.Op == plan.Move && !t.req.Last && c.Parent == "" && name.Same(name.Plain(c.Name), name.Plain(base.Name)) {
			// A name in another Unicode form collides with itself there: it goes by way of a third.
			return t.park(ctx)
		}
		if !errors.Is(err, graph.Changed) && !errors.Is(err, graph.Lost) {
			return t.refused(ctx, err)
		}
		now, look := t.svc.Item(ctx, t.a.Item)
		switch {
		case look != nil:
			return t.refused(ctx, look)
		case errors.Is(err, graph.Lost) && has(now, c):
			v := t.commit(withBase(now, t.a), Sent)
			v.ask = append(v.ask, now.ID) // it may have other bytes by now
			return v
		case try == tries || !unchanged(now, base):
			return t.refused(ctx, err)
		}
		tag = now.ETag
	}
}

// park turns a Move that its own item is in the way of into a Park. The Move is for the next round: so whoever comes
// next, whatever cuts this short, knows where the item is.
func (t *task) park(ctx context.Context) verdict {
	if v := t.forget(verdict{}); v.fatal != nil {
		return v
	}
	t.s.Op, t.a.Op = plan.Park, string(plan.Park)
	t.s.Name = name.Temporary(string(t.a.Item))
	t.a.Name = t.s.Name
	v := t.update(ctx)
	v.again = true
	return v
}

// has reports whether an item is what a change asked for.
func has(now graph.Item, c graph.Change) bool {
	switch {
	case c.Parent != "" && now.Parent != c.Parent, c.Name != "" && now.Name != name.Plain(c.Name):
		return false
	case c.Name != "" || c.Parent != "":
		return true
	}
	return graph.SameSecond(now.ModTime, c.ModTime)
}

// unchanged reports whether an item is where the base has it, and has its bytes.
func unchanged(now graph.Item, base *cache.Base) bool {
	return now.Parent == base.Parent && now.Name == name.Plain(base.Name) && sameBytes(now, base)
}

func sameBytes(now graph.Item, base *cache.Base) bool {
	if base.Dir || now.Type != graph.File {
		return base.Dir == (now.Type == graph.Folder)
	}
	was := base.Version()
	if now.Hash == "" || was.Hash == "" || now.CTag != "" && now.CTag == was.CTag {
		was.ETag = now.ETag // says nothing about the bytes by itself; size and cTag have to do
	}
	return now.Version().Same(was)
}

// commit records that the remote has what the step sent.
func (t *task) commit(item graph.Item, o Outcome) verdict {
	again := false
	switch t.s.Op {
	case plan.Replace, plan.Touch:
		// If somebody moved it meanwhile that is their change, and the refresh brings it in: taken
		// into the base here it would look like a move of ours.
		if b := t.n.Base; b != nil {
			again = item.Name != name.Plain(b.Name) || item.Parent != b.Parent && item.Parent != ""
			item.Parent, item.Name = b.Parent, b.Name
		}
	default:
		if item.Parent == "" {
			item.Parent = t.a.Parent
		}
		if item.Name == "" {
			item.Name = t.a.Name
		}
	}
	if item.Type == 0 {
		if item.Type = graph.File; t.s.Dir {
			item.Type = graph.Folder
		}
	}
	if _, err := t.p.o.Outbox.Commit(t.a, item); errors.Is(err, cache.ErrStale) {
		return verdict{Done: Done{Outcome: Conflict, Reason: "another file here has this item"}, again: true}
	} else if err != nil {
		return t.fatal(err)
	}
	v := verdict{Done: Done{Outcome: o, Item: item.ID, ETag: item.ETag}, again: again}
	if again {
		v.ask = []graph.ItemID{item.ID}
	}
	if o == Sent && (t.s.Op == plan.Create || t.s.Op == plan.Replace) {
		v.Bytes, v.Hash = t.a.Size, t.a.Hash
	}
	return v
}

// refused judges a failed call of a step that, as far as anybody can tell, did nothing.
func (t *task) refused(ctx context.Context, err error) verdict {
	if ctx.Err() != nil {
		return t.fatal(ctx.Err()) // Recover looks what became of it
	}
	switch kind := graph.KindOf(err); kind {
	case graph.Offline, graph.SignIn, graph.Throttled:
		if t.a.Session != "" {
			return t.fatal(err) // gone on with by the next run
		}
		if e := t.p.o.Outbox.Forget(t.a); e != nil {
			return t.fatal(e)
		}
		return t.fatal(err)
	case graph.Lost:
		if t.req.Last {
			return t.put(err, Deferred, t.p.o.Outbox.Doubt)
		}
		return verdict{Done: Done{Outcome: Skipped, Reason: explain(err)}, again: true} // Recover looks again
	case graph.Changed, graph.Exist, graph.NotExist:
		v := verdict{Done: Done{Outcome: Conflict, Reason: explain(err)}, again: true}
		if !t.req.Last {
			v = t.forget(v)
		} else if other, ok := t.apart(err); ok {
			v = other
		} else {
			v = t.fail(err, Conflict)
		}
		v.ask = t.doubtful(ctx, kind)
		return v
	default:
		v := t.fail(err, Deferred)
		v.full = kind == graph.Full
		return v
	}
}

// doubtful returns the items that a refused step was wrong about: its own, the folder it goes to, or who
// has the name.
func (t *task) doubtful(ctx context.Context, kind graph.Kind) []graph.ItemID {
	ask := t.met
	if t.a.Item != "" && kind != graph.Exist {
		ask = append(ask, t.a.Item)
	}
	placed := t.a.Parent != "" && t.s.Op != plan.Replace && t.s.Op != plan.Touch
	switch {
	case placed && kind == graph.NotExist:
		ask = append(ask, t.a.Parent)
	case placed && kind == graph.Exist:
		if there, err := t.svc.Child(ctx, t.a.Parent, t.a.Name); err == nil {
			ask = append(ask, there.ID)
		}
	}
	return ask
}

// fail defers the change.
func (t *task) fail(err error, o Outcome) verdict { return t.put(err, o, t.p.o.Outbox.Fail) }

// apart gives what was refused since its name is taken another name, if no flush can ever send it by this one. If ok is
// false it is nothing of that kind.
func (t *task) apart(err error) (_ verdict, ok bool) {
	if !errors.Is(err, graph.Exist) {
		return verdict{}, false
	}
	called, e := t.p.o.Outbox.Apart(t.a)
	if e != nil {
		return t.fatal(e), true
	}
	reason := fmt.Sprintf("to the service its name is that of something else there; it is called %q now, and goes with the next flush", called)
	return verdict{Done: Done{Outcome: Conflict, Reason: reason, Kind: graph.Exist, Request: requestOf(err)}}, called != ""
}

// put defers the change, and records that as told.
func (t *task) put(err error, o Outcome, record func(cache.Attempt, cache.Deferral) error) verdict {
	now := t.p.o.Now()
	d := cache.Deferral{
		Kind: graph.KindOf(err), Reason: explain(err), At: now, Tries: t.s.Tries + 1,
		Next: now.Add(pause(t.s.Tries)),
	}
	if d.Kind == "" {
		d.Kind = graph.Failed
	}
	var e *graph.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		d.Next = now.Add(e.RetryAfter)
	}
	if err := record(t.a, d); err != nil && !errors.Is(err, cache.ErrStale) {
		return t.fatal(err)
	}
	return verdict{Done: Done{Outcome: o, Reason: d.Reason, Kind: d.Kind, Request: requestOf(err)}}
}

// requestOf returns the service's id of the request that failed, empty if there is none.
func requestOf(err error) string {
	var e *graph.Error
	if errors.As(err, &e) {
		return e.Request
	}
	return ""
}

// pause is how long a change that was refused some times before is left alone.
func pause(tries int) time.Duration {
	return min(10*time.Minute<<min(tries, 10), 12*time.Hour)
}

// forget ends a step that did nothing.
func (t *task) forget(v verdict) verdict {
	if err := t.p.o.Outbox.Forget(t.a); err != nil {
		return t.fatal(err)
	}
	return v
}

// old is the verdict on a step whose plan is out of date.
func (t *task) old() verdict {
	return verdict{Done: Done{Outcome: Skipped, Reason: "changed here since it was planned"}, again: true}
}

func (t *task) fatal(err error) verdict { return verdict{fatal: err} }

// explain says why something was not sent: what a person can do, and the service's words.
func explain(err error) string {
	advice := ""
	var e *graph.Error
	switch errors.As(err, &e); graph.KindOf(err) {
	case graph.Failed:
		if e == nil {
			return err.Error() // it is ours
		}
		advice = "the service fails at this one; every flush tries it again"
	case graph.Locked:
		advice = "somebody has it open or checked out; it is tried again later"
	case graph.Denied:
		advice = "you may not change this there; ask the owner for permission"
	case graph.Full:
		advice = "the drive is full; delete something there or ask for more space"
	case graph.Invalid:
		if e != nil && e.Status == http.StatusRequestEntityTooLarge {
			advice = "it is too large for the service; split it, or keep it elsewhere"
			break
		}
		advice = "the service does not accept it; another name or place may help"
	case graph.Exist:
		advice = "the name is taken there by something else; rename one of the two"
	case graph.Changed:
		advice = "it was changed there meanwhile"
	case graph.NotExist:
		advice = "it, or its folder, is not there any more"
	case graph.Lost:
		advice = "the answer of the service did not arrive; what became of it is looked up at the next try"
	default:
		return err.Error()
	}
	return fmt.Sprintf("%s (%v)", advice, err)
}
