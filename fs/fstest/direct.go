package fstest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/fs"
)

// Direct calls a file system without a kernel.
func Direct(f *fs.FS, who fs.Caller) Sys { return &direct{fs: f, who: who} }

type direct struct {
	fs  *fs.FS
	who fs.Caller
}

// errno is what a program would see of an error.
func errno(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return fs.Errno(err)
}

func (d *direct) walk(path string) (fs.Attr, error) {
	a, err := d.fs.GetAttr(context.Background(), fs.Root)
	for _, name := range strings.Split(path, "/") {
		if name == "" {
			continue
		}
		if err != nil {
			break
		}
		a, err = d.fs.Lookup(context.Background(), a.Ino, name)
	}
	return a, errno(err)
}

func (d *direct) parent(path string) (cache.Ino, string, error) {
	i := strings.LastIndexByte(path, '/')
	a, err := d.walk(path[:i])
	return a.Ino, path[i+1:], err
}

func (d *direct) Open(path string, flags int, mode uint32) (File, error) {
	ctx := context.Background()
	if flags&syscall.O_CREAT != 0 {
		dir, name, err := d.parent(path)
		if err != nil {
			return nil, err
		}
		h, _, err := d.fs.Create(ctx, dir, name, flags, mode, d.who)
		if err != nil {
			return nil, errno(err)
		}
		return &directFile{h: h}, nil
	}
	a, err := d.walk(path)
	if err != nil {
		return nil, err
	}
	h, err := d.fs.Open(ctx, a.Ino, flags)
	if err != nil {
		return nil, errno(err)
	}
	return &directFile{h: h}, nil
}

func (d *direct) Mkdir(path string, mode uint32) error {
	dir, name, err := d.parent(path)
	if err != nil {
		return err
	}
	_, err = d.fs.Mkdir(context.Background(), dir, name, mode, d.who)
	return errno(err)
}

func (d *direct) Unlink(path string) error {
	dir, name, err := d.parent(path)
	if err != nil {
		return err
	}
	return errno(d.fs.Unlink(context.Background(), dir, name))
}

func (d *direct) Rmdir(path string) error {
	dir, name, err := d.parent(path)
	if err != nil {
		return err
	}
	return errno(d.fs.Rmdir(context.Background(), dir, name))
}

func (d *direct) Rename(from, to string, flags cache.RenameFlags) error {
	fromDir, fromName, err := d.parent(from)
	if err != nil {
		return err
	}
	toDir, toName, err := d.parent(to)
	if err != nil {
		return err
	}
	return errno(d.fs.Rename(context.Background(), fromDir, fromName, toDir, toName, flags))
}

func (d *direct) Stat(path string) (Stat, error) {
	a, err := d.walk(path)
	return directStat(a), err
}

func directStat(a fs.Attr) Stat {
	return Stat{Ino: uint64(a.Ino), Dir: a.Dir, Mode: a.Mode, Nlink: uint64(a.Nlink), UID: a.UID, GID: a.GID,
		Size: a.Size, Blocks: a.Blocks, Mtime: a.Mtime, Ctime: a.Ctime}
}

func (d *direct) change(path string, c fs.Change) error {
	a, err := d.walk(path)
	if err != nil {
		return err
	}
	_, err = d.fs.SetAttr(context.Background(), a.Ino, c)
	return errno(err)
}

func (d *direct) Truncate(path string, size int64) error {
	return d.change(path, fs.Change{Size: &size})
}

func (d *direct) Chmod(path string, mode uint32) error {
	return d.change(path, fs.Change{Mode: &mode})
}

func (d *direct) Chtimes(path string, atime, mtime time.Time) error {
	return d.change(path, fs.Change{Atime: &atime, Mtime: &mtime})
}

func (d *direct) OpenDir(path string) (Dir, error) {
	a, err := d.walk(path)
	if err != nil {
		return nil, err
	}
	if !a.Dir {
		return nil, syscall.ENOTDIR
	}
	return &directDir{fs: d.fs, ino: a.Ino}, nil
}

func (d *direct) Free(path string) (int64, error) {
	a, err := d.walk(path)
	if err != nil {
		return 0, err
	}
	s, err := d.fs.StatFS(context.Background(), a.Ino)
	return s.Free, errno(err)
}

type directDir struct {
	fs     *fs.FS
	ino    cache.Ino
	cookie uint64
}

func (d *directDir) Next() ([]string, error) {
	var names []string
	for len(names) == 0 {
		es, err := d.fs.ReadDir(context.Background(), d.ino, d.cookie, 37)
		if err != nil {
			return nil, errno(err)
		}
		if len(es) == 0 {
			return nil, nil
		}
		for _, e := range es {
			d.cookie = e.Next
			if e.Name != "." && e.Name != ".." {
				names = append(names, e.Name)
			}
		}
	}
	return names, nil
}

func (d *directDir) Stat() (Stat, error) {
	a, err := d.fs.GetAttr(context.Background(), d.ino)
	return directStat(a), errno(err)
}

func (d *directDir) Close() error { return nil }

type directFile struct {
	h   *fs.Handle
	mu  sync.Mutex
	pos int64 // guarded by mu
}

func (f *directFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.h.ReadAt(context.Background(), p, f.pos)
	f.pos += int64(n)
	return n, errno(err)
}

func (f *directFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.h.WriteAt(context.Background(), p, f.pos)
	f.pos += int64(n)
	return n, errno(err)
}

func (f *directFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.h.ReadAt(context.Background(), p, off)
	return n, errno(err)
}

func (f *directFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.h.WriteAt(context.Background(), p, off)
	return n, errno(err)
}

func (f *directFile) Truncate(size int64) error {
	return errno(f.h.Truncate(context.Background(), size))
}

func (f *directFile) Stat() (Stat, error) {
	a, err := f.h.Attr(context.Background())
	return directStat(a), errno(err)
}

func (f *directFile) Sync() error  { return errno(f.h.Sync(context.Background())) }
func (f *directFile) Close() error { f.h.Release(); return nil }

func (f *directFile) Extent(off int64, data bool) (int64, error) {
	at, err := f.h.Extent(context.Background(), off, data)
	return at, errno(err)
}

func (f *directFile) Allocate(how content.Allocation, off, n int64) error {
	return errno(f.h.Allocate(context.Background(), how, off, n))
}

func (f *directFile) CopyFrom(src File, off, at, n int64) (int64, error) {
	k, err := f.h.CopyFrom(context.Background(), src.(*directFile).h, off, at, n)
	return k, errno(err)
}

func (d *direct) Chown(path string, uid, gid int) error {
	u, g := uint32(uid), uint32(gid)
	return d.change(path, fs.Change{UID: &u, GID: &g})
}

func (d *direct) Xattr(path, name string) ([]byte, error) {
	a, err := d.walk(path)
	if err != nil {
		return nil, err
	}
	v, err := d.fs.Xattr(context.Background(), a.Ino, name)
	return v, errno(err)
}

func (d *direct) Xattrs(path string) ([]string, error) {
	a, err := d.walk(path)
	if err != nil {
		return nil, err
	}
	names, err := d.fs.Xattrs(context.Background(), a.Ino)
	return names, errno(err)
}

func (d *direct) SetXattr(path, name string, value []byte, flags cache.XattrFlags) error {
	a, err := d.walk(path)
	if err != nil {
		return err
	}
	return errno(d.fs.SetXattr(context.Background(), a.Ino, name, value, flags))
}

func (d *direct) RemoveXattr(path, name string) error {
	a, err := d.walk(path)
	if err != nil {
		return err
	}
	return errno(d.fs.RemoveXattr(context.Background(), a.Ino, name))
}
