package push

import (
	"context"
	"io"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

// rescue tells of the bytes of somebody else that an upload replaced unseen. It is for uploads whose answer nobody has
// taken in; now is the item at a look after that, which may have been written over again by then. Call it while the
// attempt is recorded, and leave it recorded if this fails: whoever comes next looks again.
func (p *Pusher) rescue(ctx context.Context, a cache.Attempt, s plan.Step, now graph.Item) error {
	history, ok := p.o.Service.(graph.History)
	if !ok || p.o.Overtaken == nil || plan.Op(a.Op) != plan.Replace || a.Base == (graph.Version{}) {
		return nil
	}
	past, err := overtaken(ctx, p.o.Service, history, a, now)
	switch {
	case err != nil && graph.Stops(ctx, err):
		return err
	case err != nil:
		p.o.Logger.Warn("cannot tell whether another change was overwritten; the version history of the file has it", "name", now.Name, "err", err)
		return nil
	case len(past) == 0:
		return nil
	}
	return p.o.Overtaken(ctx, s, now.ID, past)
}

// recent is how many versions are looked through where the service does not count.
const recent = 20

// overtaken returns the versions of a file that came between the base of an upload and its bytes, oldest first. The
// service counts changes, and one of them is ours; where it counts none, the versions have to go back to the base.
func overtaken(ctx context.Context, r graph.Reader, h graph.History, a cache.Attempt, now graph.Item) ([]graph.Past, error) {
	if n, ok := changes(a.Base, now); ok && n <= 1 || !ok && now.Version().Same(a.Base) {
		return nil, nil
	}
	versions, now, err := listed(ctx, r, h, now)
	if err != nil {
		return nil, err
	}
	n, ok := changes(a.Base, now)
	if !ok {
		n = recent
	}
	versions = versions[:min(max(n, 0), int64(len(versions)))]
	ours := 0
	if !arrived(a, now) {
		ours, err = indexOf(ctx, h, now.ID, versions, 1, a.Size, a.Hash)
	}
	if err != nil || ours >= len(versions) {
		return nil, err
	}
	base, err := indexOf(ctx, h, now.ID, versions, ours+1, a.Base.Size, a.Base.Hash)
	if err != nil || base == len(versions) && !ok {
		return nil, err
	}
	var past []graph.Past
	for i := base - 1; i > ours; i-- {
		again := len(versions)
		if a.Hash != "" { // ours may be there twice: what is put at once gets its time by a change of its own, which is a version too
			if again, err = indexOf(ctx, h, now.ID, versions[:i+1], i, a.Size, a.Hash); err != nil {
				return nil, err
			}
		}
		if again > i {
			past = append(past, versions[i])
		}
	}
	return past, nil
}

// changes says how often a file was changed at most, as the service counts: eTags count other changes than those of the
// bytes too.
func changes(base graph.Version, now graph.Item) (n int64, ok bool) {
	if n, ok = graph.Counted(base.CTag, now.CTag); ok {
		return n, true
	}
	return graph.Counted(base.ETag, now.ETag)
}

// listed returns the versions of a file, the current one first, and the file as it is with them.
func listed(ctx context.Context, r graph.Reader, h graph.History, now graph.Item) (versions []graph.Past, _ graph.Item, err error) {
	for range tries {
		if versions, err = h.Versions(ctx, now.ID); err != nil {
			return nil, now, err
		}
		then, err := r.Item(ctx, now.ID)
		if err != nil || then.Version() == now.Version() {
			return versions, then, err
		}
		now = then
	}
	return versions, now, nil
}

// indexOf returns which version, from one of them on, has bytes of a size and hash; how many versions there are if none
// has. If the hash is unknown the size has to do.
func indexOf(ctx context.Context, h graph.History, id graph.ItemID, versions []graph.Past, from int, size int64, hash graph.Hash) (int, error) {
	for i := from; i < len(versions); i++ {
		if versions[i].Size != size {
			continue
		}
		if hash == "" || size == 0 {
			return i, nil
		}
		data, err := h.PastContent(ctx, id, versions[i])
		if err != nil {
			return 0, err
		}
		sum := graph.NewQuickXor()
		_, err = io.Copy(sum, data)
		data.Close()
		if err != nil {
			return 0, err
		}
		if graph.HashOf(sum) == hash {
			return i, nil
		}
	}
	return len(versions), nil
}
