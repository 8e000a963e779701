package push

import (
	"context"
	"errors"
	"slices"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// Recover settles the steps that were under way when the last process, or the last run, ended: it
// looks at the remote and records what had taken effect. Upload sessions that can be gone on with
// are kept for the next Run. Call it before a refresh, since the inbox waits for steps under way.
// It costs nothing if there is none. An error means that the service could not be asked.
func (p *Pusher) Recover(ctx context.Context) error {
	attempts, err := p.o.Outbox.Attempts()
	if err != nil {
		return err
	}
	for _, a := range attempts {
		if err := p.settle(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// settle looks what became of one step.
func (p *Pusher) settle(ctx context.Context, a cache.Attempt) error {
	now, err := p.look(ctx, a)
	gone := errors.Is(err, graph.NotExist)
	if err != nil && !gone {
		return err
	}
	switch op := plan.Op(a.Op); {
	case op == plan.Delete && gone:
		return p.o.Outbox.Deleted(a)
	case op != plan.Delete && !gone && arrived(a, now) && !p.untouched(a, now):
		if op == plan.Replace || op == plan.Touch {
			if n, err := p.o.Nodes.Get(a.Ino); err == nil && n.Base != nil && n.Base.Item == now.ID {
				now.Parent, now.Name = n.Base.Parent, n.Base.Name
			}
		}
		past := p.overtaken(ctx, a, now)
		_, err := p.o.Outbox.Commit(a, now)
		if errors.Is(err, cache.ErrStale) {
			return nil // what is in the way is open just now; the next time will do
		}
		if err == nil && len(past) > 0 {
			s := plan.Step{Op: plan.Replace, Ino: a.Ino, Item: a.Item, Name: now.Name}
			if n, err := p.o.Nodes.Get(a.Ino); err == nil {
				s.Name = n.Name
			}
			s.Path = "/" + s.Name
			p.o.Overtaken(ctx, s, now.ID, past)
		}
		return err
	}
	if a.Session != "" {
		p.mu.Lock()
		p.sessions[a.Ino] = a
		p.mu.Unlock()
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

// overtaken finds out whether somebody else's bytes came in before those of an upload of which nobody has
// taken the answer in: the service counts changes of the bytes, and one of them is ours. They are among the
// versions of the file.
func (p *Pusher) overtaken(ctx context.Context, a cache.Attempt, now graph.Item) []graph.Past {
	history, ok := p.o.Service.(graph.History)
	n, err := p.o.Nodes.Get(a.Ino)
	if !ok || err != nil || p.o.Overtaken == nil || plan.Op(a.Op) != plan.Replace || n.Base == nil || n.Base.Item != now.ID {
		return nil
	}
	count, ok := graph.Counted(n.Base.CTag, now.CTag)
	exact := ok
	if !ok { // eTags count other changes too
		count, ok = graph.Counted(n.Base.ETag, now.ETag)
	}
	if !ok || count <= 1 {
		return nil
	}
	versions, err := history.Versions(ctx, now.ID)
	if err != nil {
		p.o.Logger.Warn("cannot tell whether another change was overwritten; the version history of the file has it", "name", now.Name, "err", err)
		return nil
	}
	past := slices.Clone(versions[min(1, len(versions)):min(int(count), len(versions))])
	if !exact { // what has the size of the base may be that
		past = slices.DeleteFunc(past, func(v graph.Past) bool { return v.Size == n.Base.Size })
	}
	slices.Reverse(past)
	return past
}

// untouched reports whether an item may have the bytes that it had before a Replace of it: other bytes than those
// sent can have the same hash, and then only the cTag tells.
func (p *Pusher) untouched(a cache.Attempt, now graph.Item) bool {
	n, err := p.o.Nodes.Get(a.Ino)
	return err == nil && plan.Op(a.Op) == plan.Replace && n.Base != nil && n.Base.Item == now.ID &&
		n.Base.Hash.Equal(a.Hash) && (n.Base.CTag == "" || now.CTag == "" || n.Base.CTag == now.CTag)
}

// arrived reports whether an item is what a step was to make of it.
func arrived(a cache.Attempt, now graph.Item) bool {
	switch plan.Op(a.Op) {
	case plan.Mkdir:
		return now.Type == graph.Folder
	case plan.Move, plan.Park:
		return now.Parent == a.Parent && now.Name == a.Name
	case plan.Touch:
		return sameSecond(now.ModTime, a.ModTime)
	case plan.Create, plan.Replace:
		if now.Type != graph.File || now.Size != a.Size {
			return false
		}
		if now.Hash != "" && a.Hash != "" {
			return now.Hash == a.Hash
		}
		return sameSecond(now.ModTime, a.ModTime)
	}
	return false
}

// session takes the address of an upload session that was begun for the same bytes, empty if there
// is none.
func (p *Pusher) session(a cache.Attempt) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.sessions[a.Ino]
	if !ok || b.Op != a.Op || b.Item != a.Item || b.Parent != a.Parent || b.Name != a.Name ||
		b.Size != a.Size || !b.Hash.Equal(a.Hash) || !sameSecond(b.ModTime, a.ModTime) {
		return ""
	}
	delete(p.sessions, a.Ino)
	return b.Session
}

// abandonRest ends the upload sessions that nobody went on with.
func (p *Pusher) abandonRest(ctx context.Context) {
	p.mu.Lock()
	rest := p.sessions
	p.sessions = map[cache.Ino]cache.Attempt{}
	p.mu.Unlock()
	abandoner, ok := p.o.Service.(Abandoner)
	if !ok {
		return
	}
	for _, a := range rest {
		if err := abandoner.Abandon(ctx, a.Session); err != nil {
			p.o.Logger.Debug("an upload session could not be ended", "name", a.Name, "err", err)
		}
	}
}
