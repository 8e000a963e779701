package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"golang.org/x/sys/unix"
)

// Rows can be damaged while they are in use. Badger takes a block that is not what it was for one without rows: what it
// held would be gone without a word, a compaction would make that last, and a good end would make it believed. So we read
// the tables ourselves: each once, and again before a compaction, when its file looks touched, and when a read fails. From
// then on who asks for a row that cannot be read is told ErrDamaged, never that there is none or what there was before; and
// the next start looks at all rows before it believes them.

const (
	// doubtFile says why the rows are not believed at the next start.
	doubtFile = "doubt"
	// lookAfter is how long what reads rows does not look at their files once more.
	lookAfter = 100 * time.Millisecond
)

// guard knows which tables are as they were written, and what cannot be read of the others.
type guard struct {
	dir string // of the store
	log *slog.Logger

	began  time.Time
	looked atomic.Int64           // when the files were last looked at, since began
	lost   atomic.Pointer[[]lost] // nil if nothing is

	mu    sync.Mutex       // guards what follows; comes after S, and nothing but the disk is waited for under it
	known map[uint64]known // the tables
	read  bool             // each was read once
	why   string           // what was met first; empty: nothing
}

// newGuard believes the tables that there are: the caller has looked at them, or knows who left them.
func newGuard(dir string, log *slog.Logger, db *badger.DB) *guard {
	g := &guard{dir: dir, log: log, began: time.Now(), known: map[uint64]known{}}
	for _, t := range db.Tables() {
		if is, err := g.file(t.ID); err == nil {
			g.known[t.ID] = known{file: is, whole: lostWhole(t.Left, t.Right, t.MaxVersion)}
		}
	}
	return g
}

// known is a table as it was when it was last believed, or read.
type known struct {
	file  rowFile
	whole lost   // all of it
	lost  []lost // what cannot be read of it
	why   error  // nil if it is as it was written
}

// lost is a part of a table that cannot be read, by keys.
type lost struct {
	from, to []byte // what may have been there, the last one included
	end      []byte // the end of the table: a scan that comes to what is lost misses all up to here
	version  uint64 // what is newer is not from this table
}

// lostWhole is a whole table, by its first and last key as badger has them.
func lostWhole(first, last []byte, version uint64) lost {
	return lost{from: y.ParseKey(first), to: y.ParseKey(last), end: y.ParseKey(last), version: version}
}

// lostUnknown is a table of which nothing is known.
func lostUnknown() lost {
	last := bytes.Repeat([]byte{0xff}, 16) // no key is longer in 0xff
	return lost{to: last, end: last, version: math.MaxUint64}
}

// hides reports whether a scan of rows from one key to another may miss some.
func (l lost) hides(from, to []byte) bool {
	return bytes.Compare(from, l.to) <= 0 && bytes.Compare(to, l.from) >= 0
}

// miss fails with ErrDamaged if rows from one key to another may be there unseen, or in an older form than the version
// tells; 0 is older than all.
func (g *guard) miss(from, to []byte, version uint64) error {
	all := g.lost.Load()
	if all == nil {
		return nil
	}
	for _, l := range *all {
		if version <= l.version && l.hides(from, to) {
			return fmt.Errorf("%w: a part of a table cannot be read", ErrDamaged)
		}
	}
	return nil
}

// absent is miss for rows that badger says are not there, also if a file was touched just now.
func (g *guard) absent(from, to []byte) error {
	if g.touched(func(t known) bool { return t.whole.hides(from, to) }) {
		_ = g.verify(false) // says so itself
	}
	return g.miss(from, to, 0)
}

// Doubt says why the rows cannot be trusted, empty if nothing speaks against them. The next start looks at them.
func (s *Store) Doubt() string { return s.guard.doubtful() }

func (g *guard) doubtful() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// VerifyRows reads all tables of the rows, and fails with ErrDamaged if one is not as it was written. It returns how many
// there are.
func (s *Store) VerifyRows() (tables int, err error) {
	err = s.guard.verify(true)
	ids, terr := s.guard.tables()
	return len(ids), errors.Join(err, terr)
}

// judge is told how what was done with the rows ended. Damage is noted.
func (g *guard) judge(err error) error {
	if err != nil && errors.Is(err, ErrDamaged) && g.doubtful() == "" {
		_ = g.verify(true) // finds out what is lost, and says so itself
		g.mu.Lock()
		g.note(err)
		g.mu.Unlock()
	}
	return err
}

// panicked says what a panic over the rows tells of them.
func panicked(p any) error {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return fmt.Errorf("%w: a file of them became shorter, or the disk does not give it", ErrDamaged)
	}
	return fmt.Errorf("%w: %.200v", ErrDamaged, p)
}

// badgerPanics reports whether the panic that is under way began in badger, or with a look at a file that has become
// shorter: others are not about the rows.
func badgerPanics() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for thrown := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.panicmemAddr":
			return true
		case thrown && !strings.HasPrefix(f.Function, "runtime."):
			return strings.HasPrefix(f.Function, "github.com/dgraph-io/") || strings.HasPrefix(f.Function, "github.com/google/flatbuffers/")
		}
		thrown = thrown || f.Function == "runtime.gopanic"
		if !more {
			return false
		}
	}
}

