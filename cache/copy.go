package cache

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// Copy is the door for upload: what is known of the copy that a drive has of a plain folder of this
// machine. It has nothing to do with the tree of the drive. Paths start at the top of the folder, which is
// "", and are spelled as the disk spells them.
type Copy struct {
	s   *Store
	num uint32
}

// CopyKey says which copy is meant: of a folder, at a path of a drive.
type CopyKey struct {
	Drive  graph.DriveID
	Folder string // absolute, free of links
	Target string // from the root of the drive, where the content of the folder goes
}

// CopyInfo is what is known of a copy as a whole.
type CopyInfo struct {
	CopyKey
	Num uint32
	// Link is the place in the drive's change feed up to which the rows are right, empty if there is none.
	Link graph.Link
	// Epoch counts how often the remote had to be compared anew, by listing; see CopyRow.Epoch.
	Epoch uint64
	// Receipt is the receipt of the upload under way, empty if there is none.
	Receipt string
	// Ended is when an upload last came to its end, zero if none has.
	Ended time.Time
}

// CopyRow is a file or folder of which the remote has, or had, a copy.
type CopyRow struct {
	Path string
	Dir  bool
	// Stamp of the file when it was found to have the bytes of Base, or was given up in favour of theirs.
	Stamp Stamp
	// Hash is of the bytes that the file had then. The remote may have made others of them (Q14).
	Hash graph.Hash
	// Base is the remote state last agreed on; nil if the remote has lost it.
	Base *Base
	// Theirs: the remote's other version stands until the file changes again.
	Theirs bool
	// Epoch of a folder is that of the copy when all that is in it was compared with the remote.
	Epoch uint64
}

// Stamp tells whether a file has changed without reading it.
type Stamp struct {
	Size  int64
	Mtime time.Time // zero: nothing may be concluded from the stamp
	Ctime time.Time
	Inode uint64
}

// CopyStep is a step under way, as Attempt is for the tree. Attempt.Ino means nothing.
type CopyStep struct {
	Path  string
	Dir   bool
	Stamp Stamp
	Attempt
}

const metaCopy = "copy/"

func copyKey(kind byte, num uint32, rest string) []byte {
	return append(be32(append(make([]byte, 0, 5+len(rest)), kind), num), rest...)
}

// Copy returns the copy with a key, and makes it known if needed.
func (s *Store) Copy(k CopyKey) (*Copy, error) {
	var c *Copy
	err := s.update(grows, func(x *tx) error {
		last := uint32(0)
		err := x.each(metaKey(metaCopy), nil, func(_, v []byte) (bool, error) {
			var i CopyInfo
			if err := decodeJSON(v, &i); err != nil {
				return false, err
			}
			last = max(last, i.Num)
			if graph.SameDrive(i.Drive, k.Drive) && i.Folder == k.Folder && i.Target == k.Target {
				c = &Copy{s: s, num: i.Num}
			}
			return c == nil, nil
		})
		if err != nil || c != nil {
			return err
		}
		c = &Copy{s: s, num: last + 1}
		return c.setInfo(x, CopyInfo{CopyKey: k, Num: c.num})
	})
	return c, err
}

// Info returns what is known of the copy as a whole.
func (c *Copy) Info() (i CopyInfo, err error) {
	err = c.s.view(func(x *tx) error {
		v, err := x.value(metaDriveKey(metaCopy, DriveNum(c.num)))
		if err != nil || v == nil {
			return err
		}
		return decodeJSON(v, &i)
	})
	return i, err
}

// SetInfo changes it; key and number stay.
func (c *Copy) SetInfo(i CopyInfo) error {
	return c.s.update(grows, func(x *tx) error {
		i.Num, i.Ended = c.num, plain(i.Ended)
		return c.setInfo(x, i)
	})
}

func (c *Copy) setInfo(x *tx, i CopyInfo) error {
	b, err := encodeJSON(i)
	if err != nil {
		return err
	}
	return x.set(metaDriveKey(metaCopy, DriveNum(c.num)), b)
}

// Get returns the row of a path; ok is false if there is none.
func (c *Copy) Get(path string) (r CopyRow, ok bool, err error) {
	err = c.s.view(func(x *tx) error {
		r, ok, err = c.row(x, path)
		return err
	})
	return r, ok, err
}

