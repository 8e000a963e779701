package fs

import "github.com/duskfs/duskfs/cache"

// limboSize is how many removals back it remembers.
const limboSize = 1024

// limbo remembers what was removed here for as long as the kernel may still have it: as the working
// folder of a shell, as a descriptor that is no handle of a file, or on the way from a name to an open
// file.
type limbo struct {
	nodes  map[cache.Ino]cache.Node
	bodies map[cache.Ino]*body // of files that were replaced; each is one use
	order  []cache.Ino         // oldest first
}

// add notes a node, with its body or nil. It returns a body that has to make room.
func (l *limbo) add(n cache.Node, b *body) (out *body) {
	if l.nodes == nil {
		l.nodes, l.bodies = map[cache.Ino]cache.Node{}, map[cache.Ino]*body{}
	}
	n.Removed = true
	l.nodes[n.Ino] = n
	if b != nil {
		l.bodies[n.Ino] = b
	}
	l.order = append(l.order, n.Ino)
	if len(l.order) > limboSize {
		out = l.forget(l.order[0])
		l.order = l.order[1:]
	}
	return out
}

func (l *limbo) forget(ino cache.Ino) *body {
	b := l.bodies[ino]
	delete(l.bodies, ino)
	delete(l.nodes, ino)
	return b
}

// removed notes that a node was taken out of the tree. b is a use of its body, or nil, and is given
// up when the kernel has forgotten the node.
func (f *FS) removed(n cache.Node, b *body) {
	f.mu.Lock()
	out := f.limbo.add(n, b)
	f.mu.Unlock()
	if out != nil {
		f.release(out)
	}
}

// spare opens the file that a rename is about to replace: who has looked its name up already and opens
// it now finds the old bytes. It returns nil if there is none, or if its bytes are not all here: what
// overwrites the item on the remote would have to wait for them.
func (f *FS) spare(parent cache.Ino, name string) *body {
	n, err := f.tree.Lookup(parent, name)
	if err != nil || n.Dir {
		return nil
	}
	if !n.Written { // to open a body that is not there is to make it
		if i, err := f.bytes.Info(uint64(n.Ino)); err != nil || !i.Complete {
			return nil
		}
	}
	b, err := f.acquire(n.Ino)
	if err != nil {
		return nil
	}
	if !b.file.Complete() {
		f.release(b)
		return nil
	}
	return b
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
	b := f.limbo.forget(ino)
	f.mu.Unlock()
	if b != nil {
		f.release(b)
	}
}
