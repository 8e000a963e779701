package content

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/graph"
)

// Seal closes the body to writers at sequence seq, waits for writes under way, and returns a view
// of the bytes as they are now. Of a body that is sealed already it takes over the seal, the higher
// sequence counting. ErrMissing if not all bytes are here.
func (f *File) Seal(seq uint64) (*Snapshot, error) {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.complete() {
		return nil, ErrMissing
	}
	b.store.mu.Lock()
	b.users++
	b.store.mu.Unlock()
	b.snaps++
	if b.sealed {
		b.seal = max(b.seal, seq)
	} else {
		b.sealed, b.seal = true, seq
	}
	if b.broken == nil {
		b.broken = make(chan struct{})
	}
	s := &Snapshot{b: b, size: b.size.Load(), mtime: b.mtime, broken: b.broken}
	if b.local {
		s.mtime = b.dataTime()
	}
	return s, nil
}

// Unseal opens a body for writers: it turns into local work named by t. The body must be complete
// (ErrMissing), and seq newer than the seal's (else ErrSealed: mark once more). Of a body that is
// open already it changes nothing. A body that another version has replaced meanwhile fails with
// graph.Changed: open the node again.
func (f *File) Unseal(seq uint64, t Tag) error {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if open, err := b.unsealable(seq); open || err != nil {
		return err
	}
	if !b.complete() {
		return ErrMissing
	}
	return b.unseal(seq, t)
}

// UnsealEmpty is Unseal for somebody who wants none of the bytes: the body becomes empty, whether
// it was complete, and open, or not.
func (f *File) UnsealEmpty(seq uint64, t Tag) error {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	open, err := b.unsealable(seq)
	if err != nil {
		return err
	}
	// Half a body must never be called local work, so its bytes go before the sidecar says so.
	if !b.complete() {
		if err := b.empty(); err != nil {
			return err
		}
	}
	if !open {
		if err := b.unseal(seq, t); err != nil {
			b.refit()
			return err
		}
	}
	return b.empty()
}

// unsealable tells whether the body is open already, and why it may not be opened.
func (b *body) unsealable(seq uint64) (open bool, err error) {
	switch {
	case b.replaced:
		return false, &graph.Error{Op: "write", Kind: graph.Changed, Message: "a newer version has come from the service"}
	case !b.sealed:
		b.opened = max(b.opened, seq)
		return true, nil
	case seq <= b.seal:
		return false, ErrSealed
	}
	return false, nil
}

// unseal makes the body local work and breaks the seal. The caller has mu alone.
func (b *body) unseal(seq uint64, t Tag) error {
	wasLocal, tag, opened := b.local, b.tag, b.opened
	b.local, b.tag, b.opened = true, t, seq
	if err := b.write(false); err != nil {
		b.local, b.tag, b.opened = wasLocal, tag, opened
		return err
	}
	if !wasLocal {
		b.era++
		b.have = nil
		if !b.mtime.IsZero() {
			if err := b.setTime(b.mtime); err != nil {
				return err
			}
		}
	}
	b.sealed = false
	if b.broken != nil {
		close(b.broken)
		b.broken = nil
	}
	return nil
}

// empty takes all bytes away. The caller has mu alone.
func (b *body) empty() error {
	if err := b.data.Truncate(0); err != nil {
		return noSpace(err)
	}
	b.size.Store(0)
	b.era++
	b.have, b.sum = nil, runningSum{}
	b.wake()
	return nil
}

// refit gives a clean body that was emptied in vain its size back, without any bytes.
func (b *body) refit() {
	if !b.local && b.data.Truncate(b.version.Size) == nil {
		b.size.Store(b.version.Size)
	}
}

// Agreed records that the local bytes sealed at seq are the remote version v by now. It does
// nothing, and returns false, if the body was unsealed since. If v has another size than the body,
// the service has made other bytes of what it was sent: then the body is of no version, and the
// next Version replaces it.
func (f *File) Agreed(seq uint64, v graph.Version) (bool, error) {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sealed || !b.local || b.opened > seq {
		return false, nil
	}
	size := b.size.Load()
	if v.Size != size {
		v = graph.Version{Size: size}
	}
	mtime := b.dataTime()
	tag := b.tag
	b.local, b.version, b.mtime, b.tag = false, v, mtime, Tag{}
	b.have = ranges(nil).add(span{0, size})
	if err := b.write(false); err != nil {
		b.local, b.tag, b.have = true, tag, nil
		return false, err
	}
	return true, nil
}

// Snapshot is a sealed body to be read by whoever sends it.
type Snapshot struct {
	b      *body
	size   int64
	mtime  time.Time
	broken chan struct{}
	done   bool // guarded by b.mu
}

// ReadAt reads the sealed bytes; ErrUnsealed once somebody has written.
func (s *Snapshot) ReadAt(p []byte, off int64) (int, error) {
	s.b.mu.RLock()
	defer s.b.mu.RUnlock()
	select {
	case <-s.broken:
		return 0, ErrUnsealed
	default:
	}
	return s.b.data.ReadAt(p, off)
}

// Size returns the size in bytes at the seal.
func (s *Snapshot) Size() int64 { return s.size }

// ModTime returns the modification time at the seal.
func (s *Snapshot) ModTime() time.Time { return s.mtime }

// Broken is closed when somebody has unsealed the body.
func (s *Snapshot) Broken() <-chan struct{} { return s.broken }

// Release ends the reading. The seal stays as it is. A second Release does nothing.
func (s *Snapshot) Release() {
	s.b.mu.Lock()
	done := s.done
	if !done {
		s.done = true
		s.b.snaps--
	}
	s.b.mu.Unlock()
	if done {
		return
	}
	// What is recorded here is lost by a failure at most as a claim: the bytes are fetched again.
	_ = s.b.store.release(s.b)
}

// setTime sets the modification time of the data. Without a name it has the precision of
// microseconds. The caller has mu.
func (b *body) setTime(t time.Time) error {
	if !b.gone {
		return os.Chtimes(b.path, time.Time{}, t)
	}
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Futimes(int(b.data.Fd()), []unix.Timeval{tv, tv})
}

var _ io.ReaderAt = (*Snapshot)(nil)
