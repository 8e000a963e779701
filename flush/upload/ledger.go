package upload

import (
	"errors"
	"path"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

// entry is a file or folder of the source while it is looked at or sent.
type entry struct {
	ino   cache.Ino // a number for this run
	path  string    // in the source; "" is the top
	name  string    // that the remote has or gets
	dir   bool
	up    *entry // folder that it is in; nil for the top and what is above
	stamp cache.Stamp
	row   cache.CopyRow // Base is nil if the remote does not have it

	local  string // on the disk
	link   bool   // reached by a symbolic link
	fresh  bool   // a folder that was made in this run: nothing of ours is in it
	failed bool   // a folder that could not be made
	whole  bool   // a folder of which all was looked at
	step   int    // of the plan under way that makes it, -1 if none
	open   bool   // a folder being walked through
	sealed cache.Stamp
}

func (e *entry) item() graph.ItemID {
	if e.row.Base == nil {
		return ""
	}
	return e.row.Base.Item
}

// node is the entry as package push and package merge see it.
func (e *entry) node() cache.Node {
	n := cache.Node{Ino: e.ino, Parent: topIno, Name: e.name, Dir: e.dir, Size: e.stamp.Size, Mtime: e.stamp.Mtime, Base: e.row.Base, Seq: seqOf(e)}
	if e.up != nil {
		n.Parent = e.up.ino
	}
	return n
}

// seqOf is the sequence of an entry: it does not change as long as the run has it.
func seqOf(e *entry) cache.Seq { return cache.Seq(e.ino) }

const topIno cache.Ino = 1

// ledger records the steps of an upload in its cache.Copy, for package push.
type ledger struct {
	copy *cache.Copy
	now  func() time.Time

	mu      sync.Mutex // guards what follows, and the fields of entries that steps change
	last    cache.Ino
	entries map[cache.Ino]*entry
	inos    map[string]cache.Ino    // of entries whose upload may go on
	gone    map[graph.ItemID]string // paths whose deletion is planned
}

var (
	_ push.Outbox = (*ledger)(nil)
	_ push.Nodes  = (*ledger)(nil)
	_ push.Bodies = (*ledger)(nil)
)

func newLedger(c *cache.Copy, now func() time.Time) *ledger {
	return &ledger{copy: c, now: now, last: topIno, entries: map[cache.Ino]*entry{}, inos: map[string]cache.Ino{}, gone: map[graph.ItemID]string{}}
}

// add gives an entry its number.
func (l *ledger) add(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.ino == 0 {
		if ino, ok := l.inos[e.path]; ok {
			e.ino = ino
		} else {
			l.last++
			e.ino = l.last
		}
	}
	l.entries[e.ino] = e
}

// settle forgets all entries but the folders being walked through.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ino, e := range l.entries {
		if e.step = -1; !e.open {
			delete(l.entries, ino)
		}
	}
	l.gone = map[graph.ItemID]string{}
}

// goes takes the paths of items that are going to be deleted.
func (l *ledger) goes(paths map[graph.ItemID]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = paths
}

// going returns the path of an item that is being deleted.
func (l *ledger) going(item graph.ItemID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone[item]
}

func (l *ledger) entry(ino cache.Ino) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[ino]
}

func (l *ledger) sealed(e *entry, s cache.Stamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.stamp, e.sealed = s, trusted(s, l.now())
}

// Get implements push.Nodes.
func (l *ledger) Get(ino cache.Ino) (cache.Node, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[ino]
	if e == nil {
		return cache.Node{}, cache.ErrNotExist
	}
	return e.node(), nil
}

// Held implements push.Nodes: nobody's handles are known.
func (l *ledger) Held(cache.Ino) int { return 0 }

// Readers implements push.Nodes.
func (l *ledger) Readers(cache.DriveNum, graph.ItemID) ([]cache.Node, error) { return nil, nil }

// Local implements push.Bodies.
func (l *ledger) Local(ino cache.Ino) (push.Body, error) {
	e := l.entry(ino)
	if e == nil {
		return nil, cache.ErrNotExist
	}
	f, err := openFile(e.local, e.link)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f: f, e: e, l: l, size: st.Size(), time: st.ModTime().UTC()}, nil
}

// step is the record of an attempt.
func (l *ledger) step(a cache.Attempt) (cache.CopyStep, *entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if plan.Op(a.Op) == plan.Delete {
		p, ok := l.gone[a.Item]
		if !ok {
			return cache.CopyStep{}, nil, cache.ErrStale
		}
		return cache.CopyStep{Path: p, Attempt: a}, nil, nil
	}
	e := l.entries[a.Ino]
	if e == nil || e.item() != a.Item {
		return cache.CopyStep{}, nil, cache.ErrStale
	}
	stamp := e.sealed
	if e.dir || plan.Op(a.Op) == plan.Touch {
		stamp = trusted(e.stamp, l.now())
	}
	s := cache.CopyStep{Path: e.path, Dir: e.dir, Stamp: stamp, Attempt: a}
	if plan.Op(a.Op) == plan.Touch {
		s.Hash = e.row.Hash
	}
	return s, e, nil
}

