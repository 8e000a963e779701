package fs

import (
	"context"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
)

// Attr are the attributes of a file or folder.
type Attr struct {
	Ino      cache.Ino
	Dir      bool
	Mode     uint32 // permission bits, 07777
	Nlink    uint32 // 1 for files, 2 for folders, 0 for what was removed
	UID, GID uint32
	Size     int64
	Blocks   int64 // of 512 bytes; never 0 for a file that is not empty
	Atime    time.Time
	Mtime    time.Time
	Ctime    time.Time
}

// attr describes a node; b is its open body, or nil.
func (f *FS) attr(n cache.Node, b *body) Attr {
	a := Attr{
		Ino: f.outer(n.Ino), Dir: n.Dir, Mode: n.Mode & 0o7777, Nlink: 1, UID: n.UID, GID: n.GID,
		Size: n.Size, Atime: n.Atime, Mtime: n.Mtime, Ctime: n.Ctime,
	}
	if unowned(n) {
		a.UID, a.GID, a.Mode = f.o.UID, f.o.GID, f.defaultMode(n)
	}
	if d := f.drives[n.Drive]; d != nil && d.readOnly() {
		a.Mode &^= 0o222 // so that access(2) says what a write would meet
	}
	if n.Dir {
		a.Nlink, a.Size = 2, 4096
	}
	if n.Written && b != nil {
		a.Size, a.Mtime = b.file.Size(), b.file.ModTime()
		if w := b.lastWrite(); w.After(a.Ctime) {
			a.Ctime = w
		}
	}
	if n.Removed {
		a.Nlink = 0
	}
	if a.Mtime.IsZero() {
		a.Mtime = f.began
	}
	if a.Ctime.IsZero() {
		a.Ctime = a.Mtime
	}
	if a.Atime.IsZero() {
		a.Atime = a.Mtime
	}
	a.Blocks = f.blocks(n, a.Size, b)
	return a
}

// unowned reports whether a node came from the remote and nobody here has set its mode or owner:
// the tree then has no owner for it.
func unowned(n cache.Node) bool { return n.UID == 0 && n.GID == 0 && n.Base != nil }

// Modes that the tree gives to what comes from the remote.
const treeFileMode, treeDirMode = 0o644, 0o755

// defaultMode is what an unowned node is shown with.
func (f *FS) defaultMode(n cache.Node) uint32 {
	switch {
	case n.Dir && n.Mode == treeDirMode:
		return f.o.DirMode
	case !n.Dir && n.Mode == treeFileMode:
		return f.o.FileMode
	}
	return n.Mode & 0o7777
}

// blocks tells how much of a file is here. It is never 0 for one that is not empty: programs take
// that for a hole and copy zeros.
func (f *FS) blocks(n cache.Node, size int64, b *body) int64 {
	switch {
	case n.Dir:
		return 8
	case size == 0:
		return 0
	case b != nil:
		return max(1, b.file.Blocks())
	}
	return max(1, f.bytes.Blocks(uint64(n.Ino)))
}

// GetAttr returns the attributes of a file or folder. ESTALE if it is gone.
func (f *FS) GetAttr(ctx context.Context, ino cache.Ino) (Attr, error) {
	if f.virtual(ino) {
		return f.shelfAttr(ino), nil
	}
	ino = f.inner(ino)
	b := f.borrow(ino)
	if b != nil {
		defer f.release(b)
	}
	n, _, err := f.get(ino)
	if err != nil {
		var ok bool
		if n, ok = f.remembered(ino); !ok {
			return Attr{}, err
		}
	}
	return f.attr(n, b), nil
}

// Change is a change of attributes; nil fields stay.
type Change struct {
	Size     *int64
	Mode     *uint32
	UID, GID *uint32
	Atime    *time.Time
	Mtime    *time.Time
	// Unprivileged says that Size is changed by somebody who may not keep setuid and setgid bits.
	Unprivileged bool
}

// unprivileged is a mode without the bits that give rights to who runs a file. A setgid bit without
// execution by the group means something else, and stays.
func unprivileged(mode uint32) uint32 {
	mode &^= syscall.S_ISUID
	if mode&0o010 != 0 {
		mode &^= syscall.S_ISGID
	}
	return mode
}