func (c *Copy) row(x *tx, path string) (CopyRow, bool, error) {
	v, err := x.value(copyKey(rowCopy, c.num, path))
	if err != nil || v == nil {
		return CopyRow{}, false, err
	}
	r, err := decodeCopyRow(path, v)
	return r, err == nil, err
}

// Find returns the row of an item; ok is false if there is none.
func (c *Copy) Find(item graph.ItemID) (r CopyRow, ok bool, err error) {
	err = c.s.view(func(x *tx) error {
		v, err := x.value(copyKey(rowCopyItem, c.num, string(item)))
		if err != nil || v == nil {
			return err
		}
		r, ok, err = c.row(x, string(v))
		return err
	})
	return r, ok, err
}

// Rows returns up to max rows whose paths begin with prefix and come after a path (empty: from the first),
// in the order of their bytes.
func (c *Copy) Rows(prefix, after string, max int) (list []CopyRow, err error) {
	err = c.s.view(func(x *tx) error {
		var from []byte
		if after != "" {
			from = copyKey(rowCopy, c.num, after+"\x00")
		}
		return x.each(copyKey(rowCopy, c.num, prefix), from, func(k, v []byte) (bool, error) {
			r, err := decodeCopyRow(string(k[5:]), v)
			list = append(list, r)
			return len(list) < max, err
		})
	})
	return list, err
}

