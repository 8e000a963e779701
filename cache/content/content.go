// Package content keeps the bodies of files: each the bytes of exactly one remote version, perhaps
// not all of them yet, or local work, which is always complete. Never a mixture.
//
// A body is a sparse file named by its ino with a sidecar beside it that says what it is; the
// sidecar of local work also says whose it is (name, path, drive, item), so that unsent work can be
// found with nothing but this folder.
//
// A body is sealed while it is clean or while it is being sent. A write to a sealed body fails with
// ErrSealed; Unseal, with a sequence newer than the seal's, opens it.
package content

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/duskfs/duskfs/graph"
)

// Errors.
var (
	// ErrSealed: mark the node, unseal the body, write again.
	ErrSealed = errors.New("body is sealed")
	// ErrMissing: some of the bytes asked for are not here; hydrate them.
	ErrMissing = errors.New("bytes not here yet")
	// ErrUnsealed: the bytes under a Snapshot changed.
	ErrUnsealed = errors.New("body was written to meanwhile")
	// ErrLocal: the body is local work and is not dropped for a remote version.
	ErrLocal = errors.New("body is unsent local work")
	// ErrNoSpace: the disk is nearly full.
	ErrNoSpace = errors.New("no space left on the disk that holds the state folder")
)

// recoveredDir, inside the folder of bodies, takes what is neither served nor dropped.
const recoveredDir = "recovered"

// Options of a store of bodies.
type Options struct {
	// FreeFloor is how many bytes of the disk stay free: writes beyond fail with ErrNoSpace.
	// Default 64 MiB.
	FreeFloor int64
}

// Store is a folder of bodies. It is safe for concurrent use. One process at a time uses a folder.
type Store struct {
	dir   string
	space *space
	boot  string // this boot of the machine
	// turns lets one caller at a time open, close or remove the body of an ino. A turn comes before
	// a body's own mutex, and that before mu.
	turns [64]sync.Mutex

	mu     sync.Mutex
	bodies map[uint64]*body   // by ino, those in use that have a name; guarded by mu
	used   map[*body]struct{} // all in use; guarded by mu
	closed bool               // guarded by mu

	fetches sync.WaitGroup
}

// Tag says whose bytes local work is. It is written to the sidecar.
type Tag struct {
	Drive graph.DriveID `json:"drive"`
	Path  string        `json:"path"` // from the root of the drive
	Item  graph.ItemID  `json:"item,omitempty"`
	ETag  string        `json:"etag,omitempty"`
}

// Open opens the folder of bodies, making it (0700) if needed.
func Open(dir string, o Options) (*Store, error) {
	if o.FreeFloor == 0 {
		o.FreeFloor = 64 << 20
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, boot: bootID(), space: &space{dir: dir, floor: o.FreeFloor}, bodies: map[uint64]*body{}, used: map[*body]struct{}{}}
	if _, err := s.space.measure(); err != nil {
		return nil, fmt.Errorf("folder of bodies %s: %w", dir, err)
	}
	return s, nil
}

// Look opens a folder of bodies, which somebody else may have open, to list what is in it.
func Look(dir string) (*Store, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return &Store{dir: dir, boot: bootID(), space: &space{dir: dir}, bodies: map[uint64]*body{}, used: map[*body]struct{}{}}, nil
}

// Close cancels the fetches under way, waits for them and closes the files that are open. Files
// that are still in use fail from then on.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	open := make([]*body, 0, len(s.used))
	for b := range s.used {
		open = append(open, b)
	}
	s.mu.Unlock()

	for _, b := range open {
		b.stopFetches()
	}
	s.fetches.Wait()
	var errs []error
	for _, b := range open {
		turn := s.turn(b.ino)
		turn.Lock()
		errs = append(errs, b.record(), b.data.Close())
		turn.Unlock()
	}
	return errors.Join(errs...)
}

func (s *Store) turn(ino uint64) *sync.Mutex { return &s.turns[ino%uint64(len(s.turns))] }

// path returns where the data of a body is.
func (s *Store) path(ino uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%02x", ino%256), strconv.FormatUint(ino, 10))
}

// use returns the body of an ino if somebody has it open, with one more user. The caller has the
// ino's turn.
func (s *Store) use(ino uint64) (*body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	b := s.bodies[ino]
	if b != nil {
		b.users++
	}
	return b, nil
}

// enter makes a body known, with one user. The caller has the ino's turn.
func (s *Store) enter(b *body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.users = 1
	s.bodies[b.ino] = b
	s.used[b] = struct{}{}
}

// release ends one use of a body.
func (s *Store) release(b *body) error {
	turn := s.turn(b.ino)
	turn.Lock()
	defer turn.Unlock()
	return s.unuse(b)
}

// unuse ends one use of a body. The last one records what the body is and closes its data. The
// caller has the ino's turn.
func (s *Store) unuse(b *body) error {
	s.mu.Lock()
	b.users--
	last := b.users == 0 && !s.closed
	if last {
		delete(s.used, b)
		if s.bodies[b.ino] == b {
			delete(s.bodies, b.ino)
		}
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	return errors.Join(b.record(), b.data.Close())
}
