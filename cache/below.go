package cache

import "sync"

// unsent remembers how many dirty nodes are below each folder, from one case of the inbox to the next:
// to count them anew for every deleted folder would cost all that is unsent each time.
type unsent struct {
	mu     sync.Mutex // a leaf
	gen    uint64     // raised by every commit that changes what is dirty or where folders are
	counts map[DriveNum]belowCounts
}

type belowCounts struct {
	gen   uint64
	dirty map[Ino]int // by folder, those without any left out
}

func (b *unsent) now() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gen
}

func (b *unsent) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gen++
}

func (b *unsent) get(d DriveNum, gen uint64) (map[Ino]int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.counts[d]
	return c.dirty, ok && c.gen == gen
}

func (b *unsent) put(d DriveNum, c belowCounts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = map[DriveNum]belowCounts{}
	}
	b.counts[d] = c
}

// dirtyBelow counts the dirty nodes below every folder that has any. The map is shared: it must not
// be changed.
func (x *tx) dirtyBelow(d DriveNum) (map[Ino]int, error) {
	if !x.dirtied {
		if dirty, ok := x.s.unsent.get(d, x.gen); ok {
			return dirty, nil
		}
	}
	keys, err := x.keys(drivePrefix(rowDirty, d), nil, 0)
	if err != nil {
		return nil, err
	}
	dirty, parents := map[Ino]int{}, map[Ino]Ino{}
	for _, k := range keys {
		at := inoOfKey(k)
		for range maxDepth {
			parent, known := parents[at]
			if !known {
				n, err := x.node(at)
				if err != nil {
					return nil, err
				}
				parent = n.Parent
				parents[at] = parent
			}
			if parent == 0 {
				break
			}
			dirty[parent]++
			at = parent
		}
	}
	if !x.dirtied {
		x.s.unsent.put(d, belowCounts{gen: x.gen, dirty: dirty})
	}
	return dirty, nil
}
