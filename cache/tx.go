package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/duskfs/duskfs/graph"
)

const (
	// partRows bounds the rows that one transaction touches: a small memtable takes no more.
	partRows = 250
	// pastTags is how many eTags a base keeps beside its own.
	pastTags = 3
	// leaseSize is how many numbers are taken from the store at a time.
	leaseSize = 1000
)

// growth says what a transaction does to the disk's space.
type growth bool

const (
	grows   growth = true
	shrinks growth = false // may pass on a nearly full disk, since it is how space is freed
)

// tx is one badger transaction and what follows from it. A writing one lives under Store.mu. All
// changes of nodes and of pending deletions go through setNode, dropNode and setGone, which keep
// every index right.
type tx struct {
	s     *Store
	t     *badger.Txn
	write bool
	now   time.Time

	nodes  map[Ino]*Node // read or written by this transaction; nil: known not to exist
	counts map[DriveNum]counts
	drives map[DriveNum]DriveInfo // changed
	// known are the drives as this began: what a snapshot has of them may be newer, never older.
	known  map[DriveNum]DriveInfo
	seqNum Seq
	// gen is that of Store.unsent as this began; dirtied: this changes what that counts.
	gen     uint64
	dirtied bool
	// rebased are folders whose item changed: their children's places must be compared anew.
	rebased []Ino
	changes int   // rows written
	retag   []Ino // files and folders whose place, name or item changed, for the sidecars
	erased  []Ino // nodes that are gone, whose extended attributes go too
	// whole are the bodies that were complete when the caller asked content.
	whole map[Ino]bool

	// What to do once it is committed and S is let go.
	events []Event
	drops  []Ino
	keeps  []keep
	jobs   []job
	agrees []agreement
	report []reportDraft
}

// counts are the counters of a drive that would be dear to recompute.
type counts struct{ known, localOnly int64 }

// keep asks that the clean, complete body of a node turn into local work.
type keep struct {
	ino   Ino
	v     graph.Version
	mtime time.Time
	seq   Seq
}

// agreement says that the bytes of a node sealed at seq are a version of the remote by now.
type agreement struct {
	ino Ino
	seq Seq
	v   graph.Version
}

// view runs fn on a snapshot.
func (s *Store) view(fn func(*tx) error) (err error) {
	defer s.lean.used()
	s.guard.look()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	ended := false
	defer func() {
		if !ended && badgerPanics() {
			err = panicked(recover())
		}
		err = s.guard.judge(err)
	}()
	// Both before the snapshot. A drive that counts as enumerated here has all its items in it: else a name that came
	// meanwhile would be said not to be there.
	gen, known := s.unsent.now(), *s.drives.Load()
	err = s.db.View(func(t *badger.Txn) error {
		return fn(&tx{s: s, t: t, now: s.now(), gen: gen, known: known})
	})
	ended = true
	return err
}

// update runs fn in a transaction under S, commits it, and then does what follows without S.
func (s *Store) update(g growth, fn func(*tx) error) error {
	return s.updateKnowing(g, nil, fn)
}

