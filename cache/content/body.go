package content

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// body is what all opens of one ino share.
type body struct {
	store *Store
	ino   uint64
	path  string
	data  *os.File

	users int // Files, Snapshots and fetches; guarded by store.mu

	// size is written under a shared hold of mu by those who write bytes, so that several can.
	size atomic.Int64

	// mu is B. It is held shared to read, to write and to fill bytes, and alone to change what the
	// body is. It is a leaf: nothing but the disk is waited for under it.
	mu sync.RWMutex
	// All below is guarded by mu.
	local  bool
	sealed bool
	seal   uint64        // sequence of the seal
	opened uint64        // sequence of the last Unseal, or of Create
	broken chan struct{} // closed when the seal is broken; nil if no Snapshot was taken
	tag    Tag
	era    int // grows when bytes that a fetch may be bringing are not wanted any more

	version graph.Version
	mtime   time.Time // of the node while the body is clean
	have    ranges
	behind  bool // the sidecar says less than is true
	durable bool // the sidecar would survive a power cut
	gone    bool // the data has no name any more
	// replaced: gone, because another version has its place.
	replaced bool

	files   int // open Files
	snaps   int // Snapshots not released
	fetches []*fetch
	changed chan struct{} // closed, and made anew, when bytes arrive or a fetch ends
	ahead   readAhead
	sum     runningSum
}

func newBody(s *Store, ino uint64, data *os.File) *body {
	return &body{store: s, ino: ino, path: s.path(ino), data: data, changed: make(chan struct{})}
}

// complete reports whether all bytes are here. The caller has mu.
func (b *body) complete() bool {
	return b.local || b.have.covers(span{0, b.size.Load()})
}

// record brings the sidecar up to date if it is behind.
func (b *body) record() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.behind {
		return nil
	}
	return b.write(false)
}

// write writes the sidecar; with sync it and the bytes survive a power cut, which the caller has
// seen to for the bytes. The caller has mu alone.
func (b *body) write(sync bool) error {
	if b.gone {
		b.behind, b.durable = false, true
		return nil
	}
	c := sidecar{Ino: b.ino, Local: b.local}
	if b.local {
		tag := b.tag
		c.Seq, c.Tag = b.opened, &tag
	} else {
		v := version(b.version)
		c.Version = &v
		for _, s := range b.have {
			c.Ranges = append(c.Ranges, [2]int64{s.off, s.end})
		}
		if len(b.have) > 0 {
			st, err := b.data.Stat()
			if err != nil {
				return err
			}
			c.Stamp, c.Changed, c.Inode = StampOf(st)
		}
		if !sync && len(b.have) > 0 {
			c.Boot = b.store.boot
		}
	}
	if err := c.write(b.path, sync); err != nil {
		return err
	}
	b.behind, b.durable = false, sync
	return nil
}

// wake tells those who wait that something arrived or ended. The caller has mu alone.
func (b *body) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// grow makes the body at least size bytes long.
func (b *body) grow(size int64) {
	for {
		now := b.size.Load()
		if now >= size || b.size.CompareAndSwap(now, size) {
			return
		}
	}
}
