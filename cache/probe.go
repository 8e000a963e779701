package cache

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/duskfs/duskfs/cache/content"
)

// Badger does not notice every damage of its files, and of some it dies in a goroutine of its own.
// So rows that are not as the last process left them are looked at before they are used, in another
// process if the caller offers one; and a file of our own, head, remembers how many changes they
// must hold.

const (
	rowsDir   = "rows"
	bodiesDir = "bodies"
	headFile  = "head"
	cleanFile = "clean"
)

// ErrDamaged, with a wrapped cause, is said of rows that cannot be trusted: by Probe, and by what meets one.
var ErrDamaged = errors.New("the rows are damaged")

// Probe reads all rows of the store in dir, which nobody may have open, and says whether they are as
// they were written: nil, ErrDamaged with the reason, or an error that says nothing about them. On
// some damage it does not return: run it in a process of its own.
func Probe(dir string) (err error) {
	rows := filepath.Join(dir, rowsDir)
	if err := reachable(rows); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	o := storeOptions(rows).WithChecksumVerificationMode(options.OnTableAndBlockRead)
	db, err := openBadger(rows, o)
	if err != nil {
		return err
	}
	return errors.Join(readAll(db, dir), db.Close())
}

// readAll reads every row and compares their number of changes with the head.
func readAll(db *badger.DB, dir string) error {
	if err := db.VerifyChecksum(); err != nil {
		return damaged(err)
	}
	commits := uint64(0)
	err := db.View(func(t *badger.Txn) error {
		it := t.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			if err := item.Value(func(v []byte) error {
				// Badger calls a value that it cannot read empty.
				if len(v) == 0 && item.ValueSize() > 0 {
					return fmt.Errorf("the value of row %q cannot be read", item.Key())
				}
				return nil
			}); err != nil {
				return err
			}
		}
		item, err := t.Get(metaKey(metaCommits))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error { commits = number(v); return nil })
	})
	if err != nil {
		return damaged(err)
	}
	if least := readHead(dir).least(); commits < least {
		return fmt.Errorf("%w: they hold %d changes, and %d were made", ErrDamaged, commits, least)
	}
	return nil
}

// damaged calls an error of badger damage, unless it is about this machine.
func damaged(err error) error {
	for _, not := range []syscall.Errno{
		syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO,
	} {
		// Badger keeps the text of an error, and not the error.
		if errors.Is(err, not) || strings.Contains(err.Error(), not.Error()) {
			return err
		}
	}
	if strings.Contains(err.Error(), "unsupported version") {
		return fmt.Errorf("%w: %w", ErrReplaced, err)
	}
	if strings.Contains(err.Error(), "directory lock") {
		return err // somebody else has them open
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// reachable fails if a file of the rows cannot be opened: that is no damage.
func reachable(rows string) error {
	entries, err := os.ReadDir(rows)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.OpenFile(filepath.Join(rows, e.Name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// sound looks at the rows before they are opened, and says why they cannot be used: nil, ErrDamaged,
// or an error that says nothing about them.
func (s *Store) sound(wasClean bool) error {
	rows := filepath.Join(s.dir, rowsDir)
	if _, err := os.Lstat(filepath.Join(rows, badger.ManifestFilename)); errors.Is(err, fs.ErrNotExist) {
		return s.begun(rows)
	} else if err != nil {
		return err
	}
	if wasClean {
		return nil
	}
	if s.o.Probe != nil {
		return s.o.Probe(s.dir)
	}
	return Probe(s.dir)
}

// begun tells a fresh store from one whose rows are gone.
func (s *Store) begun(rows string) error {
	for _, gone := range []string{filepath.Join(s.dir, headFile), filepath.Join(rows, "*.sst"), filepath.Join(rows, "*.vlog"), filepath.Join(s.dir, bodiesDir, "??", "*")} {
		if found, err := filepath.Glob(gone); err == nil && len(found) > 0 {
			return fmt.Errorf("%w: most of them are missing", ErrDamaged)
		}
	}
	return nil
}

// --- head: how many changes the rows hold

// head says how many changes were synced, and how many were made in one boot of the machine: those
// survive the end of the process, but not a power cut.
type head struct {
	synced, made, boot uint64
}

const headSize = 3*8 + 4

var headTable = crc32.MakeTable(crc32.Castagnoli)

// write replaces the head in its place: half of it counts as none.
func (h head) write(f *os.File) error {
	b := make([]byte, 0, headSize)
	for _, n := range []uint64{h.synced, h.made, h.boot} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, headTable))
	_, err := f.WriteAt(b, 0)
	return err
}

// readHead reads the head of the store in dir, the zero value if there is none that can be believed.
func readHead(dir string) head {
	b, err := os.ReadFile(filepath.Join(dir, headFile))
	if err != nil || len(b) != headSize || binary.BigEndian.Uint32(b[headSize-4:]) != crc32.Checksum(b[:headSize-4], headTable) {
		return head{}
	}
	return head{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}
}

// least is the number of changes that the rows must hold, 0 if that is not known.
func (h head) least() uint64 {
	if h.boot != 0 && h.boot == bootNumber() {
		return max(h.synced, h.made)
	}
	return h.synced
}

// bootNumber tells this boot of the machine from others; 0 where nobody knows.
func bootNumber() uint64 {
	id := content.Boot()
	if id == "" {
		return 0
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(id)) // a hash takes everything
	return sum.Sum64()
}

// --- clean: what the rows look like after a good end

// rowFile is what is recorded of a file of the rows.
type rowFile struct {
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	Time  int64  `json:"time"` // of the last change, in Unix nanoseconds
	Inode uint64 `json:"inode"`
	// Changed is when anything about the file changed, which nobody can set.
	Changed int64 `json:"changed"`
}

// fingerprint tells whether anybody has touched the rows since.
func fingerprint(rows string) ([]byte, error) {
	entries, err := os.ReadDir(rows)
	if err != nil {
		return nil, err
	}
	var list []rowFile
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			return nil, err
		}
		if e.Name() == "LOCK" {
			continue // badger's own, made anew each time
		}
		list = append(list, rowFileOf(st))
	}
	return json.Marshal(list)
}

func rowFileOf(st fs.FileInfo) rowFile {
	f := rowFile{Name: st.Name(), Size: st.Size()}
	f.Time, f.Changed, f.Inode = content.StampOf(st)
	return f
}

// closedWell reports whether the last process ended well, met nothing that speaks against the rows, and left them as they
// are.
func (s *Store) closedWell() bool {
	if _, err := os.Lstat(filepath.Join(s.dir, doubtFile)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	was, err := os.ReadFile(filepath.Join(s.dir, cleanFile))
	if err != nil {
		return false
	}
	is, err := fingerprint(filepath.Join(s.dir, rowsDir))
	return err == nil && string(was) == string(is)
}
