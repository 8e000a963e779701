package cache

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/duskfs/duskfs/cache/content"
)

// Ledger keeps the rows of a job that has no tree of its own here, such as a mirror, in bounded memory: a map from keys
// to values, on the disk, in the order of the keys. One process at a time has it open. All methods are safe for
// concurrent use.
//
// What Set has written survives kill -9, and after Sync a power cut. It is a database of SQLite and not of badger, which
// maps what it reads and needs memory for all of a level that it puts together (docs/decisions/0007).
type Ledger struct {
	db        *sql.DB
	get, scan *sql.Stmt
	set, drop *sql.Stmt
	release   func() error
}

// Row is a key with its value. In Set a nil Value takes the row away.
type Row struct {
	Key   string
	Value []byte
}

const (
	// MaxRows is how many rows one Set takes.
	MaxRows = partRows
	// scanRows is how many rows a scan reads at a time: in between they can change.
	scanRows = 1000

	ledgerFile = "rows.db"
)

// dialect is how a ledger asks its database.
type dialect struct{ get, scan, drop string }

const (
	makeRows = "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID, STRICT"
	setRow   = "INSERT INTO rows VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value"
)

// In a sketch the rows that changed lie over those of the base; NULL is one that was taken away.
var (
	plainly = dialect{
		get:  "SELECT value, value IS NULL FROM rows WHERE key = ?1",
		scan: "SELECT key, value, value IS NULL FROM rows WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
		drop: "DELETE FROM rows WHERE key = ?1",
	}
	sketched = dialect{
		get: "SELECT value, value IS NULL FROM rows WHERE key = ?1 UNION ALL " +
			"SELECT value, value IS NULL FROM base.rows WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM main.rows WHERE key = ?1)",
		scan: "SELECT key, value, value IS NULL FROM rows WHERE key >= ?1 AND key < ?2 UNION ALL " +
			"SELECT key, value, value IS NULL FROM base.rows b WHERE key >= ?1 AND key < ?2 AND NOT EXISTS (SELECT 1 FROM main.rows r WHERE r.key = b.key) " +
			"ORDER BY key LIMIT ?3",
		drop: "INSERT INTO rows VALUES (?1, NULL) ON CONFLICT DO UPDATE SET value = NULL",
	}
)

// OpenLedger opens the ledger in dir, making it if needed. One that another process has open fails with *InUseError.
// ErrNoSpace if the disk is full.
func OpenLedger(dir string) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, plainSQL(err)
	}
	lock, err := lock(dir)
	if err != nil {
		return nil, plainSQL(err)
	}
	return openLedger(filepath.Join(dir, ledgerFile), "", lock.release)
}

// SketchLedger opens a ledger that begins with the rows of the one in dir and keeps what is changed in the folder tmp: in
// dir it writes nothing. Nobody can open the ledger in dir meanwhile; one that somebody has open fails with *InUseError.
// One that does not exist has no rows.
func SketchLedger(dir, tmp string) (*Ledger, error) {
	base, release := filepath.Join(dir, ledgerFile), func() error { return nil }
	lock, err := lockToRead(dir)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		release = lock.Close
	}
	at := filepath.Join(tmp, ledgerFile)
	switch _, err := os.Stat(base); {
	case errors.Is(err, fs.ErrNotExist):
		return openLedger(at, "", release)
	case err != nil:
		return nil, errors.Join(err, release())
	}
	// What a kill left in the log belongs to the rows, and cannot be read without writing: then on a copy.
	if st, err := os.Stat(base + "-wal"); err == nil && st.Size() > 0 {
		for _, suffix := range []string{"", "-wal"} {
			if err := content.CopyFile(base+suffix, at+suffix); err != nil {
				return nil, errors.Join(err, release())
			}
		}
		return openLedger(at, "", release)
	}
	return openLedger(at, base, release)
}

