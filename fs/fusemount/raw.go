package fusemount

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
)

// raw answers the kernel's requests.
type raw struct {
	fuse.RawFileSystem
	fs       *fs.FS
	log      *slog.Logger
	remember time.Duration
	notices  *notices

	forgetful   bool
	broken      func()
	brokenAfter time.Duration
	looking     sync.Once // for a lock, after a panic

	noOpenDir bool // set by Init: the kernel does without OPENDIR

	mu      sync.RWMutex
	handles map[uint64]*fs.Handle // guarded by mu
	last    uint64                // guarded by mu: handle number given out last
}

func newRaw(o Options) *raw {
	r := &raw{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		fs:            o.FS, log: o.Logger, remember: o.Remember,
		notices:   newNotices(o.Logger),
		forgetful: o.Forgetful,
		broken:    o.Broken, brokenAfter: o.BrokenAfter,
		handles: map[uint64]*fs.Handle{},
	}
	r.notices.mute = o.Forgetful
	return r
}

func (r *raw) String() string { return "duskfs" }

func (r *raw) Init(s *fuse.Server) {
	r.noOpenDir = noOpenDir != 0 && s.KernelSettings().Flags64()&noOpenDir != 0
}

// request is the context of one request: it ends when the kernel says that the program was
// interrupted.
type request struct {
	context.Context
	cancel <-chan struct{}
}

func (r *request) Done() <-chan struct{} { return r.cancel }

func (r *request) Err() error {
	select {
	case <-r.cancel:
		return context.Canceled
	default:
		return nil
	}
}

func ctx(cancel <-chan struct{}) context.Context {
	return &request{Context: context.Background(), cancel: cancel}
}

// status turns an error into the answer. What no table row expects is worth a line in the log,
// since the program learns no more of it than EIO; so is a name that was refused.
func (r *raw) status(op string, ino uint64, err error) fuse.Status {
	e := fs.Errno(err)
	switch {
	case e == syscall.EIO:
		r.log.Warn("a request failed", "op", op, "ino", ino, "err", err)
	case fs.Refused(err) && op != "lookup":
		r.log.Info("a name was refused", "op", op, "folder", ino, "why", err)
	}
	return fuse.Status(e)
}

// panicked answers for a request that panicked: one EIO, and a line in the log that says where.
func (r *raw) panicked(what any) fuse.Status {
	r.log.Error("a request panicked: please report this", "panic", what, "stack", string(debug.Stack()))
	go r.look() // it ends in time
	return fuse.EIO
}

// look finds out whether a request that panicked has left a lock taken.
func (r *raw) look() {
	if !r.fs.Stuck(r.brokenAfter) {
		return
	}
	r.looking.Do(func() {
		r.log.Error("a request that panicked has left a lock taken: nothing can go on")
		if r.broken != nil {
			r.broken()
		}
	})
}

func (r *raw) enter(h *fs.Handle) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.handles[r.last] = h
	return r.last
}

func (r *raw) handle(fh uint64) *fs.Handle {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.handles[fh]
}

// releaseAll ends the handles that the kernel did not release because the connection was cut.
func (r *raw) releaseAll() {
	r.mu.Lock()
	hs := r.handles
	r.handles = map[uint64]*fs.Handle{}
	r.mu.Unlock()
	for _, h := range hs {
		h.Release()
	}
}

func fill(out *fuse.Attr, a fs.Attr) {
	kind := uint32(syscall.S_IFREG)
	if a.Dir {
		kind = syscall.S_IFDIR
	}
	*out = fuse.Attr{
		Ino: uint64(a.Ino), Size: uint64(a.Size), Blocks: uint64(a.Blocks), Mode: kind | a.Mode,
		Nlink: a.Nlink, Owner: fuse.Owner{Uid: a.UID, Gid: a.GID}, Blksize: 4096,
	}
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}

func (r *raw) entry(out *fuse.EntryOut, a fs.Attr) {
	out.NodeId = uint64(a.Ino)
	out.SetEntryTimeout(r.remember)
	out.SetAttrTimeout(r.remember)
	fill(&out.Attr, a)
}