// Begin implements push.Outbox.
func (l *ledger) Begin(a cache.Attempt) (cache.Node, error) {
	s, e, err := l.step(a)
	if err != nil {
		return cache.Node{}, err
	}
	if s.Path != above && lasting(a) {
		if err := l.copy.Begin(s); err != nil {
			return cache.Node{}, err
		}
	}
	if e == nil {
		return cache.Node{}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.node(), nil
}

// above is the path of folders above the top, of which nothing is kept.
const above = "\x00"

// Intend implements push.Outbox.
func (l *ledger) Intend(a cache.Attempt) error {
	s, _, err := l.step(a)
	if err != nil {
		return err
	}
	if !lasting(a) {
		return l.copy.End(s.Path)
	}
	return l.copy.Begin(s)
}

// Commit implements push.Outbox.
func (l *ledger) Commit(a cache.Attempt, item graph.Item) (cache.Node, error) {
	s, e, err := l.step(a)
	if err != nil {
		return cache.Node{}, err
	}
	var row cache.CopyRow
	if s.Path == above {
		row = cache.CopyRow{Path: above, Dir: true, Base: l.copy.BaseOf(nil, item)}
	} else if row, err = l.copy.Commit(s, item); err != nil {
		return cache.Node{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.row, e.name = row, row.Base.Name
	delete(l.inos, e.path)
	return e.node(), nil
}

// Deleted implements push.Outbox.
func (l *ledger) Deleted(a cache.Attempt) error {
	s, _, err := l.step(a)
	if err != nil {
		return err
	}
	return errors.Join(l.copy.Drop(s.Path), l.copy.End(s.Path))
}

// Forget implements push.Outbox.
func (l *ledger) Forget(a cache.Attempt) error {
	s, _, err := l.step(a)
	if err != nil || s.Path == above {
		return nil // nothing is kept of it
	}
	return l.copy.End(s.Path)
}

// Missed implements push.Outbox: what is in the drive is looked up by its place.
func (l *ledger) Missed(a cache.Attempt) error { return l.Forget(a) }

// Apart implements push.Outbox. Nothing is called otherwise here than there.
func (l *ledger) Apart(cache.Attempt) (string, error) { return "", nil }

// Fail implements push.Outbox. Every upload tries everything, so that nothing is kept of the deferral.
func (l *ledger) Fail(a cache.Attempt, _ cache.Deferral) error { return l.Forget(a) }

// Doubt implements push.Outbox. The step stays under way, and whoever comes next looks.
func (l *ledger) Doubt(cache.Attempt, cache.Deferral) error { return nil }

// Adopt implements push.Outbox: the bytes are those of the base after all.
func (l *ledger) Adopt(ino cache.Ino, seq cache.Seq) error {
	l.mu.Lock()
	e := l.entries[ino]
	if e == nil || seqOf(e) != seq {
		l.mu.Unlock()
		return cache.ErrStale
	}
	e.row.Stamp, e.row.Hash, e.row.Theirs = e.sealed, e.row.Base.Hash, false
	row := e.row
	l.mu.Unlock()
	return l.copy.Put(row)
}

// lasting reports whether a step that a process left under way has to be looked at. One that makes or deletes, done
// again, finds what the first has done; bytes may be others by then, and a session can be gone on with.
func lasting(a cache.Attempt) bool {
	bytes := plan.Op(a.Op) == plan.Create || plan.Op(a.Op) == plan.Replace
	return bytes && (a.Session != "" || a.Size == 0)
}

// Attempts implements push.Outbox: what an earlier process left under way.
func (l *ledger) Attempts() ([]cache.Attempt, error) {
	steps, err := l.copy.Steps()
	if err != nil {
		return nil, err
	}
	var list []cache.Attempt
	for _, s := range steps {
		a := s.Attempt
		if !lasting(a) {
			if err := l.copy.End(s.Path); err != nil {
				return nil, err
			}
			continue
		}
		row, ok, err := l.copy.Get(s.Path)
		if err != nil {
			return nil, err
		}
		if !ok {
			row = cache.CopyRow{Path: s.Path, Dir: s.Dir}
		}
		if a.Item == "" {
			row.Base = nil
		}
		e := &entry{path: s.Path, name: path.Base(s.Path), dir: s.Dir, stamp: s.Stamp, sealed: s.Stamp, row: row, step: -1}
		if e.item() != a.Item { // the row has gone on
			if err := l.copy.End(s.Path); err != nil {
				return nil, err
			}
			continue
		}
		l.add(e)
		l.mu.Lock()
		l.inos[s.Path] = e.ino
		l.mu.Unlock()
		a.Ino, a.Seq = e.ino, seqOf(e)
		list = append(list, a)
	}
	return list, nil
}