// note remembers the first sign of damage, for the next process too. The caller has mu.
func (g *guard) note(err error) {
	if g.why != "" {
		return
	}
	g.why = err.Error()
	g.log.Error("the state is damaged: what cannot be read of it is an error; unmount and mount again: then it is looked at, and if need be moved aside and read from the service anew, and what is unsent is kept",
		"dir", g.dir, "why", g.why)
	if err := writeDoubt(g.dir, g.why); err != nil {
		g.log.Warn("that could not be recorded", "dir", g.dir, "err", err)
	}
}

func writeDoubt(dir, why string) error {
	f, err := os.OpenFile(filepath.Join(dir, doubtFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(why + "\n")
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(dir))
}

// look verifies tables whose files look touched, if nobody has looked for some time. It costs next to nothing.
func (g *guard) look() {
	now, last := int64(time.Since(g.began)), g.looked.Load()
	if now-last < int64(lookAfter) || !g.looked.CompareAndSwap(last, now) {
		return
	}
	if g.touched(func(known) bool { return true }) {
		_ = g.verify(false) // says so itself
	}
}

// touched reports whether some of the tables do not look as they did when they were last believed or read.
func (g *guard) touched(some func(known) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, t := range g.known {
		if !some(t) {
			continue
		}
		if is, err := g.file(id); err != nil || is != t.file {
			return true
		}
	}
	return false
}

func (g *guard) path(id uint64) string { return table.NewFilename(id, filepath.Join(g.dir, rowsDir)) }

func (g *guard) file(id uint64) (rowFile, error) {
	st, err := os.Stat(g.path(id))
	if err != nil {
		return rowFile{}, err
	}
	return rowFileOf(st), nil
}

// tables lists the tables in use. It asks badger's list of them on the disk: to ask badger is to read the tables, with
// locks that a fault would leave taken.
func (g *guard) tables() (map[uint64]bool, error) {
	f, err := os.Open(filepath.Join(g.dir, rowsDir, badger.ManifestFilename))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.Options{})
	if err != nil {
		return nil, damaged(err)
	}
	ids := map[uint64]bool{}
	for id := range m.Tables {
		ids[id] = true
	}
	return ids, nil
}

// verify reads the tables that are new or look touched, or all, as it does the first time. It fails with ErrDamaged if some
// are not as they were written. What cannot be opened is left for another time.
func (g *guard) verify(all bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids, err := g.tables()
	if err != nil {
		if errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: the list of the tables: %w", ErrDamaged, err)
			g.note(err)
		}
		return err
	}
	all = all || !g.read
	g.read = true
	was := g.known
	g.known = map[uint64]known{}
	var missing []lost
	var why error
	for id := range ids {
		t, ok := was[id]
		if !ok {
			t.whole = lostUnknown()
		}
		if is, err := g.file(id); all || err != nil || is != t.file {
			t.file = is
			t.inspect(g.path(id), id)
			if t.why != nil && g.replaced(id) {
				continue // by a compaction, meanwhile
			}
		}
		if t.why == nil || t.lost != nil {
			g.known[id] = t
		} else {
			g.log.Debug("a table of the rows could not be looked at", "table", id, "err", t.why)
		}
		missing = append(missing, t.lost...)
		if t.lost != nil && why == nil {
			why = fmt.Errorf("%w: table %d: %w", ErrDamaged, id, t.why)
		}
	}
	if why == nil {
		g.lost.Store(nil)
		return nil
	}
	g.lost.Store(&missing)
	g.note(why)
	return why
}

// replaced reports whether a table is not in use any more.
func (g *guard) replaced(id uint64) bool {
	ids, err := g.tables()
	return err == nil && !ids[id]
}

// inspect reads a table whole and says in t what of it cannot be read, and why. Nothing is lost if it could not be looked at.
func (t *known) inspect(path string, id uint64) {
	t.lost, t.why = nil, nil
	f, err := os.Open(path)
	if err != nil {
		if t.why = err; errors.Is(err, fs.ErrNotExist) {
			t.lost = []lost{t.whole}
		}
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.why = err
		return
	}
	if st.Size() == 0 {
		t.lost, t.why = []lost{t.whole}, errors.New("it is empty")
		return
	}
	// Mapped, since a table can be large and this happens beside other work.
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.why = err
		return
	}
	defer func() { _ = unix.Munmap(data) }() // it was mapped
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))

	// The index has a checksum, which counts in every mode; blocks are tried one by one.
	o := table.Options{Compression: options.None, ChkMode: options.NoVerification}
	var tab *table.Table
	var keys []string
	if err := quietly(func() (err error) {
		if tab, err = table.OpenInMemoryTable(data, id, &o); err == nil {
			t.whole = lostWhole(tab.Smallest(), tab.Biggest(), tab.MaxVersion())
			keys = tab.KeySplits(math.MaxInt, nil)
		}
		return err
	}); err != nil {
		t.lost, t.why = []lost{t.whole}, err
		return
	}
	o.ChkMode = options.OnBlockRead
	for i, k := range keys {
		if quietly(func() error {
			it := tab.NewIterator(0)
			it.Seek([]byte(k))
			if !it.Valid() {
				return ErrDamaged
			}
			return it.Close()
		}) == nil {
			continue
		}
		l := t.whole
		l.from = y.ParseKey([]byte(k))
		if i+1 < len(keys) {
			l.to = y.ParseKey([]byte(keys[i+1]))
		}
		t.lost = append(t.lost, l)
	}
	if len(t.lost) > 0 {
		t.why = fmt.Errorf("%d of its %d blocks are not as they were written", len(t.lost), len(keys))
	}
}

// quietly turns a panic into an error.
func quietly(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%.200v", p)
		}
	}()
	return fn()
}