func (r *raw) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	a, err := r.fs.Lookup(ctx(cancel), cache.Ino(h.NodeId), name)
	if fs.Errno(err) == syscall.ENOENT && r.fs.Exact() && !r.forgetful {
		// A name that is not there is remembered too, by node id 0.
		out.SetEntryTimeout(r.remember)
		return fuse.OK
	}
	if err != nil {
		return r.status("lookup", h.NodeId, err)
	}
	r.entry(out, a)
	return fuse.OK
}

// Forget needs no count: an ino means the same for ever.
func (r *raw) Forget(nodeid, nlookup uint64) { r.fs.Forget(cache.Ino(nodeid)) }

func (r *raw) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, err := r.fs.GetAttr(ctx(cancel), cache.Ino(in.NodeId))
	if err != nil {
		return r.status("getattr", in.NodeId, err)
	}
	out.SetTimeout(r.remember)
	fill(&out.Attr, a)
	return fuse.OK
}

func (r *raw) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	var c fs.Change
	if v, ok := in.GetMode(); ok {
		c.Mode = &v
	}
	if v, ok := in.GetUID(); ok {
		c.UID = &v
	}
	if v, ok := in.GetGID(); ok {
		c.GID = &v
	}
	if v, ok := in.GetATime(); ok {
		c.Atime = &v
	}
	if v, ok := in.GetMTime(); ok {
		c.Mtime = &v
	}
	c.Unprivileged = in.Valid&fuse.FATTR_KILL_SUIDGID != 0
	if v, ok := in.GetSize(); ok {
		size := int64(v)
		c.Size = &size
	}
	a, err := r.fs.SetAttr(ctx(cancel), cache.Ino(in.NodeId), c)
	if err != nil {
		return r.status("setattr", in.NodeId, err)
	}
	out.SetTimeout(r.remember)
	fill(&out.Attr, a)
	return fuse.OK
}

func caller(h *fuse.InHeader) fs.Caller { return fs.Caller{UID: h.Uid, GID: h.Gid} }

func (r *raw) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	a, err := r.fs.Mkdir(ctx(cancel), cache.Ino(in.NodeId), name, in.Mode, caller(&in.InHeader))
	if err != nil {
		return r.status("mkdir", in.NodeId, err)
	}
	r.entry(out, a)
	return fuse.OK
}

// Mknod makes nothing but plain files, which some programs ask for in this way.
func (r *raw) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return fuse.EPERM
	}
	h, a, err := r.fs.Create(ctx(cancel), cache.Ino(in.NodeId), name, syscall.O_RDONLY|syscall.O_EXCL, in.Mode, caller(&in.InHeader))
	if err != nil {
		return r.status("mknod", in.NodeId, err)
	}
	h.Release()
	r.entry(out, a)
	return fuse.OK
}

// Symlink and Link: the service has neither.
func (r *raw) Symlink(cancel <-chan struct{}, h *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}

func (r *raw) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}

func (r *raw) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return r.status("unlink", h.NodeId, r.fs.Unlink(ctx(cancel), cache.Ino(h.NodeId), name))
}

func (r *raw) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return r.status("rmdir", h.NodeId, r.fs.Rmdir(ctx(cancel), cache.Ino(h.NodeId), name))
}

func (r *raw) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	var flags cache.RenameFlags
	switch in.Flags {
	case 0:
	case renameNoReplace:
		flags = cache.NoReplace
	case renameExchange:
		flags = cache.Exchange
	default:
		return fuse.EINVAL
	}
	return r.status("rename", in.NodeId, r.fs.Rename(ctx(cancel), cache.Ino(in.NodeId), oldName, cache.Ino(in.Newdir), newName, flags))
}

// openFlags: the pages of a file stay in the kernel's cache until a notice takes them out, and a
// close needs no message of its own.
const openFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH

func (r *raw) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	h, err := r.fs.Open(ctx(cancel), cache.Ino(in.NodeId), int(in.Flags))
	if err == nil && in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		if err = h.DropPrivileges(); err != nil {
			h.Release()
		}
	}
	if err != nil {
		return r.status("open", in.NodeId, err)
	}
	out.Fh, out.OpenFlags = r.enter(h), openFlags
	return fuse.OK
}

