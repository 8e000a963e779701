package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/content"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

// stampOf is what tells whether a file has changed.
func stampOf(st fs.FileInfo) cache.Stamp {
	s := cache.Stamp{Size: st.Size(), Mtime: st.ModTime().UTC()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		s.Inode, s.Ctime = sys.Ino, ctimeOf(sys).UTC()
	}
	return s
}

// sameStamp reports whether a file is as it was. A stamp that nothing may be concluded from equals none.
func sameStamp(a, b cache.Stamp) bool {
	return a.Size == b.Size && a.Inode == b.Inode && !a.Mtime.IsZero() && a.Mtime.Equal(b.Mtime) && a.Ctime.Equal(b.Ctime)
}

// settled is how long ago a file must have changed for its times to tell of the next change: that is how coarse
// the clocks of file systems are.
const settled = 2 * time.Second

// trusted is a stamp that was taken at a time. Of a file that had changed a moment before nothing may be concluded from
// it. The change time counts, since programs cannot set it.
func trusted(s cache.Stamp, at time.Time) cache.Stamp {
	if at.Sub(s.Ctime) < settled {
		s.Mtime = time.Time{}
	}
	return s
}

// names lists what is in a folder, sorted.
func names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.Readdirnames(-1)
	slices.Sort(list)
	return list, err
}

// place is a folder as the file system knows it.
type place struct{ dev, ino uint64 }

func placeOf(st fs.FileInfo) place {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return place{}
	}
	return place{dev: uint64(sys.Dev), ino: sys.Ino}
}

// openFile opens a file to be read, never a pipe or device in its place, and a link only if links are followed.
func openFile(path string, follow bool) (*os.File, error) {
	flags := os.O_RDONLY | unix.O_NONBLOCK
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file any more: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// hashBuffer is how many bytes of a file are read at a time.
const hashBuffer = 256 << 10

// hashFile reads a file through, into buf. same is false if it changed meanwhile.
func hashFile(ctx context.Context, buf []byte, path string, follow bool, was cache.Stamp) (h graph.Hash, same bool, err error) {
	f, err := openFile(path, follow)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	sum := graph.NewQuickXor()
	for {
		if err := ctx.Err(); err != nil {
			return "", false, err
		}
		n, err := f.Read(buf)
		_, _ = sum.Write(buf[:n]) // never fails
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", false, err
		}
	}
	st, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	now := stampOf(st)
	return graph.HashOf(sum), now.Size == was.Size && now.Mtime.Equal(was.Mtime) && now.Ctime.Equal(was.Ctime) && now.Inode == was.Inode, nil
}

// file is the bytes of an entry, as package push reads them.
type file struct {
	f    *os.File
	e    *entry
	l    *ledger
	size int64
	time time.Time
}

var _ push.Body = (*file)(nil)

func (b *file) Size() int64        { return b.size }
func (b *file) ModTime() time.Time { return b.time }
func (b *file) Close() error       { return b.f.Close() }

// Seal takes the file as it is now. Nobody is kept from writing to it; the snapshot notices.
func (b *file) Seal(context.Context, cache.Seq) (push.Snapshot, error) {
	st, err := b.f.Stat()
	if err != nil {
		return nil, err
	}
	s := &snapshot{f: b.f, stamp: stampOf(st), broken: make(chan struct{})}
	b.l.sealed(b.e, s.stamp)
	return s, nil
}

// snapshot is a file that must not change while it is read.
type snapshot struct {
	f      *os.File
	stamp  cache.Stamp
	once   sync.Once
	broken chan struct{}
}

// ReadAt reads, and looks then whether the file is still the one that was sealed.
func (s *snapshot) ReadAt(p []byte, off int64) (int, error) {
	select {
	case <-s.broken:
		return 0, content.ErrUnsealed
	default:
	}
	n, err := s.f.ReadAt(p, off)
	st, serr := s.f.Stat()
	if serr != nil {
		return 0, serr
	}
	if now := stampOf(st); now.Size != s.stamp.Size || !now.Mtime.Equal(s.stamp.Mtime) || !now.Ctime.Equal(s.stamp.Ctime) {
		s.once.Do(func() { close(s.broken) })
		return 0, content.ErrUnsealed
	}
	return n, err
}

func (s *snapshot) Size() int64             { return s.stamp.Size }
func (s *snapshot) ModTime() time.Time      { return s.stamp.Mtime }
func (s *snapshot) Broken() <-chan struct{} { return s.broken }
func (s *snapshot) Release()                {}

// Freeze is for files that programs of a mount keep open.
func (s *snapshot) Freeze() (*content.Frozen, error) { return nil, errors.ErrUnsupported }

// localPath is where a path of the folder is on the disk.
func (r *run) localPath(path string) string {
	return filepath.Join(r.o.Folder, filepath.FromSlash(path))
}
