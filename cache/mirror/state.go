package mirror

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// What a mirror remembers, as rows of a ledger. The values are JSON.
//
//	m/feed     feed     how far the change feed was read
//	m/rolling  string   the item at which the rolling re-read of permissions goes on
//	m/telling  telling  the report that is being published
//	m/owed/R   owed     report R was written and not delivered yet
//	i/ITEM     item     what the service last told of an item
//	p/PATH     place    what lies at a path here, and what reports have told of it
//	g/LIST     []string a list of permissions; many files have the same
//	e/PATH     event    something that happened here and no report has told yet
//	x/PATH     item id  a place that is to be cleared in this run
const (
	feedKey    = "m/feed"
	rollingKey = "m/rolling"
	tellingKey = "m/telling"
	owedRows   = "m/owed/"
	itemRows   = "i/"
	placeRows  = "p/"
	listRows   = "g/"
	eventRows  = "e/"
	clearRows  = "x/"
)

// feed is how far the change feed was read.
type feed struct {
	Link graph.Link
	// Complete: all up to Link was read. What is known in the midst of a series of pages is never acted on.
	Complete bool
	// Full is the number of the enumeration under way or not compared yet, 0 if none is.
	Full uint64
	// Cycle counts the series of pages; an enumeration has the number of its cycle.
	Cycle uint64
	// Checked is when an enumeration was last compared with what is known.
	Checked time.Time
}

// item is what the service last told of an item, and what was read of it.
type item struct {
	Parent graph.ItemID `json:"p,omitempty"`
	Name   string       `json:"n,omitempty"`
	Type   graph.Type   `json:"t"`
	Root   bool         `json:"r,omitempty"`
	Ver    version      `json:"v"`
	Mtime  int64        `json:"m,omitempty"` // nanoseconds; 0 is unknown
	Gone   bool         `json:"x,omitempty"`
	// Seen is the enumeration that last brought it, 0 if none did.
	Seen uint64 `json:"s,omitempty"`
	// Shared is the cycle in which who may see it, and for a folder what is below it, may have changed.
	Shared uint64 `json:"c,omitempty"`
	Perm   *perm  `json:"a,omitempty"`
	// From is where reports have told of it, while it is on its way elsewhere.
	From string `json:"f,omitempty"`
	// Staged is a file of it that is on its way to its place: complete, and named by part.
	Staged *staged `json:"g,omitempty"`
}

// version is a graph.Version with short names.
type version struct {
	Hash graph.Hash `json:"h,omitempty"`
	Size int64      `json:"s,omitempty"`
	ETag string     `json:"e,omitempty"`
	CTag string     `json:"c,omitempty"`
}

func versionOf(v graph.Version) version { return version{v.Hash, v.Size, v.ETag, v.CTag} }

func (v version) graph() graph.Version {
	return graph.Version{Hash: v.Hash, Size: v.Size, ETag: v.ETag, CTag: v.CTag}
}

func (v version) same(o version) bool { return v.graph().Same(o.graph()) }

// perm is who may see an item, as last read.
type perm struct {
	List  string `json:"l"`           // name of the list
	Tag   string `json:"t,omitempty"` // eTag of the item when it was read; "" if it has to be read again
	Cycle uint64 `json:"c"`           // in which it was read
	At    int64  `json:"a"`           // seconds
	Until int64  `json:"u,omitempty"` // seconds; when the first of them ends, 0 if none does
}

// place is a path in the mirrored folder.
type place struct {
	Here *here `json:"h,omitempty"`
	// Coming is what is about to be put here. A run that was cut short meanwhile has done so or not, as the look of
	// the file tells.
	Coming *here `json:"c,omitempty"`
	Told   *told `json:"t,omitempty"`
	// Telling is what the report that is being published tells of it.
	Telling *word `json:"n,omitempty"`
}

// word is what a report tells of a path: what Told is afterwards.
type word struct {
	Told *told `json:"t,omitempty"`
}

// telling is a report that is being published: it is written under the name Temp, and then has the name Name. Whether
// that happened decides what was told.
type telling struct {
	Logs, Temp, Name string
	Permissions      bool
}

// here is what lies at a path: of which item, which version, and how the file looks.
type here struct {
	Item graph.ItemID `json:"i"`
	Dir  bool         `json:"d,omitempty"`
	Ver  version      `json:"v"`
	Stat stat         `json:"s"`
	Mod  int64        `json:"m,omitempty"` // the time that the drive had for it, as item.Mtime
	List string       `json:"l,omitempty"` // permissions; "" is unknown
	From string       `json:"f,omitempty"` // where reports have told of it before it came here
	// Turn counts the changes of bytes that the hash does not show.
	Turn int `json:"u,omitempty"`
}

