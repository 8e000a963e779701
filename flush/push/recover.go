package push

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// Recover settles the steps that were under way when the last process, or the last run, ended: it
// looks at the remote and records what had taken effect. Upload sessions that can be gone on with
// are kept for the next Run. What had been uploaded to a library is checked in, as Run does; if nothing may
// be sent it stays under way, for a Recover that may. Call it before a refresh, since the inbox waits for steps under way.
// It costs nothing if there is none. An error means that the service could not be asked. A step of which it refuses the
// look alone stays under way, and its like is deferred by a Run until a later Recover has seen what became of it.
func (p *Pusher) Recover(ctx context.Context, library, sends bool) error {
	attempts, err := p.o.Outbox.Attempts()
	if err != nil {
		return err
	}
	p.mu.Lock()
	before := p.unseen
	p.mu.Unlock()
	unseen := map[key]unseenStep{}
	for _, a := range attempts {
		now, err := p.look(ctx, a)
		switch gone := errors.Is(err, graph.NotExist); {
		case err != nil && !gone && graph.Stops(ctx, err):
			return err
		case err != nil && !gone:
			p.keepSession(a)
			at := key{a.Ino, a.Item}
			if unseen[at] = (unseenStep{a, err}); before[at].why == nil {
				p.o.Logger.Warn("what became of a step cannot be looked up; it is tried again", "op", a.Op, "name", a.Name, "err", err)
			}
		default:
			if err := p.settle(ctx, a, now, gone, library, sends); err != nil {
				return err
			}
		}
	}
	p.mu.Lock()
	p.unseen = unseen
	p.mu.Unlock()
	return nil
}

// key is under what a step is recorded.
type key struct {
	ino  cache.Ino
	item graph.ItemID
}

// unseenStep is a step under way of which the service has refused a look.
type unseenStep struct {
	cache.Attempt
	why error
}

// unlooked returns why nobody knows what became of an earlier step that did the same to the same; nil if there is
// none. What has another place by now can be sent there.
func (p *Pusher) unlooked(a cache.Attempt) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.unseen[key{a.Ino, a.Item}]
	if a.Item == "" && (b.Parent != a.Parent || b.Name != a.Name) {
		return nil
	}
	return b.why
}

// settle records what a look at one step has found; gone says that it has found nothing.
func (p *Pusher) settle(ctx context.Context, a cache.Attempt, now graph.Item, gone, library, sends bool) error {
	op := plan.Op(a.Op)
	if op == plan.Replace && !gone {
		s := plan.Step{Op: op, Ino: a.Ino, Item: a.Item, Name: now.Name}
		if n, err := p.o.Nodes.Get(a.Ino); err == nil {
			s.Name = n.Name
		}
		s.Path = "/" + s.Name
		if err := p.rescue(ctx, a, s, now); err != nil {
			return err
		}
	}
	switch {
	case op == plan.Delete && gone:
		return p.o.Outbox.Deleted(a)
	case op != plan.Delete && !gone && arrived(a, now):
		if op == plan.Replace || op == plan.Touch {
			if n, err := p.o.Nodes.Get(a.Ino); err == nil && n.Base != nil && n.Base.Item == now.ID {
				now.Parent, now.Name = n.Base.Parent, n.Base.Name
			}
		}
		if library && (op == plan.Create || op == plan.Replace) {
			if !sends {
				return nil
			}
			if err := p.republish(ctx, a, now.ID); err != nil {
				return err
			}
		}
		_, err := p.o.Outbox.Commit(a, withBase(now, a))
		if errors.Is(err, cache.ErrStale) {
			return nil // what is in the way is open just now; the next time will do
		}
		return err
	}
	p.keepSession(a)
	if op == plan.Create {
		return p.o.Outbox.Missed(a)
	}
	return p.o.Outbox.Forget(a)
}

// look reads the item that a step makes or changes.
func (p *Pusher) look(ctx context.Context, a cache.Attempt) (graph.Item, error) {
	if a.Item != "" {
		return p.o.Service.Item(ctx, a.Item)
	}
	return p.o.Service.Child(ctx, a.Parent, a.Name)
}

