package cache

import "sync"

// following knows the bodies that have yet to follow a commit: it said that a node is clean, or local work, or
// gone, and what is said to content comes after it. Until then row and body do not fit. Every commit that wants
// something of bodies begins before anybody can see it, and ends when all is said.
type following struct {
	mu     sync.Mutex
	bodies map[Ino]*followed // guarded by mu
}

// followed is a body that is waited for.
type followed struct {
	commits int           // that it has yet to follow
	done    chan struct{} // closed when there are none
}

func (f *following) begin(inos []Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ino := range inos {
		b := f.bodies[ino]
		if b == nil {
			b = &followed{done: make(chan struct{})}
			if f.bodies == nil {
				f.bodies = map[Ino]*followed{}
			}
			f.bodies[ino] = b
		}
		b.commits++
	}
}

func (f *following) end(inos []Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ino := range inos {
		b := f.bodies[ino]
		if b.commits--; b.commits == 0 {
			close(b.done)
			delete(f.bodies, ino)
		}
	}
}

// wait returns when the body of a node has followed every commit so far.
func (f *following) wait(ino Ino) {
	f.mu.Lock()
	b := f.bodies[ino]
	f.mu.Unlock()
	if b != nil {
		<-b.done
	}
}

// follows are the nodes whose bodies have to follow a transaction.
func (x *tx) follows() (inos []Ino) {
	inos = append(inos, x.drops...)
	for _, k := range x.keeps {
		inos = append(inos, k.ino)
	}
	for _, a := range x.agrees {
		inos = append(inos, a.ino)
	}
	return inos
}

// Followed returns when the body of a node is what its row says, as far as the row has been read. Call it, with
// no lock held, when the two do not fit, and then look at the row again.
func (t *Tree) Followed(ino Ino) { t.s.following.wait(ino) }
