package cache

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A lean store holds little memory however many rows it has. Badger maps its tables, and what it has read or written of
// them counts as memory of this process until somebody else wants that: a lean store does not wait so long.

const (
	// leanTable is how many bytes of rows a lean store gathers in memory before they become a file. No transaction of
	// partRows comes near the part of it that badger allows one.
	leanTable = 2 << 20
	// leanFlattenAt is flattenAt of a lean store, which lives as long as one job.
	leanFlattenAt = 16
	// leanLook is after how many uses of its rows a lean store looks at how much of them is in memory, and leanMapped
	// how many bytes may be.
	leanLook   = 100
	leanMapped = 8 << 20
	// leanPause is how often it looks while it compacts.
	leanPause = 10 * time.Millisecond
)

// leanOptions make of the options of a store those of a lean one. Nothing stops a long load: nobody would go on with it.
func leanOptions(o badger.Options) badger.Options {
	return o.WithMemTableSize(leanTable).WithValueThreshold(leanTable / 8).WithBaseTableSize(leanTable / 2).
		WithNumLevelZeroTablesStall(1 << 20)
}

// fitsLean reports whether what another process has left in its logs fits into a lean table: badger reads each log into
// one. It makes a log twice as long as its table.
func fitsLean(dir string) bool {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	for _, l := range logs {
		st, serr := os.Stat(l)
		if serr != nil || st.Size() > 2*leanTable {
			return false
		}
	}
	return err == nil
}

// leanness keeps the rows of a lean store out of memory. Of another store it does nothing.
type leanness struct {
	dir  string // of the tables; empty: not lean
	uses atomic.Int64
	most atomic.Int64 // bytes of mapped files from which on it acts
}

// begin takes what is mapped now for the program itself.
func (l *leanness) begin(dir string) {
	mapped, ok := mappedFiles()
	real, err := filepath.EvalSymlinks(dir)
	if ok && err == nil {
		l.dir = real // as the kernel names it
		l.most.Store(mapped + leanMapped)
	}
}

// used is told that rows were read or written.
func (l *leanness) used() {
	if l.dir != "" && l.uses.Add(1)%leanLook == 0 {
		l.look(l.most.Load())
	}
}

// look acts if so many bytes of files are mapped.
func (l *leanness) look(most int64) {
	mapped, ok := mappedFiles()
	if !ok || mapped < most {
		return
	}
	pageOut(l.dir, ".sst")
	// What is left is the program, of which more and more is in use.
	if left, ok := mappedFiles(); ok && left > l.most.Load()-leanMapped/2 {
		l.most.Store(left + leanMapped)
	}
}

// while does what uses very many rows at once.
func (l *leanness) while(do func() error) error {
	if l.dir == "" {
		return do()
	}
	done := make(chan error)
	go func() { done <- do() }()
	look := time.NewTicker(leanPause)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-look.C: // badger tells nobody how far it is, and is fast
			l.look(l.most.Load() - leanMapped*3/4)
		}
	}
}
