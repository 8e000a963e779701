package cache

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/duskfs/duskfs/cache/content"
)

// Ledger keeps the rows of a job that has no tree of its own here, such as a mirror, in bounded memory: a map from keys
// to values, on the disk, in the order of the keys. One process at a time has it open. All methods are safe for
// concurrent use.
//
// What Set has written survives kill -9, and after Sync a power cut.
type Ledger struct {
	dir  string
	lock *lockFile

	mu   sync.RWMutex // held for writing while db is opened anew
	db   *badger.DB
	read int64 // bytes read since db was opened; under reading
	// reading guards read; a leaf.
	reading sync.Mutex
}

// Row is a key with its value. In Set a nil Value takes the row away.
type Row struct {
	Key   string
	Value []byte
}

// MaxRows is how many rows one Set takes.
const MaxRows = partRows

const (
	// scanRows is how many rows a scan reads at a time: in between the rows can change, and be opened anew.
	scanRows = 1000
	// readMost is how many bytes are read before the rows are opened anew: what is read is mapped, and counts as
	// memory of this process until then.
	readMost = 64 << 20
	// blockSize is about what reading one row maps.
	blockSize = 16 << 10
)

// OpenLedger opens the ledger in dir, making it if needed. One that another process has open fails with *InUseError.
func OpenLedger(dir string) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{dir: dir, lock: lock}
	if err := l.spare(0); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	if l.db, err = openLedgerRows(l.rows()); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return l, nil
}

// CopyLedger copies a ledger that nobody has open into another folder, which it makes. Of one that does not exist there
// is nothing to copy.
func CopyLedger(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(to, 0o700)
	}
	lock, err := lock(from)
	if err != nil {
		return err
	}
	return errors.Join(copyRows(filepath.Join(from, "rows"), filepath.Join(to, "rows")), lock.release())
}

func copyRows(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "LOCK" || !e.Type().IsRegular() {
			continue
		}
		if err := content.CopyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) rows() string { return filepath.Join(l.dir, "rows") }

// openLedgerRows opens badger as openRows does, but with rows compressed: they are many, alike, and read in order.
func openLedgerRows(dir string) (*badger.DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return openBadger(dir, rowOptions(dir).WithCompression(options.Snappy).WithBlockSize(blockSize).WithBlockCacheSize(2<<20).
		WithNumLevelZeroTablesStall(1<<20). // nothing compacts but Sync: a limit would stop a long load for ever
		WithMemTableSize(2<<20).WithNumMemtables(1).WithBaseTableSize(1<<20).WithValueThreshold(64<<10))
}

// spare fails with ErrNoSpace if the disk is nearly full.
func (l *Ledger) spare(extra int64) error {
	free, err := freeBytes(l.dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", l.dir, err)
	}
	if free < freeFloor+extra {
		return ErrNoSpace
	}
	return nil
}

// Get returns the value of a key, nil if there is none.
func (l *Ledger) Get(key string) (value []byte, err error) {
	l.mu.RLock()
	err = l.db.View(func(t *badger.Txn) error {
		item, err := t.Get([]byte(key))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		if value == nil {
			value = []byte{}
		}
		return err
	})
	l.mu.RUnlock()
	return value, errors.Join(err, l.mapped(blockSize))
}

// Set writes rows, at most MaxRows, all or none of them. ErrNoSpace if the disk is nearly full.
func (l *Ledger) Set(rows ...Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := l.spare(0); err != nil {
		return err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	err := l.db.Update(func(t *badger.Txn) error {
		for _, r := range rows {
			var err error
			if r.Value == nil {
				err = t.Delete([]byte(r.Key))
			} else {
				err = t.Set([]byte(r.Key), r.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write to the ledger: %w", err)
	}
	return nil
}

// Scan yields the rows whose keys begin with a prefix, in the order of the keys, as they are when it comes to them. The
// loop may call every method. An error ends it.
func (l *Ledger) Scan(prefix string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for from := prefix; from != ""; {
			rows, err := l.some(prefix, from)
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			from = ""
			if len(rows) == scanRows {
				from = rows[len(rows)-1].Key + "\x00"
			}
		}
	}
}

// some reads the next rows with a prefix, from a key on.
func (l *Ledger) some(prefix, from string) (rows []Row, err error) {
	size := int64(0)
	l.mu.RLock()
	err = l.db.View(func(t *badger.Txn) error {
		it := t.NewIterator(badger.IteratorOptions{Prefix: []byte(prefix), PrefetchValues: false})
		defer it.Close()
		for it.Seek([]byte(from)); it.Valid() && len(rows) < scanRows; it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if v == nil {
				v = []byte{}
			}
			rows = append(rows, Row{strings.Clone(string(it.Item().Key())), v})
			size += int64(len(v)) + it.Item().KeySize()
		}
		return nil
	})
	l.mu.RUnlock()
	return rows, errors.Join(err, l.mapped(size))
}

// mapped counts bytes that were read, and opens the rows anew when they have become many.
func (l *Ledger) mapped(n int64) error {
	l.reading.Lock()
	l.read += n
	much := l.read > readMost
	if much {
		l.read = 0
	}
	l.reading.Unlock()
	if !much {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reopen()
}

// reopen lets go of what is mapped. The caller holds mu for writing.
func (l *Ledger) reopen() error {
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("close the ledger: %w", err)
	}
	db, err := openLedgerRows(l.rows())
	if err == nil {
		l.db = db
	}
	return err
}

// Sync makes every change so far survive a power cut, and puts young rows together where they have become many.
func (l *Ledger) Sync() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.db.Sync(); err != nil {
		return fmt.Errorf("sync the ledger: %w", err)
	}
	if levels := l.db.Levels(); len(levels) == 0 || levels[0].NumTables < flattenAt {
		return nil
	}
	lsm, vlog := l.db.Size()
	if l.spare(lsm+vlog) != nil {
		return nil // later, when there is room
	}
	if err := l.db.Flatten(1); err != nil {
		return fmt.Errorf("compact the ledger: %w", err)
	}
	return nil
}

// Close syncs and closes the ledger.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.db.Close(), l.lock.release())
}
