package cache

import (
	"sync"
	"time"
)

const (
	// syncAfter is how long a change may stay out of reach of a power cut.
	syncAfter = 5 * time.Second
	// flattenAt is the number of young tables from which reads are worth a compaction.
	flattenAt = 4
)

// upkeep syncs the store some seconds after a change, and verifies and compacts it when nothing goes on. Without
// changes it does so once, and then nothing at all, no timer runs.
type upkeep struct {
	store *Store

	mu      sync.Mutex // held while upkeep runs, so that stop can wait for it
	stopped bool

	armed   sync.Mutex // guards what follows; a leaf
	pending bool       // the timer runs
	timer   *time.Timer
	wrote   bool // since the last sync
}

// begin has the store looked after once, some seconds after it was opened.
func (u *upkeep) begin() {
	u.armed.Lock()
	defer u.armed.Unlock()
	if !u.pending {
		u.pending = true
		u.timer = time.AfterFunc(syncAfter, u.run)
	}
}

// wrote tells upkeep that there is something to sync.
func (s *Store) wrote() {
	u := &s.upkeep
	u.armed.Lock()
	defer u.armed.Unlock()
	u.wrote = true
	if !u.pending {
		u.pending = true
		u.timer = time.AfterFunc(syncAfter, u.run)
	}
}

func (u *upkeep) run() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stopped {
		return
	}
	u.armed.Lock()
	wrote := u.wrote
	u.wrote = false
	u.pending = wrote // once more, to compact when it has become quiet
	if wrote {
		u.timer = time.AfterFunc(syncAfter, u.run)
	}
	u.armed.Unlock()
	if wrote {
		if err := u.store.syncHead(); err != nil {
			u.store.log.Error("the store could not be synced", "err", err)
		}
		return
	}
	_ = u.store.guard.verify(false) // says so itself
	// A lean store does that when its job is done.
	if !u.store.o.Lean {
		u.flatten()
	}
	if err := u.store.makeBallast(); err != nil {
		u.store.log.Debug("no space was put by for a full disk", "err", err)
	}
}

// flatten compacts young tables, if the disk has room for a second store meanwhile. Of a damaged one badger would leave out
// what it cannot read.
func (u *upkeep) flatten() {
	db, at := u.store.db, flattenAt
	if u.store.o.Lean {
		at = leanFlattenAt
	}
	if levels := db.Levels(); len(levels) == 0 || levels[0].NumTables < at {
		return
	}
	lsm, vlog := db.Size()
	if u.store.spare(lsm+vlog) != nil {
		return // later, when there is room
	}
	if u.store.guard.verify(true) != nil {
		return // says so itself
	}
	if err := u.store.lean.while(func() error { return db.Flatten(1) }); err != nil {
		u.store.log.Error("the store could not be compacted", "err", err)
	}
}

// Tidy compacts the rows if there is reason to, as is done otherwise when nothing goes on: for a process that is about to
// end.
func (s *Store) Tidy() {
	u := &s.upkeep
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.stopped {
		u.flatten()
	}
}

// stop ends upkeep and waits for one that runs.
func (u *upkeep) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	u.armed.Lock()
	defer u.armed.Unlock()
	if u.timer != nil {
		u.timer.Stop()
	}
}
