package fs

import "github.com/duskfs/duskfs/cache"

// limboSize is how many removals back it remembers.
const limboSize = 1024

// limbo remembers the attributes of what was removed here for as long as the kernel may still have
// it: the working folder of a shell, or a descriptor that is no handle of a file.
type limbo struct {
	nodes map[cache.Ino]cache.Node
	order []cache.Ino // oldest first
}

func (l *limbo) add(n cache.Node) {
	if l.nodes == nil {
		l.nodes = map[cache.Ino]cache.Node{}
	}
	n.Removed = true
	l.nodes[n.Ino] = n
	l.order = append(l.order, n.Ino)
	if len(l.order) > limboSize {
		delete(l.nodes, l.order[0])
		l.order = l.order[1:]
	}
}

// removed notes that a node was taken out of the tree.
func (f *FS) removed(n cache.Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limbo.add(n)
}

// remembered returns a node that was removed here.
func (f *FS) remembered(ino cache.Ino) (cache.Node, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.limbo.nodes[ino]
	return n, ok
}

// Forget says that the kernel has no use for an ino any more. It may be called for any ino, and
// need not be called at all.
func (f *FS) Forget(ino cache.Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.limbo.nodes, ino)
}
