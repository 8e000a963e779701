// Package cache owns the local truth of one account: the tree that people see, the remote state
// it was last agreed on (bases), what differs between them (the outbox), what the remote has said
// and is not applied yet (the inbox), and the reports of what happened. Rows live in badger, bodies
// in cache/content.
//
// There are three doors to it, each for one caller: [Tree] for the file system, [Outbox] for
// whoever sends, [Inbox] for whoever receives. All are safe for concurrent use. No method waits
// for the network.
package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/graph/name"
)

// Options of a store. The zero value serves.
type Options struct {
	Now       func() time.Time // default time.Now
	Host      string           // for the names of conflict copies; default the host's name
	LocalOnly name.LocalOnly   // names that are never sent; default name.DefaultLocalOnly
	// CaseBlind lets Lookup find a name in another letter case (macOS).
	CaseBlind bool
	// Free says how many bytes of the disk under dir are free for this user; default asks the system.
	// It is asked before every change of rows that needs space, with the store's lock held.
	Free func(dir string) (int64, error)
	// Probe looks at the rows of a store before they are opened, as the function Probe does, in a
	// process of its own, since some damage kills whoever reads it. Default: in this one.
	Probe     func(dir string) error
	Conflicts Policy // for files that both sides changed
	// Lean holds little in memory however many rows there are, at the cost of some time: for a process that does one job.
	Lean   bool
	Logger *slog.Logger // default discards
}

// Store is the local truth of one account. One process at a time has it open.
type Store struct {
	dir     string
	o       Options
	log     *slog.Logger
	db      *badger.DB
	content *content.Store
	lock    *lockFile
	headAt  *os.File                        // where the head is
	free    func(dir string) (int64, error) // bytes free on the disk
	events  *events
	dropped inoSet // bodies that are removed by now, whose rows can go
	upkeep  upkeep
	guard   *guard // of db
	unsent  unsent

	following following
	lean      leanness

	// drives is what the rows of the drives say; replaced whole, under mu.
	drives atomic.Pointer[map[DriveNum]DriveInfo]

	// mu is S: every read-modify-write of rows runs under it. A leaf: nothing is called with it
	// held that waits, and content never is.
	mu         sync.Mutex
	closed     bool
	inos, seqs lease
	held       map[Ino]int // handles by node
	xattrs     presence    // whether there is any extended attribute
	head       head        // its made is the number of changes of the rows so far

	retagging sync.Mutex // held while sidecars are told of a move; comes before a body's own lock
}

var errClosed = errors.New("the store is closed")

// Open opens the store in dir, making it if needed. A store that another process has open fails
// with *InUseError. After an unclean stop it first mends what a crash can leave behind.
func Open(dir string, o Options) (*Store, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, o: o, log: o.Logger, lock: lock, free: o.Free, events: &events{},
		held: map[Ino]int{},
		inos: lease{name: metaInos}, seqs: lease{name: metaSeqs},
	}
	s.drives.Store(&map[DriveNum]DriveInfo{})
	s.upkeep.store = s
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.shut())
	}
	s.upkeep.begin()
	return s, nil
}

