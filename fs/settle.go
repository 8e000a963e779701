package fs

import (
	"errors"
	"fmt"
	"time"

	"github.com/duskfs/duskfs/cache"
)

// touched notes that bytes have changed: size and time are recorded at release, at fsync, and by
// a timer that runs only while there is something to record.
func (f *FS) touched(b *body) {
	b.wrote.Store(f.now().UnixNano())
	if b.dirty.Swap(true) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[b] = struct{}{}
	if f.timer == nil && !f.stopped {
		f.owned.Add(1)
		f.timer = time.AfterFunc(f.o.SettleEvery, f.settleAll)
	}
}

// settleAll records what is dirty. It is what the timer runs.
func (f *FS) settleAll() {
	defer f.owned.Done()
	f.mu.Lock()
	f.timer = nil
	f.mu.Unlock()
	if err := f.Record(); err != nil {
		f.log.Error("size and time of a file could not be recorded", "err", err)
	}
	if err := f.sync(); err != nil {
		f.log.Error("the tree could not be synced", "err", err)
	}
}

// Record tells the tree size and time of everything that was written so far, for who counts what waits
// to be sent: a program that has closed its file may be ahead of the kernel's word of it.
func (f *FS) Record() error {
	f.mu.Lock()
	var bs []*body
	for b := range f.dirty {
		if f.bodies[b.ino] == b {
			b.refs++
			bs = append(bs, b)
		}
	}
	clear(f.dirty)
	f.mu.Unlock()
	var errs []error
	for _, b := range bs {
		if err := f.record(b); err != nil {
			errs = append(errs, fmt.Errorf("record size and time of %d: %w", b.ino, err))
		}
		f.release(b)
	}
	return errors.Join(errs...)
}

// record tells the tree the size and time of a body. When it returns they are recorded, also if somebody
// else was about to.
func (f *FS) record(b *body) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty.Swap(false) {
		return nil
	}
	_, err := f.tree.Wrote(b.ino, b.file.Size(), b.file.ModTime(), b.lastWrite())
	f.records.Add(1)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	return err
}

func (f *FS) sync() error {
	if f.o.Sync == nil {
		return nil
	}
	return f.o.Sync()
}
