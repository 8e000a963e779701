// Package fusemount connects a file system of package fs to the kernel through FUSE. It speaks
// go-fuse's raw interface: the kernel's node id is the ino, so nothing is kept for what the kernel
// merely knows, and names and attributes stay in the kernel's caches until a notice takes them out.
package fusemount

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
)

// Options of a mount.
type Options struct {
	// FS is what to mount. The caller closes it after the mount has ended.
	FS *fs.FS
	// Mountpoint is an empty folder.
	Mountpoint string
	// Source is shown as the device in the list of mounts; default "duskfs".
	Source string
	// AllowOther lets other users in, as far as modes and owners allow.
	AllowOther bool
	// Remember is for how long the kernel may keep names and attributes without asking; default an
	// hour. Changes made here and by the remote take effect at once all the same.
	Remember time.Duration
	// Forgetful is a kernel that takes no notices, as that of macOS: names and attributes are kept for a second
	// alone, and missing names are not.
	Forgetful bool
	// Extra are options for the kernel's side of FUSE, as after -o of other file systems: of macFUSE for one.
	Extra []string
	// Broken is told once if a request has panicked and left a lock taken: the process must end, nothing in it
	// can be waited for. Nil: it is a line in the log alone.
	Broken func()
	// BrokenAfter is how long a lock is looked for after a panic; default 5 s.
	BrokenAfter time.Duration
	Logger      *slog.Logger // default discards
}

// Mount is a mounted file system.
type Mount struct {
	o      Options
	server *fuse.Server
	raw    *raw
	point  string
	dev    uint64 // device number of the mount: the number of the FUSE connection
	done   chan struct{}

	unmount sync.Mutex // one Unmount at a time
}

// New mounts o.FS. Its errors say what to do. A mount left behind by a daemon that was killed is
// cleared away first. The context bounds the mounting alone.
func New(ctx context.Context, o Options) (*Mount, error) {
	if o.Source == "" {
		o.Source = typeName
	}
	if o.Remember == 0 {
		o.Remember = time.Hour
		if o.Forgetful {
			o.Remember = time.Second
		}
	}
	if o.BrokenAfter == 0 {
		o.BrokenAfter = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	point, err := Prepare(o.Mountpoint)
	if err != nil {
		return nil, err
	}
	m := &Mount{o: o, point: point, done: make(chan struct{})}
	m.raw = newRaw(o)
	m.server, err = fuse.NewServer(m.raw, point, m.options(o))
	if err != nil {
		// go-fuse can fail after the kernel has mounted. That there is nothing to detach is no news.
		if on, _ := mounted(point); on {
			err = errors.Join(err, detach(point, true))
		}
		if lacks := Missing(); lacks != nil {
			return nil, fmt.Errorf("mounting at %s: %w (%w)", point, err, lacks)
		}
		return nil, fmt.Errorf("mounting at %s: %w", point, err)
	}
	m.raw.notices.start(m.server, o.FS)
	go m.serve()
	if err := m.server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting at %s: %w", point, err), m.Unmount(ctx))
	}
	m.dev, err = device(point)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mounting at %s: %w", point, err), m.Unmount(ctx))
	}
	return m, nil
}

// serve answers the kernel until the mount has ended.
func (m *Mount) serve() {
	m.server.Serve()
	m.raw.notices.stop()
	m.raw.releaseAll()
	close(m.done)
}

// options are what go-fuse is told. The kernel checks permissions by mode and owner; there is no
// write-back cache, with which the kernel would not believe a size or time that the remote changed.
func (m *Mount) options(o Options) *fuse.MountOptions {
	opts := []string{"default_permissions", "nosuid", "nodev"}
	if o.FS.ReadOnly() {
		opts = append(opts, "ro")
	}
	opts = append(opts, o.Extra...)
	return &fuse.MountOptions{
		Options:                  opts,
		AllowOther:               o.AllowOther,
		FsName:                   o.Source,
		Name:                     typeName,
		MaxWrite:                 256 << 10,
		MaxBackground:            64,
		DirectMount:              os.Geteuid() == 0,
		PanicHandler:             m.raw.panicked,
		ExplicitDataCacheControl: true,
		ExtraCapabilities:        capabilities,
		Logger:                   log.New(io.Discard, "", 0),
	}
}

// typeName is what mounts are told by.
const typeName = "duskfs"

// Mountpoint is where it is mounted, as an absolute path.
func (m *Mount) Mountpoint() string { return m.point }

// Done is closed when the mount has ended, by whoever.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Wait returns when the mount has ended.
func (m *Mount) Wait() { <-m.done }

// Unmount ends the mount: requests that hang on the network are cancelled; if programs still use
// it, it is taken out of the tree of names at once and ends when they do. When ctx ends the
// connection is cut: what such programs do fails. It returns when the mount has ended.
func (m *Mount) Unmount(ctx context.Context) error {
	m.unmount.Lock()
	defer m.unmount.Unlock()
	select {
	case <-m.done:
		return nil
	default:
	}
	m.o.FS.Stop()
	err := detach(m.point, false)
	if err != nil {
		m.o.Logger.Warn("programs still use the mount: it is detached and ends with them", "mountpoint", m.point, "err", err)
		err = detach(m.point, true)
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
	}
	if cut := abort(m.dev); cut != nil {
		return errors.Join(fmt.Errorf("unmounting %s: %w", m.point, ctx.Err()), err, cut)
	}
	select {
	case <-m.done:
		return nil
	case <-time.After(5 * time.Second):
		return errors.Join(fmt.Errorf("unmounting %s: %w", m.point, ctx.Err()), err)
	}
}

// Detach takes the mount out of the tree of names and cuts its connection, waiting for nobody. It is for a process
// that is broken.
func (m *Mount) Detach() error {
	err := detach(m.point, true)
	if cut := abort(m.dev); !errors.Is(cut, os.ErrNotExist) { // it has ended by itself if nobody used it
		err = errors.Join(err, cut)
	}
	return err
}

// Writeback makes the kernel send what programs have written through memory maps, and returns when
// it has. Call it, with no lock held, before the bytes of a file are sealed.
func (m *Mount) Writeback(ino cache.Ino) {
	m.raw.notices.writeback(uint64(m.o.FS.Outer(cache.Event{Ino: ino}).Ino))
}

// Notify tells the kernel of a change that was made without it, beyond those that the tree's Watch
// reports: by a command that works on the tree itself.
func (m *Mount) Notify(e cache.Event) { m.raw.notices.add(m.o.FS.Outer(e)) }

// Drain waits until the kernel has been told of every change so far, or ctx ends: a notice can hang
// behind a read that hangs. Whoever is told that something is done can then see it in the mount.
func (m *Mount) Drain(ctx context.Context) { m.raw.notices.drain(ctx) }

func device(point string) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(point, &st); err != nil {
		return 0, err
	}
	return uint64(st.Dev), nil
}