func (o Options) complete() (Options, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Host == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "" // name.Conflict has a word for it
		}
		o.Host, _, _ = strings.Cut(host, ".")
	}
	if reflect.ValueOf(o.LocalOnly).IsZero() {
		l, err := name.NewLocalOnly(name.DefaultLocalOnly())
		if err != nil {
			return o, err
		}
		o.LocalOnly = l
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func (s *Store) open() error {
	// A full disk would kill the process inside of badger.
	if err := s.roomToOpen(); err != nil {
		return err
	}
	wasClean := s.closedWell()
	err := s.begin(wasClean)
	if errors.Is(err, ErrDamaged) && wasClean {
		// They were believed, and should not have been.
		s.abandon()
		err = s.begin(false)
	}
	return err
}

// abandon closes what is damaged, to be looked at or moved aside.
func (s *Store) abandon() {
	if err := s.closeBoth(); err != nil {
		s.log.Warn("closing what is damaged", "err", err)
	}
	s.db, s.content, s.headAt = nil, nil, nil
}

// begin opens rows and bodies and mends what a crash left behind. Rows that are not believed are looked at first, and if
// they are damaged moved aside.
func (s *Store) begin(wasClean bool) error {
	err := s.sound(wasClean)
	if err == nil {
		err = s.openBoth()
	}
	if errors.Is(err, ErrDamaged) {
		s.abandon()
		if err := s.setAside(err); err != nil {
			return err
		}
		err = s.openBoth()
	}
	if err != nil {
		return err
	}
	if err := s.takeMarks(); err != nil {
		return err
	}
	fresh, folded, err := s.load()
	if err != nil {
		return err
	}
	if fresh {
		return nil
	}
	if folded < name.FoldVersion {
		if err := s.refold(); err != nil {
			return fmt.Errorf("make the keys of names anew: %w", err)
		}
	}
	return s.mend(!wasClean)
}

// takeMarks removes what the last process said of the rows: they are in use.
func (s *Store) takeMarks() error {
	if err := os.Remove(filepath.Join(s.dir, cleanFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	why, err := os.ReadFile(filepath.Join(s.dir, doubtFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.log.Info("the state seemed to be damaged when it was last used, and is in order", "dir", s.dir, "why", strings.TrimSpace(string(why)))
	return errors.Join(err, os.Remove(filepath.Join(s.dir, doubtFile)))
}

// openBoth opens rows and bodies, making them if needed.
func (s *Store) openBoth() (err error) {
	rows := filepath.Join(s.dir, rowsDir)
	if err := os.MkdirAll(rows, 0o700); err != nil {
		return err
	}
	if s.content, err = content.Open(filepath.Join(s.dir, bodiesDir), content.Options{FreeFloor: freeFloor}); err != nil {
		return err
	}
	if s.db, err = openRows(rows, s.o.Lean && fitsLean(rows)); err != nil {
		return err
	}
	s.guard = newGuard(s.dir, s.log, s.db)
	if s.o.Lean {
		s.lean.begin(rows)
	}
	s.headAt, err = os.OpenFile(filepath.Join(s.dir, headFile), os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// closeBoth closes what openBoth has opened, as far as it got.
func (s *Store) closeBoth() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.content != nil {
		errs = append(errs, s.content.Close())
	}
	if s.headAt != nil {
		errs = append(errs, s.headAt.Close())
	}
	return errors.Join(errs...)
}

// openRows opens the rows of a store. ErrDamaged if badger finds them so. What it reads of them is as it was written, or
// counts as not there: see guard.
func openRows(dir string, lean bool) (*badger.DB, error) {
	o := storeOptions(dir)
	if lean {
		o = leanOptions(o)
	}
	return openBadger(dir, o)
}

// storeOptions leave the lock of a store, which is held, to be the only one.
func storeOptions(dir string) badger.Options {
	return rowOptions(dir).WithBypassLockGuard(true).
		WithChecksumVerificationMode(options.OnBlockRead).WithVerifyValueChecksum(true)
}

// rowOptions are those of reference "low8q": little memory, no wakeups.
func rowOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(nil).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithValueThreshold(1 << 20). // what is longer goes where badger does not notice damage
		WithCompression(options.None).
		WithNumCompactors(0).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(1000).
		WithMetricsEnabled(false).
		WithValueLogFileSize(64 << 20).
		WithDetectConflicts(false)
}

// openBadger opens badger, which panics over some damages. ErrDamaged if it finds one.
func openBadger(dir string, o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("open the rows in %s: %w: %v", dir, ErrDamaged, p)
		}
	}()
	if err := dropEmpty(dir); err != nil {
		return nil, fmt.Errorf("open the rows in %s: %w", dir, err)
	}
	if db, err = badger.Open(o); err != nil {
		return nil, fmt.Errorf("open the rows in %s: %w", dir, damaged(err))
	}
	return db, nil
}

// dropEmpty removes log files that have no bytes: badger makes them so, and if it is killed before they have a size it
// does not open any more.
func dropEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if x := filepath.Ext(e.Name()); x != ".mem" && x != ".vlog" {
			continue
		}
		if st, err := e.Info(); err != nil || st.Size() > 0 || !st.Mode().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// load reads versions, counters and drives, or writes them into a fresh store. folded is the rule by
// which the keys of names were made.
func (s *Store) load() (fresh bool, folded uint64, err error) {
	s.head = head{boot: bootNumber()}
	drives := map[DriveNum]DriveInfo{}
	err = s.view(func(x *tx) error {
		v, err := x.value(metaKey(metaSchema))
		if err != nil {
			return err
		}
		if fresh = v == nil; fresh {
			return nil
		}
		if have := number(v); have > schemaVersion {
			return fmt.Errorf("%w: its schema is %d, this program knows %d", ErrReplaced, have, schemaVersion)
		}
		if v, err = x.value(metaKey(metaFold)); err != nil {
			return err
		}
		if folded = number(v); folded > name.FoldVersion {
			return fmt.Errorf("%w: its names are folded by rule %d, this program knows %d", ErrReplaced, folded, name.FoldVersion)
		}
		if v, err = x.value(metaKey(metaCommits)); err != nil {
			return err
		}
		s.head.made = number(v)
		s.head.synced = min(readHead(s.dir).synced, s.head.made)
		for _, l := range []*lease{&s.inos, &s.seqs} {
			if v, err = x.value(metaKey(l.name)); err != nil {
				return err
			}
			l.next = number(v)
			l.until = l.next
		}
		return x.each(metaKey(metaDrive), nil, func(_, v []byte) (bool, error) {
			var d DriveInfo
			err := decodeJSON(v, &d)
			drives[d.Num] = d
			return true, err
		})
	})
	s.inos.next = max(s.inos.next, firstIno)
	s.seqs.next = max(s.seqs.next, 1)
	s.inos.until, s.seqs.until = max(s.inos.until, s.inos.next), max(s.seqs.until, s.seqs.next)
	s.drives.Store(&drives)
	if err != nil || !fresh {
		return fresh, folded, err
	}
	return true, name.FoldVersion, s.db.Update(func(t *badger.Txn) error {
		return errors.Join(
			t.Set(metaKey(metaSchema), binary.BigEndian.AppendUint64(nil, schemaVersion)),
			t.Set(metaKey(metaFold), binary.BigEndian.AppendUint64(nil, name.FoldVersion)))
	})
}

// firstIno leaves 0 for nobody and 1 for the root of a mount.
const firstIno = 2

func number(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// InUseError says who has the store open.
type InUseError struct {
	Dir  string
	PID  int
	Note string // what the holder said of itself with Store.Note: its mountpoints
}

// Note records a line about this process for whoever is refused the store.
func (s *Store) Note(text string) error { return s.lock.note(text) }

// Close syncs and closes the store.
func (s *Store) Close() error {
	s.upkeep.stop()
	if err := s.update(shrinks, func(x *tx) error {
		for _, l := range []*lease{&s.inos, &s.seqs} {
			l.until = l.next
			if err := x.set(metaKey(l.name), binary.BigEndian.AppendUint64(nil, l.next)); err != nil {
				return err
			}
		}
		return nil
	}); errors.Is(err, errClosed) {
		return nil
	} else if err != nil && !errors.Is(err, ErrNoSpace) { // then some numbers are never used
		return errors.Join(err, s.shut())
	}
	return s.shut()
}

// shut closes what is open, and if that went well leaves word that it did.
func (s *Store) shut() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	opened := s.db != nil && s.headAt != nil
	if opened {
		if err := s.roomToClose(); err != nil {
			// Badger would die of it. As it is, it is as after a kill, which loses nothing.
			s.log.Warn("the disk of the state folder is full: what is known stays as it is, and is looked at once more at the next start", "dir", s.dir, "err", err)
			return errors.Join(s.Sync(), s.content.Close(), s.headAt.Close(), s.lock.release())
		}
	}
	var errs []error
	if opened {
		errs = append(errs, s.syncHead())
		_ = s.guard.verify(false) // says so itself
	}
	err := errors.Join(append(errs, s.closeBoth())...)
	if opened && err == nil && s.Doubt() == "" {
		var prints []byte
		if prints, err = fingerprint(filepath.Join(s.dir, rowsDir)); err == nil {
			err = os.WriteFile(filepath.Join(s.dir, cleanFile), prints, 0o600)
		}
	}
	return errors.Join(err, s.lock.release())
}

// Sync makes every change so far survive a power cut.
func (s *Store) Sync() error { return s.db.Sync() }

// syncHead is Sync that also records how many changes there are.
func (s *Store) syncHead() error {
	s.mu.Lock()
	made := s.head.made
	s.mu.Unlock()
	if err := s.db.Sync(); err != nil {
		return err
	}
	s.mu.Lock()
	s.head.synced = max(s.head.synced, made)
	err := s.head.write(s.headAt)
	s.mu.Unlock()
	return errors.Join(err, s.headAt.Sync())
}

// Content is where the bodies are.
func (s *Store) Content() *content.Store { return s.content }

// Tree is the door of the file system.
func (s *Store) Tree() *Tree { return &Tree{s: s} }

// now is the wall clock without its monotonic part, in UTC, as it is stored.
func (s *Store) now() time.Time { return plain(s.o.Now()) }