func (s *Store) updateKnowing(g growth, whole map[Ino]bool, fn func(*tx) error) error {
	s.mu.Lock()
	x, err := s.commit(g, whole, fn)
	if err == nil {
		s.events.push(x.events)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.lean.used()
	return s.follow(x)
}

// commit is update's part under S.
func (s *Store) commit(g growth, whole map[Ino]bool, fn func(*tx) error) (x *tx, err error) {
	if s.closed {
		return nil, errClosed
	}
	if err := s.roomFor(g); err != nil {
		return nil, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	ended := false
	defer func() {
		if !ended && badgerPanics() {
			x, err = nil, panicked(recover())
		}
		err = s.guard.judge(err)
	}()
	x = &tx{s: s, t: s.db.NewTransaction(true), write: true, now: s.now(), whole: whole,
		nodes: map[Ino]*Node{}, gen: s.unsent.now(), known: *s.drives.Load()}
	defer x.t.Discard()
	err = fn(x)
	if err == nil {
		err = x.finish()
	}
	if ended = true; err != nil {
		return nil, err
	}
	if x.changes > 0 {
		if err := x.set(metaKey(metaCommits), binary.BigEndian.AppendUint64(nil, s.head.made+1)); err != nil {
			return nil, err
		}
	}
	bodies := x.follows()
	s.following.begin(bodies)
	if err := x.t.Commit(); err != nil {
		s.following.end(bodies)
		return nil, fmt.Errorf("commit to the store: %w", err)
	}
	if x.changes > 0 {
		s.head.made++
		if err := s.head.write(s.headAt); err != nil {
			s.log.Warn("the number of changes could not be recorded", "err", err)
		}
	}
	s.settleDrives(x.drives)
	if x.dirtied {
		s.unsent.changed()
	}
	s.wrote()
	return x, nil
}

// finish compares children anew, writes counters and reports, and forgets bodies dropped earlier.
func (x *tx) finish() error {
	for len(x.rebased) > 0 {
		folder := x.rebased[0]
		x.rebased = x.rebased[1:]
		if err := x.replace(folder, nil); err != nil {
			return err
		}
	}
	if err := x.dropXattrs(); err != nil {
		return err
	}
	for d, delta := range x.counts {
		if delta == (counts{}) {
			continue
		}
		c, err := x.readCounts(d)
		if err != nil {
			return err
		}
		c.known += delta.known
		c.localOnly += delta.localOnly
		e := encoder{codecVersion}
		e.int(c.known)
		e.int(c.localOnly)
		if err := x.set(metaDriveKey(metaCount, d), e); err != nil {
			return err
		}
	}
	for _, r := range x.report {
		if err := x.writeReport(r); err != nil {
			return err
		}
	}
	for d, info := range x.drives {
		b, err := encodeJSON(info)
		if err != nil {
			return err
		}
		if err := x.set(metaDriveKey(metaDrive, d), b); err != nil {
			return err
		}
	}
	for _, ino := range x.s.takeDropped() {
		if err := x.del(dropKey(ino)); err != nil {
			return err
		}
	}
	return nil
}

// follow does what a commit left to be done outside of S. What fails with a body does not undo the
// commit; the next start mends it.
func (s *Store) follow(x *tx) error {
	s.events.deliver()
	var errs []error
	for _, ino := range x.drops {
		if err := s.content.Remove(uint64(ino)); err != nil {
			s.log.Warn("a body could not be removed", "ino", ino, "err", err)
			continue // its row stays, the next start tries again
		}
		s.dropped.add(ino)
	}
	for _, k := range x.keeps {
		if err := s.localise(k); err != nil {
			s.log.Error("bytes could not be kept as local work", "ino", k.ino, "err", err)
		}
	}
	for _, a := range x.agrees {
		if err := s.agree(a); err != nil {
			s.log.Error("a body could not be marked as sent", "ino", a.ino, "err", err)
		}
	}
	s.following.end(x.follows())
	if len(x.retag) > 0 {
		if err := s.retag(x.retag); err != nil {
			s.log.Warn("sidecars of unsent work could not be told its new name", "err", err)
		}
	}
	for _, j := range x.jobs {
		if err := s.run(j); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// --- raw rows

// value returns the value of a row, nil if there is no such row. It is valid while x is.
func (x *tx) value(key []byte) ([]byte, error) {
	item, err := x.get(key)
	if item == nil || err != nil {
		return nil, err
	}
	var v []byte
	err = item.Value(func(b []byte) error {
		if b == nil {
			b = []byte{}
		}
		v = b
		if x.write {
			v = slices.Clone(b)
		}
		return nil
	})
	return v, err
}

// get finds a row, nil if there is no such row.
func (x *tx) get(key []byte) (*badger.Item, error) {
	item, err := x.t.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		if x.write {
			return nil, x.s.guard.miss(key, key, 0) // who writes has read first
		}
		return nil, x.s.guard.absent(key, key)
	case err != nil:
		return nil, err
	}
	return item, x.s.guard.miss(key, key, item.Version())
}

func (x *tx) has(key []byte) (bool, error) {
	item, err := x.get(key)
	return item != nil && err == nil, err
}

func (x *tx) set(key, value []byte) error {
	x.changes++
	return x.t.Set(key, value)
}

func (x *tx) del(key []byte) error {
	x.changes++
	return x.t.Delete(key)
}

// each calls fn for the rows with a prefix, from a key on (nil: from the first), until fn returns
// false. A writing transaction can have one iterator at a time: fn must not call each there, nor
// anything that does. Key and value are valid during the call alone.
func (x *tx) each(prefix, from []byte, fn func(key, value []byte) (bool, error)) error {
	o := badger.IteratorOptions{Prefix: prefix}
	it := x.t.NewIterator(o)
	defer it.Close()
	if from == nil {
		from = prefix
	}
	s := scan{guard: x.s.guard, prefix: prefix, at: from}
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		if err := s.to(item.Key()); err != nil {
			return err
		}
		more := false
		err := item.Value(func(v []byte) (err error) {
			more, err = fn(item.Key(), v)
			return err
		})
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
	return s.end()
}

// scan fails with ErrDamaged where rows may have been passed over.
type scan struct {
	guard      *guard
	prefix, at []byte
}

// to goes on to the next key that there is.
func (s *scan) to(key []byte) error {
	if s.guard.lost.Load() == nil {
		return nil
	}
	err := s.guard.miss(s.at, key, 0)
	s.at = slices.Clone(key)
	return err
}

// end goes on to the end of the rows with the prefix, which is not all 0xff.
func (s *scan) end() error {
	after := slices.Clone(s.prefix)
	for i := len(after) - 1; i >= 0; i-- {
		if after[i]++; after[i] != 0 {
			break
		}
	}
	return s.guard.absent(s.at, after)
}

// keys collects up to max keys (all if 0) with a prefix, from a key on.
func (x *tx) keys(prefix, from []byte, max int) ([][]byte, error) {
	it := x.t.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	if from == nil {
		from = prefix
	}
	var keys [][]byte
	s := scan{guard: x.s.guard, prefix: prefix, at: from}
	for it.Seek(from); it.Valid(); it.Next() {
		if max > 0 && len(keys) == max {
			return keys, x.s.guard.absent(s.at, keys[max-1])
		}
		if err := s.to(it.Item().Key()); err != nil {
			return nil, err
		}
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys, s.end()
}

// --- numbers

// lease hands out the numbers of a counter, taking many from the store at a time, so that a
// number costs no write. What is left of a lease after a crash is never used.
type lease struct {
	name        string
	next, until uint64
}

func (s *Store) take(l *lease) (uint64, error) {
	if l.next >= l.until {
		until := l.next + leaseSize
		err := s.db.Update(func(t *badger.Txn) error {
			return t.Set(metaKey(l.name), binary.BigEndian.AppendUint64(nil, until))
		})
		if err != nil {
			return 0, fmt.Errorf("take numbers from the store: %w", err)
		}
		l.until = until
	}
	n := l.next
	l.next++
	return n, nil
}

// newIno returns a number that no node ever had.
func (x *tx) newIno() (Ino, error) {
	n, err := x.s.take(&x.s.inos)
	return Ino(n), err
}

// seq returns this transaction's place among the local changes.
func (x *tx) seq() (Seq, error) {
	if x.seqNum == 0 {
		n, err := x.s.take(&x.s.seqs)
		if err != nil {
			return 0, err
		}
		x.seqNum = Seq(n)
	}
	return x.seqNum, nil
}

func (x *tx) count(d DriveNum, known, localOnly int64) {
	if known == 0 && localOnly == 0 {
		return
	}
	if x.counts == nil {
		x.counts = map[DriveNum]counts{}
	}
	c := x.counts[d]
	c.known += known
	c.localOnly += localOnly
	x.counts[d] = c
}

// readCounts returns the counters as stored, without what this transaction adds.
func (x *tx) readCounts(d DriveNum) (counts, error) {
	v, err := x.value(metaDriveKey(metaCount, d))
	if err != nil || v == nil {
		return counts{}, err
	}
	dec := decoder{b: v}
	dec.begin()
	c := counts{known: dec.int(), localOnly: dec.int()}
	return c, dec.end("counters")
}

func (x *tx) event(e Event) { x.events = append(x.events, e) }