// untouched reports whether an item may have the bytes that it had before a Replace of it: other bytes than those
// sent can have the same hash, and then only the cTag tells.
func untouched(a cache.Attempt, now graph.Item) bool {
	return plan.Op(a.Op) == plan.Replace && a.Base.Hash.Equal(a.Hash) &&
		(a.Base.CTag == "" || now.CTag == "" || a.Base.CTag == now.CTag)
}

// withBase is an item that a look has found where a step has put it, with the bytes that it had before. Others may have
// come since then: nobody here has seen them, and the refresh brings them in.
func withBase(now graph.Item, a cache.Attempt) graph.Item {
	switch plan.Op(a.Op) {
	case plan.Move, plan.Park, plan.Touch:
		if now.Type == graph.File && !now.Version().Same(a.Base) {
			now.ETag, now.CTag, now.Hash, now.Size, now.ModTime = a.Base.ETag, a.Base.CTag, a.Base.Hash, a.Base.Size, a.ModTime
		}
	}
	return now
}

// arrived reports whether an item is what a step was to make of it.
func arrived(a cache.Attempt, now graph.Item) bool {
	switch plan.Op(a.Op) {
	case plan.Mkdir:
		return now.Type == graph.Folder
	case plan.Move, plan.Park:
		return now.Parent == a.Parent && now.Name == name.Plain(a.Name)
	case plan.Touch:
		return graph.SameSecond(now.ModTime, a.ModTime)
	case plan.Create, plan.Replace:
		if now.Type != graph.File || now.Size != a.Size || untouched(a, now) {
			return false
		}
		if now.Hash != "" && a.Hash != "" {
			return now.Hash == a.Hash
		}
		return graph.SameSecond(now.ModTime, a.ModTime)
	}
	return false
}

// keepSession keeps the upload session of a step, if it has one, for whoever sends the file next.
func (p *Pusher) keepSession(a cache.Attempt) {
	if a.Session == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[a.Ino] = a
	p.keepSessions()
}

// keepSessions writes down which sessions there are. The caller has mu.
func (p *Pusher) keepSessions() {
	if p.o.Sessions != nil {
		p.o.Sessions.KeepSessions(slices.Collect(maps.Values(p.sessions)))
	}
}

// session takes the address of an upload session that was begun for the same bytes, empty if there
// is none. One that was begun for others is ended: it would stand in the way.
func (p *Pusher) session(ctx context.Context, a cache.Attempt) string {
	p.mu.Lock()
	b, ok := p.sessions[a.Ino]
	if ok {
		delete(p.sessions, a.Ino)
		p.keepSessions()
	}
	p.mu.Unlock()
	if !ok {
		return ""
	}
	if b.Op != a.Op || b.Item != a.Item || b.Parent != a.Parent || b.Name != a.Name ||
		b.Size != a.Size || !b.Hash.Equal(a.Hash) || !graph.SameSecond(b.ModTime, a.ModTime) {
		p.abandon(ctx, b)
		return ""
	}
	return b.Session
}

// EndSessions ends the upload sessions that nobody will go on with: their files are gone, or were sent otherwise.
// Run does so at its end; call it when there is nothing to run.
func (p *Pusher) EndSessions(ctx context.Context) {
	p.mu.Lock()
	rest := slices.Collect(maps.Values(p.sessions))
	p.mu.Unlock()
	for _, a := range rest {
		if n, err := p.o.Nodes.Get(a.Ino); err == nil && n.Written {
			continue // the next flush sends it
		}
		p.abandon(ctx, a)
		p.mu.Lock()
		delete(p.sessions, a.Ino)
		p.keepSessions()
		p.mu.Unlock()
	}
}

func (p *Pusher) abandon(ctx context.Context, a cache.Attempt) {
	abandoner, ok := p.o.Service.(Abandoner)
	if !ok {
		return
	}
	if err := abandoner.Abandon(ctx, a.Session); err != nil {
		p.o.Logger.Debug("an upload session could not be ended", "name", a.Name, "err", err)
	}
}