// DropPrivileges takes the setuid and setgid bits off a file that somebody else writes to.
func (h *Handle) DropPrivileges() error {
	n, err := h.fs.tree.Get(h.b.ino)
	if err != nil {
		return stale(err)
	}
	mode := unprivileged(n.Mode)
	if mode == n.Mode {
		return nil
	}
	_, err = h.fs.tree.SetAttr(h.b.ino, cache.Attr{Mode: &mode})
	return stale(err)
}

// SetAttr changes attributes. A size needs the bytes that stay, and may wait for the remote.
func (f *FS) SetAttr(ctx context.Context, ino cache.Ino, c Change) (Attr, error) {
	if f.virtual(ino) {
		return Attr{}, syscall.EROFS
	}
	ino = f.inner(ino)
	n, d, err := f.get(ino)
	if err != nil {
		return Attr{}, err
	}
	if d.readOnly() {
		return Attr{}, syscall.EROFS
	}
	if c.Size != nil && n.Dir {
		return Attr{}, syscall.EISDIR
	}
	if c.Size != nil && *c.Size < 0 {
		return Attr{}, syscall.EINVAL
	}
	var b *body
	if c.Size != nil || (c.Mtime != nil && n.Written && !n.Dir) {
		if b, err = f.acquire(ino); err != nil {
			return Attr{}, err
		}
	} else {
		b = f.borrow(ino)
	}
	if b != nil {
		defer f.release(b)
	}
	if c.Size != nil {
		if err := f.resize(ctx, b, *c.Size); err != nil {
			return Attr{}, err
		}
	}
	if (c.Unprivileged || c.UID != nil || c.GID != nil) && c.Mode == nil && !n.Dir {
		if mode := unprivileged(n.Mode); mode != n.Mode {
			c.Mode = &mode
		}
	}
	ta := cache.Attr{Mode: c.Mode, UID: c.UID, GID: c.GID, Atime: c.Atime, Mtime: c.Mtime}
	if ta.Mode != nil || ta.UID != nil || ta.GID != nil {
		f.own(n, &ta)
	}
	if ta != (cache.Attr{}) {
		if n, err = f.setAttr(ino, b, ta); err != nil {
			return Attr{}, stale(err)
		}
	} else if n, _, err = f.get(ino); err != nil {
		return Attr{}, err
	}
	return f.attr(n, b), nil
}

// setAttr changes the row, and the time of the body, which is the truth of a file being written.
func (f *FS) setAttr(ino cache.Ino, b *body, a cache.Attr) (cache.Node, error) {
	if a.Mtime != nil && b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if err := b.file.SetModTime(*a.Mtime); err != nil {
			return cache.Node{}, err
		}
	}
	return f.tree.SetAttr(ino, a)
}

// own fills in the owner and mode that a node has been shown with, so that setting one of them does
// not change the others.
func (f *FS) own(n cache.Node, a *cache.Attr) {
	if !unowned(n) {
		return
	}
	if a.Mode == nil {
		mode := f.defaultMode(n)
		a.Mode = &mode
	}
	if a.UID == nil {
		a.UID = &f.o.UID
	}
	if a.GID == nil {
		a.GID = &f.o.GID
	}
}

// Space is the answer to statfs, in bytes.
type Space struct {
	Total, Free int64
}

// unknown is the size of a drive that does not tell.
const unknown int64 = 1 << 50

// leastFree is told of a drive that is full: of one without any room Finder will not even move a file,
// and some programs take it for one that cannot be written. What does not fit is EDQUOT all the same.
const leastFree int64 = 4096

// StatFS tells how much room there is where a file or folder is: the quota last seen, less what
// waits to be sent, counted at most a second ago, and never nothing. It asks the service for nothing.
func (f *FS) StatFS(ctx context.Context, ino cache.Ino) (Space, error) {
	if s := f.shelves[ino]; s != nil {
		all := f.shelfSpace(s)
		all.Free = max(all.Free, leastFree)
		return all, nil
	}
	_, d, err := f.get(f.inner(ino))
	if err != nil {
		return Space{}, err
	}
	s := f.told(d)
	s.Free = max(s.Free, leastFree)
	return s, nil
}

// space is what the drive has and what is left of it.
func (d *Drive) space() Space {
	q, pending := d.Info.Drive.Quota, int64(0)
	if d.Space != nil {
		q, pending = d.Space()
	}
	if q.Total <= 0 {
		return Space{Total: unknown, Free: unknown}
	}
	free := q.Remaining
	if free <= 0 {
		free = q.Total - q.Used
	}
	return Space{Total: q.Total, Free: max(0, min(free, q.Total)-pending)}
}