// told is what reports have told of a path.
type told struct {
	Item graph.ItemID `json:"i"`
	Ver  version      `json:"v"`
	List string       `json:"l,omitempty"`
	Turn int          `json:"u,omitempty"`
}

// stat tells a file that was put here from one that was changed since.
type stat struct {
	Size  int64  `json:"s"`
	Mtime int64  `json:"m"` // nanoseconds
	Inode uint64 `json:"i"`
}

// staged is how a file on its way looks, and which version it has.
type staged struct {
	Stat stat    `json:"s"`
	Ver  version `json:"v"`
}

// event is something that happened here, not there.
type event struct {
	Reason string `json:"reason"`
	Saved  string `json:"saved,omitempty"` // path of what was saved aside
}

// owed is a report that was not delivered yet.
type owed struct {
	Permissions bool `json:"p"`
}

// state is the ledger with rows that have types.
type state struct{ l *cache.Ledger }

// read gets a row; ok is false if there is none.
func read[T any](s state, key string) (v T, ok bool, err error) {
	b, err := s.l.Get(key)
	if err != nil || b == nil {
		return v, false, err
	}
	return v, true, decode(key, b, &v)
}

func decode(key string, b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("the row %s of the mirror's state is damaged: %w", key, err)
	}
	return nil
}

// rows yields the rows with a prefix, and their keys without it.
func rows[T any](s state, prefix string) iter.Seq2[string, rowOf[T]] {
	return func(yield func(string, rowOf[T]) bool) {
		for r, err := range s.l.Scan(prefix) {
			var v rowOf[T]
			v.err = err
			if err == nil {
				v.err = decode(r.Key, r.Value, &v.v)
			}
			key := ""
			if err == nil {
				key = r.Key[len(prefix):]
			}
			if !yield(key, v) || v.err != nil {
				return
			}
		}
	}
}

type rowOf[T any] struct {
	v   T
	err error
}

// row makes a row to write. nil takes it away.
func row(key string, v any) cache.Row {
	if v == nil {
		return cache.Row{Key: key}
	}
	b, err := json.Marshal(v)
	if err != nil { // plain values always marshal
		b = []byte("null")
	}
	return cache.Row{Key: key, Value: b}
}

func itemRow(id graph.ItemID, i item) cache.Row { return row(itemRows+string(id), i) }

// placeRow writes a place, or takes away one that has nothing left.
func placeRow(path string, p place) cache.Row {
	if p.Here == nil && p.Coming == nil && p.Told == nil && p.Telling == nil {
		return row(placeRows+path, nil)
	}
	return row(placeRows+path, p)
}

func (s state) item(id graph.ItemID) (item, bool, error) { return read[item](s, itemRows+string(id)) }

func (s state) place(path string) (place, error) {
	p, _, err := read[place](s, placeRows+path)
	return p, err
}

func (s state) feed() (feed, error) {
	f, _, err := read[feed](s, feedKey)
	return f, err
}

func (s state) set(rows ...cache.Row) error { return s.l.Set(rows...) }

// writer puts rows together into few writes.
type writer struct {
	s    state
	rows []cache.Row
}

func (w *writer) add(rows ...cache.Row) error {
	if len(w.rows)+len(rows) > cache.MaxRows {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.rows = append(w.rows, rows...)
	return nil
}

func (w *writer) flush() error {
	err := w.s.set(w.rows...)
	w.rows = w.rows[:0]
	return err
}

// clear takes all rows with a prefix away.
func (s state) clear(prefix string) error {
	w := writer{s: s}
	for r, err := range s.l.Scan(prefix) {
		if err == nil {
			err = w.add(row(r.Key, nil))
		}
		if err != nil {
			return err
		}
	}
	return w.flush()
}

// openState opens what a mirror remembers.
func openState(open func() (*cache.Ledger, error)) (state, error) {
	l, err := open()
	var busy *cache.InUseError
	if errors.As(err, &busy) {
		return state{}, fmt.Errorf("this folder is being mirrored by process %d already", busy.PID)
	}
	if errors.Is(err, cache.ErrDamaged) {
		return state{}, fmt.Errorf("the mirror's state cannot be read: %w; remove it and run again: every file is compared by its hash, and told of anew", err)
	}
	if err != nil {
		return state{}, fmt.Errorf("the mirror's state: %w", err)
	}
	return state{l}, nil
}
