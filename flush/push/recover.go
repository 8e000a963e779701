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
// It costs nothing if there is none. An error means that the service could not be asked.
func (p *Pusher) Recover(ctx context.Context, library, sends bool) error {
	attempts, err := p.o.Outbox.Attempts()
	if err != nil {
		return err
	}
	for _, a := range attempts {
		if err := p.settle(ctx, a, library, sends); err != nil {
			return err
		}
	}
	return nil
}

// settle looks what became of one step.
func (p *Pusher) settle(ctx context.Context, a cache.Attempt, library, sends bool) error {
	now, err := p.look(ctx, a)
	gone := errors.Is(err, graph.NotExist)
	if err != nil && !gone {
		return err
	}
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
	if a.Session != "" {
		p.mu.Lock()
		p.sessions[a.Ino] = a
		p.keepSessions()
		p.mu.Unlock()
	}
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