// openLedger opens the database in a file, over that of base if there is one. release is called when it is closed, or
// could not be opened.
func openLedger(file, base string, release func() error) (*Ledger, error) {
	l := &Ledger{release: release}
	if err := l.open(file, base); err != nil {
		return nil, errors.Join(fmt.Errorf("open the ledger %s: %w", file, plainSQL(err)), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(file, base string) error {
	// The database is made as its owner's alone, whatever the umask; so are its other files then.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// One connection, alone with the file: so the index of the log lies in memory (unix-excl), and what is written is in
	// the file or its log before Set returns. The log is synced when it goes into the file, and by Sync.
	v := url.Values{"vfs": {"unix-excl"}, "_pragma": {"journal_mode(wal)", "synchronous(normal)", "cache_size(-8192)"}}
	if l.db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: file, RawQuery: v.Encode()}).String()); err != nil {
		return err
	}
	l.db.SetMaxOpenConns(1)
	if _, err := l.db.Exec(makeRows); err != nil {
		return err
	}
	speak := plainly
	if base != "" {
		speak = sketched
		from := url.URL{Scheme: "file", OmitHost: true, Path: base, RawQuery: "mode=ro&immutable=1"}
		if _, err := l.db.Exec("ATTACH ?1 AS base", from.String()); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{{&l.get, speak.get}, {&l.scan, speak.scan}, {&l.set, setRow}, {&l.drop, speak.drop}} {
		if *s.to, err = l.db.Prepare(s.text); err != nil {
			return err
		}
	}
	return nil
}

// plainSQL gives an error of the database, or of its disk, the words and the identity that others have here.
func plainSQL(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrNoSpace
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return ErrNoSpace
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// value is one as the database gives it: it has the same bytes for none and for an empty one.
type value struct {
	bytes []byte
	none  bool
}

func (v value) get() []byte {
	if v.bytes == nil && !v.none {
		return []byte{}
	}
	return v.bytes
}

// Get returns the value of a key, nil if there is none.
func (l *Ledger) Get(key string) ([]byte, error) {
	var v value
	switch err := l.get.QueryRow([]byte(key)).Scan(&v.bytes, &v.none); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the ledger: %w", plainSQL(err))
	}
	return v.get(), nil
}

// Set writes rows, at most MaxRows, all or none of them. ErrNoSpace if the disk is full.
func (l *Ledger) Set(rows ...Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := l.write(rows); err != nil {
		return fmt.Errorf("write to the ledger: %w", plainSQL(err))
	}
	return nil
}

func (l *Ledger) write(rows []Row) error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	set, drop := tx.Stmt(l.set), tx.Stmt(l.drop)
	for _, r := range rows {
		if r.Value == nil {
			_, err = drop.Exec([]byte(r.Key))
		} else {
			_, err = set.Exec([]byte(r.Key), r.Value)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// Scan yields the rows whose keys begin with a prefix, which is not empty and ASCII, in the order of the keys, as they are
// when it comes to them. The loop may call every method. An error ends it.
func (l *Ledger) Scan(prefix string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for from := prefix; from != ""; {
			rows, err := l.some(prefix, from)
			if err != nil {
				yield(Row{}, fmt.Errorf("read the ledger: %w", plainSQL(err)))
				return
			}
			for _, r := range rows {
				if r.Value != nil && !yield(r, nil) {
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

// some reads the next rows with a prefix, from a key on. In a sketch some may have no value.
func (l *Ledger) some(prefix, from string) (rows []Row, err error) {
	end := []byte(prefix)
	end[len(end)-1]++ // no prefix ends with 0xff
	found, err := l.scan.Query([]byte(from), end, scanRows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var key string
		var v value
		if err := found.Scan(&key, &v.bytes, &v.none); err != nil {
			return nil, err
		}
		rows = append(rows, Row{key, v.get()})
	}
	return rows, found.Err()
}

// Sync makes every change so far survive a power cut.
func (l *Ledger) Sync() error {
	var busy, log, done int
	if err := l.db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil {
		return fmt.Errorf("sync the ledger: %w", plainSQL(err))
	}
	return nil
}

// Close syncs and closes the ledger.
func (l *Ledger) Close() error {
	var errs []error
	for _, s := range []*sql.Stmt{l.get, l.scan, l.set, l.drop} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if l.db != nil {
		errs = append(errs, plainSQL(l.db.Close()))
	}
	return errors.Join(append(errs, l.release())...)
}
