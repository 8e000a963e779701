package fusemount

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/fs"
)

// xattrStatus is status without a line in the log: programs ask for what is not there all the time.
func xattrStatus(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	return fuse.Status(fs.Errno(err))
}

// GetXAttr answers with the length if dest is too short for the value.
func (r *raw) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	v, err := r.fs.Xattr(ctx(cancel), cache.Ino(h.NodeId), name)
	if err != nil {
		return 0, xattrStatus(err)
	}
	return put(dest, v)
}

// ListXAttr gives the names, each with a NUL after it.
func (r *raw) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	names, err := r.fs.Xattrs(ctx(cancel), cache.Ino(h.NodeId))
	if err != nil {
		return 0, xattrStatus(err)
	}
	var list []byte
	for _, n := range names {
		list = append(append(list, n...), 0)
	}
	return put(dest, list)
}

// put copies an answer, or says how long it is.
func put(dest, v []byte) (uint32, fuse.Status) {
	if len(v) > len(dest) {
		return uint32(len(v)), fuse.ERANGE
	}
	return uint32(copy(dest, v)), fuse.OK
}

// SetXAttr sets a value. macOS asks for parts of a value with a position, which nothing but a
// resource fork has: those it keeps in ._ files where they are refused here.
func (r *raw) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	if position(in) != 0 {
		return fuse.Status(syscall.ENOTSUP)
	}
	var flags cache.XattrFlags
	if in.Flags&xattrCreate != 0 {
		flags |= cache.XattrCreate
	}
	if in.Flags&xattrReplace != 0 {
		flags |= cache.XattrReplace
	}
	return xattrStatus(r.fs.SetXattr(ctx(cancel), cache.Ino(in.NodeId), name, data, flags))
}

func (r *raw) RemoveXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return xattrStatus(r.fs.RemoveXattr(ctx(cancel), cache.Ino(h.NodeId), name))
}
