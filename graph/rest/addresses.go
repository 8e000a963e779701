package rest

import (
	"sync"
	"time"

	"github.com/duskfs/duskfs/graph"
)

const (
	// addressLife is how long a download address is used. The service promises "a few minutes" on
	// one page and an hour on another (graph-facts §5).
	addressLife  = 3 * time.Minute
	maxAddresses = 256
)

// held is a pre-authenticated address of a file's bytes, a secret, and the version it was given for.
type held struct {
	url     string
	version graph.Version
	tag     string // ETag that the storage host gave with it first, or empty
	until   time.Time
}

type place struct {
	drive graph.DriveID
	item  graph.ItemID
}

// addressBook keeps the addresses of files that are read piece by piece, so that a piece costs one
// request.
type addressBook struct {
	mu   sync.Mutex
	held map[place]held
}

func newAddressBook() *addressBook { return &addressBook{held: map[place]held{}} }

func (b *addressBook) get(p place) (held, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.held[p]
	return h, ok && time.Now().Before(h.until)
}

func (b *addressBook) put(p place, h held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.held) >= maxAddresses {
		clear(b.held)
	}
	b.held[p] = h
}

func (b *addressBook) drop(p place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, p)
}