// Put stores rows. Of two that claim one item the later has it, and the other loses its base.
func (c *Copy) Put(rows ...CopyRow) error {
	for part := range slices.Chunk(rows, partRows/4) {
		err := c.s.update(grows, func(x *tx) error {
			for _, r := range part {
				if err := c.put(x, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Copy) put(x *tx, r CopyRow) error {
	old, known, err := c.row(x, r.Path)
	if err != nil {
		return err
	}
	if known && old.Base != nil && (r.Base == nil || r.Base.Item != old.Base.Item) {
		if err := c.disclaim(x, old.Path, old.Base.Item); err != nil {
			return err
		}
	}
	if r.Base != nil {
		key := copyKey(rowCopyItem, c.num, string(r.Base.Item))
		v, err := x.value(key)
		if err != nil {
			return err
		}
		if other := string(v); v != nil && other != r.Path {
			o, ok, err := c.row(x, other)
			if err != nil {
				return err
			}
			if o.Base = nil; ok {
				if err := x.set(copyKey(rowCopy, c.num, other), encodeCopyRow(&o)); err != nil {
					return err
				}
			}
		}
		if err := x.set(key, []byte(r.Path)); err != nil {
			return err
		}
	}
	return x.set(copyKey(rowCopy, c.num, r.Path), encodeCopyRow(&r))
}

// disclaim takes an item from the index if it is there for a path.
func (c *Copy) disclaim(x *tx, path string, item graph.ItemID) error {
	key := copyKey(rowCopyItem, c.num, string(item))
	v, err := x.value(key)
	if err != nil || string(v) != path {
		return err
	}
	return x.del(key)
}

// Drop forgets rows and everything below them.
func (c *Copy) Drop(paths ...string) error {
	for _, p := range paths {
		for {
			rows, err := c.Rows(p+"/", "", partRows/4)
			if err != nil {
				return err
			}
			more := len(rows) > 0
			if !more {
				rows = []CopyRow{{Path: p}}
			}
			err = c.s.update(shrinks, func(x *tx) error {
				for _, r := range rows {
					if err := c.drop(x, r.Path); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
	}
	return nil
}

func (c *Copy) drop(x *tx, path string) error {
	r, ok, err := c.row(x, path)
	if err != nil || !ok {
		return err
	}
	if r.Base != nil {
		if err := c.disclaim(x, path, r.Base.Item); err != nil {
			return err
		}
	}
	return x.del(copyKey(rowCopy, c.num, path))
}

// Begin records that a step starts, or more of one that has: its session, its hash.
func (c *Copy) Begin(s CopyStep) error {
	return c.s.update(grows, func(x *tx) error {
		if s.Started.IsZero() {
			s.Started = x.now
		}
		b, err := encodeJSON(s)
		if err != nil {
			return err
		}
		return x.set(copyKey(rowCopyStep, c.num, s.Path), b)
	})
}

// Commit records that the remote has what a step sent, as item, and returns the row.
func (c *Copy) Commit(s CopyStep, item graph.Item) (r CopyRow, err error) {
	err = c.s.update(shrinks, func(x *tx) error {
		var known bool
		if r, known, err = c.row(x, s.Path); err != nil {
			return err
		}
		if !known || r.Dir != s.Dir {
			r = CopyRow{Path: s.Path, Dir: s.Dir}
		}
		r.Stamp, r.Hash, r.Theirs = s.Stamp, s.Hash, false
		r.Base = newBase(r.Base, item, x.now)
		if err := c.put(x, r); err != nil {
			return err
		}
		return x.del(copyKey(rowCopyStep, c.num, s.Path))
	})
	return r, err
}

// End records that a step did nothing.
func (c *Copy) End(path string) error {
	return c.s.update(shrinks, func(x *tx) error { return x.del(copyKey(rowCopyStep, c.num, path)) })
}

// Steps returns the steps under way.
func (c *Copy) Steps() (list []CopyStep, err error) {
	err = c.s.view(func(x *tx) error {
		return x.each(copyKey(rowCopyStep, c.num, ""), nil, func(_, v []byte) (bool, error) {
			var s CopyStep
			err := decodeJSON(v, &s)
			list = append(list, s)
			return true, err
		})
	})
	return list, err
}

// BaseOf makes the base that an item is, after what was agreed before (nil: nothing).
func (c *Copy) BaseOf(before *Base, item graph.Item) *Base { return newBase(before, item, c.s.now()) }

const (
	copyDir = 1 << iota
	copyBase
	copyTheirs
	copyBaseName
	copyBaseDir
)

func encodeCopyRow(r *CopyRow) []byte {
	e := encoder(append(make([]byte, 0, 320), codecVersion))
	var flags uint64
	for f, on := range map[uint64]bool{
		copyDir: r.Dir, copyBase: r.Base != nil, copyTheirs: r.Theirs,
		copyBaseName: r.Base != nil && r.Base.Name != lastOf(r.Path), copyBaseDir: r.Base != nil && r.Base.Dir,
	} {
		if on {
			flags |= f
		}
	}
	e.uint(flags)
	e.int(r.Stamp.Size)
	e.time(r.Stamp.Mtime)
	e.time(r.Stamp.Ctime)
	e.uint(r.Stamp.Inode)
	e.str(string(r.Hash))
	e.uint(r.Epoch)
	if r.Base != nil {
		if flags&copyBaseName != 0 {
			e.str(r.Base.Name)
		}
		e.base(r.Base)
	}
	return e
}

func decodeCopyRow(path string, b []byte) (CopyRow, error) {
	d := decoder{b: b}
	d.begin()
	flags := d.uint()
	r := CopyRow{Path: path, Dir: flags&copyDir != 0, Theirs: flags&copyTheirs != 0}
	r.Stamp = Stamp{Size: d.int(), Mtime: d.time(), Ctime: d.time(), Inode: d.uint()}
	r.Hash = graph.Hash(d.str())
	r.Epoch = d.uint()
	if flags&copyBase != 0 {
		r.Base = &Base{Name: lastOf(path), Dir: flags&copyBaseDir != 0}
		if flags&copyBaseName != 0 {
			r.Base.Name = d.str()
		}
		d.base(r.Base)
	}
	return r, d.end("row of a copy")
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// copies compares the items of all copies with their index.
func (c *checker) copies() error {
	claimed := map[string]string{}
	err := c.x.each([]byte{rowCopy}, nil, func(k, v []byte) (bool, error) {
		r, err := decodeCopyRow(string(k[5:]), v)
		if err != nil {
			c.find("row %q: %v", k, err)
			return true, nil
		}
		if r.Base != nil {
			key := string(copyKey(rowCopyItem, binary.BigEndian.Uint32(k[1:5]), string(r.Base.Item)))
			if other, twice := claimed[key]; twice {
				c.find("%q and %q are copies with one item", other, r.Path)
			}
			claimed[key] = r.Path
		}
		return true, c.ctx.Err()
	})
	if err != nil {
		return err
	}
	err = c.x.each([]byte{rowCopyItem}, nil, func(k, v []byte) (bool, error) {
		if path, ok := claimed[string(k)]; !ok || path != string(v) {
			c.find("row %q says %q, which has another item", k, v)
		}
		delete(claimed, string(k))
		return true, c.ctx.Err()
	})
	for k, path := range claimed {
		c.find("row %q of %q is missing", k, path)
	}
	if err != nil {
		return fmt.Errorf("compare copies: %w", err)
	}
	return nil
}