func (r *raw) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	h, a, err := r.fs.Create(ctx(cancel), cache.Ino(in.NodeId), name, int(in.Flags), in.Mode, caller(&in.InHeader))
	if err != nil {
		return r.status("create", in.NodeId, err)
	}
	r.entry(&out.EntryOut, a)
	out.Fh, out.OpenFlags = r.enter(h), openFlags
	return fuse.OK
}

func (r *raw) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h := r.handle(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	if fd, ok := h.Fd(); ok {
		return fuse.ReadResultFd(fd, int64(in.Offset), len(buf)), fuse.OK
	}
	n, err := h.ReadCached(ctx(cancel), buf, int64(in.Offset))
	if err != nil && err != io.EOF {
		return nil, r.status("read", in.NodeId, err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (r *raw) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := r.handle(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	write := h.WriteAt
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		write = h.WriteCached
	}
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		if err := h.DropPrivileges(); err != nil {
			return 0, r.status("write", in.NodeId, err)
		}
	}
	n, err := write(ctx(cancel), data, int64(in.Offset))
	if err != nil {
		return uint32(n), r.status("write", in.NodeId, err)
	}
	return uint32(n), fuse.OK
}

func (r *raw) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := r.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return r.status("flush", in.NodeId, h.Flush(ctx(cancel)))
}

func (r *raw) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := r.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return r.status("fsync", in.NodeId, h.Sync(ctx(cancel)))
}

func (r *raw) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	r.mu.Lock()
	h := r.handles[in.Fh]
	delete(r.handles, in.Fh)
	r.mu.Unlock()
	if h != nil {
		h.Release()
	}
}

// OpenDir is refused once; from then on the kernel opens folders by itself and keeps what it reads.
func (r *raw) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if r.noOpenDir {
		return fuse.ENOSYS
	}
	return fuse.OK
}

func (r *raw) ReleaseDir(in *fuse.ReleaseIn) {}

func (r *raw) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return r.status("fsyncdir", in.NodeId, r.fs.SyncDir(ctx(cancel), cache.Ino(in.NodeId)))
}

// Sizes of what an entry takes in an answer (struct fuse_entry_out, struct fuse_dirent), to ask
// for as many entries as fit.
const (
	entrySize  = 128
	direntSize = 24 + 16
)

func (r *raw) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return r.list(cancel, in, int(in.Size)/direntSize, func(e fs.Entry) bool {
		return out.AddDirEntry(dirent(e))
	})
}

func (r *raw) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return r.list(cancel, in, int(in.Size)/(entrySize+direntSize), func(e fs.Entry) bool {
		eo := out.AddDirLookupEntry(dirent(e))
		if eo != nil && e.Attr.Ino != 0 {
			r.entry(eo, e.Attr)
		}
		return eo != nil
	})
}

func dirent(e fs.Entry) fuse.DirEntry {
	mode := uint32(syscall.S_IFREG)
	if e.Dir {
		mode = syscall.S_IFDIR
	}
	return fuse.DirEntry{Name: e.Name, Ino: uint64(e.Ino), Mode: mode, Off: e.Next}
}

func (r *raw) list(cancel <-chan struct{}, in *fuse.ReadIn, max int, add func(fs.Entry) bool) fuse.Status {
	es, err := r.fs.ReadDir(ctx(cancel), cache.Ino(in.NodeId), in.Offset, max+1)
	if err != nil {
		return r.status("readdir", in.NodeId, err)
	}
	for _, e := range es {
		if !add(e) {
			break
		}
	}
	return fuse.OK
}

const statBlock = 4096

func (r *raw) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s, err := r.fs.StatFS(ctx(cancel), cache.Ino(h.NodeId))
	if err != nil {
		return r.status("statfs", h.NodeId, err)
	}
	out.Bsize, out.Frsize, out.NameLen = statBlock, statBlock, 255
	out.Blocks = uint64(s.Total / statBlock)
	out.Bfree = uint64((s.Free + statBlock - 1) / statBlock)
	out.Bavail = out.Bfree
	out.Files, out.Ffree = 1<<40, 1<<40
	return fuse.OK
}
